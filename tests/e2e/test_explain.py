"""`ikelb explain`: what it says of clients that have come so far and no further. Fake peers."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import messages
from peers import FakeServers, Port, client_ports, fake_service
from support import all_connected, drops, equal, ikelb, lab, start, wait_for
from vpnlab.balancer import Balancer, binary, service
from vpnlab.bench import Bench
from vpnlab.servers import ServerOptions
from vpnlab.topology import VIP, client_address

DONE, NO = 0, 1
WIDTH = 80
SOURCE_BURST = 4
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

# An SA payload that is well-formed, for whoever reads that far: RFC 7296 section 3.2. It offers nothing.
OFFER = {"payload": messages.PAYLOAD_SA, "body": bytes([0, 0, 0, 4])}


class Explainer:
    """Asks ikelb about clients by their number."""

    def __init__(self, bench: Bench, balancer: Balancer) -> None:
        self.namespace = bench.topology.lb
        self.at = ("--socket", str(balancer.socket))

    def text(self, client: int, status: int) -> str:
        code, output, error = ikelb(self.namespace, "explain", client_address(client), *self.at)
        equal((code, error), (status, ""), f"explain of client {client}")
        return output

    def expect(self, client: int, verdict: str, status: int, words: str) -> dict:
        """The verdict, the exit status, and words for people must be these; the answer as JSON."""
        output = self.text(client, status)
        first = f"{client_address(client)}: {verdict}"
        assert output.startswith(first), f"instead of {first}:\n{output}"
        assert words in output, f"no '{words}' in:\n{output}"
        print(output)
        code, output, _ = ikelb(self.namespace, "explain", "--json", client_address(client), *self.at)
        document = json.loads(output)
        equal((code, document["verdict"], document["connected"]), (status, verdict, status == DONE), "as JSON")
        return document


class Actors:
    """Fake clients and servers, and how far they let a handshake come."""

    def __init__(self, bench: Bench) -> None:
        self.servers = FakeServers(bench)
        self.clients = client_ports(bench)

    def open(self, client: int, answer: str = "") -> tuple[bytes, bytes]:
        """An IKE_SA_INIT, with an answer ("full"), an error ("refuse") or none. The SPIs."""
        spi_i, spi_r = messages.spi(), messages.spi()
        self.clients[500].send(messages.ike(messages.SA_INIT, spi_i, **OFFER), (VIP[4], 500), source=client_address(client))
        server, got = self.servers.receive(500)
        if answer == "full":
            self.servers.port(server, 500).reply(got, accepted(spi_i, spi_r))
        elif answer == "refuse":
            self.servers.port(server, 500).reply(got, no_proposal(spi_i))
        if answer:
            self.clients[500].receive()
        return spi_i, spi_r

    def connect(self, client: int) -> tuple[bytes, bytes]:
        """A handshake with both exchanges answered. The SPIs."""
        spis = self.open(client, "full")
        self.exchange(client, messages.auth(*spis), messages.auth_answer(*spis))
        return spis

    def exchange(self, client: int, request: bytes, answer: bytes) -> None:
        """A message over 4500 and its answer."""
        self.clients[4500].send(request, (VIP[4], 4500), source=client_address(client))
        server, got = self.servers.receive(4500)
        self.servers.port(server, 4500).reply(got, answer)
        self.clients[4500].receive()


def accepted(spi_i: bytes, spi_r: bytes) -> bytes:
    return messages.ike(messages.SA_INIT, spi_i, spi_r, flags=messages.RESPONSE, **OFFER)


def no_proposal(spi_i: bytes) -> bytes:
    """An answer with the notify NO_PROPOSAL_CHOSEN and nothing else, RFC 7296 section 3.10."""
    notify = bytes([0, 0, 0, 8, 0, 0, 0, 14])
    return messages.ike(messages.SA_INIT, spi_i, flags=messages.RESPONSE, payload=41, body=notify)


def dpd(spi_i: bytes, spi_r: bytes, flags: int) -> bytes:
    return messages.MARKER + messages.ike(messages.INFORMATIONAL, spi_i, spi_r, flags=flags, message_id=2,
                                          body=bytes(48))


def test_explain() -> None:
    """Each verdict, for a client to whom just that has happened: the words, the exit status, the JSON."""
    with lab(clients=12, servers=1) as bench:
        balancer = start(bench, [fake_service(bench, "transparent")], ready=False,
                         dataplane={"max_clients": 1000, "source_rate": 1, "source_burst": SOURCE_BURST})
        actors, ask = Actors(bench), Explainer(bench, balancer)
        ask.expect(1, "nothing-seen", NO, "What to do")

        actors.open(2)
        ask.expect(2, "init-unanswered", NO, "default gateway")
        actors.open(3, "refuse")
        ask.expect(3, "init-rejected", NO, "NO_PROPOSAL_CHOSEN")
        actors.open(4, "full")
        document = ask.expect(4, "answered-no-auth", NO, "UDP 4500")
        stages = [stage["stage"] for stage in document["handshakes"][0]["stages"]]
        equal(stages, ["init-sent", "init-answered"], "stages")

        spis = actors.open(5, "full")
        actors.clients[4500].send(messages.auth(*spis), (VIP[4], 4500), source=client_address(5))
        actors.servers.receive(4500)
        ask.expect(5, "auth-unanswered", NO, "RADIUS")
        actors.connect(6)
        ask.expect(6, "auth-answered", NO, "carried traffic")
        actors.connect(7)
        actors.exchange(7, messages.esp(b"in"), messages.esp(b"out"))
        document = ask.expect(7, "established", DONE, "is connected")
        equal(document["advice"], [], "advice for a client that is connected")

        spis = actors.connect(8)
        actors.exchange(9, dpd(*spis, messages.INITIATOR), dpd(*spis, messages.RESPONSE))
        document = ask.expect(8, "moved", DONE, client_address(9))
        equal(document["moves"][0]["to"], f"{client_address(9)}:4500", "where it has gone")
        equal(len(ask.expect(9, "auth-answered", NO, client_address(8))["moves"]), 1, "moves, at the new address")

        flood(actors.clients[500], 10)
        wait_for(lambda: drops(balancer)["rate_limited"] >= SOURCE_BURST, "packets dropped by flood protection")
        document = ask.expect(10, "refused", NO, "Flood protection")
        assert document["refusals"][0]["count"] >= SOURCE_BURST, document["refusals"]
        check_width(bench, balancer)


def flood(client: Port, number: int) -> None:
    for _ in range(3 * SOURCE_BURST):
        client.send(messages.init(messages.spi()), (VIP[4], 500), source=client_address(number))


def check_width(bench: Bench, balancer: Balancer) -> None:
    """On a terminal nothing is longer than that, and what counts is in colour."""
    output = on_terminal(bench.topology.lb.command(str(binary()), "explain", client_address(5), "--socket",
                                                   str(balancer.socket)))
    print(output)
    assert "\x1b[1;31mauth-unanswered\x1b[0m" in output, output
    longest = max(COLOUR.sub("", output).splitlines(), key=len)
    assert len(longest) <= WIDTH, longest


def on_terminal(argv: list[str]) -> str:
    """What a command writes to a terminal."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 25, WIDTH, 0, 0))
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=its, env=os.environ | {"TERM": "xterm"})
    os.close(its)
    output = b""
    try:
        while data := os.read(ours, 4096):
            output += data
    except OSError:  # so the end of a terminal is told
        pass
    os.close(ours)
    equal(process.wait(10), NO, "exit status")
    return output.decode()


