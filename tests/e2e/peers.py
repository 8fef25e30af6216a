"""Fake peers: UDP sockets inside the lab's namespaces that send and see what a VPN server or client never shows.

A port is bound to the wildcard address, so one socket plays all clients of a namespace: each datagram names the address
it goes out from, and each that arrives says to which address it came, with which TOS and TTL.
"""

import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import messages
from support import SECOND_VIP
from vpnlab.bench import Bench
from vpnlab.net import Namespace
from vpnlab.topology import SNAT, VIP, client_address, server_address

IP_PKTINFO, IP_RECVTTL = 8, 12  # linux/in.h
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
BUFFER_BYTES = 16 << 20
DATAGRAM_BYTES = 65535

PKTINFO = struct.Struct("=i4s4s")  # struct in_pktinfo: interface, local address, the header's destination
PKTINFO6 = struct.Struct("=16sI")
INT = struct.Struct("=i")

Address = tuple[str, int]


@dataclass(frozen=True)
class Datagram:
    """What arrived, and how."""

    data: bytes
    source: Address
    destination: str
    tos: int
    ttl: int


class Port:
    """A UDP port of a namespace, on all its addresses of one family."""

    def __init__(self, namespace: Namespace, family: int, number: int, address: str = "") -> None:
        self.family = family
        self.number = number
        self._socket = namespace.socket(_af(family), socket.SOCK_DGRAM)
        options = _OPTIONS[family] + ((socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES),
                                      (socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES))
        for level, name, value in options:
            self._socket.setsockopt(level, name, value)
        self._socket.bind((address or ("0.0.0.0" if family == 4 else "::"), number))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes, to: Address, *, source: str = "", tos: int = 0, ttl: int = 64) -> None:
        """Sends from one of the namespace's addresses (default: the kernel's choice)."""
        control: list[tuple[int, int, bytes]]
        if self.family == 4:
            control = [(socket.IPPROTO_IP, socket.IP_TOS, INT.pack(tos)),
                       (socket.IPPROTO_IP, socket.IP_TTL, INT.pack(ttl))]
            if source:
                control.append((socket.IPPROTO_IP, IP_PKTINFO, PKTINFO.pack(0, ip_address(source).packed, bytes(4))))
        else:
            control = [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, INT.pack(tos)),
                       (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, INT.pack(ttl))]
            if source:
                control.append((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, PKTINFO6.pack(ip_address(source).packed, 0)))
        self._socket.sendmsg([data], control, 0, to)

    def reply(self, request: Datagram, data: bytes, *, tos: int = 0, ttl: int = 64) -> None:
        """Answers as a server does: from the address and to the port of the question."""
        self.send(data, request.source, source=request.destination, tos=tos, ttl=ttl)

    def receive(self, timeout_s: float = 5.0) -> Datagram:
        """The next datagram; fails if none comes."""
        found = self.poll(timeout_s)
        assert found is not None, f"nothing came to port {self.number} (IPv{self.family}) within {timeout_s:.0f} s"
        return found

    def poll(self, timeout_s: float = 0.0) -> Datagram | None:
        """The next datagram, or None if none comes in time."""
        if not select.select([self], [], [], timeout_s)[0]:
            return None
        data, ancillary, _, source = self._socket.recvmsg(DATAGRAM_BYTES, 512)
        info = _read_control(ancillary)
        return Datagram(data, (source[0], source[1]), info["destination"], info["tos"], info["ttl"])

    def silent(self, for_s: float = 0.3) -> None:
        """Fails if anything comes."""
        found = self.poll(for_s)
        assert found is None, f"port {self.number} got {found!r:.200}"


_OPTIONS: Mapping[int, tuple[tuple[int, int, int], ...]] = {
    4: ((socket.IPPROTO_IP, socket.IP_RECVTOS, 1), (socket.IPPROTO_IP, IP_RECVTTL, 1),
        (socket.IPPROTO_IP, IP_PKTINFO, 1)),
    6: ((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1), (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1), (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)),
}


def _af(family: int) -> int:
    return socket.AF_INET if family == 4 else socket.AF_INET6


