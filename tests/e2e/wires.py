"""The cables of clients and servers: frames that go in at one end of ikelb, and what comes out of it at either."""

import itertools
import json
import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from types import TracebackType
from typing import Any

import messages
from frames import Link, Packet, Seen, ethernet, read
from peers import FakeServers, Port, client_ports, handshake
from support import wait_for
from vpnlab.bench import Bench
from vpnlab.net import Namespace
from vpnlab.topology import client_address, server_address

UP, DOWN = "up", "down"  # client to server, server to client
FAST, SLOW, LOST, ASTRAY = "fast", "slow", "lost", "astray"
UP_SPI, DOWN_SPI = 0xC0FFEE01, 0xC0FFEE02

FENCE_TIMEOUT_S = 5.0
LATE_S = 0.1  # So long what takes the fast path may come after the fence.
LOST_S = 0.5  # After so long what has no fence is lost.

# linux/if_packet.h
SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING, ETH_P_ALL = 263, 8, 23, 3
SO_RCVBUFFORCE, BUFFER_BYTES = 33, 16 << 20
TP_STATUS_VLAN_VALID = 0x10
AUXDATA = struct.Struct("=IIIHHHH")
IGMP, ICMPV6, NEIGHBOUR_DISCOVERY = 2, 58, range(130, 144)  # and multicast listeners


def mac(namespace: Namespace, link: str) -> bytes:
    """The MAC address of a link."""
    (found,) = json.loads(namespace.ip("-json", "link", "show", "dev", link))
    return bytes.fromhex(found["address"].replace(":", ""))


class Wire:
    """A link of a namespace: sends whole frames, and sees all IP that comes in, but for what kernels say by themselves."""

    def __init__(self, namespace: Namespace, link: str) -> None:
        self.mac = mac(namespace, link)
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self._socket.bind((link, ETH_P_ALL))

    def close(self) -> None:
        self._socket.close()

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def receive(self, timeout_s: float) -> Seen | None:
        """The next packet, or None if none comes in time."""
        deadline = time.monotonic() + timeout_s
        while select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            frame, ancillary, _, _ = self._socket.recvmsg(65535, 128)
            seen = read(frame, _tag(ancillary))
            if seen and not _is_noise(seen):
                return seen
        return None

    def drain(self) -> list[Seen]:
        """All that has come."""
        return list(iter(lambda: self.receive(0.0), None))


