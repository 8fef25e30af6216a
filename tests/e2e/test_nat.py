"""Many clients behind one address, as behind a carrier's NAT: real clients and servers, kept together or spread."""

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from support import all_connected, equal, lab, start, wait_for
from variants import every_path
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


def connect(
    bench: Bench, mode: str, clients_per_host: int, *, keeps_ports: bool = False, **extra: Any
) -> dict[int, int]:
    """All clients connect at once from behind the gateway and their tunnels carry pings. The server of each."""
    hosts = len(CLIENTS) // clients_per_host
    gateway = Gateway(bench.workspace, bench.topology, hosts, keeps_ports=keeps_ports)
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


def check_spread(mode: str, *, keeps_ports: bool = False) -> None:
    with lab(clients=1, servers=SERVERS) as bench:
        servers = connect(bench, mode, 1, keeps_ports=keeps_ports, **SPREAD)
        counts = Counter(servers.values())
        print(f"spread_nat, {mode}: {len(CLIENTS)} clients behind one address: {sorted(counts.values())}")
        bound = -(-3 * len(CLIENTS) // (2 * SERVERS))
        assert max(counts.values()) <= bound, f"a server has more than {bound} of the clients: {counts}"
        equal(len(counts), SERVERS, "servers with clients")


@every_path
def test_cgnat_spread_transparent() -> None:
    """With `spread_nat` 20 clients behind one address connect to all three servers, none of which gets more than 1.5
    times its fair share, and all tunnels carry pings."""
    check_spread("transparent")


@every_path
def test_cgnat_spread_full_nat() -> None:
    """The same with full NAT."""
    check_spread("full-nat")


def test_cgnat_spread_kept_ports() -> None:
    """The same behind a gateway that keeps ports if it can: some host comes from 500, and some host, perhaps another
    one, from 4500."""
    check_spread("transparent", keeps_ports=True)


def check_pairs(mode: str) -> None:
    with lab(clients=1, servers=SERVERS) as bench:
        servers = connect(bench, mode, 2, **SPREAD)
        apart = [(first, servers[first], servers[first + 1]) for first in CLIENTS[::2]
                 if servers[first] != servers[first + 1]]
        equal(apart, [], "hosts whose two tunnels are on two servers")
        print(f"spread_nat, {mode}: 10 hosts with two tunnels each: {sorted(Counter(servers.values()).values())}")


@every_path
def test_tunnel_pairs_transparent() -> None:
    """With `spread_nat`, two tunnels of one host, which share address and ports as a Windows device tunnel and user
    tunnel do, stay on one server, and both carry pings."""
    check_pairs("transparent")


@every_path
def test_tunnel_pairs_full_nat() -> None:
    """The same with full NAT."""
    check_pairs("full-nat")


@every_path
def test_tunnel_pair_conflict() -> None:
    """Ten hosts behind one gateway have a tunnel each. The gateway has given their port 500 to others when each begins
    a second one, so that it looks like another client's until it goes on over 4500, where the first tunnel lives. The
    first goes on without a loss, and the second comes up beside it, if not at once, at the next attempt."""
    firsts, seconds = CLIENTS[::2], CLIENTS[1::2]
    with lab(clients=1, servers=SERVERS) as bench:
        gateway = Gateway(bench.workspace, bench.topology, len(firsts))
        bench.start_servers(UNLIMITED)
        start(bench, [service(bench.topology, "transparent", **SPREAD)])
        clients = bench.start_clients_at(gateway.site(2), replace(OPTIONS, retransmissions=1), CLIENTS)
        all_connected(clients.connect_all(firsts))
        gateway.remap(range(1, len(firsts) + 1), ports=[500])
        with clients.pinger(firsts, interval_s=0.05) as pinger:
            begin = time.monotonic()
            outcomes = clients.connect_all(seconds)
            late = [outcome.client for outcome in outcomes if not outcome.connected]
            assert late, "no second tunnel met another server at first: the test shows nothing"
            all_connected(clients.connect_all(late))
            end = time.monotonic()
            wait_for(lambda: time.monotonic() > end + 0.5, "the last answers")
            equal(pinger.answered(begin, end), pinger.sent(begin, end), "pings of the first tunnels that were answered")
        check_traffic(clients)
        servers = {client: server_of(tunnel) for client, tunnel in clients.tunnels().items()}
        equal([servers[client] for client in firsts], [servers[client] for client in seconds], "servers of the pairs")
        print(f"{len(late)} of {len(seconds)} second tunnels needed another attempt")


def check_stall(mode: str) -> None:
    with lab(clients=1, servers=SERVERS) as bench:
        gateway = Gateway(bench.workspace, bench.topology, 1)
        bench.start_servers(UNLIMITED)
        start(bench, [service(bench.topology, mode, health={"probe": "none"})], ready=False)
        clients = bench.start_clients_at(gateway.site(2), OPTIONS, [1, 2])
        all_connected(clients.connect_all([1]))
        home = server_of(clients.tunnels()[1])
        with clients.pinger([1], interval_s=0.05) as pinger:
            wait_for(lambda: pinger.answered(0.0, time.monotonic()) > 5, "pings of the first tunnel")
            with bench.servers[home].process.frozen(), ThreadPoolExecutor(1) as second:
                connecting = second.submit(clients.connect_all, [2])
                begun = time.monotonic()
                wait_for(lambda: time.monotonic() > begun + 1.5, "two repetitions of the second IKE_SA_INIT")
                bench.servers[home].process.send(signal.SIGCONT)
                late = [outcome.client for outcome in connecting.result() if not outcome.connected]
            if late:
                all_connected(clients.connect_all(late))
            calm = time.monotonic()
            wait_for(lambda: pinger.answered(calm, time.monotonic()) >= 10, "the first tunnel's pings again")
        equal(clients.ping([1, 2]), {1, 2}, "tunnels that carry pings")
        equal({server_of(tunnel) for tunnel in clients.tunnels().values()}, {home}, "servers of the two tunnels")


def test_second_tunnel_in_a_stall_transparent() -> None:
    """A server hangs for a second and a half just when a host begins a second tunnel beside a living one, from the same
    address and port: the first one keeps its flow, and both end up on one server."""
    check_stall("transparent")


def test_second_tunnel_in_a_stall_full_nat() -> None:
    """The same with full NAT."""
    check_stall("full-nat")
