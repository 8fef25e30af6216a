"""libreswan behind ikelb, and as its client: real handshakes, tunnels that carry pings, new keys, probes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from libreswan import IKE, STRONGSWAN_ESP, TARGET, Pluto, client_connection, server_connection
from support import all_connected, equal, lab, listed_client, log_lines, start, wait_for, wait_health
from variants import variants
from vpnlab.balancer import PROBES, Balancer, service
from vpnlab.bench import Bench
from vpnlab.clients import ClientOptions
from vpnlab.servers import ServerOptions
from vpnlab.sites import Roamer
from vpnlab.topology import INSIDE, TUNNEL_TARGET, client_address

CLIENTS = range(1, 7)
FEW = (1, 2)
MODES = ("transparent", "full-nat")

PORTS = 2  # A probe asks both.
QUICK = {**PROBES, "interval": "200ms", "timeout": "150ms"}
COOKIES = {"ddos-mode": "busy"}
MANY = 40  # strongSwan would refuse them: its limit is 5 half-open handshakes of an address.
NO_IKE_AUTH = """
    table ip broken {
        chain out {
            type filter hook output priority filter
            udp dport 4500 drop
        }
    }
"""


def strongswan_child(selector: str) -> dict[str, Any]:
    """The tunnel of a strongSwan side, for an ESP that libreswan's stand-in can do."""
    return {"children": {"net": {selector: [f"{TUNNEL_TARGET}/32"], "esp_proposals": [STRONGSWAN_ESP]}}}


def strongswan_clients(patience_s: float = 3.0, retransmissions: int = 0) -> ClientOptions:
    return ClientOptions(
        patience_s=patience_s, retransmissions=retransmissions, connection=strongswan_child("remote_ts"))


@contextmanager
def pool(bench: Bench, family: int = 4, setup: dict[str, str] | None = None) -> Iterator[dict[int, Pluto]]:
    """libreswan on all servers."""
    with ExitStack() as stack:
        yield {number: stack.enter_context(
            Pluto(bench, namespace, f"s{number}", {"vpn": server_connection(number, family)}, setup))
            for number, namespace in bench.topology.servers.items()}


def clients_of(bench: Bench, numbers: range | tuple[int, ...], family: int = 4) -> Pluto:
    """One libreswan with a connection for each of these clients."""
    connections = {f"c{number}": client_connection(number, family) for number in numbers}
    return Pluto(bench, bench.topology.clients, "clients", connections)


def connect(bench: Bench, clients: Pluto, numbers: range | tuple[int, ...], family: int = 4) -> None:
    """They connect, get new keys for everything, and their tunnels carry pings before and after that. ikelb sees them as
    established, each at the server where it was."""
    inner = {number: clients.connect(f"c{number}") for number in numbers}
    check_pings(clients, inner, family)
    homes = {pin["address"]: pin["backend"] for pin in bench.balancer.clients()}
    clients.rekey(f"c{numbers[0]}")
    check_pings(clients, inner, family)
    found = {pin["address"]: (pin["backend"], pin["stage"]) for pin in bench.balancer.clients()}
    equal(found, {address: (home, "established") for address, home in homes.items()}, "servers and stages of the clients")
    equal(set(found), {client_address(number, family) for number in numbers}, "clients that ikelb lists")


def check_pings(clients: Pluto, inner: dict[int, str], family: int) -> None:
    silent = [number for number, address in inner.items()
              if not clients.esp.ping(client_address(number, family), address, TARGET[family])]
    equal(silent, [], "clients whose tunnels carry no pings")


@variants(*MODES)
def test_libreswan_servers(mode: str) -> None:
    """strongSwan clients before two libreswan servers: they connect, their tunnels carry pings, also after new keys for
    the IKE SA and for the tunnel, and libreswan sees the addresses that the mode promises."""
    with lab(clients=len(CLIENTS), servers=2) as bench, pool(bench) as servers:
        start(bench, [service(bench.topology, mode, schedule="round-robin")])
        clients = bench.start_clients(strongswan_clients())
        all_connected(clients.connect_all(CLIENTS))
        equal(clients.ping(), set(CLIENTS), "clients whose tunnels carry pings")
        equal([server.tunnels() for server in servers.values()], [3, 3], "tunnels at the servers")
        for number in FEW:  # one at each server
            clients.rekey(number)
            clients.rekey_child(number + len(FEW))
        for server in servers.values():
            wait_for(lambda server=server: server.count("responder rekeyed IKE SA"), "new keys of an IKE SA")
            wait_for(lambda server=server: server.count("responder rekeyed Child SA"), "new keys of a tunnel")
        equal(clients.ping(), set(CLIENTS), "clients whose tunnels carry pings after that")
        equal({pin["stage"] for pin in bench.balancer.clients()}, {"established"}, "stages")
        seen = {number: servers[1].count(f" {client_address(number)} ") > 0 for number in CLIENTS}
        own = {number: mode == "transparent" and number % 2 == 1 for number in CLIENTS}
        equal(seen, own, "clients that the first server knows by their own address")


@variants(*MODES)
def test_libreswan_clients(mode: str) -> None:
    """libreswan clients before strongSwan servers, with new keys, too."""
    with lab(clients=len(CLIENTS), servers=2) as bench:
        bench.start_servers(ServerOptions(connection=strongswan_child("local_ts")))
        start(bench, [service(bench.topology, mode, schedule="round-robin")])
        with clients_of(bench, CLIENTS) as clients:
            connect(bench, clients, CLIENTS)
            equal([len(server.established()) for server in bench.servers.values()], [3, 3], "IKE SAs at the servers")


