"""The networks of docs/topologies.md before anything of the document is done: cables, and the addresses of the router,
of the servers and of the clients.

    clients             router                          lb (ikelb), and the rest as the document draws it
   +-----------+       +---------------------------+
   | 198.18... |       | internet              lan |---- ...
   |      eth0 |-------| 198.51.100.1              |
   +-----------+       +---------------------------+
"""

from vpnlab.net import Namespace, connect
from vpnlab.shell import LabError
from vpnlab.topology import (
    CLIENTS_NET,
    HOST_SETTINGS,
    SWITCH_SETTINGS,
    TUNNEL_TARGET,
    Topology,
    client_address,
    server_address,
)
from vpnlab.workspace import Workspace

PROVIDER = {4: "198.51.100.1", 6: "2001:db8:51::1"}  # the router, towards the clients
CUSTOMER = {4: "198.51.100.2", 6: "2001:db8:51::2"}  # the clients, towards the router
VLANS = {"outside": 100, "inside": 200}
COMPANY = "172.20.0.1"  # a host in the company's network

# The kernel drops what comes from where it would not send an answer: the hardest case for whoever rewrites addresses.
STRICT = {"net.ipv4.conf.all.rp_filter": 1, "net.ipv4.conf.default.rp_filter": 1}
ROUTER = {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1}


class Inline(Topology):
    """ikelb between the router and the servers' network. The servers have no default gateway yet."""

    router_addresses: tuple[str, ...] = ("192.0.2.2/30", "2001:db8:2::2/64")

    def __init__(self, workspace: Workspace, *, clients: int, servers: int) -> None:
        self.workspace = workspace
        self.router = workspace.namespace("router")
        super().__init__(workspace, clients=clients, servers=servers)

    def switch(self, namespace: Namespace) -> None:
        """Makes a namespace a switch."""
        namespace.create(SWITCH_SETTINGS)
        namespace.ip_batch(["link add switch type bridge forward_delay 0", "link set switch up"])

    def plug(self, machine: Namespace, link: str, switch: Namespace, name: str) -> None:
        """A cable from a machine to a switch."""
        connect(machine, link, switch, name)
        switch.ip("link", "set", name, "master", "switch")

    def _build_lb(self) -> None:
        self.switch(self.lan)
        self.lb.create({**HOST_SETTINGS, **STRICT})

    def _build_clients(self) -> None:
        self.clients.create(HOST_SETTINGS)
        self.router.create({**HOST_SETTINGS, **ROUTER})
        connect(self.router, "internet", self.clients, "eth0")
        self._connect_router()
        self.router.ip_batch(
            [
                f"addr add {PROVIDER[4]}/30 dev internet",
                f"addr add {PROVIDER[6]}/64 dev internet nodad",
                *(f"addr add {address} dev lan nodad" for address in self.router_addresses),
                *(f"route add {CLIENTS_NET[family]} via {CUSTOMER[family]}" for family in (4, 6)),
            ]
        )
        numbers = range(1, self.client_count + 1)
        self.clients.ip_batch(
            [
                f"addr add {CUSTOMER[4]}/30 dev eth0",
                f"addr add {CUSTOMER[6]}/64 dev eth0 nodad",
                *(f"route add default via {PROVIDER[family]}" for family in (4, 6)),
                *(f"addr add {client_address(number, 4)}/32 dev eth0" for number in numbers),
                *(f"addr add {client_address(number, 6)}/128 dev eth0 nodad" for number in numbers),
            ]
        )

    def _connect_router(self) -> None:
        connect(self.router, "lan", self.lb, "outside")

    def _build_lan(self) -> None:
        self.plug(self.lb, "inside", self.lan, "lb")

    def _build_server(self, number: int) -> None:
        server = self.servers[number]
        server.create(HOST_SETTINGS)
        self.plug(server, "eth0", self.lan, f"s{number}")
        server.ip_batch(
            [
                f"addr add {server_address(number, 4)}/24 dev eth0",
                f"addr add {server_address(number, 6)}/64 dev eth0 nodad",
                f"addr add {TUNNEL_TARGET}/32 dev lo",
            ]
        )


