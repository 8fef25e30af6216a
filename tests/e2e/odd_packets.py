"""Packets of all kinds on a flow, drawn by chance from a seed, each with the path that it has to take."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

import messages
from frames import (
    BROADCAST,
    DONT_FRAGMENT,
    MORE_FRAGMENTS,
    NO_CHECKSUM,
    WRONG,
    Link,
    Packet,
    ethernet,
    fragments,
    read,
    udp_checksum,
)
from vpnlab.topology import client_address, server_address
from wires import FAST, SLOW, UP, Flow

MTU = 1400  # of the routes to either side; the cables take 1500
CABLE_MTU = 1500
MIN_FRAME = 60  # what a network card fills frames up to

HOP_BY_HOP, DESTINATION_OPTIONS, FRAGMENT = 0, 60, 44
PADDING_OPTION = bytes((0, 1, 4, 0, 0, 0, 0))  # an extension header of eight bytes without its first, RFC 8200 section 4.2


@dataclass(frozen=True)
class Case:
    """What goes in, and the path that it takes if there is a fast one. `spoilt`: it is the case before it with a wrong
    UDP checksum."""

    name: str
    frames: tuple[bytes, ...]
    path: str
    packet: Packet
    spoilt: bool = False


class Dice:
    """Draws packets for one direction of a flow. Identifications of fragments differ by `run`: what is incomplete waits
    for half a minute."""

    def __init__(self, flow: Flow, direction: str, link: Link, chance: Random, run: int = 0) -> None:
        self.flow, self.direction, self.link, self.chance, self.run = flow, direction, link, chance, run
        self.header = 20 if flow.family == 4 else 40

    def spi(self) -> int:
        return self.flow.up_spi if self.direction == UP else self.flow.down_spi

    def room(self, mtu: int) -> int:
        """The largest payload of a packet of that size."""
        return mtu - self.header - 8

    def fields(self) -> dict[str, int]:
        """TTL, TOS and flags that all paths take."""
        flags = self.chance.choice((0, DONT_FRAGMENT)) if self.flow.family == 4 else 0
        return {"ttl": self.chance.choice((2, 3, 64, 255)), "tos": self.chance.randrange(256), "flags": flags}

    def identification(self) -> int:
        return self.chance.randrange(1, 1 << 14) << 2 | self.run

    def esp(self, size: int, spi: int | None = None) -> bytes:
        head = struct.pack("!II", self.spi() if spi is None else spi, self.chance.randrange(1 << 32))
        return head + self.chance.randbytes(size - len(head))

    def packet(self, payload: bytes | None = None, **changes: object) -> Packet:
        """By default ESP that fits."""
        payload = self.esp(self.chance.randrange(8, self.room(MTU) + 1)) if payload is None else payload
        return self.flow.packet(self.direction, payload, **{**self.fields(), **changes})

    def small(self, **changes: object) -> Packet:
        return self.packet(self.esp(self.chance.randrange(8, 200)), **changes)

    def case(self, name: str, packet: Packet, path: str, **others: bool) -> Case:
        return Case(name, (packet.frame(self.link),), path, packet, **others)


Kind = Callable[[Dice], Iterator[Case]]


def plain(dice: Dice) -> Iterator[Case]:
    yield dice.case("ESP", dice.packet(), FAST)


def without_checksum(dice: Dice) -> Iterator[Case]:
    path = FAST if dice.flow.family == 4 else SLOW
    yield dice.case("no UDP checksum", dice.packet(checksum=NO_CHECKSUM), path)


def wrong_checksum(dice: Dice) -> Iterator[Case]:
    packet = dice.packet()
    yield dice.case("right UDP checksum", packet, FAST)
    yield dice.case("wrong UDP checksum", replace(packet, checksum=WRONG), FAST, spoilt=True)


def sizes(dice: Dice) -> Iterator[Case]:
    """At and beyond the limits."""
    size = dice.chance.choice((8, 9, 10, 11, dice.room(MTU) - 1, dice.room(MTU), dice.room(MTU) + 1,
                               dice.room(CABLE_MTU)))
    yield dice.case("ESP at the limits", dice.packet(dice.esp(size)), FAST if size <= dice.room(MTU) else SLOW)


def too_large(dice: Dice) -> Iterator[Case]:
    size = dice.chance.randrange(dice.room(MTU) + 1, dice.room(CABLE_MTU) + 1)
    yield dice.case("larger than the route's MTU", dice.packet(dice.esp(size)), SLOW)


def keepalive(dice: Dice) -> Iterator[Case]:
    kinds = ("right", NO_CHECKSUM) if dice.flow.family == 4 else ("right",)
    padding = dice.chance.choice((0, max(0, MIN_FRAME - 14 - dice.header - 9)))
    packet = dice.packet(messages.KEEPALIVE, checksum=dice.chance.choice(kinds), padding=padding)
    yield dice.case("keepalive", packet, FAST)


def padded(dice: Dice) -> Iterator[Case]:
    """Behind the packet the frame goes on."""
    yield dice.case("padding", dice.packet(dice.esp(8), padding=dice.chance.randrange(1, 20)), FAST)


def short(dice: Dice) -> Iterator[Case]:
    size = dice.chance.randrange(0, 8)
    payload = dice.chance.randbytes(size) if size != 1 else bytes((dice.chance.randrange(255),))
    yield dice.case("short payload", dice.packet(payload), SLOW)


def ike(dice: Dice) -> Iterator[Case]:
    exchange = dice.chance.choice((36, messages.INFORMATIONAL))
    known = dice.chance.random() < 0.5
    spis = (dice.flow.spi_i, dice.flow.spi_r) if known else (dice.chance.randbytes(8), dice.chance.randbytes(8))
    flags = dice.chance.choice((0, messages.INITIATOR, messages.RESPONSE))
    size = dice.chance.randrange(4, 300)
    message = messages.ike(exchange, *spis, flags=flags, message_id=dice.chance.randrange(1 << 31),
                           body=dice.chance.randbytes(size))
    yield dice.case("IKE", dice.packet(messages.MARKER + message), SLOW)


def garbage(dice: Dice) -> Iterator[Case]:
    yield dice.case("garbage behind the marker", dice.packet(
        messages.MARKER + bytes(8) + dice.chance.randbytes(dice.chance.randrange(0, 60))), SLOW)


def unknown_spi(dice: Dice) -> Iterator[Case]:
    """Of the backends' any is good."""
    path = SLOW if dice.direction == UP else FAST
    yield dice.case("other SPI", dice.packet(dice.esp(64, dice.chance.randrange(1, 0xC0000000))), path)