def _tag(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, value in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tag, _ = AUXDATA.unpack(value[: AUXDATA.size])
            return tag & 0xFFF if status & TP_STATUS_VLAN_VALID else None
    return None


def _is_noise(seen: Seen) -> bool:
    if seen.family == 4:
        return seen.protocol == IGMP
    hops = seen.protocol == 0  # a listener report has a router alert before it
    return hops or (seen.protocol == ICMPV6 and seen.body[0] in NEIGHBOUR_DISCOVERY)


@dataclass
class Flow:
    """A client that has gone through a handshake, and its server."""

    family: int
    address: str
    port: int
    vip: str
    server: int
    seen_as: tuple[str, int]  # the client, as its server sees it
    spi_i: bytes
    spi_r: bytes
    up_spi: int = UP_SPI
    down_spi: int = DOWN_SPI
    chance: Random = field(default_factory=Random)

    def packet(self, direction: str, payload: bytes, **changes: Any) -> Packet:
        """A datagram on this flow, with a label that the slow path never, or hardly ever, puts on one itself."""
        label = 0 if self.family == 4 else self.chance.randrange(1, 1 << 20)
        if direction == UP:
            ends = (self.address, self.vip, self.port, 4500)
        else:
            ends = (server_address(self.server, self.family), self.seen_as[0], 4500, self.seen_as[1])
        return replace(Packet(*ends, payload, label=label), **changes)

    def esp(self, direction: str, size: int = 64, **changes: Any) -> Packet:
        spi = self.up_spi if direction == UP else self.down_spi
        return self.packet(direction, spi.to_bytes(4, "big") + self.chance.randbytes(size - 4), **changes)

    def source_after(self, direction: str) -> str:
        """Where a packet comes from when it has left ikelb."""
        return self.seen_as[0] if direction == UP else self.vip

    def fence(self, direction: str, number: int) -> Packet:
        """An IKE message of the flow's session."""
        flags = messages.INITIATOR if direction == UP else messages.RESPONSE
        message = messages.ike(messages.INFORMATIONAL, self.spi_i, self.spi_r, flags=flags, message_id=number,
                               body=self.chance.randbytes(16))
        return self.packet(direction, messages.MARKER + message)


@dataclass(frozen=True)
class Crossed:
    """What came out of ikelb after something went in: at the end that it was for, and at the end it came from."""

    out: tuple[Seen, ...]
    back: tuple[Seen, ...]

    def path(self, packet: Packet) -> str:
        """Which way a packet took, if nothing but it can have come out. The slow path sends its own labels."""
        if not self.out:
            return LOST
        return FAST if self.out[0].label == packet.label and len(self.out) == 1 else SLOW


Door = tuple[Namespace, str]


class Wires:
    """A context manager. `links` are those of the clients and of each server; `doors` are the links that they send to,
    ikelb's or a router's. With `vlans` (up, down) frames carry these tags."""

    def __init__(
        self,
        bench: Bench,
        *,
        links: tuple[str, str] = ("eth0", "eth0"),
        doors: tuple[Door, Door] | None = None,
        vlans: tuple[int | None, int | None] = (None, None),
        families: Iterable[int] = (4, 6),
    ) -> None:
        self.bench = bench
        topology = bench.topology
        doors = doors or ((topology.lb, "outside"), (topology.lb, "inside"))
        for namespace, link in doors:  # A checksum that is left to the hardware is not to be seen on a cable.
            namespace.run("ethtool", "-K", link, "tx", "off")
        self.client = Wire(topology.clients, links[0])
        self.servers = {number: Wire(namespace, links[1]) for number, namespace in topology.servers.items()}
        self._doors = {direction: mac(*door) for direction, door in zip((UP, DOWN), doors, strict=True)}
        self._vlans = dict(zip((UP, DOWN), vlans, strict=True))
        self._families = tuple(families)
        # They hold the ports, or the kernels would answer for them; and they go through handshakes.
        self.fakes = FakeServers(bench, self._families)
        self.ports: Mapping[int, dict[int, Port]] = {family: client_ports(bench, family) for family in self._families}
        self._numbers = itertools.count(100)
        self.late: list[Seen] = []  # What came when nothing was under way any more.

    def __enter__(self) -> "Wires":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for closing in (self.client, *self.servers.values(), *self.fakes.ports.values(),
                        *(port for ports in self.ports.values() for port in ports.values())):
            closing.close()

    def connect(self, client: int, vip: Mapping[int, str], family: int = 4) -> Flow:
        """Lets a client go through a handshake over that VIP. Its SPIs are the same each time."""
        address = client_address(client, family)
        for port in (*self.fakes.ports.values(), *self.ports[family].values()):
            while port.poll():
                pass
        chance = Random(f"{address} {vip[family]}")
        spi_i, spi_r = b"\x01" + chance.randbytes(7), b"\x02" + chance.randbytes(7)
        server, got = handshake(self.ports[family], self.fakes, address, vip[family], (spi_i, spi_r))
        for wire in (self.client, *self.servers.values()):
            wire.drain()
        return Flow(family, address, 4500, vip[family], server, got.source, spi_i, spi_r, chance=chance)

    def link(self, flow: Flow, direction: str) -> Link:
        return (self.sender(flow, direction).mac, self._doors[direction])

    def frame(self, flow: Flow, direction: str, packet: Packet) -> bytes:
        return packet.frame(self.link(flow, direction), self._vlans[direction])

    def send(self, flow: Flow, direction: str, *packets: Packet) -> Crossed:
        """Sends packets and returns what came of them."""
        return self.send_frames(flow, direction, [self.frame(flow, direction, packet) for packet in packets])

    def send_ip(self, flow: Flow, direction: str, *packets: bytes) -> Crossed:
        """The same with IP packets as they are."""
        link = self.link(flow, direction)
        return self.send_frames(flow, direction,
                                [ethernet(link, flow.family, ip, self._vlans[direction]) for ip in packets])

    def send_frames(self, flow: Flow, direction: str, frames: Sequence[bytes]) -> Crossed:
        """Frames, and behind them a fence: an IKE message, which waits its turn in the slow path."""
        sender, receiver = self.sender(flow, direction), self.receiver(flow, direction)
        self.late += sender.drain() + receiver.drain()
        for frame in frames:
            sender.send(frame)
        fence = flow.fence(direction, next(self._numbers))
        sender.send(self.frame(flow, direction, fence))
        out: list[Seen] = []
        deadline = time.monotonic() + FENCE_TIMEOUT_S
        while True:
            seen = receiver.receive(max(0.0, deadline - time.monotonic()))
            assert seen, f"the fence did not come through ({direction}, IPv{flow.family})"
            if seen.is_udp and seen.payload == fence.payload:
                break
            out.append(seen)
        return Crossed((*out, *receiver.drain()), tuple(sender.drain()))

    def path(self, flow: Flow, direction: str, packet: Packet | None = None) -> str:
        """Sends a packet (default: ESP) and tells which way it took. On the fast path it may overtake the fence, and be
        a moment late."""
        packet = packet or flow.esp(direction)
        crossed = self.send(flow, direction, packet)
        if not crossed.out and (late := self.receiver(flow, direction).receive(LATE_S)):
            crossed = replace(crossed, out=(late,))
        if any(seen.source != flow.source_after(direction) for seen in crossed.out):
            return ASTRAY  # Not ikelb but the kernel has forwarded it.
        return crossed.path(packet)

    def passes(self, flow: Flow, direction: str) -> bool:
        """Does ESP get through without a fence behind it, which the slow path would have to carry?"""
        packet = flow.esp(direction)
        receiver = self.receiver(flow, direction)
        receiver.drain()
        self.sender(flow, direction).send(self.frame(flow, direction, packet))
        seen = receiver.receive(LOST_S)
        return (seen is not None and seen.payload == packet.payload and seen.label == packet.label
                and seen.source == flow.source_after(direction))

    def pass_both(self, flow: Flow) -> tuple[bool, bool]:
        return self.passes(flow, UP), self.passes(flow, DOWN)

    def paths(self, flow: Flow) -> tuple[str, str]:
        """The ways of ESP up and down."""
        return self.path(flow, UP), self.path(flow, DOWN)

    def wait_paths(self, flow: Flow, wanted: str, timeout_s: float = 5.0) -> None:
        """Sends ESP both ways until it takes that path both ways."""
        wait_for(lambda: self.paths(flow) == (wanted, wanted), f"ESP of {flow.address} on the {wanted} path", timeout_s)

    def sender(self, flow: Flow, direction: str) -> Wire:
        return self.client if direction == UP else self.servers[flow.server]

    def receiver(self, flow: Flow, direction: str) -> Wire:
        return self.servers[flow.server] if direction == UP else self.client
