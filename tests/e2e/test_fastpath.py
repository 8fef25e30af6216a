"""Which flows are on the fast path, and when: how they get there, what takes them away, and what is counted. Fake peers
with frames made by hand; the path that one took shows in what came out."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import messages
from fastpath import entries, fast_lab, mode, settled, table, traffic
from frames import NO_CHECKSUM, Packet
from peers import Port, fake_service, two_services
from support import MAX_CLIENTS, SECOND_VIP, equal, lab, listed_client, start, wait_for
from variants import both_xdp, long, own_path
from vpnlab.balancer import Balancer
from vpnlab.bench import Bench
from vpnlab.topology import VIP, client_address
from wires import DOWN, FAST, SLOW, UP, Flow, Wires

SHORT = {"idle_timeout": "3s", "half_open_timeout": "1s"}
IDLE_S = 3.0
SWEEP_S = 3.0  # So much later an expired flow may be noticed.
PING = {"probe": "icmp", "interval": "300ms", "timeout": "200ms", "rise": 1, "fall": 2}
NEW_SPIS = tuple(range(0xA0000001, 0xA0000006))


def both(bench: Bench) -> list[dict[str, Any]]:
    return two_services(bench, (4, 6))


def all_flows(wires: Wires) -> Iterator[Flow]:
    """One in each mode and family; clients 1 and 2."""
    for family in (4, 6):
        for client, vip in ((1, VIP), (2, SECOND_VIP)):
            yield wires.connect(client, vip, family)


def of(flow: Flow, direction: str) -> tuple[str, str, str]:
    """A flow's key among the counters."""
    name = "nat" if flow.vip in SECOND_VIP.values() else "open"
    return name, f"s{flow.server}" + ("v6" if flow.family == 6 else ""), "in" if direction == UP else "out"


@own_path
def test_without_it() -> None:
    """`fastpath: off`: nothing is attached, nothing is entered, all goes over the slow path."""
    with lab(clients=2, servers=1, fastpath="off") as bench:
        balancer = start(bench, both(bench), ready=False)
        equal(mode(balancer), "off", "mode")
        with Wires(bench) as wires:
            for flow in all_flows(wires):
                for _ in range(5):
                    equal(wires.paths(flow), (SLOW, SLOW), "paths")
        equal(sum(traffic(balancer, "fast").values()), 0, "packets counted on the fast path")


@both_xdp
def test_enters(how: str) -> None:
    """A flow is on the fast path as soon as ESP has been seen both ways, not before; keepalives do not do it. What then
    goes over it is counted, by packets and bytes, and in the status together with the rest."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        balancer = bench.balancer
        equal(entries(balancer), 0, "entries at first")
        assert table(balancer, "capacity") >= 2 * MAX_CLIENTS, "room for fewer flows than clients"
        for number, flow in enumerate(all_flows(wires)):
            for _ in range(5):
                equal(wires.path(flow, UP), SLOW, "path of a client's ESP that was not answered")
                equal(wires.path(flow, UP, flow.packet(UP, messages.KEEPALIVE)), SLOW, "path of its keepalives")
            equal(entries(balancer), 2 * number, "entries before it is answered")
            wires.wait_paths(flow, FAST)
            equal(entries(balancer), 2 * (number + 1), "entries of so many flows, two each")
            check_counts(balancer, wires, flow)


def check_counts(balancer: Balancer, wires: Wires, flow: Flow) -> None:
    before = {what: settled(balancer, "fast", what) for what in ("packets", "bytes")}
    slow = traffic(balancer, "slow")
    status = totals(balancer, flow)
    for size in (8, 100, 1000):
        for _ in range(3):
            equal(wires.path(flow, UP, flow.esp(UP, size)), FAST, f"path up, {size} bytes")
            equal(wires.path(flow, DOWN, flow.esp(DOWN, size)), FAST, f"path down, {size} bytes")
    equal(wires.path(flow, UP, flow.packet(UP, messages.KEEPALIVE)), FAST, "path of a keepalive")
    wanted = {of(flow, UP): 10, of(flow, DOWN): 9}
    wait_for(lambda: traffic(balancer, "fast") - before["packets"] == wanted, f"{wanted} packets counted", 3.0)
    equal(dict(traffic(balancer, "fast", "bytes") - before["bytes"]),
          {of(flow, UP): 3 * 1108 + 1, of(flow, DOWN): 3 * 1108}, "bytes counted")
    fences = {of(flow, UP): 10, of(flow, DOWN): 9}
    equal(dict(traffic(balancer, "slow") - slow), fences, "packets counted on the slow path")
    now = totals(balancer, flow)
    equal((now[0] - status[0], now[1] - status[1]), (20, 18), "packets of both paths in the status")


def totals(balancer: Balancer, flow: Flow) -> tuple[int, int]:
    service, backend, _ = of(flow, UP)
    (found,) = [entry for one in balancer.status()["services"] if one["name"] == service
                for entry in one["backends"] if entry["name"] == backend]
    return found["rx_packets"], found["tx_packets"]


@both_xdp
def test_new_spi(how: str) -> None:
    """A client's new SPI goes over the slow path until its server has sent ESP again, then over the fast one; those
    before it stay. A flow has room for four: the fifth takes the place of one of them, which takes the slow path."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        for flow in all_flows(wires):
            wires.wait_paths(flow, FAST)
            spis = [flow.up_spi]
            for spi in NEW_SPIS:
                flow.up_spi = spi
                spis.append(spi)
                for _ in range(10):
                    equal(wires.path(flow, UP), SLOW, f"path of SPI {spi:x}, which nobody has answered")
                equal(wires.path(flow, UP, flow.packet(UP, messages.KEEPALIVE)), FAST, "path of a keepalive meanwhile")
                wires.wait_paths(flow, FAST)
                equal(wires.path(flow, DOWN), FAST, "path down")
                known = [wires.path(flow, UP, replace(flow, up_spi=one).esp(UP)) for one in reversed(spis)]
                equal(known[0], FAST, "path of the newest SPI")
                equal((known.count(FAST), known.count(SLOW)), (min(4, len(known)), max(0, len(known) - 4)),
                      f"paths of {len(known)} SPIs")