def small_ttl(dice: Dice) -> Iterator[Case]:
    yield dice.case("TTL used up", dice.small(ttl=dice.chance.randrange(2)), SLOW)


def in_fragments(dice: Dice) -> Iterator[Case]:
    packet = dice.packet(dice.esp(dice.chance.randrange(320, dice.room(MTU))), flags=0)
    parts = fragments(packet, 8 * dice.chance.randrange(2, 40), dice.identification())
    if dice.chance.random() < 0.2:
        parts.reverse()
    if dice.chance.random() < 0.1:
        parts.pop()
    frames = tuple(ethernet(dice.link, dice.flow.family, part) for part in parts)
    yield Case("fragments", frames, SLOW, packet)


def lone_fragment(dice: Dice) -> Iterator[Case]:
    """A datagram that is whole but for what its IP header says of it."""
    if dice.flow.family == 4:
        flags = dice.chance.choice((MORE_FRAGMENTS, 1, 185, 0x1FFF, MORE_FRAGMENTS | 5))
        packet = dice.small(flags=flags, label=dice.identification())
    else:
        field = dice.chance.choice((0, 1, 8, 9))
        rest = struct.pack("!BHI", 0, field, dice.identification())
        packet = dice.small(extensions=((FRAGMENT, rest),))
    yield dice.case("lone fragment", packet, SLOW)


