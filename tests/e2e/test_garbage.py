"""Hostile packets: ikelb lives on, counts each drop by its reason, does not grow, and real clients still connect."""

import random
import re
from collections import Counter
from collections.abc import Iterator

import messages
from messages import AUTH, MARKER, SA_INIT
from peers import Port, fake_service
from raw import MORE_FRAGMENTS, RawSocket, UdpHeader
from support import (
    SECOND_VIP,
    accounted_for,
    all_connected,
    drops,
    equal,
    lab,
    resident_kib,
    start,
    wait_for,
    wait_health,
)
from vpnlab.balancer import PROBES, Balancer
from vpnlab.bench import Bench
from vpnlab.topology import OUTSIDE, SNAT, VIP, client_address, server_address

SPI = b"\x01" * 8
MAX_UDP_BYTES = 65507

# What a run of this test may add to ikelb's memory: buffers for a batch of the largest datagrams (4 MiB), touched here
# for the first time, tables, and the sanitizer's bookkeeping.
GROWTH_KIB = 24 << 10

NOBODY = ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255")

Garbage = tuple[int, bytes, str]  # the port it goes to, the datagram, the reason for which it must be dropped


def ike_garbage(marker: bytes) -> Iterator[tuple[bytes, str]]:
    """Wrong IKE messages, after the marker that belongs before them."""
    good = messages.ike(SA_INIT, SPI, payload=33, body=bytes(8))
    for length in range(4 if marker else 2, messages.HEADER_BYTES):
        yield marker + good[:length], "too_short"
    for length in (messages.HEADER_BYTES, 40, 1400):
        yield marker + bytes(length), "zero_spi"
    yield marker + messages.ike(SA_INIT, messages.ZERO_SPI, SPI), "zero_spi"
    for minor in (0, 1, 15):
        yield marker + messages.ike(SA_INIT, SPI, version=minor), "bad_ike_version"
    for exchange in (0, 1, 2, 33):
        yield marker + messages.ike(exchange, SPI), "bad_ike_exchange"
    for exchange in (0, 34, 239):
        yield marker + messages.ike(exchange, SPI, version=0x10), "bad_ike_exchange"
    for length in (0, 27, 37, 1 << 16, 1 << 31, (1 << 32) - 1):
        yield marker + messages.ike(AUTH, SPI, SPI, body=bytes(8), length=length), "bad_ike_length"


def garbage() -> Iterator[Garbage]:
    """Everything that must not pass, with its reason."""
    yield from ((500, data, reason) for data, reason in ike_garbage(b""))
    yield from ((4500, data, reason) for data, reason in ike_garbage(MARKER))
    for udp in (500, 4500):
        yield udp, b"", "too_short"
        yield udp, b"\0", "too_short"
        yield udp, b"\xfe", "too_short"
        yield udp, b"\xff\xff", "too_short"
        yield udp, MARKER, "too_short"
    yield 4500, b"\xff" * 7, "too_short"
    yield 4500, bytes(MAX_UDP_BYTES), "zero_spi"
    yield 500, bytes(MAX_UDP_BYTES), "zero_spi"
    yield 500, MARKER + messages.ike(SA_INIT, SPI), "bad_ike_version"  # a marker where none belongs


def test_garbage() -> None:
    """Garbage of every kind to both ports, in both families and modes, from clients, from servers and from nowhere."""
    with lab(clients=20, servers=2) as bench:
        balancer = start_mixed(bench)
        clients = {family: Port(bench.topology.clients, family, 4000) for family in (4, 6)}
        send_exact(bench, balancer, clients)
        before_kib = resident_kib(balancer)
        send_random(bench, balancer, clients)
        send_spoofed(bench, balancer)
        send_half_fragments(bench)
        grown_kib = resident_kib(balancer) - before_kib
        print(f"memory grew by {grown_kib} KiB")
        assert grown_kib < GROWTH_KIB, f"memory grew by {grown_kib} KiB"

        bench.start_clients()
        all_connected(bench.clients.connect_all(range(1, 5)))
        equal(bench.ping_tunnels(), set(range(1, 5)), "tunnels that carry pings after all that")


