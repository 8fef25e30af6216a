"""Schedules, operator states, and two services over one pool, shown with fake peers."""

from collections import Counter
from collections.abc import Mapping

import messages
from peers import Address, FakeServers, Port, client_ports, fake_service, handshake, open_handshakes, two_services
from support import SECOND_VIP, equal, lab, restart, same_backends, start
from vpnlab.topology import SNAT, VIP, client_address, server_address

CLIENTS = range(1, 61)
# Enough for the shares to show: hashing spreads them with a standard deviation of at most 12.
MANY_CLIENTS = range(1, 601)
HASH_DEVIATION = 40


def test_schedules() -> None:
    """Round robin and least-clients are exact by weights; source-hash follows the weights and chooses alike after a
    restart; servers in state drain or disabled get no new client."""
    with lab(clients=len(MANY_CLIENTS), servers=3) as bench:
        weights = {1: 100, 2: 200, 3: 300}
        start(bench, [fake_service(bench, "transparent", schedule="round-robin", weights=weights)], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)[500]

        got = open_handshakes(client, servers, CLIENTS, VIP[4])
        equal(Counter(got.values()), Counter({1: 10, 2: 20, 3: 30}), "round-robin, 60 clients")
        again = open_handshakes(client, servers, CLIENTS, VIP[4])
        same_backends(got, again, "pinned clients went to another server")
        own = {backend["name"]: backend["clients"] for backend in bench.balancer.status()["services"][0]["backends"]}
        equal(own, {"s1": 10, "s2": 20, "s3": 30}, "ikelb's own count of clients")

        restart(bench, [fake_service(bench, "transparent", schedule="least-clients", weights=weights)], ready=False)
        got = open_handshakes(client, servers, CLIENTS, VIP[4])
        equal(Counter(got.values()), Counter({1: 10, 2: 20, 3: 30}), "least-clients, 60 clients")

        by_hash = [fake_service(bench, "transparent", schedule="source-hash", weights=weights)]
        restart(bench, by_hash, ready=False)
        got = open_handshakes(client, servers, MANY_CLIENTS, VIP[4])
        counts = Counter(got.values())
        for server, weight in weights.items():
            off = abs(counts[server] - len(got) * weight / sum(weights.values()))
            assert off <= HASH_DEVIATION, f"source-hash does not follow the weights: {counts}"
        restart(bench, by_hash, ready=False)
        again = open_handshakes(client, servers, reversed(MANY_CLIENTS), VIP[4])
        same_backends(got, again, "source-hash chose otherwise after the restart")

        states = {1: "drain", 2: "disabled"}
        for schedule in ("bounded-hash", "source-hash", "least-clients", "round-robin"):
            restart(bench, [fake_service(bench, "transparent", schedule=schedule, states=states)], ready=False)
            got = open_handshakes(client, servers, range(1, 13), VIP[4])
            equal(Counter(got.values()), Counter({3: 12}), f"{schedule} with s1 draining and s2 disabled")


