"""What is measured: ways to bring a packet from a client to the server and back, each in a site of its own."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from load import CLIENT_PORT, CORE, WINDOW, Load, Outcome, Route, send
from network import ROOT, SERVER, Site, crowd_address, mac
from vpnlab.processes import Process
from vpnlab.shell import LabError
from vpnlab.topology import VIP

OPEN_SECONDS = 30.0
OPEN_TRIES = 3
BUFFER_PER_PACKET = 4352  # what a packet in a page of its own takes of a socket's buffer
BARE = ROOT / "build/bench/bare"


class Forwarder:
    """One forwarder. `start` first, `stop` last; in between it may be frozen, so that it does not disturb others."""

    key = ""
    name = ""
    what = ""  # more of it, for the document
    in_user_space = False
    clients_max = 4_000_000
    missing: Sequence[str] = ()  # directions that it cannot do
    limits: Sequence[str] = ()  # what it cannot do, and why, in words
    window = WINDOW

    def __init__(self, site: Site, clients: int) -> None:
        self.site = site
        self.clients = min(clients, self.clients_max)
        self.process: Process | None = None
        self.core = CORE

    def start(self) -> None:
        """Makes it ready to forward."""

    def stop(self) -> None:
        """Ends it; the site goes with what it has put into the kernel."""
        if self.process:
            self.thaw()
            self.site.workspace.processes.stop([self.process])

    def destination(self) -> str:
        """Where clients send to."""
        return VIP[4]

    def route(self, direction: str, port: int = 4500) -> Route:
        way = self.site.ways[direction]
        if direction == "in":
            return Route(way, crowd_address(0), self.destination(), (CLIENT_PORT, port), "source")
        return Route(way, SERVER, crowd_address(0), (port, CLIENT_PORT), "destination")

    def open(self, first: int = 0, clients: int | None = None) -> None:
        """Sends one packet of each client through, and one back, so that what is measured later is known flows."""
        count = self.clients - first if clients is None else clients
        for direction in ("in", "out"):
            if direction not in self.missing:
                self._send_each(direction, first, count)

    def measure(self, direction: str, load: Load) -> Outcome:
        return send(self.route(direction), load)

    def pin(self, core: str) -> None:
        """Puts its process on a core."""
        self.core = core
        if self.process:
            os.sched_setaffinity(self.process.pid, {int(core)})

    def freeze(self) -> None:
        if self.process:
            self.process.send(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.process:
            self.process.send(signal.SIGCONT)

    def resident_bytes(self, which: str = "VmRSS") -> int:
        """A line of its process's memory: VmRSS, RssAnon."""
        return _status_bytes(self.process.pid, which) if self.process else 0

    def _send_each(self, direction: str, first: int, count: int) -> None:
        load = Load(count, first=first, seconds=OPEN_SECONDS, each_once=True, window=self.window)
        for _ in range(OPEN_TRIES):
            outcome = send(self.route(direction), load)
            if outcome.arrived >= outcome.sent == count:
                return
        raise LabError(f"{self.name}: of {outcome.sent} packets {direction} {outcome.arrived} arrived")

    def _run(self, argv: list[str]) -> Process:
        """Starts its process on the core of all."""
        command = ["taskset", "-c", CORE, *argv]
        output = self.site.directory / f"{self.key}.out"
        return self.site.workspace.processes.start(self.key, command, output, namespace=self.site.lb)

    def _wait_listening(self) -> None:
        wait_for(lambda: ":4500" in self.site.lb.run("ss", "-Hlun"), f"{self.name}: listening")


class Floor(Forwarder):
    key = "floor"
    name = "no forwarder"
    what = "clients and server on one cable: what sending and counting cost"

    def destination(self) -> str:
        return SERVER

    def route(self, direction: str, port: int = 4500) -> Route:
        route = super().route(direction, port)
        return Route(self.site.direct[direction], route.source, route.destination, route.ports, route.varies)

    def open(self, first: int = 0, clients: int | None = None) -> None:
        pass


class Kernel(Forwarder):
    key = "kernel"
    name = "kernel forwarding"
    what = "plain routing, no address rewritten"

    def destination(self) -> str:
        return SERVER


class Stateless(Forwarder):
    key = "stateless"
    name = "nft stateless"
    what = "two nft rules rewrite addresses, nothing is remembered; one server only"

    def start(self) -> None:
        self.site.lb.nft(f"""
table ip bench {{
  chain inward {{
    type filter hook prerouting priority raw; policy accept;
    ip daddr {VIP[4]} udp dport {{ 500, 4500 }} ip daddr set {SERVER}
  }}
  chain outward {{
    type filter hook postrouting priority 300; policy accept;
    ip saddr {SERVER} udp sport {{ 500, 4500 }} ip saddr set {VIP[4]}
  }}
}}
""")


