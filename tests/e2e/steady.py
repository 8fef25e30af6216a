"""Steady traffic in both directions between fake clients and fake servers, every packet of which is known."""

import select
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

import messages
from peers import Datagram, FakeServers, Port, client_ports, handshake
from support import wait_for
from vpnlab.bench import Bench
from vpnlab.topology import VIP, client_address

TICK_S = 0.005
TEXT = struct.Struct("!HBId")  # stream, direction, number, time it was sent
UP, DOWN = 0, 1  # client to server, server to client


@dataclass
class Stream:
    """One client at one VIP, and its server."""

    address: str
    family: int
    vip: str
    server: int
    seen: Datagram  # the client as its server sees it
    sent: list[int] = field(default_factory=lambda: [0, 0])
    got: list[Counter[int]] = field(default_factory=lambda: [Counter(), Counter()])


class Steady:
    """A context manager: between its beginning and its end the clients and their servers send to each other, on port
    4500. Each client has gone through a handshake before, with each of the VIPs. Meanwhile the ports 500 are free for
    others to use, and all ports when it has been finished."""

    def __init__(
        self,
        bench: Bench,
        clients: Iterable[int],
        families: Iterable[int],
        rate: int,
        *,
        vips: Iterable[Mapping[int, str]] = (VIP,),
    ) -> None:
        self._rate = rate  # packets a second in each direction, of all clients together
        self.servers = FakeServers(bench, families)
        self.clients = {family: client_ports(bench, family) for family in families}
        self.streams = [self._connect(client_address(number, family), family, vip[family])
                        for number in clients for family in families for vip in vips]
        self.longest_s = 0.0  # from sending to receiving
        self.astray: list[str] = []  # what came another way than it should
        self._ending = False
        self._thread = threading.Thread(target=self._run)

    def _connect(self, address: str, family: int, vip: str) -> Stream:
        server, got = handshake(self.clients[family], self.servers, address, vip)
        return Stream(address, family, vip, server, got)

    def __enter__(self) -> "Steady":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()
        for ports in (self.servers.ports, *self.clients.values()):
            for port in ports.values():
                port.close()

    def finish(self) -> None:
        """Stops sending, and waits for what is under way."""
        self._ending = True
        self._thread.join()

    def check(self) -> None:
        """Finishes; every packet must have arrived, once, where the client and its server were from the beginning."""
        self.finish()
        assert self.sent(), "nothing was sent: the test shows nothing"
        assert not self.lost() and not self.doubled(), self.figure()
        assert not self.astray, self.astray[:5]

    def sent(self) -> int:
        return sum(sum(stream.sent) for stream in self.streams)

    def lost(self) -> int:
        return self.sent() - sum(len(got) for stream in self.streams for got in stream.got)

    def doubled(self) -> int:
        return sum(got.total() - len(got) for stream in self.streams for got in stream.got)

    def wait_sent(self, count: int) -> None:
        """Waits until so many packets more have been sent."""
        goal = self.sent() + count
        wait_for(lambda: self.sent() >= goal, f"{count} packets sent", 30.0)

    def figure(self) -> str:
        """What became of it all, for people to read."""
        return (f"{self.sent()} packets sent, {self.lost()} lost, {self.doubled()} doubled; "
                f"the longest was under way for {self.longest_s * 1000:.0f} ms")

    def _run(self) -> None:
        begin, turns = time.monotonic(), 0
        while not self._ending:
            due = int((time.monotonic() - begin) * self._rate)
            for turn in range(turns, due):
                self._send(self.streams[turn % len(self.streams)], turn % len(self.streams))
            turns = max(turns, due)
            self._receive(TICK_S)
        deadline = time.monotonic() + 2.0
        while self.lost() and time.monotonic() < deadline:
            self._receive(0.1)

    def _send(self, stream: Stream, number: int) -> None:
        """One packet each way."""
        for direction in (UP, DOWN):
            data = messages.esp(TEXT.pack(number, direction, stream.sent[direction], time.monotonic()))
            if direction == UP:
                self.clients[stream.family][4500].send(data, (stream.vip, 4500), source=stream.address)
            else:
                self.servers.port(stream.server, 4500, stream.family).reply(stream.seen, data)
            stream.sent[direction] += 1

    def _receive(self, timeout_s: float) -> None:
        ports = [ports[4500] for ports in self.clients.values()]
        ports += [port for (_, _, number), port in self.servers.ports.items() if number == 4500]
        for port in select.select(ports, [], [], timeout_s)[0]:
            found = port.poll()
            while found is not None:
                self._note(port, found)
                found = port.poll()

    def _note(self, port: Port, found: Datagram) -> None:
        number, direction, packet, sent_s = TEXT.unpack(messages.esp_text(found.data))
        stream = self.streams[number]
        if direction == UP:
            right = (port is self.servers.port(stream.server, 4500, stream.family)
                     and found.source == stream.seen.source)
        else:
            right = found.source == (stream.vip, 4500) and found.destination == stream.address
        if not right:
            self.astray.append(f"packet {packet} of {stream.address}, direction {direction}: {found!r:.200}")
        stream.got[direction][packet] += 1
        self.longest_s = max(self.longest_s, time.monotonic() - sent_s)