def options(dice: Dice) -> Iterator[Case]:
    if dice.flow.family == 4:
        kind = dice.chance.choice((b"\x01\x01\x01\x00", b"\x94\x04\x00\x00", b"\x07\x07\x04\x00\x00\x00\x00\x00",
                                   b"\x44\x02\x00\x00", bytes(40)))
        packet = dice.small(options=kind)
    else:
        kinds = dice.chance.choice(((HOP_BY_HOP,), (DESTINATION_OPTIONS,), (HOP_BY_HOP, DESTINATION_OPTIONS)))
        packet = dice.small(extensions=tuple((kind, PADDING_OPTION) for kind in kinds))
    yield dice.case("IP options", packet, SLOW)


def header_checksum(dice: Dice) -> Iterator[Case]:
    if dice.flow.family == 4:
        yield dice.case("wrong header checksum", dice.small(header_error=dice.chance.randrange(1, 0xFFFF)), SLOW)


def ip_lengths(dice: Dice) -> Iterator[Case]:
    packet = dice.small()
    truth = len(packet.ip()) - (0 if dice.flow.family == 4 else 40)
    yield dice.case("wrong IP length", replace(
        packet, ip_length=max(0, truth + dice.chance.choice((-30, -8, -1, 1, 8, 700)))), SLOW)


def udp_lengths(dice: Dice) -> Iterator[Case]:
    packet = dice.small()
    truth = 8 + len(packet.payload)
    claimed = dice.chance.choice((0, 7, 8, truth - 1, truth - 4, truth + 1, truth + 8, 0xFFFF))
    # The checksum is right for who believes the length.
    yield dice.case("wrong UDP length", replace(packet, payload=packet.payload, udp_length=claimed), SLOW)


def truncated(dice: Dice) -> Iterator[Case]:
    """The frame ends before the packet does, whatever of it that leaves."""
    packet = dice.small()
    checksums = (packet.checksum, NO_CHECKSUM) if dice.flow.family == 4 else (packet.checksum,)
    cut = dice.chance.choice((1, 4, len(packet.payload) - 1, len(packet.payload), len(packet.payload) + 8))
    yield dice.case("truncated", replace(packet, checksum=dice.chance.choice(checksums), cut=cut), SLOW)


def headers(dice: Dice) -> Iterator[Case]:
    if dice.chance.random() < 0.5:
        packet = dice.small(version=dice.chance.choice((0, 5, 6 if dice.flow.family == 4 else 4, 15)))
    elif dice.flow.family == 4:
        packet = dice.small(header_words=dice.chance.choice((0, 4, 6, 15)))
    else:
        packet = dice.small(protocol=dice.chance.choice((59, 255)))
    yield dice.case("wrong header", packet, SLOW)


def other_protocol(dice: Dice) -> Iterator[Case]:
    """UDP-Lite (RFC 3828) looks like UDP."""
    yield dice.case("other protocol", dice.small(protocol=136), SLOW)


def link_addresses(dice: Dice) -> Iterator[Case]:
    packet = dice.small()
    other = bytearray(dice.link[1])
    other[dice.chance.randrange(6)] ^= 0x10
    destination = dice.chance.choice((BROADCAST, b"\x01\x00\x5e\x00\x00\x01", bytes(other)))
    yield Case("to another MAC address", (packet.frame((dice.link[0], destination)),), SLOW, packet)


def tagged(dice: Dice) -> Iterator[Case]:
    """A VLAN that is not there; 0 is none at all (IEEE 802.1Q)."""
    packet = dice.small()
    vlan = dice.chance.choice((0, 0x2000, 7, 4095))
    yield Case("tagged", (packet.frame(dice.link, vlan),), SLOW, packet)