def test_fragmentation_notes() -> None:
    """Servers that do not announce IKE fragmentation: `status` says so once a client has been answered, `probe` at
    once, and `explain` of that client."""
    with lab(clients=1, servers=1) as bench:
        bench.start_servers(ServerOptions(fragmentation="no"))
        balancer = start(bench, [service(bench.topology, "transparent")])
        at = ("--socket", str(balancer.socket))
        assert "Note:" not in ikelb(bench.topology.lb, "status", *at)[1], "a note before anything is known"
        bench.start_clients()
        all_connected(bench.clients.connect_all([1]))
        equal(bench.ping_tunnels(), {1}, "tunnels that carry pings")
        code, output, _ = ikelb(bench.topology.lb, "status", *at)
        equal(code, DONE, "status")
        assert "Note: s1 does not announce IKEV2_FRAGMENTATION_SUPPORTED" in output, output
        print(output)
        output = Explainer(bench, balancer).text(1, DONE)
        assert "IKE fragmentation: client yes, server no" in output, output
        code, output, _ = ikelb(bench.topology.clients, "probe", VIP[4])
        equal(code, DONE, "probe")
        assert "not supported (IKEV2_FRAGMENTATION_SUPPORTED is not announced)" in output, output
        assert "EnableServerFragmentation = 1" in output, output
        print(output)
