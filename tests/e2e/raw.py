"""IPv4 packets made by hand, for what the kernel's UDP sockets would never send."""

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from vpnlab.net import Namespace

MORE_FRAGMENTS = 0x2000
UDP = socket.IPPROTO_UDP


@dataclass(frozen=True)
class UdpHeader:
    """Source and destination; `length` is what the UDP header claims (default: the truth)."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    length: int | None = None


class RawSocket:
    """A context manager that sends whole IPv4 packets from a namespace, with any source address."""

    def __init__(self, namespace: Namespace) -> None:
        self._socket = namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def __enter__(self) -> "RawSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def udp(self, header: UdpHeader, data: bytes, *, fragment: int = 0, identification: int = 0) -> None:
        """Sends a UDP packet without a checksum. `fragment` is the field of flags and offset of the IP header."""
        length = 8 + len(data) if header.length is None else header.length
        udp = struct.pack("!HHHH", header.source_port, header.destination_port, length, 0)
        self.ip(header, udp + data, fragment=fragment, identification=identification)

    def ip(self, header: UdpHeader, payload: bytes, *, fragment: int = 0, identification: int = 0) -> None:
        """Sends any IP payload as UDP; the kernel fills in length and checksum of the IP header."""
        source, destination = IPv4Address(header.source).packed, IPv4Address(header.destination).packed
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, identification, fragment, 64, UDP, 0, source, destination)
        self._socket.sendto(ip + payload, (header.destination, 0))
