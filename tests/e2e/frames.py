"""Ethernet frames made by hand, right or wrong in any field, and read again byte by byte."""

import struct
from dataclasses import dataclass, replace
from ipaddress import ip_address

from capture import checksum

IPV4, IPV6, VLAN = 0x0800, 0x86DD, 0x8100
UDP = 17
FRAGMENT_HEADER = 44  # RFC 8200 section 4.5
DONT_FRAGMENT, MORE_FRAGMENTS, OFFSET_MASK = 0x4000, 0x2000, 0x1FFF
BROADCAST = b"\xff" * 6
NO_CHECKSUM, RIGHT, WRONG = "none", "right", "wrong"

Link = tuple[bytes, bytes]  # source and destination


@dataclass(frozen=True)
class Packet:
    """A UDP datagram in one IP packet. By default all is as it should be."""

    source: str
    destination: str
    source_port: int
    destination_port: int
    payload: bytes
    ttl: int = 64
    tos: int = 0
    label: int = 0  # IPv4: the identification; IPv6: the flow label
    flags: int = 0  # IPv4: flags and fragment offset
    checksum: str = RIGHT  # of UDP
    options: bytes = b""  # of IPv4, in words of four bytes
    extensions: tuple[tuple[int, bytes], ...] = ()  # of IPv6: kind, and all but its first byte
    protocol: int = UDP
    version: int | None = None  # these are what the headers claim; None: the truth
    ip_length: int | None = None
    udp_length: int | None = None
    header_words: int | None = None
    header_error: int = 0  # added to the checksum of IPv4's header
    cut: int = 0  # bytes that are missing at the end
    padding: int = 0  # bytes of the frame behind the packet

    @property
    def family(self) -> int:
        return ip_address(self.source).version

    def ip(self) -> bytes:
        """The IP packet, without padding."""
        udp = self._udp()
        whole = self._ipv4(udp) if self.family == 4 else self._ipv6(udp)
        return whole[: len(whole) - self.cut]

    def frame(self, link: Link, vlan: int | None = None) -> bytes:
        """The Ethernet frame between two MAC addresses, with a tag if a VLAN is given."""
        return ethernet(link, self.family, self.ip() + bytes(self.padding), vlan)

    def with_right_checksum(self) -> "Packet":
        return replace(self, checksum=RIGHT)

    def _udp(self) -> bytes:
        length = 8 + len(self.payload) if self.udp_length is None else self.udp_length
        head = struct.pack("!HHH", self.source_port, self.destination_port, length)
        found = 0
        if self.checksum != NO_CHECKSUM:
            found = udp_checksum(self.source, self.destination, head + bytes(2) + self.payload, length)
        if self.checksum == WRONG:
            found = (found ^ 0x5555) or 0x5555
        return head + struct.pack("!H", found) + self.payload

    def _ipv4(self, udp: bytes) -> bytes:
        words = 5 + len(self.options) // 4
        version = 4 if self.version is None else self.version
        claimed = words if self.header_words is None else self.header_words
        length = 4 * words + len(udp) if self.ip_length is None else self.ip_length
        head = struct.pack("!BBHHHBBH", version << 4 | claimed, self.tos, length, self.label, self.flags, self.ttl,
                           self.protocol, 0)
        head += ip_address(self.source).packed + ip_address(self.destination).packed + self.options
        found = (checksum(head) + self.header_error) & 0xFFFF
        return head[:10] + struct.pack("!H", found) + head[12:] + udp

    def _ipv6(self, udp: bytes) -> bytes:
        body, following = udp, self.protocol
        for kind, rest in reversed(self.extensions):
            body, following = bytes((following,)) + rest + body, kind
        version = 6 if self.version is None else self.version
        length = len(body) if self.ip_length is None else self.ip_length
        head = struct.pack("!IHBB", version << 28 | self.tos << 20 | self.label, length, following, self.ttl)
        return head + ip_address(self.source).packed + ip_address(self.destination).packed + body


def ethernet(link: Link, family: int, ip: bytes, vlan: int | None = None) -> bytes:
    kind = struct.pack("!H", IPV4 if family == 4 else IPV6)
    if vlan is not None:
        kind = struct.pack("!HH", VLAN, vlan) + kind
    return link[1] + link[0] + kind + ip


