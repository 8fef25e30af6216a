"""What becomes of the fast path when ikelb dies or ends: flows go on without it, the next run takes them over, nothing
stays behind."""

import signal
import time
from collections import Counter
from typing import Any

from fastpath import attached, entries, fast_lab, links_with, mode, remembering, saving, settled, traffic, wait_saved
from peers import fake_service, two_services
from steady import Steady
from support import MAX_CLIENTS, SECOND_VIP, equal, lab, listed_client, start, stop, wait_for, wait_running
from variants import both_xdp, long
from vpnlab.balancer import Balancer
from vpnlab.bench import Bench
from vpnlab.topology import VIP
from wires import DOWN, FAST, SLOW, Wires

SHORT = {"idle_timeout": "3s", "half_open_timeout": "1s"}
RATE = 1000  # packets a second each way
LINKS = {"inside", "outside"}


def both(bench: Bench) -> list[dict[str, Any]]:
    return two_services(bench, (4, 6))


def short(bench: Bench) -> list[dict[str, Any]]:
    return [fake_service(bench, "transparent", families=(4, 6), persistence=SHORT)]


@both_xdp
def test_ends(how: str) -> None:
    """SIGTERM and SIGINT take the programs away, also of interfaces that came later, and what comes after that is not
    forwarded any more."""
    with lab(clients=4, servers=1, fastpath=how) as bench:
        for signum in (signal.SIGTERM, signal.SIGINT):
            balancer = start(bench, both(bench), ready=False)
            with Wires(bench) as wires:
                flow = wires.connect(1, VIP)
                wires.wait_paths(flow, FAST)
                equal(links_with(bench.topology.lb, how), LINKS, "links with a program")
                balancer.process.send(signum)
                equal(balancer.process.wait(10.0), 0, f"exit status on {signum.name}")
                equal(attached(bench.topology.lb), {}, f"programs after {signum.name}")
                equal(wires.pass_both(flow), (False, False), "packets that get through without ikelb")


