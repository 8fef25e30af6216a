"""The fast path against the slow one: the same packets, drawn by chance, go through ikelb without the fast path and with
it. What comes out has to be the same byte by byte, save what is meant to differ; and each packet has to take its path."""

import os
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import frames
from fastpath import mode, settled
from frames import Seen
from odd_packets import MTU, Case, draw, looks_unfinished
from peers import two_services
from support import SECOND_VIP, equal, lab, start, stop
from variants import both_xdp
from vpnlab.bench import Bench
from vpnlab.topology import CLIENTS_GATEWAY, CLIENTS_NET, INSIDE, VIP
from wires import DOWN, FAST, UP, Crossed, Flow, Wires

DOUBTS = 2  # The counters tell whether they are right.
CASES = 800  # for each flow and direction
SEED = "ikelb"
ICMP, ICMPV6 = 1, 58
CLIENT = 1

# What of a packet has to be alike. `checksum` is "none", or by how much it is wrong.
Shape = tuple[Any, ...]


@dataclass(frozen=True)
class Result:
    """What came of a case."""

    path: str
    out: list[Shape]
    back: list[Shape]


@dataclass(frozen=True)
class Fault:
    """A case that did not go as it should."""

    case: Case
    what: str
    details: str


@dataclass
class Run:
    """All results of a run with one fast path, by flow and direction; and what ikelb counted meanwhile."""

    cases: dict[tuple[str, str], list[Case]]
    results: dict[tuple[str, str], list[Result]]
    packets: dict[str, Counter[tuple[str, str, str]]]
    bytes: dict[str, Counter[tuple[str, str, str]]]
    drops: Counter[str]


def seed() -> str:
    """$IKELB_E2E_SEED draws other packets."""
    return os.environ.get("IKELB_E2E_SEED", SEED)


def narrow_routes(bench: Bench) -> None:
    """The way on from ikelb takes smaller packets than come in. (Without `lock` the kernel forwards by the interface's
    MTU all the same, and so does the fast path.)"""
    for family in (4, 6):
        net = f"10.0.0.0/24 dev inside src {INSIDE[4]}" if family == 4 else "fd00:10::/64 dev inside metric 1"
        bench.topology.lb.ip(f"-{family}", "route", "replace", *net.split(), "mtu", "lock", str(MTU))
        bench.topology.lb.ip(f"-{family}", "route", "replace", CLIENTS_NET[family], "via", CLIENTS_GATEWAY[family],
                             "mtu", "lock", str(MTU))


def quiet(bench: Bench) -> None:
    """No kernel but ikelb's says anything of what it gets, and that one says it every time."""
    bench.topology.lb.sysctl({"net.ipv4.icmp_ratelimit": 0, "net.ipv4.icmp_msgs_per_sec": 100000,
                              "net.ipv4.icmp_msgs_burst": 100000, "net.ipv6.icmp.ratelimit": 0})
    rules = """
        table inet quiet {
            chain in {
                type filter hook prerouting priority -500
                icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
                drop
            }
        }
    """
    for namespace in (bench.topology.clients, *bench.topology.servers.values()):
        namespace.nft(rules)


def assembled(seen: Sequence[Seen]) -> tuple[list[int], list[Seen]]:
    """Puts fragments of one datagram together again; their sizes, and what there is then."""
    parts = [one for one in seen if one.is_fragment]
    if not parts:
        return [], list(seen)
    sizes = [len(one.ip) for one in parts]
    pieces = sorted((_offset(one), one.body if one.family == 4 else one.body[8:]) for one in parts)
    body = b""
    for offset, piece in pieces:
        if offset != len(body):
            return sizes, list(seen)  # Somebody else's, which the kernel forwards.
        body += piece
    first = parts[0].ip
    if parts[0].family == 4:
        head = first[:2] + struct.pack("!H", 20 + len(body)) + first[4:6] + bytes(2) + first[8:10] + bytes(2) + first[12:20]
        head = head[:10] + struct.pack("!H", frames.checksum(head)) + head[12:]
    else:
        head = first[:4] + struct.pack("!HB", len(body), frames.UDP) + first[7:40]
    return sizes, [replace(parts[0], ip=head + body), *(one for one in seen if not one.is_fragment)]


def _offset(seen: Seen) -> int:
    if seen.family == 4:
        return (seen.flags & frames.OFFSET_MASK) * 8
    return int(struct.unpack_from("!H", seen.body, 2)[0]) & 0xFFF8


