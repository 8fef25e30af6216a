"""Floods: what happens when the tables or full NAT's ports are full."""

import random
from collections.abc import Callable
from ipaddress import IPv4Address

import messages
from peers import Address, FakeServers, Port, client_ports, fake_service, handshake, two_services
from raw import RawSocket, UdpHeader
from support import (
    MAX_CLIENTS,
    SECOND_VIP,
    accounted_for,
    drops,
    equal,
    lab,
    resident_kib,
    start,
    wait_for,
    wait_log,
)
from vpnlab.balancer import Balancer
from vpnlab.topology import VIP, client_address

# lb/bindings.h: of the room for clients, so much may be unconfirmed.
UNCONFIRMED = MAX_CLIENTS // 4
# The tables' pages are touched now, and the sanitizer's bookkeeping with them.
GROWTH_KIB = 24 << 10

LAP = 500  # datagrams after which ikelb must have seen all so far, so that no socket's queue overflows

# lb/ports.h: the source ports of full NAT are 1024 to 64511, but for 4500.
SNAT_PORTS = 64511 - 1024


def in_laps(balancer: Balancer, servers: FakeServers, count: int, send: Callable[[int], None]) -> set[Address]:
    """Sends datagrams 0, 1, 2, ... and returns the sources under which the servers saw them."""
    begin = accounted_for(balancer)
    sources: set[Address] = set()
    for number in range(count):
        send(number)
        if number % LAP == LAP - 1 or number == count - 1:
            wait_for(lambda: accounted_for(balancer) - begin == number + 1, f"{number + 1} datagrams accounted for")
            for port in servers.ports.values():
                while got := port.poll():
                    sources.add(got.source)
    return sources


def test_flood_of_handshakes() -> None:
    """8,000 handshakes from forged addresses fill the share of unconfirmed clients and no more: the confirmed keep
    their servers and flows, new clients still connect in both modes, nobody is refused, memory stays bounded."""
    with lab(clients=20, servers=3) as bench:
        services = two_services(bench, (4,), schedule="round-robin")
        balancer = start(bench, services, ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        vips = (VIP[4], SECOND_VIP[4])
        homes = {(number, vip): handshake(client, servers, client_address(number), vip)
                 for number in range(1, 11) for vip in vips}
        before_kib = resident_kib(balancer)
        dice = random.Random(4500)
        with RawSocket(bench.topology.clients) as raw:

            def forge(number: int) -> None:
                source = str(IPv4Address("198.19.0.0") + dice.randrange(1, 1 << 16))
                raw.udp(UdpHeader(source, 500, vips[number % 2], 500), messages.init(messages.spi()))

            in_laps(balancer, servers, 8000, forge)
        tables = balancer.status()["tables"]
        equal(tables["pins"]["entries"], UNCONFIRMED + len(homes), "pins: the unconfirmed share and the confirmed")
        grown_kib = resident_kib(balancer) - before_kib
        print(f"memory grew by {grown_kib} KiB")
        assert grown_kib < GROWTH_KIB, f"memory grew by {grown_kib} KiB"

        for (number, vip), (server, got) in homes.items():
            client[4500].send(messages.esp(b"still"), (vip, 4500), source=client_address(number))
            found, datagram = servers.receive(4500)
            equal((found, datagram.source), (server, got.source), f"server and source of client {number} at {vip}")
        for number in range(11, 21):
            for vip in vips:
                handshake(client, servers, client_address(number), vip)
        equal({reason: count for reason, count in drops(balancer).items() if count}, {}, "drops")


def test_handshake_under_way() -> None:
    """A client that has answered with the responder's SPI has shown that it gets what is sent to its address. Forged
    handshakes, more than the tables have room for, do not take its flow before the server has answered its IKE_AUTH:
    full NAT could not deliver that answer any more, and the server would send all further to a port of nobody."""
    with lab(clients=2, servers=1) as bench:
        balancer = start(bench, [fake_service(bench, "full-nat")], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        spi_i, spi_r = messages.spi(), messages.spi()
        client[500].send(messages.init(spi_i), (VIP[4], 500), source=client_address(1))
        servers.port(1, 500).reply(servers.port(1, 500).receive(), messages.init_answer(spi_i, spi_r))
        client[500].receive()
        client[4500].send(messages.auth(spi_i, spi_r), (VIP[4], 4500), source=client_address(1))
        got = servers.port(1, 4500).receive()
        with RawSocket(bench.topology.clients) as raw:

            def forge(number: int) -> None:
                source = str(IPv4Address("198.19.0.0") + number)
                raw.udp(UdpHeader(source, 500, VIP[4], 500), messages.init(messages.spi()))

            in_laps(balancer, servers, 3 * UNCONFIRMED, forge)
        servers.port(1, 4500).reply(got, messages.auth_answer(spi_i, spi_r))
        equal(client[4500].receive().data, messages.auth_answer(spi_i, spi_r), "the answer to the IKE_AUTH")


def test_ports_run_out() -> None:
    """Full NAT has 63,487 source ports for a server's port. When all are in use, the oldest flows that got nowhere give
    theirs to new ones, status and log raise the alarm, and a proved client keeps its port."""
    with lab(clients=2, servers=1) as bench:
        limits = {"half_open_timeout": "12s"}
        services = [fake_service(bench, "full-nat", persistence=limits)]
        balancer = start(bench, services, ready=False, dataplane={"max_clients": 200000, "source_rate": "off"})
        servers, client = FakeServers(bench), client_ports(bench)
        server, got = handshake(client, servers, client_address(1), VIP[4])
        with RawSocket(bench.topology.clients) as raw:

            def open_flow(number: int) -> None:
                raw.udp(UdpHeader(client_address(2), number + 1, VIP[4], 4500), messages.esp(b"one more"))

            sources = in_laps(balancer, servers, SNAT_PORTS + 10, open_flow)
        equal(drops(balancer)["no_snat_port"], 0, "packets dropped for want of a port")
        equal(len(sources | {got.source}), SNAT_PORTS, "sources that the server saw")
        assert got.source not in sources, "the proved client's port was given away"
        assert not {port for _, port in sources} & {500, 4500}, "a port of IKE itself was used"
        alarms = balancer.status()["services"][0]["alarms"]
        assert len(alarms) == 1 and "source ports" in alarms[0], f"alarms: {alarms}"
        wait_log(balancer, "ALARM: all source ports")
        client[4500].send(messages.esp(b"still"), (VIP[4], 4500), source=client_address(1))
        equal(servers.port(server, 4500).receive().source, got.source, "the source of the flow that was there before")

        late = Port(bench.topology.clients, 4, 65000)

        def is_served() -> bool:
            late.send(messages.esp(b"late"), (VIP[4], 4500), source=client_address(2))
            return servers.port(server, 4500).poll(0.2) is not None

        wait_for(is_served, "a port for a new flow", 30.0)
