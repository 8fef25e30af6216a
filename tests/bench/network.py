"""The network of the benchmark: the lab's, with one server on a cable of its own and a second cable past everything.

    clients                   lb                      s1
   +---------------+         +------------------+    +---------------+
   |          eth0 |---------| outside   inside |----| eth0          |
   |  192.0.2.2    |         | 192.0.2.1        |    |    10.0.0.11  |
   |               |         |         10.0.0.1 |    |               |
   |        direct |---------|------------------|----| direct        |
   +---------------+         +------------------+    +---------------+

At each end of the cables to lb, and of the direct one at s1, sits a sink (sink.bpf.c). The clients are addresses that
exist in packets only: lb knows a route and the next hop to them. lb's ends of the cables poll (NAPI), as a network card
does, whether or not there is an XDP program on them.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from vpnlab import workspace
from vpnlab.net import Namespace, connect
from vpnlab.topology import CLIENTS_GATEWAY, HOST_SETTINGS, INSIDE, SNAT, Topology, server_address
from vpnlab.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
SINK = ROOT / "build/bench/sink"

CROWD_NET = "100.64.0.0/10"  # where the clients are: room for four million
SERVER = server_address(1)


def crowd_address(client: int) -> str:
    """The address of client 0, 1, 2, ..."""
    return str(IPv4Address("100.64.0.1") + client)


class Cables(Topology):
    """The drawing, but for the direct cable."""

    def _build_lan(self) -> None:
        server = self.servers[1]
        server.create(HOST_SETTINGS)
        connect(self.lb, "inside", server, "eth0")
        self.lb.ip_batch([f"addr add {INSIDE[4]}/24 dev inside", f"addr add {SNAT[4]}/24 dev inside"])

    def _build_server(self, number: int) -> None:
        self.servers[number].ip_batch([f"addr add {SERVER}/24 dev eth0", f"route add default via {INSIDE[4]}"])


@dataclass(frozen=True)
class Way:
    """Into which interface packets go, whom the frames are for, and the meter at the far end."""

    namespace: Namespace
    interface: str
    next_hop: str
    meter: int


class Site:
    """A network with its sinks, for one forwarder. Several live side by side under different tags."""

    def __init__(self, space: Workspace) -> None:
        self.workspace = space
        self.network = Cables(space, clients=1, servers=1)
        self.lb = self.network.lb
        clients, server = self.network.clients, self.network.servers[1]
        connect(clients, "direct", server, "direct")
        for interface in ("outside", "inside"):
            self.lb.run("ethtool", "-K", interface, "gro", "on")
        self.lb.ip_batch(
            [
                f"neigh replace {CLIENTS_GATEWAY[4]} lladdr {mac(clients, 'eth0')} dev outside nud permanent",
                f"neigh replace {SERVER} lladdr {mac(server, 'eth0')} dev inside nud permanent",
                f"route add {CROWD_NET} via {CLIENTS_GATEWAY[4]}",
            ]
        )
        self.ways = {
            "in": Way(clients, "eth0", mac(self.lb, "outside"), _attach(server, "eth0")),
            "out": Way(server, "eth0", mac(self.lb, "inside"), _attach(clients, "eth0")),
        }
        self.direct = {
            "in": Way(clients, "direct", mac(server, "direct"), _attach(server, "direct")),
            "out": Way(server, "direct", mac(clients, "direct"), _attach(clients, "direct")),
        }

    @property
    def directory(self) -> Path:
        return self.workspace.directory


@contextmanager
def site(tag: str) -> Iterator[Site]:
    """A site of its own workspace; at the end, however it comes, nothing of it is left."""
    with Workspace(f"b{tag}") as space:
        yield Site(space)


def clean(tags: Iterable[str]) -> None:
    """Removes what an earlier run that could not end in order has left of these sites."""
    for tag in tags:
        workspace.clean(f"b{tag}")


def mac(namespace: Namespace, interface: str) -> str:
    """The MAC address of an interface."""
    return json.loads(namespace.ip("-j", "link", "show", interface))[0]["address"]


def _attach(namespace: Namespace, interface: str) -> int:
    """Puts the sink on an interface; the id of its meter."""
    return int(namespace.run(str(SINK), interface))