@both_xdp
def test_others_do_not(how: str) -> None:
    """What differs from a flow in one of address, port and VIP is not taken for it, whatever SPI it has."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        for flow in all_flows(wires):
            wires.wait_paths(flow, FAST)
            before = settled(bench.balancer, "fast")
            other_vip = (SECOND_VIP if flow.vip == VIP[flow.family] else VIP)[flow.family]
            for changes in ({"source": client_address(3, flow.family)}, {"source_port": 4501}, {"destination": other_vip},
                            {"source_port": 500}, {"destination_port": 500}):
                wires.send(flow, UP, *[flow.esp(UP, **changes) for _ in range(3)])
            for changes in ({"destination": client_address(4, flow.family)}, {"destination_port": 4502},
                            {"source_port": 500}):
                wires.send(flow, DOWN, *[flow.esp(DOWN, **changes) for _ in range(3)])
            equal(wires.paths(flow), (FAST, FAST), "the flow's own paths")
            equal((settled(bench.balancer, "fast") - before).total(), 2, "packets on the fast path")


def check_move(wires: Wires, flow: Flow, client: int, port: Port) -> Flow:
    """The client of a flow goes on from another place, and its server follows."""
    address = client_address(client, flow.family)
    request = messages.MARKER + messages.ike(messages.INFORMATIONAL, flow.spi_i, flow.spi_r, message_id=7, body=bytes(32))
    for one in (wires.fakes.port(flow.server, 4500, flow.family), port):
        while one.poll():
            pass
    port.send(request, (flow.vip, 4500), source=address)
    server, got = wires.fakes.receive(4500, flow.family)
    equal((server, got.data), (flow.server, request), "the server of a client that moves, and what it got")
    question = messages.MARKER + messages.ike(messages.INFORMATIONAL, flow.spi_i, flow.spi_r, flags=0, message_id=3,
                                              body=bytes(32))
    wires.fakes.port(server, 4500, flow.family).reply(got, question)
    equal(port.receive().data, question, "what the client got at its new place")
    return replace(flow, address=address, port=port.number, seen_as=got.source)


@both_xdp
def test_moves(how: str) -> None:
    """A client that goes on from another address or port, and has been answered there, takes the fast path from there,
    and from its old place no more."""
    with fast_lab(how, both, clients=8) as bench, Wires(bench) as wires:
        client = 1
        for family in (4, 6):
            other = Port(bench.topology.clients, family, 61000)
            for vip in (VIP, SECOND_VIP):
                old = wires.connect(client, vip, family)
                wires.wait_paths(old, FAST)
                for new_client, port in ((client, other), (client + 1, wires.ports[family][4500])):
                    new = check_move(wires, old, new_client, port)
                    wires.wait_paths(new, FAST)
                    wait_for(lambda: wires.path(old, UP) == SLOW, "the old place not on the fast path any more")
                    equal(wires.paths(new), (FAST, FAST), "paths at the new place")
                    old = new
                client += 2
            other.close()


def post(balancer: Balancer, backend: str, action: str, service: str = "open") -> None:
    status, body = balancer.request("POST", f"/api/v1/backends/{service}/{backend}/{action}")
    equal(status, 200, f"status of {action} ({body!r})")


@both_xdp
def test_operator_states(how: str) -> None:
    """The flows of a server that is drained or disabled take the slow path at once, and the fast one again when it is
    enabled. The other service's flows, at the same server, stay."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        balancer = bench.balancer
        for family, backend in ((4, "s1"), (6, "s1v6")):
            flow, other = wires.connect(1, VIP, family), wires.connect(1, SECOND_VIP, family)
            wires.wait_paths(flow, FAST)
            wires.wait_paths(other, FAST)
            for action in ("drain", "disable", "drain"):
                post(balancer, backend, action)
                equal(wires.paths(flow), (SLOW, SLOW), f"paths after {action}")
                equal(wires.paths(other), (FAST, FAST), f"the other service's paths after {action}")
                post(balancer, backend, "enable")
                wires.wait_paths(flow, FAST)


