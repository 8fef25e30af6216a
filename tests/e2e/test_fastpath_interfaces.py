"""Where the fast path is: on which interfaces, in which mode, and for which packets as the interfaces and routes are."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastpath import attached, fast_lab, links_with, mode, settled
from networks import OneArmed, Trunk, no_vlans
from peers import fake_service, two_services
from support import SECOND_VIP, equal, lab, log_lines, start, stop, wait_for
from variants import both_xdp, own_path
from vpnlab.bench import Bench
from vpnlab.net import Namespace, connect, let_native_in
from vpnlab.topology import CLIENTS_GATEWAY, CLIENTS_NET, INSIDE, OUTSIDE, SNAT, VIP, server_address
from wires import DOWN, FAST, LOST, SLOW, UP, Flow, Wires, mac

HERE = Path(__file__).resolve().parent
ATTACH_S = 4.0  # "within about a second", on a busy machine
ROUTER = "10.0.0.254"


def both(bench: Bench) -> list[dict[str, Any]]:
    return two_services(bench, (4, 6))


def simple(bench: Bench) -> list[dict[str, Any]]:
    return [fake_service(bench, "transparent", families=(4, 6))]


def wait_links(bench: Bench, how: str, wanted: set[str]) -> None:
    try:
        wait_for(lambda: links_with(bench.topology.lb, how) == wanted, "so", ATTACH_S)
    except AssertionError:
        equal(links_with(bench.topology.lb, how), wanted, f"links with a {how} program")


@own_path
def test_auto() -> None:
    """By itself ikelb takes XDP in the driver only where the cables' other ends take what is redirected to them: not for
    veth pairs without GRO, nor if one of several interfaces is not fit for it. What it has chosen works."""
    with lab(clients=1, servers=1, fastpath="auto") as bench:
        topology = bench.topology
        steps: tuple[tuple[str, Callable[[], object]], ...] = (
            ("generic", lambda: None),
            ("generic", lambda: topology.clients.run("ethtool", "-K", "eth0", "gro", "on")),
            ("native", lambda: topology.lan.run("ethtool", "-K", "lb", "gro", "on")),
            ("generic", lambda: add_macvlan(topology.lb)),
        )
        for wanted, change in steps:
            change()
            balancer = start(bench, simple(bench), ready=False)
            wait_for(lambda: mode(balancer) == wanted, f"the fast path {wanted}, not {mode(balancer)}", 5.0)
            with Wires(bench) as wires:
                for family in (4, 6):
                    wires.wait_paths(wires.connect(1, VIP, family), FAST)
            stop(bench)
            equal(attached(topology.lb), {}, "programs left behind")


def add_macvlan(namespace: Namespace) -> None:
    """An interface that XDP in the driver cannot be on."""
    namespace.ip_batch(["link add side link inside type macvlan mode bridge", "link set side up",
                        "addr add 10.77.0.1/24 dev side"])


@both_xdp
def test_interfaces(how: str) -> None:
    """A program is on every interface that is up and has an address, and on no other: none on the loopback, on a bridge's
    port, on one that is down or has no address. Interfaces come and go."""
    with fast_lab(how, simple) as bench:
        lb = bench.topology.lb
        wait_links(bench, how, {"inside", "outside"})
        far = bench.workspace.namespace("far")
        far.create()
        for name in ("late", "port"):
            connect(lb, name, far, name)
            lb.ip("link", "set", name, "addrgenmode", "none")
            lb.ip("addr", "flush", "dev", name)
        if how == "native":
            let_native_in(far)
        lb.ip_batch(["link add switch type bridge", "link set port master switch", "addr add 10.78.0.1/24 dev port"])
        lb.ip("addr", "add", "10.77.0.1/24", "dev", "late")
        wait_links(bench, how, {"inside", "outside", "late"})
        equal([name for name in attached(lb) if name in ("lo", "port", "switch")], [], "programs where none should be")
        lb.ip("addr", "del", "10.77.0.1/24", "dev", "late")
        wait_links(bench, how, {"inside", "outside"})
        lb.ip("addr", "add", "fd00:77::1/64", "dev", "late", "nodad")
        wait_links(bench, how, {"inside", "outside", "late"})
        lb.ip("link", "set", "late", "down")
        wait_links(bench, how, {"inside", "outside"})
        lb.ip("link", "set", "late", "up")
        lb.ip("addr", "replace", "10.77.0.1/24", "dev", "late")
        wait_links(bench, how, {"inside", "outside", "late"})
        lb.ip("link", "set", "late", "name", "renamed")
        wait_links(bench, how, {"inside", "outside", "renamed"})
        lb.ip("link", "del", "renamed")
        wait_links(bench, how, {"inside", "outside"})


@both_xdp
def test_other_way(how: str) -> None:
    """A cable that is plugged in while ikelb runs becomes the way to the clients, and is pulled out again: the flows go
    on, and take the fast path soon in each case."""
    with fast_lab(how, both) as bench:
        topology = bench.topology
        with Wires(bench) as wires:
            flows = [wires.connect(1, vip, family) for family in (4, 6) for vip in (VIP, SECOND_VIP)]
            for flow in flows:
                wires.wait_paths(flow, FAST)
        connect(topology.lb, "third", topology.clients, "eth1")
        if how == "native":
            let_native_in(topology.clients)
        topology.lb.ip_batch(["addr add 192.0.2.5/30 dev third", "addr add 2001:db8:3::1/64 dev third nodad",
                              f"route replace {CLIENTS_NET[4]} via 192.0.2.6",
                              f"route replace {CLIENTS_NET[6]} via 2001:db8:3::2 metric 1"])
        topology.clients.ip_batch(["addr add 192.0.2.6/30 dev eth1", "addr add 2001:db8:3::2/64 dev eth1 nodad",
                                   "route replace default via 192.0.2.5",
                                   "route replace default via 2001:db8:3::1 metric 1"])
        with Wires(bench, links=("eth1", "eth0"), doors=((topology.lb, "third"), (topology.lb, "inside"))) as wires:
            for flow in flows:
                assert LOST not in wires.paths(flow), "a packet was lost on the new way"
                wires.wait_paths(flow, FAST)
        topology.lb.ip("link", "del", "third")
        topology.lb.ip("route", "replace", CLIENTS_NET[4], "via", CLIENTS_GATEWAY[4])
        topology.clients.ip("route", "replace", "default", "via", OUTSIDE[4])
        with Wires(bench) as wires:
            for flow in flows:
                assert LOST not in wires.paths(flow), "a packet was lost on the old way"
                wires.wait_paths(flow, FAST)


@both_xdp
def test_vlans(how: str) -> None:
    """Clients and servers are behind two VLANs of the only cable, whether the driver takes the tags out of the packets or
    leaves them in."""
    with lab(clients=1, servers=1) as bench:
        if reason := no_vlans(bench.topology.lb):
            print(f"     not shown: {reason}")
            return
    with fast_lab(how, both, network=Trunk) as bench:
        wait_links(bench, how, {"inside", "outside"} if how == "generic" else {"trunk"})
        with Wires(bench) as wires:
            for offload in ("on", "off"):
                bench.topology.lb.run("ethtool", "-K", "trunk", "rxvlan", offload, "txvlan", offload)
                bench.topology.lan.run("ethtool", "-K", "lb", "rxvlan", offload, "txvlan", offload)
                for family in (4, 6):
                    for vip in (VIP, SECOND_VIP):
                        flow = wires.connect(1, vip, family)
                        wires.wait_paths(flow, FAST)
                        check_contents(wires, flow)


def check_contents(wires: Wires, flow: Flow) -> None:
    """What comes out is what went in, where it should, one hop further."""
    ends = {UP: (*flow.seen_as, server_address(flow.server, flow.family), 4500),
            DOWN: (flow.vip, 4500, flow.address, flow.port)}
    for direction, wanted in ends.items():
        for size in (8, 63, 1000):
            packet = flow.esp(direction, size, tos=0xB9)
            crossed = wires.send(flow, direction, packet)
            equal(crossed.path(packet), FAST, f"path {direction}")
            (seen,) = crossed.out
            equal((seen.source, seen.ports[0], seen.destination, seen.ports[1]), wanted, f"ends of a packet {direction}")
            equal((seen.ttl, seen.tos, seen.residue(), seen.header_is_right()), (63, 0xB9, 0, True), "TTL, TOS, checksums")
            equal(seen.payload, packet.payload, "payload")


@both_xdp
def test_one_armed(how: str) -> None:
    """Packets leave on the interface that they came in on, in both modes."""

    def services(bench: Bench) -> list[dict[str, Any]]:
        prepare_one_armed(bench)
        return two_services(bench, (4,))

    with fast_lab(how, services, network=OneArmed) as bench:
        wait_links(bench, how, {"eth0"})
        topology = bench.topology
        assert isinstance(topology, OneArmed)
        doors = ((topology.router, "internet"), (topology.lb, "eth0"))
        with Wires(bench, doors=doors, families=(4,)) as wires:
            for vip in (VIP, SECOND_VIP):
                flow = wires.connect(1, vip)
                wires.wait_paths(flow, FAST)
                for direction in (UP, DOWN):
                    packet = flow.esp(direction, 300)
                    (seen,) = wires.send(flow, direction, packet).out
                    equal((seen.payload, seen.ttl, seen.residue()), (packet.payload, 62, 0), f"a packet {direction}")


def prepare_one_armed(bench: Bench) -> None:
    topology = bench.topology
    assert isinstance(topology, OneArmed)
    topology.lb.sysctl({"net.ipv4.ip_forward": 1, "net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.eth0.rp_filter": 0,
                        "net.ipv4.conf.all.send_redirects": 0, "net.ipv4.conf.eth0.send_redirects": 0})
    topology.router.sysctl({"net.ipv4.conf.all.send_redirects": 0, "net.ipv4.conf.lan.send_redirects": 0})
    topology.lb.ip_batch([f"addr add {INSIDE[4]}/24 dev eth0", f"addr add {SNAT[4]}/24 dev eth0",
                          f"route add default via {ROUTER}", f"addr add {VIP[4]}/32 dev lo"])
    for vip in (VIP[4], SECOND_VIP[4]):
        topology.router.ip("route", "add", vip, "via", INSIDE[4])
    for server in topology.servers.values():
        server.ip("route", "replace", "default", "via", INSIDE[4])


@both_xdp
def test_mtu(how: str) -> None:
    """What is larger than the next interface's MTU takes the slow path, which fragments it."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        for family in (4, 6):
            for vip in (VIP, SECOND_VIP):
                flow = wires.connect(1, vip, family)
                room = 1300 - 8 - (20 if family == 4 else 40)
                for direction, link in ((UP, "inside"), (DOWN, "outside")):
                    bench.topology.lb.ip("link", "set", link, "mtu", "1300")
                    wires.wait_paths(flow, FAST)
                    for size, path in ((room, FAST), (room + 1, SLOW), (1400, SLOW)):
                        packet = flow.esp(direction, size)
                        crossed = wires.send(flow, direction, packet)
                        equal((crossed.path(packet), len(crossed.out)), (path, 1 if path == FAST else 2),
                              f"{direction}, IPv{family}: path and packets of {size} bytes")
                    bench.topology.lb.ip("link", "set", link, "mtu", "1500")