def start_mixed(bench: Bench) -> Balancer:
    """A transparent service over a real server, and a full-NAT service over one that answers nothing."""
    bench.start_servers(numbers=[1])
    services = [fake_service(bench, "transparent", name="open", families=(4, 6), health=PROBES),
                fake_service(bench, "full-nat", name="nat", families=(4, 6), vips=SECOND_VIP)]
    services[0]["backends"] = [each for each in services[0]["backends"] if each["name"].startswith("s1")]
    services[1]["backends"] = [each for each in services[1]["backends"] if each["name"].startswith("s2")]
    balancer = start(bench, services, ready=False)
    wait_health(balancer, "s1", "up")
    wait_health(balancer, "s1v6", "up")
    return balancer


def check_drops(balancer: Balancer, before: Counter[str], wanted: Counter[str]) -> None:
    """Waits until exactly these drops have been counted since `before`, no more and no others."""

    def since() -> Counter[str]:
        return drops(balancer) - before

    try:
        wait_for(lambda: since() == wanted, "the drops", 5.0)
    except AssertionError:
        equal(since(), wanted, "drops by reason")


def send_exact(bench: Bench, balancer: Balancer, clients: dict[int, Port]) -> None:
    """What has one right outcome, counted exactly."""
    before, wanted = drops(balancer), Counter[str]()
    for vips in (VIP, SECOND_VIP):
        for family, port in clients.items():
            for udp, data, reason in garbage():
                port.send(data, (vips[family], udp), source=client_address(1, family))
                wanted[reason] += 1
    check_drops(balancer, before, wanted)
    equal(balancer.clients(), [], "clients that garbage made")

    # A keepalive of an unknown client opens nothing: full NAT has nowhere to send it.
    before, wanted = drops(balancer), Counter[str](no_flow=4)
    for family, port in clients.items():
        for udp in (500, 4500):
            port.send(messages.KEEPALIVE, (SECOND_VIP[family], udp), source=client_address(1, family))
            port.send(messages.KEEPALIVE, (VIP[family], udp), source=client_address(1, family))
    check_drops(balancer, before, wanted)
    equal(balancer.clients(), [], "clients that keepalives made")

    # Straight to the socket that takes servers' replies.
    before, wanted = drops(balancer), Counter[str](unknown_sender=2)
    ruleset = bench.topology.lb.run("nft", "list", "table", "inet", "ikelb")
    for family, ip in ((4, "ip"), (6, "ip6")):
        found = re.search(rf"tproxy {ip} to :(\d+)", ruleset)
        assert found, f"no tproxy rule for IPv{family}:\n{ruleset}"
        to = (OUTSIDE[family], int(found[1]))
        clients[family].send(messages.esp(b"direct"), to, source=client_address(1, family))
    check_drops(balancer, before, wanted)


def send_random(bench: Bench, balancer: Balancer, clients: dict[int, Port]) -> None:
    """Random bytes of all lengths, messages with random faults, and the largest datagrams. Each is either forwarded
    or counted as dropped."""
    dice = random.Random(500)
    accounted = accounted_for(balancer)
    sent = 0
    for lap in range(40):
        for family, port in clients.items():
            for udp in (500, 4500):
                lot = [random_datagram(dice, udp) for _ in range(20)]
                if lap % 8 == 0:
                    lot.append(dice.randbytes(MAX_UDP_BYTES))
                for data in lot:
                    address = client_address(dice.randrange(1, 21), family)
                    port.send(data, (dice.choice((VIP, SECOND_VIP))[family], udp), source=address)
                    sent += 1
        # In laps, so that no socket's queue overflows.
        wait_for(lambda: accounted_for(balancer) - accounted >= sent, f"{sent} datagrams accounted for")