def shape(seen: Seen, flow: Flow, sent: bytes) -> Shape:
    """What of a packet has to be the same in each run. A port of full NAT is drawn by chance, and what was sent depends
    on it."""
    same: Shape = (seen.link, seen.vlan, seen.family, seen.tos, seen.ttl, seen.protocol, seen.source, seen.destination,
                   seen.header_is_right(), len(seen.ip))
    if seen.protocol in (ICMP, ICMPV6):
        return (*same, seen.body[:2])
    if seen.protocol == frames.FRAGMENT_HEADER:  # Its identification is the run's own.
        return (*same, seen.body[:4], seen.body[8:])
    if not seen.is_udp:
        return (*same, seen.body)
    ports = tuple("nat" if port == flow.seen_as[1] != flow.port else port for port in seen.ports)
    wrong = "none" if seen.checksum == 0 else seen.residue() % 0xFFFF
    payload = "as sent" if seen.payload == sent else seen.payload
    return (*same, seen.flags, ports, struct.unpack_from("!H", seen.body, 4)[0], payload, wrong)


def shapes(seen: Sequence[Seen], flow: Flow, sent: bytes) -> list[Shape]:
    sizes, whole = assembled(seen)
    return [(sizes,), *(shape(one, flow, sent) for one in whole)]


def result(crossed: Crossed, case: Case, flow: Flow) -> Result:
    sent = case.packet.payload
    return Result(crossed.path(case.packet), shapes(crossed.out, flow, sent), shapes(crossed.back, flow, sent))


def run(bench: Bench, number: int, how: str, families: Sequence[int]) -> Run:
    """Starts ikelb so, and sends everything through it."""
    balancer = start(bench, two_services(bench, families), ready=False,
                     dataplane={"max_clients": 1000, "source_rate": 100000, "fastpath": how})
    made = Run({}, {}, {}, {}, Counter())
    with Wires(bench, families=families) as wires:
        quiet_from = [wires.connect(CLIENT, vip, family) for family in families for vip in (VIP, SECOND_VIP)]
        quiet(bench)
        for flow in quiet_from:
            for _ in range(3):
                wires.paths(flow)
            if how != "off":
                assert mode(balancer) == how, f"the fast path is {mode(balancer)}"
                wires.wait_paths(flow, FAST)
        wires.late.clear()
        before = {path: (settled(balancer, path), settled(balancer, path, "bytes")) for path in ("fast", "slow")}
        drops = Counter(balancer.status()["drops"])
        for flow in quiet_from:
            for direction in (DOWN, UP):  # A new SPI of a client's is not confirmed by what its server sends later.
                send_all(wires, flow, direction, number, made)
        assert not wires.late, f"came late: {wires.late[:3]}"
        for path, (packets, size) in before.items():
            made.packets[path] = settled(balancer, path) - packets
            made.bytes[path] = settled(balancer, path, "bytes") - size
        made.drops = Counter(balancer.status()["drops"]) - drops
    for namespace in (bench.topology.clients, *bench.topology.servers.values()):
        namespace.nft("delete table inet quiet")
    stop(bench)
    return made


def send_all(wires: Wires, flow: Flow, direction: str, number: int, made: Run) -> None:
    name = (f"{'nat' if flow.vip in SECOND_VIP.values() else 'open'} IPv{flow.family}", direction)
    cases = draw(flow, direction, wires.link(flow, direction), f"{seed()} {name}", CASES, number)
    made.cases[name] = cases
    made.results[name] = [result(wires.send_frames(flow, direction, case.frames), case, flow) for case in cases]


def wanted(case: Case, slow: Result, fast: Result) -> list[Shape]:
    """What has to come out on the fast path, by what came out of the slow path: identification, DF and label stay as they
    came, and so does a checksum's being there, and right. One that seems to be left to the hardware need not be there, and
    is not what it was."""
    (sizes, one) = slow.out
    assert sizes == ([],), "the slow path sent fragments of what is for the fast path"
    before = frames.read(case.frames[0])
    assert before
    wrong = "none" if before.checksum == 0 else before.residue() % 0xFFFF
    if looks_unfinished(case.packet) and (before.family == 4 or case.spoilt):
        wrong = fast.out[-1][-1]
    fields = list(one)
    fields[-5], fields[-1] = before.flags, wrong
    return [sizes, tuple(fields)]