@both_xdp
def test_down(how: str) -> None:
    """The flows of a server that its probes find down take the slow path, and the fast one again when it is up."""

    def probed(bench: Bench) -> list[dict[str, Any]]:
        return [fake_service(bench, "transparent", health=PING)]

    with fast_lab(how, probed) as bench, Wires(bench, families=(4,)) as wires:
        wait_for(lambda: bench.balancer.backend("s1")["health"] == "up", "the server up")
        flow = wires.connect(1, VIP)
        wires.wait_paths(flow, FAST)
        for ignore, health, path in ((1, "down", SLOW), (0, "up", FAST)) * 2:
            bench.topology.servers[1].sysctl({"net.ipv4.icmp_echo_ignore_all": ignore})
            wait_for(lambda: bench.balancer.backend("s1")["health"] == health, f"the server {health}")
            wires.wait_paths(flow, path)


def send_for(wires: Wires, flow: Flow, packets: list[tuple[str, Packet]], seconds: float) -> None:
    """Sends such packets again and again, without a fence, which would be a packet on the slow path."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for direction, packet in packets:
            sender = wires.client if direction == UP else wires.servers[flow.server]
            sender.send(wires.frame(flow, direction, packet))
        time.sleep(0.2)


@long
@both_xdp
def test_idle(how: str) -> None:
    """A flow whose packets all take the fast path does not expire, be they ESP of the client alone, of its server alone,
    or keepalives. When they end it expires in time, and leaves the table."""
    with fast_lab(how, lambda bench: [fake_service(bench, "transparent", families=(4, 6), persistence=SHORT)]) as bench:
        with Wires(bench) as wires:
            flows = [wires.connect(1, VIP, 4), wires.connect(2, VIP, 4), wires.connect(3, VIP, 6)]
            for flow in flows:
                wires.wait_paths(flow, FAST)
            slow = traffic(bench.balancer, "slow")
            begin = time.monotonic()
            rounds = [(flows[0], UP, flows[0].esp(UP)), (flows[1], DOWN, flows[1].esp(DOWN)),
                      (flows[2], UP, flows[2].packet(UP, messages.KEEPALIVE))]
            while time.monotonic() - begin < 2.5 * IDLE_S:
                for flow, direction, packet in rounds:
                    send_for(wires, flow, [(direction, packet)], 0.2)
            last = time.monotonic()
            for flow in flows:
                assert listed_client(bench.balancer, flow.address), f"{flow.address} has expired"
            equal(traffic(bench.balancer, "slow") - slow, {}, "packets on the slow path meanwhile")
            equal(entries(bench.balancer), 6, "entries while packets come")
            wait_for(lambda: entries(bench.balancer) == 0 and not bench.balancer.clients(), "all expired",
                     IDLE_S + SWEEP_S)
            assert time.monotonic() - last > IDLE_S - 0.5, "they expired too early"
            equal(wires.path(flows[0], UP), SLOW, "the path afterwards")


@both_xdp
def test_reload(how: str) -> None:
    """A reload keeps what is on the fast path; a server that it removes has none of its flows there, and has them again
    when it is put back. What it cannot change it says."""
    with fast_lab(how, both, servers=2, clients=8) as bench, Wires(bench) as wires:
        flows = [flow for client in (1, 2, 3, 4) for flow in
                 (wires.connect(client, VIP, 4), wires.connect(client, SECOND_VIP, 6))]
        for flow in flows:
            wires.wait_paths(flow, FAST)
        for count in range(5):
            reload(bench, weights={1: 50 + count, 2: 100}, schedule="least-clients" if count % 2 else "source-hash",
                   persistence={"idle_timeout": f"{count + 1}m"})
            for flow in flows:
                equal(wires.paths(flow), (FAST, FAST), f"paths after reload {count}")
        equal({flow.server for flow in flows}, {1, 2}, "servers that have flows")
        removed = [service | {"backends": [one for one in service["backends"] if not one["name"].startswith("s1")]}
                   for service in both(bench)]
        for services, path in ((removed, SLOW), (both(bench), FAST)):
            reload(bench, services)
            for flow in flows:
                wires.wait_paths(flow, path if flow.server == 1 else FAST)


def reload(bench: Bench, services: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    services = services or two_services(bench, (4, 6), **changes)
    bench.balancer.configure({"services": services, "dataplane": {"max_clients": MAX_CLIENTS}})
    status, body = bench.balancer.request("POST", "/api/v1/reload")
    equal(status, 200, f"status of the reload ({body!r})")
    return dict(json.loads(body))


@both_xdp
def test_own_checksums(how: str) -> None:
    """Senders on the same machine leave the UDP checksum to hardware that is not there. What arrives is right all the
    same: over IPv6 complete, over IPv4 complete or none."""
    with fast_lab(how, both) as bench, Wires(bench) as wires:
        for flow in all_flows(wires):
            wires.wait_paths(flow, FAST)
            before = settled(bench.balancer, "fast")
            port, fake = wires.ports[flow.family][4500], wires.fakes.port(flow.server, 4500, flow.family)
            for size in (8, 9, 63, 64, 65, 127, 128, 600, 1371):
                for text in (port, fake):
                    while text.poll():
                        pass
                up, down = flow.esp(UP, size).payload, flow.esp(DOWN, size).payload
                port.send(up, (flow.vip, 4500), source=flow.address)
                got = fake.receive()
                equal((got.data, got.source), (up, flow.seen_as), f"what the server got of {size} bytes")
                fake.reply(got, down)
                back = port.receive()
                equal((back.data, back.source), (down, (flow.vip, 4500)), f"what the client got of {size} bytes")
                check_on_wire(wires, flow, up, down, how)
            wanted = {of(flow, UP): 9, of(flow, DOWN): 9}
            wait_for(lambda: traffic(bench.balancer, "fast") - before == wanted, "all of it on the fast path", 3.0)


def check_on_wire(wires: Wires, flow: Flow, up: bytes, down: bytes, how: str) -> None:
    """In the driver nothing is left for others to finish."""
    for wire, payload in ((wires.servers[flow.server], up), (wires.client, down)):
        (seen,) = [one for one in wire.drain() if one.is_udp and one.payload == payload]
        if how == "native":
            none = flow.family == 4 and seen.checksum == 0
            assert none or seen.residue() == 0, f"a wrong checksum on the wire: {seen}"


@both_xdp
def test_mixed_sizes(how: str) -> None:
    """Frames of all sizes up to a jumbo frame, without a UDP checksum and with one."""
    with fast_lab(how, both) as bench:
        jumbo(bench)
        with Wires(bench) as wires:
            for flow in all_flows(wires):
                wires.wait_paths(flow, FAST)
                kinds = ("right", NO_CHECKSUM) if flow.family == 4 else ("right",)
                for size in (8, 9, 500, 1499, 1500, 3400, 3600, 4090, 5000, 8900):
                    for checksum in kinds:
                        for direction in (UP, DOWN):
                            packet = flow.esp(direction, size, checksum=checksum)
                            crossed = wires.send(flow, direction, packet)
                            (seen,) = crossed.out
                            equal((seen.payload, seen.ttl), (packet.payload, 63), f"{direction}, {size} bytes")
                            right = seen.checksum == 0 if checksum == NO_CHECKSUM else seen.residue() == 0
                            assert right or crossed.path(packet) == SLOW, f"{direction}, {size} bytes: {seen!r:.300}"


def jumbo(bench: Bench) -> None:
    """All links take 9,000 bytes."""
    topology = bench.topology
    for namespace, links in ((topology.clients, ["eth0"]), (topology.lb, ["outside", "inside"]),
                             (topology.lan, ["lb", "s1", "switch"]), (topology.servers[1], ["eth0"])):
        for link in links:
            namespace.ip("link", "set", link, "mtu", "9000")
