"""Looks at packets as they are on a wire."""

import select
import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType

from vpnlab.net import Namespace

ETH_P_ALL = 3
ETHERNET_BYTES = 14
UDP = socket.IPPROTO_UDP


@dataclass(frozen=True)
class UdpPacket:
    """A UDP packet that was not fragmented."""

    source: str
    source_port: int
    destination_port: int
    payload: bytes
    checksum: int
    right_checksum: int
    ip_header_is_right: bool
    identification: int  # IPv4


class Capture:
    """A context manager: what comes in at a link of a namespace while it is open."""

    def __init__(self, namespace: Namespace, link: str) -> None:
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.bind((link, ETH_P_ALL))

    def __enter__(self) -> "Capture":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def udp(self, source: str, port: int, timeout_s: float = 5.0) -> UdpPacket:
        """The next incoming UDP packet from that address to that port."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left_s)[0]:
                break
            frame, (_, _, kind, *_) = self._socket.recvfrom(65535)
            packet = _parse(frame[ETHERNET_BYTES:]) if kind != socket.PACKET_OUTGOING else None
            if packet and packet.source == source and packet.destination_port == port:
                return packet
        raise AssertionError(f"no UDP packet from {source} to port {port} was seen")


def checksum(data: bytes) -> int:
    """The Internet checksum, RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _parse(packet: bytes) -> UdpPacket | None:
    version = packet[0] >> 4
    if version == 4 and packet[9] == UDP:
        header = (packet[0] & 0x0F) * 4
        total = struct.unpack_from("!H", packet, 2)[0]
        whole = struct.unpack_from("!H", packet, 6)[0] & 0x3FFF == 0  # neither offset nor more fragments
        good = checksum(packet[:header]) == 0 and total <= len(packet)
        identification = struct.unpack_from("!H", packet, 4)[0]
        udp = packet[header:total]
        return _parse_udp(packet[12:16], packet[16:20], udp, good, identification) if whole else None
    if version == 6 and packet[6] == UDP:
        length = struct.unpack_from("!H", packet, 4)[0]
        return _parse_udp(packet[8:24], packet[24:40], packet[40 : 40 + length], 40 + length <= len(packet))
    return None


def _parse_udp(source: bytes, destination: bytes, udp: bytes, good: bool, identification: int = 0) -> UdpPacket:
    source_port, destination_port, length, found = struct.unpack_from("!HHHH", udp)
    pseudo = source + destination + struct.pack("!II", length, UDP)
    # A checksum that comes out as zero is sent as its complement: RFC 768.
    right = checksum(pseudo + udp[:6] + b"\0\0" + udp[8:]) or 0xFFFF
    return UdpPacket(str(ip_address(source)), source_port, destination_port, udp[8:], found, right,
                     good and length == len(udp), identification)
