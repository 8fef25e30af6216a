"""ikelb as a forwarder: its slow path, and its fast path in the kernel, generic and native."""

import re
import subprocess
from pathlib import Path
from typing import Any

from forwarders import Forwarder, wait_for
from load import CORE, Load, Outcome
from network import SERVER, Site
from vpnlab.balancer import Balancer, binary, yaml
from vpnlab.shell import LabError
from vpnlab.topology import VIP

SHARE_OF_PATH = 0.99  # of what was measured, at least, must have gone the way that the row is about
PACKETS = re.compile(r'^ikelb_packets_total\{([^}]*)\} (\S+)$', re.MULTILINE)
LAG = re.compile(r'^ikelb_loop_lag_seconds_bucket\{le="([^"]+)"\} (\d+)$', re.MULTILINE)
MIN_CLIENTS = 1000  # the least that dataplane.max_clients allows
ROOM = 1.25  # max_clients for each client


def service(**extra: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": "bench",
        "vip": VIP[4],
        "health": {"probe": "none"},
        "backends": [{"name": "s1", "address": SERVER}],
    }
    return made | extra


class Ikelb(Forwarder):
    """The slow path."""

    key = "slow"
    name = "ikelb slow path"
    what = "`dataplane.fastpath: off`: sockets, one thread"
    in_user_space = True
    fastpath = "off"
    path = "slow"
    openings = 1

    def __init__(self, site: Site, clients: int, services: list[dict[str, Any]] | None = None,
                 room: float = ROOM) -> None:
        super().__init__(site, clients)
        self.max_clients = max(round(self.clients * room), MIN_CLIENTS)
        self.services = services or [service()]
        self.balancer: Balancer | None = None

    @property
    def ikelb(self) -> Balancer:
        assert self.balancer is not None, "start comes first"
        return self.balancer

    def start(self) -> None:
        dataplane = {"max_clients": self.max_clients, "fastpath": self.fastpath}
        self.balancer = Balancer(self.site.workspace, self.site.network,
                                 {"services": self.services, "dataplane": dataplane}, self.site.directory / "ikelb.log")
        self.process = self.balancer.process
        self.pin(CORE)
        self.balancer.wait_status(lambda _: True, "answering", 20)

    def open(self, first: int = 0, clients: int | None = None) -> None:
        """In portions: of what no server has answered yet, ikelb remembers at most a quarter of `max_clients`."""
        count = self.clients - first if clients is None else clients
        portion = max(self.clients // 8, min(count, 200))
        for begin in range(first, first + count, portion):
            for _ in range(self.openings):
                super().open(begin, min(portion, first + count - begin))
        self._check_known(first + count)

    def measure(self, direction: str, load: Load) -> Outcome:
        before = self.packets(direction)
        outcome = super().measure(direction, load)
        wanted = SHARE_OF_PATH * outcome.arrived

        def counted() -> bool:
            now = self.packets(direction)
            return sum(now.values()) - sum(before.values()) >= wanted

        wait_for(counted, f"{self.name}: its metrics have not counted what arrived")
        after = self.packets(direction)
        by_path = {path: after[path] - before.get(path, 0) for path in after}
        if by_path.get(self.path, 0) < wanted:
            raise LabError(f"{self.name}: {outcome.arrived} packets {direction}, but by path: {by_path}")
        return outcome

    def packets(self, direction: str) -> dict[str, float]:
        """ikelb's own count of packets, by path."""
        counts: dict[str, float] = {}
        for labels, value in PACKETS.findall(self.metrics()):
            if f'direction="{direction}"' in labels:
                path = re.search(r'path="(\w+)"', labels)
                assert path is not None, labels
                counts[path[1]] = counts.get(path[1], 0) + float(value)
        return counts

    def metrics(self) -> str:
        return self.ikelb.request("GET", "/metrics")[1].decode()

    def entries(self) -> dict[str, int]:
        return {name: table["entries"] for name, table in self.ikelb.status()["tables"].items()}

    def _check_known(self, clients: int) -> None:
        known = self.entries()["flows"]
        if known < clients:
            raise LabError(f"{self.name}: {clients} clients were there, and it knows {known}")


class Generic(Ikelb):
    key = "generic"
    name = "ikelb fast, generic"
    what = "`dataplane.fastpath: generic`: XDP after the kernel has made its packet buffer"
    in_user_space = False
    fastpath = "generic"
    path = "fast"
    openings = 2  # a flow enters when its server sends once more on it


class Native(Generic):
    key = "native"
    name = "ikelb fast, native"
    what = "`dataplane.fastpath: native`: XDP in the driver"
    fastpath = "native"


def loop_lag(balancer: Balancer) -> dict[float, float]:
    """How many turns of the loop took no longer than so many seconds, so far."""
    text = balancer.request("GET", "/metrics")[1].decode()
    return {float(bound): float(count) for bound, count in LAG.findall(text)}


def accepts(fastpath: str, directory: Path) -> bool:
    """Whether this ikelb knows the mode."""
    file = directory / f"accepts-{fastpath}.yaml"
    file.write_text(yaml({"services": [service()], "dataplane": {"fastpath": fastpath}}))
    return subprocess.run([binary(), "check", file], capture_output=True, check=False).returncode == 0