@variants(*MODES)
def test_libreswan_both(mode: str) -> None:
    """libreswan on both sides, over IPv6."""
    with lab(clients=len(FEW), servers=2) as bench, pool(bench, 6) as servers:
        start(bench, [service(bench.topology, mode, family=6, schedule="round-robin")])
        with clients_of(bench, FEW, 6) as clients:
            connect(bench, clients, FEW, 6)
            # The keys before go a second later.
            wait_for(lambda: [server.tunnels() for server in servers.values()] == [1, 1], "one tunnel at each server")


def roaming(bench: Bench, roamer: Roamer) -> Pluto:
    """A client that goes where the roamer goes. Nothing leads to the servers but ikelb."""
    bench.topology.lb.sysctl({"net.ipv4.ip_forward": 0})
    connection = client_connection(1, left="%defaultroute", mobike="yes")
    return Pluto(bench, roamer.site().namespace, "roamer", {"c1": connection})


def test_libreswan_mobike() -> None:
    """A libreswan client with MOBIKE changes its address: the same strongSwan server has it under the new one."""
    with lab(clients=1, servers=2) as bench:
        roamer = Roamer(bench.workspace, bench.topology)
        bench.start_servers(ServerOptions(connection=strongswan_child("local_ts")))
        balancer = start(bench, [service(bench.topology, "transparent")])
        with roaming(bench, roamer) as client:
            inner = client.connect("c1")
            home = balancer.clients()[0]["backend"]
            address = roamer.move()
            found = wait_for(lambda: settled(balancer, address), f"{address} among the clients")
            equal((found["backend"], found["roams"]), (home, 1), "the backend after the move, and moves")
            seen = [server.clients() for server in bench.servers.values() if server.established()]
            equal(seen, [{inner: address}], "the client as its server knows it")


@variants(*MODES)
def test_libreswan_stays(mode: str) -> None:
    """A libreswan server knows that its own address is rewritten and does not follow a client to a new one. Its answer
    goes to the old one, and ikelb says what is the matter with the new one."""
    with lab(clients=1, servers=1) as bench, pool(bench) as servers:
        roamer = Roamer(bench.workspace, bench.topology)
        balancer = start(bench, [service(bench.topology, mode)])
        with roaming(bench, roamer) as client:
            client.connect("c1")
            address = roamer.move()
            wait_for(lambda: servers[1].count("Ignoring MOBIKE UPDATE_SA since we are behind NAT"), "libreswan's decision")
            found = balancer.explain(address)
            equal(found["verdict"], "tunnel-unanswered", "the verdict on the new address")
            assert "libreswan" in found["advice"][0], f"the advice: {found['advice']}"


def settled(balancer: Balancer, address: str) -> dict[str, Any] | None:
    found = listed_client(balancer, address)
    return found if found and found["confirmed"] else None


def test_libreswan_half_open() -> None:
    """libreswan has no limit per address: behind full NAT 40 handshakes that never go on keep nobody out."""
    with lab(clients=MANY, servers=1) as bench, pool(bench) as servers:
        start(bench, [service(bench.topology, "full-nat")])
        bench.topology.clients.nft(NO_IKE_AUTH)
        everybody = range(1, MANY + 1)
        bench.start_clients(strongswan_clients(patience_s=0.5)).connect_all(everybody)
        bench.stop_clients()
        equal(servers[1].status("current.states.iketype.halfopen"), MANY, "half-open handshakes")
        bench.topology.clients.nft("delete table ip broken")
        all_connected(bench.start_clients(strongswan_clients()).connect_all(everybody))


def test_libreswan_probes() -> None:
    """ikelb's probes: NO_PROPOSAL_CHOSEN means that libreswan is up, and a COOKIE does while it defends itself; silence
    does not. They leave nothing half-open. Clients that are asked for a cookie connect."""
    with lab(clients=len(FEW), servers=1) as bench:
        with pool(bench) as servers:
            balancer = start(bench, [service(bench.topology, "transparent", health=QUICK)])
            wait_for(lambda: probes(servers[1], "NO_PROPOSAL_CHOSEN"), "a probe that is answered by NO_PROPOSAL_CHOSEN")
            equal(probes(servers[1], "COOKIE"), 0, "probes that were answered by a cookie")
            with servers[1].process.frozen():
                wait_health(balancer, "s1", "down")
            wait_health(balancer, "s1", "up")
            equal(servers[1].status("current.states.iketype.halfopen"), 0, "half-open handshakes that probes leave")
        wait_health(balancer, "s1", "down")
        with pool(bench, setup=COOKIES) as servers:
            wait_health(balancer, "s1", "up")
            wait_for(lambda: probes(servers[1], "COOKIE") >= PORTS * 3, "three probes that are answered by a cookie")
            # That is what ikelb says of a server whose only answer is to a version that it cannot know.
            equal([line for line in log_lines(balancer) if "ignores IKE_SA_INIT" in line], [], "what the log says")
            # strongSwan may throw an answer away while it still handles the cookie.
            clients = bench.start_clients(strongswan_clients(patience_s=0.5, retransmissions=4))
            all_connected(clients.connect_all(FEW))
            equal(clients.ping(), set(FEW), "clients whose tunnels carry pings")


def probes(server: Pluto, answer: str) -> int:
    """How many of ikelb's probes got that answer."""
    return len([line for line in server.log.read_text().splitlines()
                if f" {INSIDE[4]}" in line and f"with unencrypted notification {answer}" in line])
