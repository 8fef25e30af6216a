"""The network of the lab.

    clients                        lb (ikelb)                      lan              s1, s2, ... sN
   +---------------------+        +----------------------+        +---------+      +-------------------+
   | many addresses,     |        | lo: the VIPs         |        | a plain |--eth0| servers, each     |
   | one per client      |        |  203.0.113.10        |        | switch  |      |  10.0.0.(10+n)    |
   |  198.18.0.0/15      |        |  2001:db8:113::10    |        | (bridge)|--eth0|  fd00:10::(10+n)  |
   |  2001:db8:1::/64    |        |                      |        |         |      |                   |
   |                eth0 |--------| outside       inside |--------|         |--eth0| behind the tunnel:|
   |           192.0.2.2 |        | 192.0.2.1   10.0.0.1 |        |         |      |  10.99.0.1        |
   |     2001:db8:2::2   |        | 2001:db8:2::1        |        +---------+      +-------------------+
   +---------------------+        |           fd00:10::1 |
                                  |  SNAT: 10.0.0.2,     |    default route of the servers: 10.0.0.1, fd00:10::1
    default route: 192.0.2.1,     |        fd00:10::2    |    (transparent mode needs it, full NAT does not)
                   2001:db8:2::1  +----------------------+

Each box is a network namespace named ikelb-TAG-BOX; nothing of it is visible in the host's own namespace. ikelb sees
the clients through a gateway (192.0.2.2), as it would behind an internet router. ikelb probes its servers from
10.0.0.1 and, in full-NAT mode, hides the clients behind 10.0.0.2, so a server's log tells probes from clients. Inside
the tunnels server n gives its clients addresses from 10.(100+n).0.0/16, and all servers answer pings at 10.99.0.1.
"""

from ipaddress import IPv4Address, IPv6Address

from . import net
from .shell import LabError
from .workspace import Workspace

VIP = {4: "203.0.113.10", 6: "2001:db8:113::10"}
SNAT = {4: "10.0.0.2", 6: "fd00:10::2"}
INSIDE = {4: "10.0.0.1", 6: "fd00:10::1"}
OUTSIDE = {4: "192.0.2.1", 6: "2001:db8:2::1"}
CLIENTS_GATEWAY = {4: "192.0.2.2", 6: "2001:db8:2::2"}
CLIENTS_NET = {4: "198.18.0.0/15", 6: "2001:db8:1::/64"}
TUNNEL_TARGET = "10.99.0.1"

MAX_SERVERS = 99
MAX_CLIENTS = 20000

# No duplicate address detection and no router advertisements: addresses are usable at once, and nothing is learnt.
HOST_SETTINGS = {
    "net.ipv6.conf.all.accept_dad": 0,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.all.accept_ra": 0,
    "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
}
ROUTER_SETTINGS = {
    "net.ipv4.ip_forward": 1,
    "net.ipv6.conf.all.forwarding": 1,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
}
# Otherwise nft would see what the switch passes on as if it were routed.
SWITCH_SETTINGS = {
    "net.bridge.bridge-nf-call-iptables": 0,
    "net.bridge.bridge-nf-call-ip6tables": 0,
}


def client_address(client: int, family: int = 4) -> str:
    """The address of client 1, 2, 3, ..."""
    if family == 4:
        return str(IPv4Address("198.18.0.0") + client)
    return str(IPv6Address("2001:db8:1::") + client)


def server_address(server: int, family: int = 4) -> str:
    """The address of server 1, 2, 3, ..."""
    return f"10.0.0.{10 + server}" if family == 4 else str(IPv6Address("fd00:10::") + 10 + server)


def server_pool(server: int) -> str:
    """The addresses that a server gives out inside its tunnels."""
    return f"10.{100 + server}.0.0/16"


def server_of(virtual_address: str) -> int:
    """The server that gave out an address inside its tunnel."""
    return int(virtual_address.split(".")[1]) - 100