def wait_all_fast(balancer: Balancer, steady: Steady) -> None:
    """Waits until hundreds of packets pass and none of them on the slow path."""

    def only_fast() -> bool:
        slow, fast = traffic(balancer, "slow").total(), traffic(balancer, "fast").total()
        steady.wait_sent(RATE // 4)
        return traffic(balancer, "slow").total() == slow and traffic(balancer, "fast").total() > fast

    wait_for(only_fast, "all packets on the fast path", 15.0)


@both_xdp
def test_killed(how: str) -> None:
    """kill -9, and a new start later, three times: not one packet of the tunnels is lost, in either mode and family, while
    there is no ikelb, nor when the next one takes over. That knows the clients, and counts on."""
    with remembering(how, both) as bench:
        balancer = bench.balancer
        with Steady(bench, range(1, 5), (4, 6), RATE, vips=(VIP, SECOND_VIP)) as steady:
            wait_all_fast(balancer, steady)
            wait_saved(balancer)
            for _ in range(3):
                balancer.kill()
                equal(links_with(bench.topology.lb, how), LINKS, "links with a program after kill -9")
                steady.wait_sent(2 * RATE)
                balancer.restart()
                wait_running(balancer)
                wait_all_fast(balancer, steady)
                equal(links_with(bench.topology.lb, how), LINKS, "links with a program after the restart")
                equal(entries(balancer), 2 * len(steady.streams), "entries")
                known = {(client["service"], client["address"]) for client in balancer.clients()}
                equal(known, {("nat" if stream.vip in SECOND_VIP.values() else "open", stream.address)
                              for stream in steady.streams}, "clients that it knows")
            steady.check()
            print(f"     {steady.figure()}")
        # And it goes on with new ones.
        with Wires(bench) as wires:
            for family in (4, 6):
                for vip in (VIP, SECOND_VIP):
                    wires.wait_paths(wires.connect(6, vip, family), FAST)


@long
@both_xdp
def test_adopted_flows_end(how: str) -> None:
    """Flows that were taken over stay as long as packets come, and expire as others do."""
    with remembering(how, short) as bench:
        balancer = bench.balancer
        with Wires(bench) as wires:
            flows = [wires.connect(1, VIP, 4), wires.connect(2, VIP, 6)]
            for flow in flows:
                wires.wait_paths(flow, FAST)
            wait_saved(balancer)
            balancer.kill()
            equal([wires.pass_both(flow) for flow in flows], [(True, True)] * 2, "packets that get through without ikelb")
            balancer.restart()
            wait_running(balancer)
            end = time.monotonic() + 5.0
            while time.monotonic() < end:
                for flow in flows:
                    equal(wires.pass_both(flow), (True, True), "packets on the fast path")
                time.sleep(0.3)
            for flow in flows:
                assert listed_client(balancer, flow.address), f"{flow.address} has expired"
            wait_for(lambda: entries(balancer) == 0 and not balancer.clients(), "all expired", 8.0)
            equal(wires.path(flows[0], DOWN), SLOW, "the path of a server's packet then")


@both_xdp
def test_idle_while_dead(how: str) -> None:
    """A flow that nobody uses while there is no ikelb is not forwarded for ever: its client may have gone."""
    with remembering(how, short) as bench:
        with Wires(bench, families=(4,)) as wires:
            flow = wires.connect(1, VIP)
            wires.wait_paths(flow, FAST)
            bench.balancer.kill()
            equal(wires.pass_both(flow), (True, True), "packets that get through without ikelb")
            time.sleep(4.0)  # Longer than the idle timeout.
            equal(wires.pass_both(flow), (False, False), "packets of a flow that was idle")
            bench.balancer.restart()
            wait_running(bench.balancer)
            wires.wait_paths(wires.connect(1, VIP), FAST)


def check_other_configuration(how: str, max_clients: int) -> None:
    with remembering(how, both, servers=2) as bench:
        with Wires(bench, families=(4,)) as wires:
            flows = [wires.connect(client, VIP) for client in range(1, 9)]
            for flow in flows:
                wires.wait_paths(flow, FAST)
            wait_saved(bench.balancer)
            equal({flow.server for flow in flows}, {1, 2}, "servers that have flows")
            bench.balancer.kill()
            services = both(bench)
            services.reverse()  # Other numbers for the same.
            for service in services:
                service["backends"] = [one for one in service["backends"] if not one["name"].startswith("s1")]
            bench.balancer.configure({"services": services, "dataplane": {"max_clients": max_clients},
                                      "state": saving(bench)})
            bench.balancer.restart()
            wait_running(bench.balancer)
            for flow in flows:
                if flow.server == 2:
                    wires.wait_paths(flow, FAST)
                else:
                    equal(wires.pass_both(flow), (False, False), "packets of a server that is not there any more")
            counted = {key for key, count in settled(bench.balancer, "fast").items() if count}
            equal(counted, {("open", "s2", "in"), ("open", "s2", "out")}, "where packets are counted")


@both_xdp
def test_other_configuration(how: str) -> None:
    """The run after a kill has another file: what is not in it any more is not forwarded on the fast path, the rest is,
    and is counted where it belongs."""
    check_other_configuration(how, MAX_CLIENTS)


@both_xdp
def test_other_size(how: str) -> None:
    """The same, with tables of another size."""
    check_other_configuration(how, 2 * MAX_CLIENTS)


@both_xdp
def test_killed_at_once(how: str) -> None:
    """Flows that no state file has yet are kept all the same when ikelb is killed and started again: the table on the
    fast path has all that there is to know. Full NAT keeps their ports, and so their servers know them."""
    with fast_lab(how, both, servers=3, clients=12) as bench:
        with Wires(bench) as wires:
            flows = [wires.connect(client, vip, family)
                     for client in range(1, 7) for family in (4, 6) for vip in (VIP, SECOND_VIP)]
            for flow in flows:
                wires.wait_paths(flow, FAST)
            bench.balancer.kill()
            equal({wires.pass_both(flow) for flow in flows}, {(True, True)}, "packets that get through without ikelb")
            bench.balancer.restart()
            wait_running(bench.balancer)
            found = Counter((wires.pass_both(flow), "nat" if flow.vip in SECOND_VIP.values() else "open") for flow in flows)
            equal(found, Counter({((True, True), "nat"): 12, ((True, True), "open"): 12}), "packets on the fast path")


@both_xdp
def test_other_mode(how: str) -> None:
    """After a kill `fastpath: off` takes away what was left, and another mode takes its place."""
    with lab(clients=4, servers=1, fastpath="native") as bench:  # So that the network is fit for both.
        for then in ("off", "native", "generic"):
            balancer = start(bench, both(bench), ready=False, dataplane={"fastpath": how}, state=saving(bench))
            with Wires(bench) as wires:
                flow = wires.connect(1, VIP)
                wires.wait_paths(flow, FAST)
                wait_saved(balancer)
                balancer.kill()
                equal(wires.pass_both(flow), (True, True), "packets that get through without ikelb")
                balancer.configure({"services": both(bench), "dataplane": {"fastpath": then}, "state": saving(bench)})
                balancer.restart()
                wait_running(balancer)
                equal(mode(balancer), then, "mode")
                wait_for(lambda: set(attached(bench.topology.lb)) == (set() if then == "off" else LINKS),
                         f"programs that are left with {then}: {attached(bench.topology.lb)}")
                if then == "off":
                    equal(wires.paths(flow), (SLOW, SLOW), "paths")
                else:
                    equal(links_with(bench.topology.lb, then), LINKS, "links with a program")
                    wires.wait_paths(flow, FAST)
            stop(bench)
            equal(attached(bench.topology.lb), {}, "programs left behind")


@both_xdp
def test_stray_program(how: str) -> None:
    """An interface that has lost its address while ikelb was away has no program of its when it is back."""
    with fast_lab(how, both) as bench:
        lb = bench.topology.lb
        lb.ip("addr", "add", "10.77.0.1/24", "dev", "outside")
        bench.balancer.kill()
        for address in lb.ip("-o", "addr", "show", "dev", "outside").splitlines():
            lb.ip("addr", "del", address.split()[3], "dev", "outside")
        bench.balancer.restart()
        wait_running(bench.balancer)
        wait_for(lambda: links_with(lb, how) == {"inside"}, f"the only program: {attached(lb)}")