def test_two_services() -> None:
    """A transparent and a full-NAT service over the same servers: one client uses both at once, from the same ports,
    and gets each answer from the VIP that it asked; each service has a pin of its own for it."""
    with lab(clients=8, servers=3) as bench:
        start(bench, two_services(bench, (4,)), ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        for number in range(1, 9):
            address = client_address(number)
            chosen = {}
            for vip, source in ((VIP[4], address), (SECOND_VIP[4], SNAT[4])):
                server, got = handshake(client, servers, address, vip)
                equal(got.source[0], source, f"the source that the server sees of a client of {vip}")
                chosen[vip] = (server, got)
            # Both ways at once: what is sent later must not have taken the other's place.
            for vip, (server, got) in chosen.items():
                text = f"{address} at {vip}".encode()
                client[4500].send(messages.esp(text), (vip, 4500), source=address)
                found, datagram = servers.receive(4500)
                equal((found, datagram.source), (server, got.source), f"{address} at {vip}: server and source")
                servers.port(server, 4500).reply(datagram, datagram.data)
                back = client[4500].receive()
                equal((back.source, back.data), ((vip, 4500), messages.esp(text)), f"{address}: the answer from {vip}")
        pins = Counter((pin["service"], pin["address"]) for pin in bench.balancer.clients())
        equal(len(pins), 16, "pins of 8 clients at two services")
        equal(set(pins.values()), {1}, "pins of a client at a service")


def test_vip_as_snat() -> None:
    """Full NAT may hide its clients behind the VIP itself: what servers send to the VIP's other ports are replies, and
    what they send to its ports 500 and 4500 they send as clients."""
    with lab(clients=4, servers=2) as bench:
        start(bench, [fake_service(bench, "full-nat", snat=VIP[4], schedule="round-robin")], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        for number in range(1, 5):
            _, got = handshake(client, servers, client_address(number), VIP[4])
            equal(got.source[0], VIP[4], "the source that the server sees")
            assert got.source[1] not in (500, 4500), "full NAT uses a port that is the VIP's own"
        servers.port(2, 500).send(messages.init(messages.spi()), (VIP[4], 500), source=server_address(2))
        _, got = servers.receive(500)
        equal(got.source[0], VIP[4], "the source of a server that is a client")
        equal(len(bench.balancer.clients()), 5, "clients, a server among them")


def test_many_clients() -> None:
    """Full NAT for 2,000 clients from two ports each: every flow has a source port of its own per server and port, and
    its answers reach exactly its own client."""
    count, ports = 2000, (4500, 61000)
    with lab(clients=count, servers=2) as bench:
        start(bench, [fake_service(bench, "full-nat")], ready=False)
        servers = FakeServers(bench)
        client = {number: Port(bench.topology.clients, 4, number) for number in ports}
        sources: dict[int, dict[Address, str]] = {number: {} for number in bench.topology.servers}
        for batch in range(1, count + 1, 100):
            expected = set()
            for number in range(batch, batch + 100):
                for port in ports:
                    text = f"{client_address(number)}:{port}"
                    client[port].send(messages.esp(text.encode()), (VIP[4], 4500), source=client_address(number))
                    expected.add(text)
            for server, got in servers.collect(4500, len(expected)):
                text = messages.esp_text(got.data).decode()
                taken = sources[server].setdefault(got.source, text)
                equal(taken, text, f"the flow with source {got.source} at server {server}")
                servers.port(server, 4500).reply(got, got.data)
            for port in ports:
                for _ in range(100):
                    back = client[port].receive()
                    text = messages.esp_text(back.data).decode()
                    equal(f"{back.destination}:{port}", text, "the client that an answer reached")
                    equal(back.source, (VIP[4], 4500), "the source of an answer")
                    expected.remove(text)
            equal(expected, set(), "flows without an answer")
        flows = [flow for by_source in sources.values() for flow in by_source.values()]
        equal((len(flows), len(set(flows))), (2 * count, 2 * count), "sources at the servers, and flows behind them")
        equal({address for by_source in sources.values() for address, _ in by_source}, {SNAT[4]}, "source addresses")
        equal(len(bench.balancer.clients()), count, "clients that ikelb lists")
        answer_everybody_again(sources, servers, client, count)


def answer_everybody_again(
    sources: Mapping[int, Mapping[Address, str]], servers: FakeServers, client: Mapping[int, Port], count: int
) -> None:
    """Every server now sends to every source it knows, in one go: no flow has taken another's place meanwhile."""
    for server, by_source in sources.items():
        for source, text in by_source.items():
            servers.port(server, 4500).send(messages.esp(text.encode()), source)
    for port in client.values():
        for _ in range(count):
            back = port.receive()
            equal(f"{back.destination}:{port.number}", messages.esp_text(back.data).decode(), "the client reached")