class Conntrack(Forwarder):
    key = "conntrack"
    name = "nft DNAT, conntrack"
    what = "one nft rule; the kernel remembers each flow"
    limits = ("at most half of net.netfilter.nf_conntrack_max clients, which is a limit of the whole machine",)

    def __init__(self, site: Site, clients: int) -> None:
        # The limit is the whole machine's; half of it, so that nobody else is in need.
        self.clients_max = int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text()) // 2
        super().__init__(site, clients)

    def start(self) -> None:
        self.site.lb.nft(f"""
table ip bench {{
  chain inward {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr {VIP[4]} udp dport {{ 500, 4500 }} dnat to {SERVER}
  }}
}}
""")


class Nginx(Forwarder):
    key = "nginx"
    name = "nginx stream"
    what = "`proxy_bind transparent`: one socket a client"
    in_user_space = True
    clients_max = 18_000
    limits = ("at most 18,000 clients: it has a file open for each, of 20,000 that there may be",)

    CONFIGURATION = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
user root;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
worker_rlimit_nofile 20000;
events {{ worker_connections 40000; }}
stream {{
    server {{
        listen {vip}:4500 udp rcvbuf=4m;
        proxy_bind $remote_addr:$remote_port transparent;
        proxy_pass {server}:4500;
        proxy_timeout 1h;
    }}
}}
"""

    # For the way back; ikelb brings its own.
    RETURN = """
table ip nginx {
  chain replies {
    type filter hook prerouting priority mangle; policy accept;
    ip saddr %s udp sport 4500 meta mark set 1
  }
}
"""

    def start(self) -> None:
        directory = self.site.directory
        file = directory / "nginx.conf"
        file.write_text(self.CONFIGURATION.format(directory=directory, vip=VIP[4], server=SERVER))
        self.site.lb.nft(self.RETURN % SERVER)
        self.site.lb.ip_batch(["rule add fwmark 1 lookup 100", "route add local default dev lo table 100"])
        self.window = min(WINDOW, _sysctl("net/core/rmem_max") // BUFFER_PER_PACKET)
        self.process = self._run(["nginx", "-c", str(file)])
        self._wait_listening()


class Pen(Forwarder):
    key = "pen"
    name = "pen"
    what = "full NAT: the server sees one address"
    in_user_space = True
    clients_max = 9_000
    missing = ("out",)
    limits = ("at most 9,000 clients: it has two files open for each, of 20,000 that there may be",
              "not measured from server to clients: the server has to answer each client at a port that pen has chosen")

    def start(self) -> None:
        limit = str(self.clients + 100)
        # It leaves its socket the default buffer, which does not hold more.
        self.window = min(WINDOW, _sysctl("net/core/rmem_default") // BUFFER_PER_PACKET)
        self.process = self._run(["pen", "-f", "-U", "-c", limit, "-x", limit, f"{VIP[4]}:4500", f"{SERVER}:4500"])
        self._wait_listening()


class Bare(Forwarder):
    key = "bare"
    name = "bare socket loop"
    what = "UDP in, raw socket out, 64 packets a system call; looks at nothing: what ikelb's slow path cannot go below"
    in_user_space = True
    missing = ("out",)
    limits = ("not measured from server to clients: it knows no way back",)
    output = "raw"

    def start(self) -> None:
        arguments = [str(BARE), self.output, VIP[4], SERVER, *self._next_hop()]
        self.window = min(WINDOW, _sysctl("net/core/rmem_max") // BUFFER_PER_PACKET)
        self.process = self._run(arguments)
        self._wait_listening()

    def _next_hop(self) -> Sequence[str]:
        return ()


class BarePacket(Bare):
    key = "barepacket"
    name = "bare, packet socket"
    what = "the same, out by a packet socket, past routes, firewall rules and queues"
    limits = ()
    output = "packet"

    def _next_hop(self) -> Sequence[str]:
        return ("inside", mac(self.site.network.servers[1], "eth0"))


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not after {timeout_s:.0f} s")
        time.sleep(0.02)


def _sysctl(name: str) -> int:
    return int(Path("/proc/sys", name).read_text())


def _status_bytes(pid: int, which: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1]) * 1024
    raise LabError(f"no {which} of process {pid}")
