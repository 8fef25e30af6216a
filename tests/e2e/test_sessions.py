"""Sessions are known by their SPI pairs: who has the pair is followed, who has less of it is not. Fake peers."""

from dataclasses import dataclass
from typing import Any

import messages
from peers import Datagram, FakeServers, Port, client_ports, fake_service, handshake
from support import equal, lab, listed_client, start, wait_for
from variants import every_path
from vpnlab.bench import Bench
from vpnlab.topology import VIP, client_address

SERVERS = 3
# So many that they cannot all have gone to the right server by chance.
OWNERS = range(1, 13)
PLACES = 20  # new places of one session in so short a time: more than its owner would need, fewer than replays
ELSEWHERE = 100  # Client n moves to the address of client 100 + n.


@dataclass
class Session:
    """An established session: its client, its server, the server's view of the client, its SPIs."""

    client: int
    server: int
    seen: Datagram
    spi_i: bytes
    spi_r: bytes
    by_client: bool = True  # The client is the IKE SA's initiator; after a rekeying it may be the server.

    def request(self, message_id: int, spi_r: bytes = b"") -> bytes:
        """An INFORMATIONAL of the client for port 4500."""
        flags = messages.INITIATOR if self.by_client else 0
        return self._informational(flags, message_id, spi_r or self.spi_r)

    def answer(self, message_id: int) -> bytes:
        """The server's answer to that."""
        flags = messages.RESPONSE | (0 if self.by_client else messages.INITIATOR)
        return self._informational(flags, message_id, self.spi_r)

    def _informational(self, flags: int, message_id: int, spi_r: bytes) -> bytes:
        return messages.MARKER + messages.ike(messages.INFORMATIONAL, self.spi_i, spi_r, flags=flags,
                                              message_id=message_id, body=bytes(48))


class Peers:
    """Fake servers, fake clients, and a session for each of the first clients."""

    def __init__(self, bench: Bench, mode: str, **extra: Any) -> None:
        self.balancer = start(bench, [fake_service(bench, mode, **extra)], ready=False)
        self.servers = FakeServers(bench)
        self.client = client_ports(bench)
        self.sessions = [self._establish(number) for number in OWNERS]

    def _establish(self, number: int) -> Session:
        server, got = handshake(self.client, self.servers, client_address(number), VIP[4])
        marker = len(messages.MARKER)
        return Session(number, server, got, got.data[marker : marker + 8], got.data[marker + 8 : marker + 16])

    def send(self, client: int, data: bytes, port: Port | None = None) -> tuple[int, Datagram]:
        """A datagram of a client to port 4500. Which server got it, and how."""
        (port or self.client[4500]).send(data, (VIP[4], 4500), source=client_address(client))
        return self.servers.receive(4500)

    def reach(self, session: Session, got: Datagram, data: bytes, client: int) -> None:
        """A datagram of the server to where it saw `got` come from reaches this client, and comes from the VIP."""
        self.servers.port(session.server, 4500).reply(got, data)
        back = self.client[4500].receive()
        equal((back.source, back.destination, back.data), ((VIP[4], 4500), client_address(client), data),
              f"what server {session.server} sends to client {client}")


def check_followed(mode: str) -> None:
    with lab(clients=ELSEWHERE + len(OWNERS), servers=SERVERS) as bench:
        peers = Peers(bench, mode)
        for session in peers.sessions:
            new = ELSEWHERE + session.client
            server, got = peers.send(new, session.request(2))
            equal(server, session.server, f"the server that client {session.client} reaches from its new address")
            # Nobody has confirmed the move yet: the old path serves in both directions.
            server, old = peers.send(session.client, messages.esp(b"old path"))
            equal((server, old.source), (session.server, session.seen.source), "server and source of the old path")
            peers.reach(session, old, messages.esp(b"old path"), session.client)
            peers.reach(session, got, session.answer(2), new)
            server, found = peers.send(new, messages.esp(b"new path"))
            equal((server, found.source), (session.server, got.source), "server and source of ESP from the new address")
            peers.reach(session, found, messages.esp(b"new path"), new)
            moved = wait_for(lambda: listed_client(peers.balancer, client_address(new)), "the new address listed")
            equal((moved["backend"], moved["confirmed"]), (f"s{session.server}", True), "backend, confirmed")
            assert moved["roams"] >= 1, f"the move is not counted: {moved}"


@every_path
def test_session_followed_transparent() -> None:
    """A message with the full SPI pair from another address reaches the session's server; the old path stays until the
    server has answered on the new one, and then the new one carries ESP, too."""
    check_followed("transparent")


@every_path
def test_session_followed_full_nat() -> None:
    """The same with full NAT."""
    check_followed("full-nat")


