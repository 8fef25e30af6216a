"""What becomes of single datagrams: TOS and TTL, sizes and fragments, checksums, connection tracking."""

from collections.abc import Iterator
from dataclasses import dataclass

import messages
from capture import Capture
from peers import FakeServers, Port, client_ports, handshake, two_services
from support import SECOND_VIP, drops, equal, lab, start, wait_for
from vpnlab.bench import Bench
from vpnlab.topology import CLIENTS_GATEWAY, CLIENTS_NET, SNAT, VIP, client_address

# DSCP 0, EF (46) and the highest, with each value of ECN (RFC 3168 section 5).
TOS_VALUES = [dscp << 2 | ecn for dscp in (0, 46, 63) for ecn in range(4)]
TTL_VALUES = (64, 255, 2)

SIZES = (1, 100, 1472, 1473, 4912, 20000, 65000)
MTUS = (1500, 1400, 1280)


@dataclass(frozen=True)
class Path:
    """A client's established way to its server through one of two services, in one family."""

    mode: str
    family: int
    vip: str
    address: str
    client: dict[int, Port]
    servers: FakeServers
    server: int

    def __str__(self) -> str:
        return f"{self.mode}, IPv{self.family}"

    def seen_by_server(self) -> str:
        """The address that the server sees the client under."""
        return self.address if self.mode == "transparent" else SNAT[self.family]


def paths(bench: Bench) -> Iterator[Path]:
    """The four ways: both modes, both families."""
    servers = FakeServers(bench, (4, 6))
    for family in (4, 6):
        client = client_ports(bench, family)
        address = client_address(1, family)
        for mode, vips in (("transparent", VIP), ("full-nat", SECOND_VIP)):
            server, _ = handshake(client, servers, address, vips[family])
            yield Path(mode, family, vips[family], address, client, servers, server)


def test_tos_and_ttl() -> None:
    """DSCP and ECN are carried over and the TTL loses one hop, in both directions, modes and families; a datagram
    whose hops are used up is dropped and counted."""
    with lab(clients=1, servers=2) as bench:
        start(bench, two_services(bench), ready=False)
        for path in paths(bench):
            for udp in (500, 4500):
                check_tos(path, udp)
            before = drops(bench.balancer)["ttl_expired"]
            path.client[4500].send(messages.esp(b"late"), (path.vip, 4500), source=path.address, ttl=1)
            wait_for(lambda: drops(bench.balancer)["ttl_expired"] == before + 1, f"{path}: ttl_expired counted")
            path.servers.port(path.server, 4500, path.family).silent(0.05)


def check_tos(path: Path, udp: int) -> None:
    server = path.servers.port(path.server, udp, path.family)
    for tos in TOS_VALUES:
        for ttl in TTL_VALUES if tos == TOS_VALUES[-1] else TTL_VALUES[:1]:
            data = messages.init(messages.spi()) if udp == 500 else messages.esp(b"hello")
            path.client[udp].send(data, (path.vip, udp), source=path.address, tos=tos, ttl=ttl)
            got = server.receive()
            equal((got.tos, got.ttl), (tos, ttl - 1), f"{path}, to {udp}: TOS and TTL at the server")
            equal(got.source[0], path.seen_by_server(), f"{path}: the source at the server")
            server.reply(got, data, tos=tos ^ 3, ttl=ttl)
            back = path.client[udp].receive()
            equal((back.tos, back.ttl), (tos ^ 3, ttl - 1), f"{path}, from {udp}: TOS and TTL at the client")
            equal((back.source, back.destination), ((path.vip, udp), path.address), f"{path}: the way back")


def test_sizes() -> None:
    """Datagrams of all sizes, ESP and IKE, reach the other side byte for byte in both directions, also where they must
    be fragmented: with MTUs of 1500, 1400 and 1280 on either side, of the link or of the route to clients alone. An empty datagram is dropped and counted."""
    with lab(clients=1, servers=1) as bench:
        start(bench, two_services(bench), ready=False)
        ways = list(paths(bench))
        for mtu in MTUS:
            for side in (set_inside_mtu, set_outside_mtu, set_outside_route_mtu):
                side(bench, mtu)
                for path in ways:
                    for size in SIZES:
                        check_size(path, size, f"{side.__name__} {mtu}, {path}, {size} bytes")
                side(bench, 1500)
        for path in ways:
            before = drops(bench.balancer)["too_short"]
            for udp in (500, 4500):
                path.client[udp].send(b"", (path.vip, udp), source=path.address)
                path.servers.port(1, udp, path.family).send(b"", (path.address, udp))
            wait_for(lambda: drops(bench.balancer)["too_short"] == before + 4, f"{path}: empty datagrams counted")
        equal(drops(bench.balancer)["send_failed"], 0, "datagrams that the kernel refused")


def check_size(path: Path, size: int, what: str) -> None:
    for udp, data in ((500, ike_of(size)), (4500, ike_of(size, messages.MARKER)), (4500, esp_of(size))):
        server = path.servers.port(path.server, udp, path.family)
        path.client[udp].send(data, (path.vip, udp), source=path.address)
        got = server.receive()
        assert got.data == data, f"{what}, to {udp}: {len(got.data)} bytes came, or others"
        equal(got.source[0], path.seen_by_server(), f"{what}: the source at the server")
        server.reply(got, data)
        back = path.client[udp].receive()
        assert back.data == data, f"{what}, from {udp}: {len(back.data)} bytes came, or others"
        equal(back.source, (path.vip, udp), f"{what}: the source at the client")


