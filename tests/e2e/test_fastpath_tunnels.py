"""Real tunnels on the fast path: strongSwan on both ends."""

import time

from fastpath import entries, links_with, mode, saving, settled, traffic, wait_saved
from support import all_connected, equal, lab, listed_client, start, wait_for, wait_running
from test_roaming import SERVERS as ROAMING_SERVERS, patient
from variants import both_xdp, long
from vpnlab.balancer import Balancer, service
from vpnlab.bench import Bench
from vpnlab.clients import ClientOptions
from vpnlab.sites import Roamer
from vpnlab.topology import server_of

CLIENTS = range(1, 7)
PINGS = 5

# Nothing is forwarded but by ikelb. (The fast path wants IP forwarding to be on.)
CLOSED = """
    table inet closed {
        chain forward {
            type filter hook forward priority filter
            policy drop
        }
    }
"""


def wait_fast(balancer: Balancer, how: str) -> None:
    wait_for(lambda: mode(balancer) == how, f"the fast path {how}")


def only_fast(bench: Bench, pings: int) -> bool:
    """Pings through all tunnels; have all of them, there and back, taken the fast path? Now and then an IKE message
    passes, too."""
    fast = settled(bench.balancer, "fast")
    for _ in range(pings):
        equal(bench.ping_tunnels(), set(CLIENTS), "clients whose tunnels carry pings")
    wanted = 2 * pings * len(CLIENTS)
    try:
        wait_for(lambda: (traffic(bench.balancer, "fast") - fast).total() >= wanted, "pings counted", 0.3)
    except AssertionError:
        return False
    return True


def check_tunnels(how: str, mode_of_service: str, family: int) -> None:
    with lab(clients=len(CLIENTS), servers=2, fastpath=how) as bench:
        bench.start_servers()
        balancer = start(bench, [service(bench.topology, mode_of_service, family=family)], state=saving(bench))
        wait_fast(balancer, how)
        bench.start_clients(ClientOptions(family=family))
        all_connected(bench.clients.connect_all(CLIENTS))
        wait_for(lambda: only_fast(bench, 1), "pings on the fast path")
        assert only_fast(bench, PINGS), "not all pings take the fast path"
        for size in (0, 1, 500, 1200, 1350, 1472, 4000):
            equal(bench.ping_tunnels(size=size), set(CLIENTS), f"tunnels that carry pings of {size} bytes")

        # New keys: new SPIs, which get there, too.
        for client in CLIENTS:
            bench.clients.rekey_child(client)
        wait_for(lambda: only_fast(bench, 1), "pings on the fast path after new keys")
        wait_saved(balancer)
        balancer.kill()
        equal(bench.ping_tunnels(rounds=1), set(CLIENTS), "tunnels that carry pings without ikelb")
        equal(links_with(bench.topology.lb, how), {"inside", "outside"}, "links with a program")
        balancer.restart()
        balancer.wait_ready()
        equal(bench.ping_tunnels(rounds=1), set(CLIENTS), "tunnels that carry pings after the restart")
        wait_for(lambda: only_fast(bench, 1), "pings on the fast path after the restart")
        bench.clients.terminate(CLIENTS)
        all_connected(bench.clients.connect_all(CLIENTS))
        wait_for(lambda: only_fast(bench, 1), "pings of new tunnels on the fast path")


@long
@both_xdp
def test_tunnels_transparent(how: str) -> None:
    """Clients connect, their pings of all sizes take the fast path; new keys; ikelb is killed and started again, and the
    tunnels never notice."""
    check_tunnels(how, "transparent", 4)


@long
@both_xdp
def test_tunnels_full_nat(how: str) -> None:
    """The same with full NAT, over IPv6."""
    check_tunnels(how, "full-nat", 6)


@long
@both_xdp
def test_tunnels_killed(how: str) -> None:
    """Pings that go on and on through tunnels while ikelb is killed, is away for a second, and starts again: none is
    lost."""
    with lab(clients=len(CLIENTS), servers=2, fastpath=how) as bench:
        bench.start_servers()
        balancer = start(bench, [service(bench.topology, "transparent")], state=saving(bench))
        wait_fast(balancer, how)
        clients = bench.start_clients()
        all_connected(clients.connect_all(CLIENTS))
        wait_for(lambda: only_fast(bench, 1), "pings on the fast path")
        wait_saved(balancer)
        with clients.pinger(interval_s=0.05) as pinger:
            begin = time.monotonic()
            balancer.kill()
            time.sleep(1.0)
            balancer.restart()
            wait_running(balancer)
            time.sleep(1.0)
            end = time.monotonic()
            time.sleep(0.5)
            sent = pinger.sent(begin, end)
            assert sent > 100, "hardly a ping was sent: the test shows nothing"
            equal(pinger.answered(begin, end), sent, "pings answered")


def check_roaming(how: str, mode_of_service: str) -> None:
    with lab(clients=1, servers=3, fastpath=how) as bench:
        roamer = Roamer(bench.workspace, bench.topology)
        # A MOBIKE client tries every address that its server has told it; there must be no way to them but through ikelb.
        bench.topology.lb.nft(CLOSED)
        bench.start_servers(ROAMING_SERVERS)
        balancer = start(bench, [service(bench.topology, mode_of_service, health={"probe": "none"})], ready=False)
        wait_fast(balancer, how)
        clients = bench.start_clients_at(roamer.site(), patient(mobike="yes"), [1])
        all_connected(clients.connect_all([1]))
        tunnel = clients.tunnels()[1]
        home = server_of(tunnel)
        with clients.pinger([1], 0.05) as pinger:
            for move in range(4):
                wait_for(lambda: is_fast(balancer), "pings on the fast path")
                moment = time.monotonic()
                address = roamer.move()
                # Client and server may get into each other's way with new keys; then strongSwan waits for 13 s.
                seen = pinger.interruption(tunnel, moment, timeout_s=40.0)
                print(f"     {mode_of_service}, move {move}: {seen.lost} pings lost, resumed after {seen.resumed_s:.2f} s")
                found = wait_for(lambda: listed_client(balancer, address), f"{address} among the clients")
                equal(found["backend"], f"s{home}", "the backend after the move")
            wait_for(lambda: is_fast(balancer), "pings on the fast path")
            wait_for(lambda: entries(balancer) == 2, "entries of the client's last place, and of no other", 40.0)
        equal(clients.tunnels(), {1: tunnel}, "the tunnel after all moves")


def is_fast(balancer: Balancer) -> bool:
    """Do packets take the fast path in both directions, and none the slow one?"""
    before, slow = traffic(balancer, "fast"), traffic(balancer, "slow")
    time.sleep(0.3)
    more = traffic(balancer, "fast") - before
    return len(more) == 2 and traffic(balancer, "slow") == slow


@both_xdp
def test_roaming_transparent(how: str) -> None:
    """A MOBIKE client moves four times: each time its tunnel is soon on the fast path again, from its new place only."""
    check_roaming(how, "transparent")


@both_xdp
def test_roaming_full_nat(how: str) -> None:
    """The same with full NAT."""
    check_roaming(how, "full-nat")