def check(name: tuple[str, str], off: Run, on: Run) -> tuple[Counter[str], list[Fault], list[Fault]]:
    """How many of the cases took which path; what was not as it has to be; and where only the path may have been wrong:
    one in 65,536 packets of the slow path gets the identification that it came with."""
    taken: Counter[str] = Counter()
    faults: list[Fault] = []
    doubts: list[Fault] = []
    like: Result | None = None  # What came of the case that a spoilt one is like.
    for case, slow, fast in zip(on.cases[name], off.results[name], on.results[name], strict=True):
        out = slow.out
        if not case.spoilt:
            like = slow
        if case.path == FAST:
            assert like
            out = wanted(case, like, fast)
        if fast.out != out:
            faults.append(Fault(case, "another packet", f"{fast.out!r:.500} instead of {out!r:.500}"))
        elif fast.back != slow.back:
            faults.append(Fault(case, "back came", f"{fast.back!r:.500} instead of {slow.back!r:.500}"))
        elif case.path == FAST and fast.path != FAST:
            faults.append(Fault(case, f"{fast.path} instead of fast", ""))
        elif case.path != FAST and fast.path != slow.path:  # What the kernel forwards for others keeps its label, too.
            doubts.append(Fault(case, f"{fast.path} instead of {slow.path}", ""))
        else:
            taken[f"{case.path}: {case.name}"] += 1
    return taken, faults, doubts


def check_all(how: str, families: Sequence[int]) -> None:
    with lab(clients=2, servers=1, fastpath=how) as bench:
        narrow_routes(bench)
        # The switch takes tags out of packets; on the next cable they are in them again, or XDP would not see them.
        bench.topology.lan.run("ethtool", "-K", "lb", "txvlan", "off")
        off = run(bench, 0, "off", families)
        on = run(bench, 1, how, families)
        faults: list[Fault] = []
        doubts: list[Fault] = []
        taken: Counter[str] = Counter()
        for name in on.results:
            some, wrong, doubtful = check(name, off, on)
            taken += some
            faults += wrong
            doubts += doubtful
        print(f"     as it should be: {dict(sorted(taken.items()))}")
        assert not faults and len(doubts) <= DOUBTS, told(faults + doubts)
        check_counters(off, on)


def told(faults: Sequence[Fault]) -> str:
    """How many of each kind, and one of each in full."""
    kinds: dict[str, list[Fault]] = {}
    for fault in faults:
        kinds.setdefault(f"{fault.case.name}: {fault.what}", []).append(fault)
    lines = [f"{len(found)} times {kind}: {found[0].details} {found[0].case.packet!r:.700}"
             for kind, found in sorted(kinds.items())]
    return f"{len(faults)} faults (seed {seed()}):\n" + "\n".join(lines)


def key_of(name: tuple[str, str]) -> tuple[str, str, str]:
    """Of a flow's direction among the counters."""
    service, family = name[0].split()
    return service, "s1" if family == "IPv4" else "s1v6", "in" if name[1] == UP else "out"


def check_counters(off: Run, on: Run) -> None:
    """Nothing is dropped that was not, and everything that has gone through is counted where it has gone."""
    packets: Counter[tuple[str, str, str]] = Counter()
    size: Counter[tuple[str, str, str]] = Counter()
    spoilt: Counter[tuple[str, str, str]] = Counter()
    for name, cases in on.cases.items():
        carried = [case for case in cases if case.path == FAST]
        packets[key_of(name)] = len(carried)
        size[key_of(name)] = sum(len(case.packet.payload) for case in carried)
        spoilt[key_of(name)] = sum(case.spoilt for case in cases)
    equal(on.packets["fast"], packets, "packets counted on the fast path")
    equal(on.bytes["fast"], size, "bytes counted on the fast path")
    equal(on.packets["fast"] + on.packets["slow"], off.packets["slow"] + spoilt, "packets counted on both paths")
    for drops in (on.drops, off.drops):
        del drops["reassembly_failed"]  # It is counted when the time of the rest is up.
    equal(on.drops, off.drops, "packets that ikelb dropped")


@both_xdp
def test_same_as_slow_v4(how: str) -> None:
    """IPv4: thousands of packets in each mode and direction, right and wrong in every field."""
    check_all(how, (4,))


@both_xdp
def test_same_as_slow_v6(how: str) -> None:
    """The same over IPv6."""
    check_all(how, (6,))