def ike_of(size: int, marker: bytes = b"") -> bytes:
    """An encrypted IKE message of that size with its marker; the shortest one possible if that is longer."""
    body = messages.pattern(max(0, size - messages.HEADER_BYTES - len(marker)))
    return marker + messages.ike(messages.INFORMATIONAL, messages.spi(), messages.spi(), message_id=2, body=body)


def esp_of(size: int) -> bytes:
    return messages.KEEPALIVE if size == 1 else messages.esp(b"", size)


def set_inside_mtu(bench: Bench, mtu: int) -> None:
    """The link to the servers; a switch, so all its ends."""
    topology = bench.topology
    names = [f"s{number}" for number in topology.servers]
    topology.lan.ip_batch(f"link set {name} mtu {mtu}" for name in ("lb", *names, "switch"))
    topology.lb.ip("link", "set", "inside", "mtu", str(mtu))
    for server in topology.servers.values():
        server.ip("link", "set", "eth0", "mtu", str(mtu))


def set_outside_route_mtu(bench: Bench, mtu: int) -> None:
    """The route to the clients alone; the link takes more. With 1500 it is as it was."""
    narrow = [] if mtu == 1500 else ["mtu", str(mtu)]
    for family, net in CLIENTS_NET.items():
        bench.topology.lb.ip("route", "replace", net, "via", CLIENTS_GATEWAY[family], *narrow)


def set_outside_mtu(bench: Bench, mtu: int) -> None:
    """The link to the clients."""
    bench.topology.lb.ip("link", "set", "outside", "mtu", str(mtu))
    bench.topology.clients.ip("link", "set", "eth0", "mtu", str(mtu))


def test_checksums() -> None:
    """Towards servers, ESP over IPv4 has no UDP checksum (RFC 3948 section 2.1); IKE, and all over IPv6, has a right
    one. Headers are right in every byte that routers look at."""
    with lab(clients=1, servers=1) as bench:
        start(bench, two_services(bench), ready=False)
        for path in paths(bench):
            with Capture(bench.topology.servers[1], "eth0") as capture:
                for udp, data in (
                    (4500, messages.esp(b"text")),
                    (4500, messages.esp(b"odd" * 3)),
                    (4500, ike_of(100, messages.MARKER)),
                    (500, ike_of(101)),
                    (4500, ike_of(1401, messages.MARKER)),
                ):
                    path.client[udp].send(data, (path.vip, udp), source=path.address)
                    path.servers.port(1, udp, path.family).receive()
                    seen = capture.udp(path.seen_by_server(), udp)
                    equal(seen.payload, data, f"{path}: the payload on the wire")
                    if path.family == 4 and data[:4] != messages.MARKER and udp == 4500:
                        equal(seen.checksum, 0, f"{path}: the UDP checksum of ESP")
                    else:
                        assert seen.checksum != 0, f"{path}, to {udp}: no UDP checksum"
                        equal(seen.checksum, seen.right_checksum, f"{path}, to {udp}: the UDP checksum")
                    equal(seen.ip_header_is_right, True, f"{path}: the IP header's checksum and length")


def test_reply_checksums() -> None:
    """On the slow path ESP over IPv4 has no UDP checksum towards clients either; what the kernel leaves to the network card (IKE) is not
    looked at. Repeated packets of a flow have IPv4 identifications that differ."""
    with lab(clients=1, servers=1) as bench:
        start(bench, two_services(bench), ready=False, dataplane={"fastpath": "off", "max_clients": 1000})
        for path in paths(bench):
            if path.family == 6:
                continue
            with Capture(bench.topology.clients, "eth0") as capture:
                seen = set()
                for length in (9, 10, 1400):
                    data = messages.esp(b"", length)
                    path.client[4500].send(data, (path.vip, 4500), source=path.address)
                    server = path.servers.port(1, 4500, path.family)
                    server.reply(server.receive(), data)
                    back = capture.udp(path.vip, 4500)
                    path.client[4500].receive()
                    equal(back.payload, data, f"{path}: the payload on the wire")
                    equal(back.checksum, 0, f"{path}: the UDP checksum of ESP towards the client")
                    equal(back.ip_header_is_right, True, f"{path}: the IP header's checksum and length")
                    seen.add(back.identification)
                equal(len(seen), 3, f"{path}: different identifications")


def test_connection_tracking() -> None:
    """In a machine that tracks connections ikelb's traffic leaves no entry behind, in both modes and families, whole
    or in fragments."""
    with lab(clients=1, servers=1) as bench:
        bench.topology.lb.nft(
            """
            table inet foreign {
                chain input {
                    type filter hook input priority filter
                    ct state invalid counter
                }
                chain forward {
                    type filter hook forward priority filter
                    ct state established counter
                }
                chain output {
                    type filter hook output priority filter
                    ct state new counter
                }
            }
            """
        )
        start(bench, two_services(bench), ready=False)
        tracked = tracked_connections(bench)
        for path in paths(bench):
            for size in (100, 4912):
                check_size(path, size, f"{path}, {size} bytes")
        equal(tracked_connections(bench), tracked, "tracked connections after ikelb's traffic")

        # The count counts: other traffic through the machine does leave an entry.
        server = Port(bench.topology.servers[1], 4, 7777)
        server.send(b"not IKE", (client_address(1), 7777))
        wait_for(lambda: tracked_connections(bench) == tracked + 1, "a tracked connection of other traffic")


def tracked_connections(bench: Bench) -> int:
    return int(bench.topology.lb.run("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))