def fragments(packet: Packet, size: int, identification: int) -> list[bytes]:
    """The IP packets that a router makes of this one; `size` is what each but the last carries, a multiple of eight."""
    whole = packet.ip()
    header = 20 if packet.family == 4 else 40
    body = whole[header:]
    made = []
    for offset in range(0, len(body), size):
        part = body[offset : offset + size]
        more = offset + size < len(body)
        if packet.family == 4:
            field = offset // 8 | (MORE_FRAGMENTS if more else 0)
            head = whole[:2] + struct.pack("!HHH", header + len(part), identification, field) + whole[8:10] + bytes(2)
            head += whole[12:20]
            made.append(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + part)
        else:
            extension = struct.pack("!BBHI", UDP, 0, offset | more, identification)
            head = whole[:4] + struct.pack("!HB", len(extension) + len(part), FRAGMENT_HEADER) + whole[7:40]
            made.append(head + extension + part)
    return made


def udp_checksum(source: str, destination: str, udp: bytes, length: int) -> int:
    """That of a UDP header with a zero in its place, and payload; never zero, which would say that there is none."""
    pseudo = ip_address(source).packed + ip_address(destination).packed + struct.pack("!II", length, UDP)
    return checksum(pseudo + udp) or 0xFFFF


@dataclass(frozen=True)
class Seen:
    """A frame as it was on the wire."""

    link: Link
    vlan: int | None
    family: int
    ip: bytes  # without padding
    padding: int

    @property
    def source(self) -> str:
        return str(ip_address(self.ip[12:16] if self.family == 4 else self.ip[8:24]))

    @property
    def destination(self) -> str:
        return str(ip_address(self.ip[16:20] if self.family == 4 else self.ip[24:40]))

    @property
    def protocol(self) -> int:
        return self.ip[9 if self.family == 4 else 6]

    @property
    def ttl(self) -> int:
        return self.ip[8 if self.family == 4 else 7]

    @property
    def tos(self) -> int:
        return self.ip[1] if self.family == 4 else struct.unpack_from("!I", self.ip)[0] >> 20 & 0xFF

    @property
    def label(self) -> int:
        """IPv4: the identification; IPv6: the flow label."""
        if self.family == 4:
            return int(struct.unpack_from("!H", self.ip, 4)[0])
        return int(struct.unpack_from("!I", self.ip)[0]) & 0xFFFFF

    @property
    def flags(self) -> int:
        return int(struct.unpack_from("!H", self.ip, 6)[0]) if self.family == 4 else 0

    @property
    def is_fragment(self) -> bool:
        return bool(self.flags & (MORE_FRAGMENTS | OFFSET_MASK)) or self.protocol == FRAGMENT_HEADER

    @property
    def body(self) -> bytes:
        """What follows the IP header."""
        return self.ip[(self.ip[0] & 0x0F) * 4 :] if self.family == 4 else self.ip[40:]

    @property
    def is_udp(self) -> bool:
        return self.protocol == UDP and not self.is_fragment and len(self.body) >= 8

    @property
    def ports(self) -> tuple[int, int]:
        return struct.unpack_from("!HH", self.body)

    @property
    def payload(self) -> bytes:
        return self.body[8:]

    @property
    def checksum(self) -> int:
        return int(struct.unpack_from("!H", self.body, 6)[0])

    def residue(self) -> int:
        """What the UDP checksum says of the datagram: 0 if it is right, else by how much it is not (RFC 1071)."""
        udp = self.body
        length = struct.unpack_from("!H", udp, 4)[0]
        pseudo = ip_address(self.source).packed + ip_address(self.destination).packed + struct.pack("!II", length, UDP)
        return checksum(pseudo + udp)

    def header_is_right(self) -> bool:
        return self.family == 6 or checksum(self.ip[: (self.ip[0] & 0x0F) * 4]) == 0


def read(frame: bytes, vlan: int | None = None) -> Seen | None:
    """Reads a frame; None if it holds no IP. `vlan` is a tag that the kernel has taken out of it."""
    link = (frame[6:12], frame[:6])
    (kind,) = struct.unpack_from("!H", frame, 12)
    ip = frame[14:]
    if kind == VLAN:
        tag, kind = struct.unpack_from("!HH", frame, 14)
        vlan, ip = tag & 0xFFF, frame[18:]
    if kind == IPV4 and len(ip) >= 20:
        length = struct.unpack_from("!H", ip, 2)[0]
    elif kind == IPV6 and len(ip) >= 40:
        length = 40 + struct.unpack_from("!H", ip, 4)[0]
    else:
        return None
    return Seen(link, vlan, 4 if kind == IPV4 else 6, ip[:length], max(0, len(ip) - length))