class OneArmed(Inline):
    """Router, ikelb and servers in one network; the router is the servers' default gateway."""

    router_addresses = ("10.0.0.254/24",)

    def _connect_router(self) -> None:
        self.plug(self.router, "lan", self.lan, "router")

    def _build_lan(self) -> None:
        self.plug(self.lb, "eth0", self.lan, "lb")

    def _build_server(self, number: int) -> None:
        super()._build_server(number)
        self.servers[number].ip("route", "add", "default", "via", "10.0.0.254")


class TwoInterfaces(Inline):
    """Inline, with servers that are in the company's network too. Their default gateway is there."""

    def _build_lan(self) -> None:
        super()._build_lan()
        self.company = self.workspace.namespace("company")
        self.switch(self.company)
        self.company.ip_batch(["addr add 172.16.1.254/24 dev switch", f"addr add {COMPANY}/32 dev lo"])

    def _build_server(self, number: int) -> None:
        super()._build_server(number)
        server = self.servers[number]
        self.plug(server, "eth1", self.company, f"s{number}")
        server.ip_batch([f"addr add 172.16.1.{10 + number}/24 dev eth1", "route add default via 172.16.1.254"])


class TwoNodes(Inline):
    """A second machine for ikelb beside the first, in both networks."""

    router_addresses = ("192.0.2.2/29",)

    def _connect_router(self) -> None:
        self.wan = self.workspace.namespace("wan")
        self.second = self.workspace.namespace("second")
        self.switch(self.wan)
        self.second.create({**HOST_SETTINGS, **STRICT})
        self.plug(self.router, "lan", self.wan, "router")
        self.plug(self.lb, "outside", self.wan, "first")
        self.plug(self.second, "outside", self.wan, "second")

    def _build_lan(self) -> None:
        super()._build_lan()
        self.plug(self.second, "inside", self.lan, "second")


class Trunk(Topology):
    """The lab's own network, where ikelb has one cable only: the clients' network is VLAN 100 on it, and the servers' is
    VLAN 200. The switch gives everybody else his own port."""

    def _build_lb(self) -> None:
        super()._build_lb()
        self.lan.create(SWITCH_SETTINGS)
        self.lan.ip_batch(["link add switch type bridge forward_delay 0 vlan_filtering 1", "link set switch up"])
        connect(self.lb, "trunk", self.lan, "lb")
        self.lan.ip("link", "set", "lb", "master", "switch")
        for link, vlan in VLANS.items():
            self.lan.run("bridge", "vlan", "add", "dev", "lb", "vid", str(vlan))
            self.lb.ip("link", "add", "link", "trunk", "name", link, "type", "vlan", "id", str(vlan))
            self.lb.ip("link", "set", link, "up")

    def _connect_clients(self) -> None:
        self._plug_in(self.clients, "clients", VLANS["outside"])

    def _connect_lan(self) -> None:
        pass  # It is there.

    def _connect_server(self, number: int) -> None:
        self._plug_in(self.servers[number], f"s{number}", VLANS["inside"])

    def _plug_in(self, machine: Namespace, port: str, vlan: int) -> None:
        connect(machine, "eth0", self.lan, port)
        self.lan.ip("link", "set", port, "master", "switch")
        self.lan.run("bridge", "vlan", "add", "dev", port, "vid", str(vlan), "pvid", "untagged")
        self.lan.run("bridge", "vlan", "del", "dev", port, "vid", "1")


def no_vlans(namespace: Namespace) -> str:
    """Why there can be no VLANs here, by trying it in a namespace; empty if there can."""
    try:
        namespace.ip("link", "add", "link", "outside", "name", "try", "type", "vlan", "id", "1")
        namespace.ip("link", "del", "try")
        namespace.ip("link", "add", "try", "type", "bridge", "vlan_filtering", "1")
        namespace.ip("link", "del", "try")
    except LabError as error:
        return f"the kernel has no VLANs ({error})"
    return ""
