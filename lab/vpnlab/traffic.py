"""Pings through tunnels: one raw socket sends them for all clients, each from the client's virtual address."""

import os
import select
import socket
import struct
import time
from collections.abc import Iterable
from ipaddress import IPv4Address

from .net import Namespace

ECHO_REPLY, ECHO_REQUEST = 0, 8
IP_PKTINFO = 8
# struct in_pktinfo of linux/in.h: interface index, local address, header destination address.
PKTINFO = struct.Struct("=i4s4s")


def ping(
    namespace: Namespace, sources: Iterable[str], target: str, *, rounds: int = 3, wait_s: float = 1.0, size: int = 56
) -> set[str]:
    """Pings `target` from each source address and returns the sources that got an answer.

    A source that has not answered is asked again, `rounds` times at most, each time after up to wait_s.
    """
    missing = set(sources)
    answered: set[str] = set()
    with open_socket(namespace) as raw:
        identifier = os.getpid() & 0xFFFF
        for sequence in range(rounds):
            for source in missing:
                send_echo(raw, source, target, identifier, sequence, size)
            deadline = time.monotonic() + wait_s
            while missing and (left_s := deadline - time.monotonic()) > 0:
                if select.select([raw], [], [], left_s)[0]:
                    if found := receive_echo(raw, target, identifier):
                        answered |= missing & {found[0]}
                        missing -= answered
            if not missing:
                break
    return answered


def open_socket(namespace: Namespace) -> socket.socket:
    """A socket of the namespace for `send_echo` and `receive_echo`."""
    raw = namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    raw.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return raw


def send_echo(raw: socket.socket, source: str, target: str, identifier: int, sequence: int, size: int) -> None:
    """Sends one ping from a source address. One that cannot be sent is lost, as it would be on the way."""
    head = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, identifier, sequence)
    packet = head + bytes(size)
    packet = packet[:2] + struct.pack("!H", _checksum(packet)) + packet[4:]
    # The kernel takes the packet's source address from here, so one socket serves all clients.
    choice = PKTINFO.pack(0, IPv4Address(source).packed, bytes(4))
    try:
        raw.sendmsg([packet], [(socket.IPPROTO_IP, IP_PKTINFO, choice)], 0, (target, 0))
    except OSError:
        pass  # The tunnel, and its address, has gone: it stays among the unanswered.


def receive_echo(raw: socket.socket, target: str, identifier: int) -> tuple[str, int] | None:
    """The address that an echo reply of ours came to, and its sequence number; None for every other packet."""
    packet = raw.recv(65535)
    header_length = (packet[0] & 0x0F) * 4
    kind, _, _, got, sequence = struct.unpack_from("!BBHHH", packet, header_length)
    if kind != ECHO_REPLY or got != identifier or packet[12:16] != IPv4Address(target).packed:
        return None
    return str(IPv4Address(packet[16:20])), sequence


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