def test_half_a_pair_moves_nothing() -> None:
    """Who knows only the initiator's SPI of a session is not taken for its owner: he gets a server as anybody does, and
    what servers answer him moves nothing."""
    with lab(clients=ELSEWHERE + len(OWNERS), servers=SERVERS) as bench:
        peers = Peers(bench, "transparent")
        right = 0
        for session in peers.sessions:
            thief = ELSEWHERE + session.client
            server, got = peers.send(thief, session.request(2, spi_r=messages.spi()))
            right += server == session.server
            peers.servers.port(server, 4500).reply(got, messages.esp(b"for the thief"))
            peers.client[4500].receive()
            check_owner(peers, session)
        assert right < len(OWNERS), "half a pair was enough to reach each session's server"


@every_path
def test_replays_move_nothing() -> None:
    """A message of a session sent again from a hundred other addresses: the owner keeps server and path, and what the
    server sends it still arrives; also where the server, as it must with what it takes for a repetition, answers as
    before (RFC 7296 section 2.1)."""
    with lab(clients=ELSEWHERE + len(OWNERS), servers=SERVERS) as bench:
        peers = Peers(bench, "transparent")
        session = peers.sessions[0]
        captured = session.request(2)
        answered = 0
        server, got = peers.send(session.client, captured)
        equal(server, session.server, "the server of the session")
        peers.reach(session, got, session.answer(2), session.client)
        for number in range(len(OWNERS) + 1, ELSEWHERE + len(OWNERS) + 1):
            server, got = peers.send(number, captured)
            if server == session.server:
                peers.servers.port(server, 4500).reply(got, session.answer(2))
                # It arrives where it is sent to, as it would without a balancer.
                equal(peers.client[4500].receive().destination, client_address(number), "where the answer goes")
                answered += 1
            check_owner(peers, session)
        assert answered, "no replay reached the session's server: the test shows nothing"
        for other in peers.sessions:
            check_owner(peers, other)
        owners = {client_address(number) for number in OWNERS}
        listed = peers.balancer.clients()
        equal({client["address"] for client in listed if client["confirmed"]}, owners, "confirmed clients")
        # Each place that a session may be moving to is remembered, so there must not be many.
        assert len(listed) <= len(owners) + PLACES, f"{len(listed)} clients are listed after a hundred replays"
        equal([client for client in listed if client["roams"]], [], "clients that have moved")


def check_owner(peers: Peers, session: Session) -> None:
    """The session's client reaches its server as ever, and the server it."""
    server, got = peers.send(session.client, messages.esp(b"owner"))
    equal((server, got.source), (session.server, session.seen.source), f"server and source of client {session.client}")
    peers.reach(session, got, messages.esp(b"to the owner"), session.client)


@every_path
def test_rekeyed_session_followed() -> None:
    """An IKE SA that was rekeyed goes on under a new, unrelated SPI pair, first seen on its old path, and the server
    may be its initiator: it is followed by the new pair as by the first."""
    with lab(clients=ELSEWHERE + len(OWNERS), servers=SERVERS) as bench:
        peers = Peers(bench, "transparent")
        for session in peers.sessions:
            session.spi_i, session.spi_r = messages.spi(), messages.spi()
            session.by_client = session.client % 2 == 0
            server, got = peers.send(session.client, session.request(0))
            equal(server, session.server, "the server on the old path")
            peers.reach(session, got, session.answer(0), session.client)
        for session in peers.sessions:
            server, got = peers.send(ELSEWHERE + session.client, session.request(1))
            equal(server, session.server, f"the server that client {session.client} reaches from its new address")
            peers.reach(session, got, session.answer(1), ELSEWHERE + session.client)


def check_esp_followed(mode: str) -> None:
    spread = {"persistence": {"spread_nat": "true"}}  # Without it the address alone would be enough.
    with lab(clients=len(OWNERS), servers=SERVERS) as bench:
        peers = Peers(bench, mode, **spread)
        rebound, stranger = (Port(bench.topology.clients, 4, number) for number in (40000, 50000))
        right = 0
        for session in peers.sessions:
            spi = 0x10000 + session.client
            server, got = peers.send(session.client, messages.esp(b"before", esp_spi=spi))
            equal(server, session.server, "the server of the session")
            peers.reach(session, got, messages.esp(b"answer"), session.client)
            server, got = peers.send(session.client, messages.esp(b"after", esp_spi=spi), rebound)
            equal(server, session.server, f"the server that ESP of client {session.client} reaches from another port")
            peers.servers.port(server, 4500).reply(got, messages.esp(b"answer"))
            equal(rebound.receive().destination, client_address(session.client), "the client that the answer reaches")
            server, _ = peers.send(session.client, messages.esp(b"new", esp_spi=spi + 0x1000), stranger)
            right += server == session.server
        assert right < len(OWNERS), "ESP of nobody was always taken to the session's server"


@every_path
def test_esp_followed_transparent() -> None:
    """ESP from another port of the same address, as after a NAT's rebinding, reaches the server that knows its SPI; ESP
    with another SPI tells nothing."""
    check_esp_followed("transparent")


@every_path
def test_esp_followed_full_nat() -> None:
    """The same with full NAT."""
    check_esp_followed("full-nat")