@both_xdp
def test_forwarding_off(how: str) -> None:
    """Without IP forwarding on the interface that a packet comes in on it takes the slow path, as long as that lasts."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        for family in (4, 6):
            flow = wires.connect(1, VIP, family)
            for direction, link in ((UP, "outside"), (DOWN, "inside")):
                wires.wait_paths(flow, FAST)
                setting = f"net.ipv{family}.conf.{link}.forwarding"
                bench.topology.lb.sysctl({setting: 0})
                equal(wires.path(flow, direction), SLOW, f"IPv{family}: path {direction} without forwarding")
                bench.topology.lb.sysctl({setting: 1})
                equal(wires.path(flow, direction), FAST, f"IPv{family}: path {direction} with it again")


@both_xdp
def test_neighbours(how: str) -> None:
    """A next hop whose link-layer address is not known is asked for by the slow path; then the fast one knows it."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        for family in (4, 6):
            flow = wires.connect(1, VIP, family)
            for direction, link in ((UP, "inside"), (DOWN, "outside")):
                wires.wait_paths(flow, FAST)
                bench.topology.lb.ip(f"-{family}", "neigh", "flush", "dev", link)
                equal(wires.path(flow, direction), SLOW, f"IPv{family}: path {direction} to an unknown neighbour")
                wires.wait_paths(flow, FAST)


