"""Where clients live besides the lab's own network of clients: with a host that moves, or behind a NAT gateway.

    clients, now a router as well
   +---------------+        +------------------------------+
   |        roamer |--eth0--| roamer: one host, one address |
   |               |        |  198.19.200.1, .2, .3, ...   |
   |               |        +------------------------------+
   |               |        +---------------+            +----------------------+
   |       gateway |--eth0--| gateway       |-home--eth0-| home: many hosts     |
   |               |        |  198.19.201.1 |            |  192.168.0.(10+n)    |
   +---------------+        +---------------+            +----------------------+
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from . import conntrack, net
from .shell import LabError
from .topology import HOST_SETTINGS, VIP, Topology, client_address
from .workspace import Workspace

ROAMER_NET = "198.19.200.0/24"
ROAMER_ROUTER = "198.19.200.254"
ROAMER_MOVES = 253
GATEWAY = "198.19.201.1"
GATEWAY_NET = "198.19.201.0/24"
GATEWAY_ROUTER = "198.19.201.254"
HOME_NET = "192.168.0.0/24"
HOME_GATEWAY = "192.168.0.1"
MAX_HOSTS = 200

ANY_ADDRESS = "%any"  # strongSwan's word for whatever address the host has
IKE_PORTS = (500, 4500)

# Two ranges of ports that the gateway takes by turns: a mapping made anew is sure to differ from the one before.
MAPPED_PORTS = ("20000-39999", "40000-59999")


@dataclass(frozen=True)
class Site:
    """A namespace with clients, and the local address of each client there, by its number and address family."""

    name: str
    namespace: net.Namespace
    address: Callable[[int, int], str]


def default_site(topology: Topology) -> Site:
    """The lab's own clients."""
    return Site("clients", topology.clients, client_address)


class Roamer:
    """One host that changes its address. Its default route does not depend on any one of them."""

    def __init__(self, workspace: Workspace, topology: Topology) -> None:
        self._namespace = workspace.namespace("roamer")
        self._namespace.create(HOST_SETTINGS)
        self._place = 1
        _attach(topology, self._namespace, "roamer", ROAMER_NET, ROAMER_ROUTER, self.address)

    @property
    def address(self) -> str:
        """The address it has now."""
        return str(IPv4Address(ROAMER_ROUTER) - 254 + self._place)

    def site(self) -> Site:
        """For its clients, which use whatever address it has."""
        return Site("roamer", self._namespace, lambda _client, _family: ANY_ADDRESS)

    def move(self) -> str:
        """Takes its address away and gives it another one, which is returned.

        The new one comes a moment earlier: an interface without any address would lose its routes.
        """
        if self._place == ROAMER_MOVES:
            raise LabError(f"a roamer has {ROAMER_MOVES} addresses")
        old = self.address
        self._place += 1
        self._namespace.ip_batch([f"addr add {self.address}/32 dev eth0", f"addr del {old}/32 dev eth0"])
        return self.address


class Gateway:
    """A network of hosts behind one address, GATEWAY. Outsiders find no port.

    Each mapping has a random port, or with `keeps_ports` that of the host wherever it is free: the first host to use
    500 keeps 500, and perhaps another one 4500.
    """

    def __init__(self, workspace: Workspace, topology: Topology, hosts: int, *, keeps_ports: bool = False) -> None:
        if not 1 <= hosts <= MAX_HOSTS:
            raise LabError(f"{hosts} hosts: 1 to {MAX_HOSTS} are allowed")
        self._gateway = workspace.namespace("gateway")
        self._home = workspace.namespace("home")
        self._turn = 0
        self._keeps_ports = keeps_ports
        self._gateway.create({**HOST_SETTINGS, "net.ipv4.ip_forward": 1})
        self._home.create(HOST_SETTINGS)
        _attach(topology, self._gateway, "gateway", GATEWAY_NET, GATEWAY_ROUTER, GATEWAY)
        net.connect(self._gateway, "home", self._home, "eth0")
        self._gateway.ip("addr", "add", f"{HOME_GATEWAY}/24", "dev", "home")
        self._home.ip_batch(
            [
                *(f"addr add {self.host(number)}/24 dev eth0" for number in range(1, hosts + 1)),
                f"route add default via {HOME_GATEWAY}",
            ]
        )
        self._masquerade()

    @staticmethod
    def host(number: int) -> str:
        """The address of host 1, 2, 3, ... at home."""
        return str(IPv4Address(HOME_GATEWAY) + 9 + number)

    def site(self, clients_per_host: int = 1) -> Site:
        """Clients 1, 2, 3, ... on as many hosts; the clients of one host share its address and its ports."""
        return Site("home", self._home, lambda client, _family: self.host((client - 1) // clients_per_host + 1))

    def remap(self, hosts: Iterable[int], ports: Iterable[int] = IKE_PORTS) -> None:
        """Forgets the mappings of these hosts' ports towards the VIP: their next packets go out from other ports."""
        self._turn = 1 - self._turn
        self._masquerade()
        for number in hosts:
            found = [conntrack.forget(self._gateway, (self.host(number), port), (VIP[4], port)) for port in ports]
            if not any(found):
                raise LabError(f"{self.host(number)} has no mapping towards {VIP[4]}")

    def _masquerade(self) -> None:
        """Only new mappings ask the rule. What comes to a port without a mapping is dropped in silence, as NAT
        gateways do: an answer would be an error message to the server, and the packet's entry would be in the way."""
        how = "" if self._keeps_ports else f"to :{MAPPED_PORTS[self._turn]} fully-random"
        self._gateway.nft(
            f"""
            table ip gateway
            delete table ip gateway
            table ip gateway {{
                chain out {{
                    type nat hook postrouting priority srcnat
                    oifname eth0 ip saddr {HOME_NET} meta l4proto udp masquerade {how}
                }}
                chain in {{
                    type filter hook input priority filter
                    iifname eth0 meta l4proto udp drop
                }}
            }}
            """
        )


def _attach(
    topology: Topology, namespace: net.Namespace, link: str, network: str, router: str, address: str
) -> None:
    """Connects a namespace to that of the clients, which forwards for it from now on.

    What is addressed to a client that does not exist must end there: without the blackhole it would go back to the
    balancer by the default route, and so on.
    """
    clients = topology.clients
    clients.sysctl({"net.ipv4.ip_forward": 1, "net.ipv4.conf.all.send_redirects": 0})
    net.connect(clients, link, namespace, "eth0")
    clients.ip_batch(
        [
            "route replace blackhole 198.18.0.0/15",
            f"addr add {router}/32 dev {link}",
            f"route add {network} dev {link}",
        ]
    )
    namespace.ip_batch([f"addr add {address}/32 dev eth0", f"route add default via {router} dev eth0 onlink"])