def other_ends(dice: Dice) -> Iterator[Case]:
    """Somebody else's, as like to this flow's as can be. What full NAT would make of it depends on chance."""
    family, nat = dice.flow.family, dice.flow.seen_as[0] != dice.flow.address
    changes: list[dict[str, object]] = [{"destination_port": 4501}, {"destination_port": 500}]
    if dice.direction == UP and not nat:
        changes.append({"source": client_address(2, family)})
    if dice.direction != UP:
        changes += [{"source_port": 500}, {"source": server_address(50, family), "ttl": 64}]
    yield dice.case("other ends", dice.small(**dice.chance.choice(changes)), SLOW)


def zero_checksums(dice: Dice) -> Iterator[Case]:
    """A checksum that comes out as zero, before or behind ikelb, is sent as its complement (RFC 768)."""
    packet = dice.packet(dice.esp(2 * dice.chance.randrange(8, 100)))
    seen = outside_in(dice, packet) if dice.chance.random() < 0.7 else packet
    word = _sum(replace(seen, payload=packet.payload[:-2] + bytes(2)))
    yield dice.case("zero as a checksum", replace(packet, payload=packet.payload[:-2] + struct.pack("!H", word)), FAST)


def as_if_unfinished(dice: Dice) -> Iterator[Case]:
    """A checksum that is right, and looks like one that the hardware is to finish: the sum of the pseudo header."""
    packet = dice.packet(dice.esp(2 * dice.chance.randrange(8, 100)))
    blank = replace(packet, payload=packet.payload[:-2] + bytes(2))
    pseudo = _sum(blank, pseudo_only=True)
    word = (_sum(blank) + pseudo) % 0xFFFF  # ~(sum + word) has to be ~pseudo's complement
    made = replace(packet, payload=packet.payload[:-2] + struct.pack("!H", word))
    assert looks_unfinished(made)
    yield dice.case("as if unfinished", made, FAST)


def looks_unfinished(packet: Packet) -> bool:
    """Is the checksum what a stack leaves to the hardware: the sum of the pseudo header?"""
    seen = read(packet.frame((bytes(6), bytes(6))))
    return seen is not None and seen.checksum == _sum(packet, pseudo_only=True) ^ 0xFFFF



def _sum(packet: Packet, *, pseudo_only: bool = False) -> int:
    """The checksum of a datagram, or of its pseudo header alone."""
    length = 8 + len(packet.payload)
    udp = b"" if pseudo_only else struct.pack("!HHHH", packet.source_port, packet.destination_port, length, 0)
    found = udp_checksum(packet.source, packet.destination, udp + (b"" if pseudo_only else packet.payload), length)
    return 0 if found == 0xFFFF else found


def outside_in(dice: Dice, packet: Packet) -> Packet:
    """The packet as it leaves ikelb."""
    flow = dice.flow
    if dice.direction == UP:
        return replace(packet, source=flow.seen_as[0], source_port=flow.seen_as[1],
                       destination=server_address(flow.server, flow.family))
    return replace(packet, source=flow.vip, destination=flow.address, destination_port=flow.port)


# How often each kind is drawn.
KINDS: dict[Kind, int] = {
    plain: 12, without_checksum: 4, wrong_checksum: 4, sizes: 4, too_large: 2, keepalive: 4, padded: 2, short: 2, ike: 3,
    garbage: 1, unknown_spi: 3, small_ttl: 2, in_fragments: 3, lone_fragment: 2, options: 2, header_checksum: 2,
    ip_lengths: 2, udp_lengths: 3, truncated: 3, headers: 2, other_protocol: 1, link_addresses: 2, tagged: 2,
    other_ends: 2, zero_checksums: 4, as_if_unfinished: 2,
}  # fmt: skip


def draw(flow: Flow, direction: str, link: Link, seed: str, count: int, run: int) -> list[Case]:
    """So many cases and some more; the same for the same seed, but for the run's and the flow's own."""
    dice = Dice(flow, direction, link, Random(f"{seed} {direction}"), run)
    flow.chance = Random(f"{seed} {direction} labels")
    cases: list[Case] = []
    while len(cases) < count:
        (kind,) = dice.chance.choices(list(KINDS), weights=list(KINDS.values()))
        cases += kind(dice)
    return cases