def random_datagram(dice: random.Random, udp: int) -> bytes:
    kind = dice.randrange(3)
    if kind == 0:
        return dice.randbytes(dice.randrange(1, 41))
    if kind == 1:
        return dice.randbytes(dice.randrange(41, 1500))
    marker = MARKER if udp == 4500 else b""
    message = bytearray(marker + messages.ike(dice.choice((SA_INIT, AUTH)), SPI, body=dice.randbytes(60)))
    for _ in range(dice.randrange(1, 6)):
        message[dice.randrange(len(message))] = dice.randrange(256)
    return bytes(message[: dice.randrange(1, len(message) + 1)])


def send_spoofed(bench: Bench, balancer: Balancer) -> None:
    """Packets that no honest sender sends."""
    client, esp = client_address(1), messages.esp(b"spoofed")
    with RawSocket(bench.topology.clients) as raw:
        before = drops(balancer)
        for udp in (500, 4500):
            raw.udp(UdpHeader(client, 0, VIP[4], udp), messages.init(SPI))
            raw.udp(UdpHeader(client, 4000, VIP[4], udp, length=7), esp)
            raw.udp(UdpHeader(client, 4000, VIP[4], udp, length=60000), esp)
        check_drops(balancer, before, Counter(bad_source=2))

        # As if from ourselves, from a server, from a broadcast and a loop: the kernel refuses some, and none does harm.
        for source in (VIP[4], SNAT[4], OUTSIDE[4], server_address(1), server_address(2), *NOBODY):
            for source_port in (500, 501, 4500):
                for destination in (VIP[4], SECOND_VIP[4], OUTSIDE[4], SNAT[4]):
                    for udp in (500, 4500):
                        raw.udp(UdpHeader(source, source_port, destination, udp), esp)

        check_foreign_reply(bench, balancer, raw)

    with RawSocket(bench.topology.servers[2]) as raw:
        # Not from IKE's ports: none of ikelb's business, it is routed as it always was.
        receiver = Port(bench.topology.clients, 4, 4001)
        raw.udp(UdpHeader(server_address(2), 501, client, 4001), esp)
        equal(receiver.receive().source, (server_address(2), 501), "the source of what is not IKE")
        # To full NAT's address, but no flow is there; and a server that sends garbage.
        before = drops(balancer)
        for source_port in (500, 4500):
            raw.udp(UdpHeader(server_address(2), source_port, SNAT[4], 20000), messages.auth(SPI, SPI))
            raw.udp(UdpHeader(server_address(2), source_port, client, 4001), b"")
        reasons = Counter(no_flow=1, too_short=2, bad_ike_version=1)
        check_drops(balancer, before, reasons)


def check_foreign_reply(bench: Bench, balancer: Balancer, outside: RawSocket) -> None:
    """What pretends to be a server's reply to somebody, but comes in from the clients' side, is not sent on under the
    VIP's name; the same packet from the server's side is."""
    header = UdpHeader(server_address(1), 4500, client_address(9999), 4500)
    before = sent_to_clients(balancer)
    for _ in range(10):
        outside.udp(header, messages.esp(b"forged"))
    with RawSocket(bench.topology.servers[1]) as inside:
        inside.udp(header, messages.esp(b"true"))
    wait_for(lambda: sent_to_clients(balancer) > before, "the server's own reply")
    equal(sent_to_clients(balancer), before + 1, "replies sent on to clients")


def sent_to_clients(balancer: Balancer) -> int:
    """Packets of the server s1 that went on to clients."""
    return int(balancer.backend("s1")["tx_packets"])


def send_half_fragments(bench: Bench) -> None:
    """First fragments whose rest never comes, rests without a beginning, and ones that overlap."""
    header = UdpHeader(client_address(2), 4000, VIP[4], 500, length=3000)
    with RawSocket(bench.topology.clients) as raw:
        for identification in range(1, 501):
            raw.udp(header, bytes(1000), fragment=MORE_FRAGMENTS, identification=identification)
            raw.ip(header, bytes(1000), fragment=MORE_FRAGMENTS | 400, identification=identification + 1000)
            raw.ip(header, bytes(1000), fragment=MORE_FRAGMENTS | 50, identification=identification)
