"""Many clients behind one address, as behind a carrier's NAT: real clients and servers, kept together or spread."""

from collections import Counter
from typing import Any

from support import all_connected, equal, lab, start
from vpnlab.balancer import service
from vpnlab.bench import Bench
from vpnlab.clients import ClientOptions, Clients
from vpnlab.servers import ServerOptions
from vpnlab.sites import Gateway
from vpnlab.topology import server_of

CLIENTS = range(1, 21)
SERVERS = 3

# With limits per address a server would refuse most of them, balancer or not: all come from one address.
UNLIMITED = ServerOptions(settings={"dos_protection": "no"})
OPTIONS = ClientOptions(patience_s=0.5, retransmissions=4)

SPREAD: dict[str, Any] = {"persistence": {"spread_nat": "true"}}


def connect(bench: Bench, mode: str, clients_per_host: int, **extra: Any) -> dict[int, int]:
    """All clients connect at once from behind the gateway and their tunnels carry pings. The server of each."""
    hosts = len(CLIENTS) // clients_per_host
    gateway = Gateway(bench.workspace, bench.topology, hosts)
    bench.start_servers(UNLIMITED)
    start(bench, [service(bench.topology, mode, **extra)])
    clients = bench.start_clients_at(gateway.site(clients_per_host), OPTIONS, CLIENTS)
    all_connected(clients.connect_all(CLIENTS))
    check_traffic(clients)
    return {client: server_of(tunnel) for client, tunnel in clients.tunnels().items()}


def check_traffic(clients: Clients) -> None:
    equal(clients.ping(), set(CLIENTS), "clients whose tunnels carry pings")
    # Again, now that every flow and every mapping has been used in both directions.
    equal(clients.ping(size=1000), set(CLIENTS), "clients whose tunnels carry more pings")


def check_together(mode: str) -> None:
    with lab(clients=1, servers=SERVERS) as bench:
        servers = connect(bench, mode, 1)
        equal(len(set(servers.values())), 1, "servers that the clients of one address are on")


def test_cgnat_transparent() -> None:
    """20 clients behind one address: by default all go to one server, all connect and all tunnels carry pings."""
    check_together("transparent")


def test_cgnat_full_nat() -> None:
    """The same with full NAT."""
    check_together("full-nat")


def check_spread(mode: str) -> None:
    with lab(clients=1, servers=SERVERS) as bench:
        servers = connect(bench, mode, 1, **SPREAD)
        counts = Counter(servers.values())
        print(f"spread_nat, {mode}: {len(CLIENTS)} clients behind one address: {sorted(counts.values())}")
        bound = -(-3 * len(CLIENTS) // (2 * SERVERS))
        assert max(counts.values()) <= bound, f"a server has more than {bound} of the clients: {counts}"
        equal(len(counts), SERVERS, "servers with clients")


def test_cgnat_spread_transparent() -> None:
    """With `spread_nat` 20 clients behind one address connect to all three servers, none of which gets more than 1.5
    times its fair share, and all tunnels carry pings."""
    check_spread("transparent")


def test_cgnat_spread_full_nat() -> None:
    """The same with full NAT."""
    check_spread("full-nat")


def check_pairs(mode: str) -> None:
    with lab(clients=1, servers=SERVERS) as bench:
        servers = connect(bench, mode, 2, **SPREAD)
        apart = [(first, servers[first], servers[first + 1]) for first in CLIENTS[::2]
                 if servers[first] != servers[first + 1]]
        equal(apart, [], "hosts whose two tunnels are on two servers")
        print(f"spread_nat, {mode}: 10 hosts with two tunnels each: {sorted(Counter(servers.values()).values())}")


def test_tunnel_pairs_transparent() -> None:
    """With `spread_nat`, two tunnels of one host, which share address and ports as a Windows device tunnel and user
    tunnel do, stay on one server, and both carry pings."""
    check_pairs("transparent")


def test_tunnel_pairs_full_nat() -> None:
    """The same with full NAT."""
    check_pairs("full-nat")