@both_xdp
def test_changed_mac(how: str) -> None:
    """A server, and a client on the same network, that get another MAC address and tell nobody: the kernel goes on asking
    for those that only the fast path sends to, and finds out."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        topology = bench.topology
        topology.lb.sysctl({f"net.ipv{family}.neigh.{link}.{what}": value
                            for family in (4, 6) for link in ("inside", "outside")
                            for what, value in (("base_reachable_time_ms", 500), ("delay_first_probe_time", 1))})
        flows = [wires.connect(1, VIP, family) for family in (4, 6)]
        for flow in flows:
            wires.wait_paths(flow, FAST)
        for link in ("inside", "outside"):  # As they are when nobody uses them any more.
            for known in json.loads(topology.lb.ip("-json", "neigh", "show", "dev", link)):
                if "lladdr" in known:
                    topology.lb.ip("neigh", "change", known["dst"], "lladdr", known["lladdr"], "dev", link, "nud", "stale")
        for namespace in (topology.clients, *topology.servers.values()):
            address = bytearray(mac(namespace, "eth0"))
            address[-1] ^= 0xFF
            namespace.ip("link", "set", "dev", "eth0", "address", address.hex(":"))
        for flow in flows:
            for direction, namespace in ((UP, topology.servers[flow.server]), (DOWN, topology.clients)):
                packet = flow.esp(direction)
                new = mac(namespace, "eth0")

                def arrives() -> bool:
                    wires.sender(flow, direction).send(wires.frame(flow, direction, packet))
                    seen = wires.receiver(flow, direction).receive(0.1)
                    return seen is not None and seen.payload == packet.payload and seen.link[1] == new

                wait_for(arrives, f"IPv{flow.family}: packets {direction} to the new MAC address", 15.0)


@both_xdp
def test_rules(how: str) -> None:
    """Policy rules that come and go while ikelb runs hold for the fast path as well."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        lb = bench.topology.lb
        for family in (6, 4):
            flow = wires.connect(1, VIP, family)
            wires.wait_paths(flow, FAST)
            rule = (f"-{family}", "rule", "add", "from", VIP[family], "pref", "100", "prohibit")
            lb.ip(*rule)
            wait_for(lambda: not wires.passes(flow, DOWN), f"IPv{family}: nothing leaves past a rule that prohibits it")
            lb.ip(*("del" if word == "add" else word for word in rule))
            wires.wait_paths(flow, FAST)


