"""How long clients are remembered, and what refreshes the memory."""

import json
import time
from collections.abc import Callable

import messages
from peers import FakeServers, Port, client_ports, fake_service, handshake
from support import equal, ikelb, lab, start
from variants import long
from vpnlab.bench import Bench
from vpnlab.topology import VIP, client_address

HALF_OPEN_S, IDLE_S = 1.0, 2.0
# How late a client may be forgotten: sweeps run every 10 ms, and a busy machine gets the rest.
ALLOWANCE_S = 1.0

# The clients, by what they do.
LONE_INIT, LONE_KEEPALIVE, KEEPALIVES, SILENT, TALKER, LISTENER, ALIVE = range(1, 8)


@long
def test_pins_expire() -> None:
    """A lone IKE_SA_INIT is forgotten after half_open_timeout, whatever keepalives follow it; an established client
    after idle_timeout of silence, but not while there is traffic in either direction, or keepalives; a keepalive
    alone makes nothing to be remembered. As `ikelb clients --json` lists them."""
    limits = {"half_open_timeout": "1s", "idle_timeout": "2s"}
    with lab(clients=7, servers=2) as bench:
        start(bench, [fake_service(bench, "transparent", persistence=limits)], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        peers = {number: handshake(client, servers, client_address(number), VIP[4])
                 for number in (SILENT, TALKER, LISTENER, ALIVE)}
        for number in (LONE_INIT, KEEPALIVES):
            client[500].send(messages.init(messages.spi()), (VIP[4], 500), source=client_address(number))
        begin = time.monotonic()

        def traffic() -> None:
            client[4500].send(messages.esp(b"in"), (VIP[4], 4500), source=client_address(TALKER))
            for number in (KEEPALIVES, LONE_KEEPALIVE, ALIVE):
                client[4500].send(messages.KEEPALIVE, (VIP[4], 4500), source=client_address(number))
            server, got = peers[LISTENER]
            servers.port(server, 4500).reply(got, messages.esp(b"out"))

        gone = watch(bench, begin, traffic, until=3 * IDLE_S)
        equal(set(gone), {LONE_INIT, KEEPALIVES, SILENT}, "clients that were forgotten")
        for number in (LONE_INIT, KEEPALIVES):
            after_s = gone[number]
            assert HALF_OPEN_S - 0.1 <= after_s <= HALF_OPEN_S + ALLOWANCE_S, f"client {number}: after {after_s:.2f} s"
        assert IDLE_S - 0.2 <= gone[SILENT] <= IDLE_S + ALLOWANCE_S, f"silent: after {gone[SILENT]:.2f} s"

        begin = time.monotonic()
        gone = watch(bench, begin, lambda: None, until=IDLE_S + ALLOWANCE_S)
        equal(set(gone), {TALKER, LISTENER, ALIVE}, "clients that were forgotten once they were silent")
        equal(bench.balancer.status()["tables"]["flows"]["entries"], 0, "flows left")
        equal(bench.balancer.status()["services"][0]["backends"][0]["clients"], 0, "clients counted at s1")


def watch(bench: Bench, begin: float, traffic: Callable[[], None], until: float) -> dict[int, float]:
    """Makes traffic and asks `ikelb clients` for this long. The clients that vanished, and when, in seconds."""
    known = listed(bench)
    gone: dict[int, float] = {}
    while time.monotonic() - begin < until:
        traffic()
        now = listed(bench)
        assert LONE_KEEPALIVE not in now, "a keepalive made a pin"
        for number in known - now:
            gone[number] = time.monotonic() - begin
        known = now
        time.sleep(0.05)
    return gone


def listed(bench: Bench) -> set[int]:
    """The numbers of the clients that `ikelb clients --json` lists."""
    status, output, error = ikelb(bench.topology.lb, "clients", "--json", "--socket", str(bench.balancer.socket))
    equal((status, error), (0, ""), "ikelb clients")
    return {int(client["address"].rsplit(".", 1)[1]) for client in json.loads(output)["clients"]}


def test_pin_follows_ports() -> None:
    """500 and 4500 of one address, from whatever source ports, go to one server: that of the pin, whichever of the two
    is used first and however many other clients come in between."""
    with lab(clients=40, servers=3) as bench:
        start(bench, [fake_service(bench, "transparent", schedule="round-robin")], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        others = {number: Port(bench.topology.clients, 4, number) for number in (1024, 40000)}
        first = {}
        for number in range(1, 41):
            udp = 500 if number % 2 else 4500
            # A handshake may begin on 4500 as well: RFC 7296 section 2.23.
            data = messages.init(messages.spi()) if udp == 500 else messages.MARKER + messages.init(messages.spi())
            client[udp].send(data, (VIP[4], udp), source=client_address(number))
            first[number] = servers.receive(udp)[0]
        equal({list(first.values()).count(server) for server in (1, 2, 3)}, {13, 14}, "clients a server")
        for number, server in first.items():
            for port in (client[500], client[4500], *others.values()):
                for udp, data in ((4500, messages.esp(b"again")), (500, messages.init(messages.spi()))):
                    port.send(data, (VIP[4], udp), source=client_address(number))
                    found, got = servers.receive(udp)
                    equal(found, server, f"the server of client {number} from port {port.number} to {udp}")
                    equal(got.source, (client_address(number), port.number), "the source that it sees")
