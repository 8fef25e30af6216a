"""ESP in UDP for a libreswan whose kernel does none (libreswan_kernel.c): signed, not encrypted (RFC 4303, 3948).

It reads the security associations from the file that libreswan's stand-in for the kernel writes, answers the pings that
come through the tunnels of a namespace, and sends pings through them.
"""

import hmac
import select
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from capture import checksum
from peers import IP_PKTINFO, PKTINFO, PKTINFO6
from vpnlab.net import Namespace

PORT = 4500
ICV_BYTES = 16  # HMAC-SHA-256-128, RFC 4868
IPV6_CHECKSUM = 7  # linux/in6.h
CHECKSUM_OFFSET = 6  # in a UDP header

IN_IPV4, IN_IPV6 = socket.IPPROTO_IPIP, socket.IPPROTO_IPV6  # what a tunnel carries
ECHO = {4: (8, 0), 6: (128, 129)}  # request and reply


@dataclass(frozen=True)
class Sa:
    """A security association: one line of the file."""

    incoming: bool
    spi: int
    source: str
    source_port: int
    destination: str
    destination_port: int
    reqid: int  # what the two ways of a tunnel have in common, whatever their keys
    key: bytes


@dataclass(frozen=True)
class Echo:
    """A ping, or its answer, inside a tunnel."""

    source: str
    destination: str
    reply: bool
    body: bytes  # from the identifier on


class Esp:
    """A context manager: while it is open, pings come and go."""

    def __init__(self, namespace: Namespace, sas: Path) -> None:
        self._file = sas
        self._sent: Counter[int] = Counter()  # by SPI
        self._answers: set[Echo] = set()
        self._changed = threading.Condition()
        self._awake, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._sockets = {family: namespace.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP)
                         for family in (socket.AF_INET, socket.AF_INET6)}
        self._sockets[socket.AF_INET6].setsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM, CHECKSUM_OFFSET)

    def __enter__(self) -> "Esp":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.close()
        self._thread.join()
        for opened in (self._awake, *self._sockets.values()):
            opened.close()

    def sas(self) -> list[Sa]:
        """All security associations so far, the newest last."""
        return [_read_sa(line) for line in self._file.read_text().splitlines()]

    def ping(self, outer: str, inner: str, target: str, *, size: int = 56, timeout_s: float = 2.0) -> bool:
        """Does a ping have an answer that goes from the outer address of a client, through the newest tunnel there?"""
        tunnel = next(sa for sa in reversed(self.sas()) if not sa.incoming and sa.source == outer)
        with self._changed:
            body = struct.pack("!HH", 1, sum(self._sent.values()) & 0xFFFF) + bytes(size)
            self._send(tunnel, Echo(inner, target, False, body))
            answer = Echo(target, inner, True, body)
            return self._changed.wait_for(lambda: answer in self._answers, timeout_s)

    def _run(self) -> None:
        while True:
            ready = select.select([self._awake, *self._sockets.values()], [], [])[0]
            if self._awake in ready:
                return
            for one in ready:
                packet = one.recv(65535)
                # Of IPv4 the header comes along.
                self._take(packet[(packet[0] & 0x0F) * 4 :] if one.family == socket.AF_INET else packet)

    def _take(self, udp: bytes) -> None:
        _, port, length, _ = struct.unpack_from("!HHHH", udp)
        esp = udp[8:length]
        if port != PORT or len(esp) <= 8 + ICV_BYTES or esp[:4] == bytes(4):
            return
        spi = struct.unpack_from("!I", esp)[0]
        sas = self.sas()
        sa = next((sa for sa in sas if sa.incoming and sa.spi == spi), None)
        signed, icv = esp[:-ICV_BYTES], esp[-ICV_BYTES:]
        if sa is None or not hmac.compare_digest(_icv(sa.key, signed), icv):
            return
        padding, kind = signed[-2:]
        echo = _read_echo(kind, signed[8 : len(signed) - 2 - padding])
        if echo is None:
            return
        with self._changed:
            if echo.reply:
                self._answers.add(echo)
                self._changed.notify_all()
            else:
                back = next(other for other in reversed(sas) if not other.incoming and other.reqid == sa.reqid)
                self._send(back, Echo(echo.destination, echo.source, True, echo.body))

    def _send(self, sa: Sa, echo: Echo) -> None:
        """The lock is held."""
        self._sent[sa.spi] += 1
        kind, packet = _write_echo(echo)
        padding = bytes(range(1, -(len(packet) + 2) % 4 + 1))
        signed = struct.pack("!II", sa.spi, self._sent[sa.spi]) + packet + padding + bytes((len(padding), kind))
        esp = signed + _icv(sa.key, signed)
        udp = struct.pack("!HHHH", sa.source_port, sa.destination_port, 8 + len(esp), 0) + esp
        source = ip_address(sa.source)
        if source.version == 4:
            family, choice = socket.AF_INET, (socket.IPPROTO_IP, IP_PKTINFO, PKTINFO.pack(0, source.packed, bytes(4)))
        else:
            family, choice = socket.AF_INET6, (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, PKTINFO6.pack(source.packed, 0))
        self._sockets[family].sendmsg([udp], [choice], 0, (sa.destination, 0))


def _read_sa(line: str) -> Sa:
    way, spi, source, source_port, destination, destination_port, reqid, key = line.split(" ")
    return Sa(way == "in", int(spi), source, int(source_port), destination, int(destination_port), int(reqid),
              bytes.fromhex(key))


def _icv(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")[:ICV_BYTES]


def _read_echo(kind: int, packet: bytes) -> Echo | None:
    """What a tunnel has brought, if it is an echo message in a packet without options."""
    if kind == IN_IPV4 and packet[9] == socket.IPPROTO_ICMP:
        version, addresses, icmp = 4, (packet[12:16], packet[16:20]), packet[20:]
    elif kind == IN_IPV6 and packet[6] == socket.IPPROTO_ICMPV6:
        version, addresses, icmp = 6, (packet[8:24], packet[24:40]), packet[40:]
    else:
        return None
    if icmp[0] not in ECHO[version]:
        return None
    source, destination = (str(ip_address(address)) for address in addresses)
    return Echo(source, destination, icmp[0] == ECHO[version][1], icmp[4:])


def _write_echo(echo: Echo) -> tuple[int, bytes]:
    """An echo message as a whole packet, and what kind of packet that is."""
    source, destination = ip_address(echo.source), ip_address(echo.destination)
    icmp = struct.pack("!BBH", ECHO[source.version][echo.reply], 0, 0) + echo.body
    addresses = source.packed + destination.packed
    if source.version == 6:
        seal = checksum(addresses + struct.pack("!II", len(icmp), socket.IPPROTO_ICMPV6) + icmp)
        head = struct.pack("!IHBB", 6 << 28, len(icmp), socket.IPPROTO_ICMPV6, 64) + addresses
        return IN_IPV6, head + icmp[:2] + struct.pack("!H", seal) + icmp[4:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 0, 0, 64, socket.IPPROTO_ICMP, 0) + addresses
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return IN_IPV4, head + icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