class Topology:
    """The namespaces of the drawing, built at construction; the workspace removes them."""

    def __init__(self, workspace: Workspace, *, clients: int, servers: int) -> None:
        if not 1 <= servers <= MAX_SERVERS:
            raise LabError(f"{servers} servers: 1 to {MAX_SERVERS} are allowed")
        if not 1 <= clients <= MAX_CLIENTS:
            raise LabError(f"{clients} clients: 1 to {MAX_CLIENTS} are allowed")
        self.client_count = clients
        self.server_count = servers
        self.clients = workspace.namespace("clients")
        self.lb = workspace.namespace("lb")
        self.lan = workspace.namespace("lan")
        self.servers = {number: workspace.namespace(f"s{number}") for number in range(1, servers + 1)}
        self._build_lb()
        self._build_clients()
        self._build_lan()
        for number in self.servers:
            self._build_server(number)

    def namespaces(self) -> list[net.Namespace]:
        """Every namespace of the drawing, from left to right."""
        return [self.clients, self.lb, self.lan, *self.servers.values()]

    def _build_lb(self) -> None:
        self.lb.create({**HOST_SETTINGS, **ROUTER_SETTINGS})
        self.lb.ip_batch([f"addr add {VIP[4]}/32 dev lo", f"addr add {VIP[6]}/128 dev lo nodad"])

    def _build_clients(self) -> None:
        self.clients.create(HOST_SETTINGS)
        self._connect_clients()
        self.lb.ip_batch(
            [
                f"addr add {OUTSIDE[4]}/30 dev outside",
                f"addr add {OUTSIDE[6]}/64 dev outside nodad",
                f"route add {CLIENTS_NET[4]} via {CLIENTS_GATEWAY[4]}",
                f"route add {CLIENTS_NET[6]} via {CLIENTS_GATEWAY[6]}",
            ]
        )
        numbers = range(1, self.client_count + 1)
        self.clients.ip_batch(
            [
                f"addr add {CLIENTS_GATEWAY[4]}/30 dev eth0",
                f"addr add {CLIENTS_GATEWAY[6]}/64 dev eth0 nodad",
                f"route add default via {OUTSIDE[4]}",
                f"route add default via {OUTSIDE[6]}",
                *(f"addr add {client_address(number, 4)}/32 dev eth0" for number in numbers),
                *(f"addr add {client_address(number, 6)}/128 dev eth0 nodad" for number in numbers),
            ]
        )

    def _connect_clients(self) -> None:
        net.connect(self.lb, "outside", self.clients, "eth0")

    def _build_lan(self) -> None:
        self._connect_lan()
        self.lb.ip_batch(
            [
                f"addr add {INSIDE[4]}/24 dev inside",
                f"addr add {SNAT[4]}/24 dev inside",
                f"addr add {INSIDE[6]}/64 dev inside nodad",
                f"addr add {SNAT[6]}/64 dev inside nodad preferred_lft 0",
            ]
        )

    def _connect_lan(self) -> None:
        self.lan.create(SWITCH_SETTINGS)
        self.lan.ip_batch(["link add switch type bridge forward_delay 0", "link set switch up"])
        net.connect(self.lb, "inside", self.lan, "lb")
        self.lan.ip("link", "set", "lb", "master", "switch")

    def _connect_server(self, number: int) -> None:
        net.connect(self.servers[number], "eth0", self.lan, f"s{number}")
        self.lan.ip("link", "set", f"s{number}", "master", "switch")

    def _build_server(self, number: int) -> None:
        server = self.servers[number]
        server.create(HOST_SETTINGS)
        self._connect_server(number)
        server.ip_batch(
            [
                f"addr add {server_address(number, 4)}/24 dev eth0",
                f"addr add {server_address(number, 6)}/64 dev eth0 nodad",
                f"addr add {TUNNEL_TARGET}/32 dev lo",
                f"route add default via {INSIDE[4]}",
                f"route add default via {INSIDE[6]}",
            ]
        )