def _read_control(ancillary: list[tuple[int, int, bytes]]) -> dict[str, Any]:
    info: dict[str, Any] = {"destination": "", "tos": -1, "ttl": -1}
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, socket.IP_TOS):
            info["tos"] = value[0]
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_TCLASS):
            info["tos"] = INT.unpack(value)[0]
        elif (level, kind) in ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)):
            info["ttl"] = INT.unpack(value)[0]
        elif (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            info["destination"] = str(ip_address(PKTINFO.unpack(value)[2]))
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            info["destination"] = str(ip_address(PKTINFO6.unpack(value)[0]))
    return info


@dataclass
class FakeServers:
    """Ports 500 and 4500 of all servers of the lab, in the families given."""

    bench: Bench
    families: Iterable[int] = (4,)
    ports: dict[tuple[int, int, int], Port] = field(default_factory=dict)  # by server, family, number

    def __post_init__(self) -> None:
        for number, namespace in self.bench.topology.servers.items():
            for family in self.families:
                for udp in (500, 4500):
                    self.ports[number, family, udp] = Port(namespace, family, udp)

    def port(self, server: int, udp: int, family: int = 4) -> Port:
        return self.ports[server, family, udp]

    def receive(self, udp: int, family: int = 4, timeout_s: float = 5.0) -> tuple[int, Datagram]:
        """The next datagram to this port of any server, and the server."""
        choice = {port: key[0] for key, port in self.ports.items() if key[1:] == (family, udp)}
        ready = select.select(list(choice), [], [], timeout_s)[0]
        assert ready, f"no server got anything on port {udp} (IPv{family}) within {timeout_s:.0f} s"
        return choice[ready[0]], ready[0].receive()

    def collect(self, udp: int, count: int, family: int = 4, timeout_s: float = 10.0) -> list[tuple[int, Datagram]]:
        """That many datagrams to this port of the servers, each with its server."""
        deadline = time.monotonic() + timeout_s
        return [self.receive(udp, family, max(0.0, deadline - time.monotonic())) for _ in range(count)]


def handshake(
    client: Mapping[int, Port], servers: FakeServers, address: str, vip: str, spis: tuple[bytes, bytes] | None = None
) -> tuple[int, Datagram]:
    """A client connects: IKE_SA_INIT over 500, IKE_AUTH over 4500, both answered. Its server, and its IKE_AUTH as
    that server got it. `spis` are those of the IKE SA (default: fresh ones)."""
    family = client[500].family
    spi_i, spi_r = spis or (messages.spi(), messages.spi())
    client[500].send(messages.init(spi_i), (vip, 500), source=address)
    server, got = servers.receive(500, family)
    servers.port(server, 500, family).reply(got, messages.init_answer(spi_i, spi_r))
    back = client[500].receive()
    assert back.source == (vip, 500) and back.destination == address, f"the answer came as {back}"
    client[4500].send(messages.auth(spi_i, spi_r), (vip, 4500), source=address)
    second, got = servers.receive(4500, family)
    assert second == server, f"{address}: 500 went to server {server}, 4500 to server {second}"
    servers.port(server, 4500, family).reply(got, messages.auth_answer(spi_i, spi_r))
    back = client[4500].receive()
    assert back.source == (vip, 4500) and back.destination == address, f"the answer came as {back}"
    return server, got


def client_ports(bench: Bench, family: int = 4) -> dict[int, Port]:
    """Ports 500 and 4500 of all clients at once."""
    return {udp: Port(bench.topology.clients, family, udp) for udp in (500, 4500)}


def open_handshakes(client: Port, servers: FakeServers, clients: Iterable[int], vip: str) -> dict[str, int]:
    """Lets clients send an IKE_SA_INIT one after the other; which server got each, by client address."""
    got = {}
    for number in clients:
        address = client_address(number, client.family)
        client.send(messages.init(messages.spi()), (vip, 500), source=address)
        got[address] = servers.receive(500, client.family)[0]
    return got


def fake_service(
    bench: Bench,
    mode: str,
    *,
    name: str = "fake",
    families: Iterable[int] = (4,),
    vips: Mapping[int, str] = VIP,
    weights: Mapping[int, int] | None = None,
    states: Mapping[int, str] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """The configuration of a service over fake servers, which are not probed. `extra` adds or replaces keys."""
    backends = []
    for family in families:
        for number in bench.topology.servers:
            backend: dict[str, Any] = {"name": f"s{number}" if family == 4 else f"s{number}v6",
                                       "address": server_address(number, family)}
            if weights:
                backend["weight"] = weights[number]
            if states and number in states:
                backend["state"] = states[number]
            backends.append(backend)
    made = {"name": name, "vip": [vips[family] for family in families], "mode": mode, "health": {"probe": "none"},
            "backends": backends}
    if mode == "full-nat":
        made["snat"] = [SNAT[family] for family in families]
    return made | extra


def two_services(bench: Bench, families: Iterable[int] = (4, 6), **extra: Any) -> list[dict[str, Any]]:
    """A transparent service on the lab's VIPs and a full-NAT service on the second ones, over the same servers."""
    return [
        fake_service(bench, "transparent", name="open", families=families, **extra),
        fake_service(bench, "full-nat", name="nat", families=families, vips=SECOND_VIP, **extra),
    ]