@both_xdp
def test_wrong_interface(how: str) -> None:
    """What claims to come from a server, but comes in where the clients are, does not leave from the VIP."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        for family in (4, 6):
            for vip in (VIP, SECOND_VIP):
                flow = wires.connect(1, vip, family)
                wires.wait_paths(flow, FAST)
                before = settled(bench.balancer, "fast")
                forged = flow.esp(DOWN)
                crossed = wires.send_frames(flow, UP, [forged.frame(wires.link(flow, UP))])
                seen = [one for one in (*crossed.out, *crossed.back) if one.is_udp and one.payload == forged.payload]
                assert all(one.source == forged.source for one in seen), f"it was taken for the server's: {seen}"
                equal((settled(bench.balancer, "fast") - before).total(), 0, "packets on the fast path")
                # A client's packets come in anywhere.
                crossed = wires.send_frames(flow, DOWN, [flow.esp(UP).frame(wires.link(flow, DOWN))])


def compiled(bench: Bench) -> Path:
    """Somebody else's program as an object file."""
    made = bench.workspace.directory / "xdp_pass.o"
    subprocess.run(["clang", "-O2", "-target", "bpf", "-c", str(HERE / "xdp_pass.c"), "-o", str(made)], check=True)
    return made


@both_xdp
def test_foreign_program(how: str) -> None:
    """Somebody else's program on one of the interfaces stays there, while ikelb runs and afterwards. Packets that come in
    there take the slow path, and ikelb says so; when it goes, ikelb takes its place."""
    with lab(clients=4, servers=1, fastpath=how) as bench:
        lb = bench.topology.lb
        kind = {"generic": "xdpgeneric", "native": "xdpdrv"}[how]
        lb.ip("link", "set", "dev", "outside", kind, "obj", str(compiled(bench)), "sec", "xdp")
        balancer = start(bench, both(bench), ready=False)
        with Wires(bench) as wires:
            flows = [wires.connect(1, vip, family) for family in (4, 6) for vip in (VIP, SECOND_VIP)]
            for flow in flows:
                for _ in range(10):
                    equal(wires.path(flow, UP), SLOW, "the path up")
                    assert wires.path(flow, DOWN) != LOST, "packets are lost"
            equal(attached(lb)["outside"], f"{how} pass", "the program on the interface")
            assert any("outside" in line and " warn " in line for line in log_lines(balancer)), "ikelb does not say so"
            stop(bench)
            equal(attached(lb), {"outside": f"{how} pass"}, "programs after the end")

        start(bench, both(bench), ready=False)
        with Wires(bench) as wires:
            lb.ip("link", "set", "dev", "outside", kind, "off")
            wait_links(bench, how, {"inside", "outside"})
            flows = [wires.connect(1, VIP, family) for family in (4, 6)]
            for flow in flows:
                wires.wait_paths(flow, FAST)
            lb.ip("link", "set", "dev", "inside", kind, "off")  # ikelb's own: it comes again
            for flow in flows:
                wires.wait_paths(flow, FAST)
            wait_links(bench, how, {"inside", "outside"})
