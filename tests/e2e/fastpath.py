"""What ikelb and the kernel say of the fast path."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from support import lab, start, wait_for
from vpnlab.balancer import Balancer
from vpnlab.bench import Bench
from vpnlab.net import Namespace
from vpnlab.topology import Topology

COUNTED_S = 0.03  # After so long without a change nothing is under way.

SAVED_S = 6.0  # What has changed is saved within five seconds.

_SAMPLE = re.compile(r'^(\w+)(?:\{([^}]*)\})? (\S+)$', re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Traffic = Counter[tuple[str, str, str]]  # by service, backend and direction: in, out


def samples(balancer: Balancer, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
    """The samples of a metric that have these labels, with all of theirs."""
    _, text = balancer.request("GET", "/metrics")
    found = [(dict(_LABEL.findall(inner)), float(value))
             for metric, inner, value in _SAMPLE.findall(text.decode()) if metric == name]
    return [(has, value) for has, value in found if labels.items() <= has.items()]


def traffic(balancer: Balancer, path: str, what: str = "packets") -> Traffic:
    """What has gone over a path, as far as it has been counted."""
    found = samples(balancer, f"ikelb_{what}_total", path=path)
    return Counter({(has["service"], has["backend"], has["direction"]): int(value) for has, value in found})


def settled(balancer: Balancer, path: str, what: str = "packets") -> Traffic:
    """The same when nothing is under way and all has been counted."""
    found = traffic(balancer, path, what)
    while True:
        time.sleep(COUNTED_S)
        now = traffic(balancer, path, what)
        if now == found:
            return found
        found = now


def wait_saved(balancer: Balancer) -> None:
    """Waits until the state file has all that is there now: there is a saving, or none when it would have been due."""
    begin, now = time.monotonic(), time.time()
    wait_for(lambda: samples(balancer, "ikelb_state_saved_timestamp_seconds")[0][1] > now
             or time.monotonic() - begin > SAVED_S, "a saving", 2 * SAVED_S)


def entries(balancer: Balancer) -> int:
    """Entries in use in the fast path's table."""
    return table(balancer, "entries")


def table(balancer: Balancer, what: str) -> int:
    ((_, value),) = samples(balancer, f"ikelb_table_{what}", table="fastpath")
    return int(value)


def mode(balancer: Balancer) -> str:
    return str(balancer.status()["fastpath"]["mode"])


def attached(namespace: Namespace) -> dict[str, str]:
    """How an XDP program is attached to each link that has one: native or generic; and its name."""
    found = {}
    for link in json.loads(namespace.ip("-json", "-details", "link", "show")):
        for program in link.get("xdp", {}).get("attached", []):
            kind = {1: "native", 2: "generic"}.get(program["mode"], str(program["mode"]))
            found[link["ifname"]] = f"{kind} {program['prog'].get('name', '')}".strip()
    return found


def links_with(namespace: Namespace, kind: str) -> set[str]:
    """The links with a program of ikelb's of that kind."""
    return {link for link, how in attached(namespace).items() if how.startswith(f"{kind} ikelb")}


@contextmanager
def fast_lab(
    how: str, services: Any, *, clients: int = 4, servers: int = 1, network: type[Topology] = Topology, **sections: Any
) -> Iterator[Bench]:
    """A lab with a running ikelb whose fast path is on. `services` makes its services of the bench."""
    with lab(clients=clients, servers=servers, network=network, fastpath=how) as bench:
        balancer = start(bench, services(bench), ready=False, **sections)
        wait_for(lambda: mode(balancer) == how, f"the fast path {how}")
        yield bench


def saving(bench: Bench) -> dict[str, Any]:
    """The section of a configuration with a state file."""
    return {"file": str(bench.workspace.directory / "state")}


@contextmanager
def remembering(how: str, services: Callable[[Bench], Any], **options: Any) -> Iterator[Bench]:
    """A running ikelb that has a state file."""
    with lab(**{"clients": 8, "servers": 1, **options}, fastpath=how) as bench:
        balancer = start(bench, services(bench), ready=False, state=saving(bench))
        wait_for(lambda: mode(balancer) == how, f"the fast path {how}")
        yield bench
