"""A server that freezes costs a new client some time and no connection; a server that refuses is called by its name."""

import re
import statistics
import time
from collections import Counter
from collections.abc import Sequence

import messages
from peers import FakeServers, client_ports, fake_service, handshake
from support import all_connected, equal, health, lab, log_lines, start, wait_for, wait_health, wait_log
from vpnlab.balancer import service
from vpnlab.bench import Bench
from vpnlab.clients import ClientOptions, Clients, Outcome
from vpnlab.servers import ServerOptions
from vpnlab.topology import VIP, client_address, server_of

# With full NAT all clients have one address; what its limits do is another test's matter.
UNLIMITED = ServerOptions(settings={"dos_protection": "no"})

# Each line of the clients' log names the client's connection.
PATIENT = ClientOptions(
    patience_s=0.5, retransmissions=5, settings={"retransmit_base": "1.5", "filelog.log.ike_name": "yes"}
)
REPEATED_INIT = re.compile(r"<c(\d+)\|\d+> retransmit \d+ of request with message ID 0\b")


def repeated(clients: Clients) -> Counter[int]:
    """How often each client has repeated its IKE_SA_INIT."""
    return Counter(int(match[1]) for line in clients.lines() if (match := REPEATED_INIT.search(line)))


def check_repetitions(clients: Clients) -> None:
    """Somebody was sent to the frozen server, and nobody had to repeat his first message more than twice."""
    worst = max(repeated(clients).values(), default=0)
    assert 1 <= worst <= 2, f"a client had to repeat its IKE_SA_INIT {worst} times"


def say(title: str, outcomes: Sequence[Outcome], clients: Clients) -> None:
    """Prints what the failure has cost."""
    seconds = sorted(outcome.seconds for outcome in outcomes)
    counts = Counter(repeated(clients)[outcome.client] for outcome in outcomes)
    print(f"{title}: {len(outcomes)} clients connected, median {statistics.median(seconds):.2f} s, slowest "
          f"{seconds[-1]:.2f} s; repetitions of IKE_SA_INIT: {dict(sorted(counts.items()))}")


def check_no_probes(mode: str) -> None:
    everybody = range(1, 61)
    with lab(clients=len(everybody), servers=3) as bench:
        bench.start_servers(UNLIMITED)
        start(bench, [service(bench.topology, mode, health={"probe": "none"})], ready=False)
        clients = bench.start_clients(PATIENT)
        with bench.servers[1].process.frozen():
            outcomes = clients.connect_all(everybody)
            all_connected(outcomes)
            say(f"one of three servers frozen, no probes, {mode}", outcomes, clients)
            check_repetitions(clients)
            equal(bench.ping_tunnels(), set(everybody), "tunnels that carry pings")
            servers = {server_of(tunnel) for tunnel in clients.tunnels().values()}
            equal(servers, {2, 3}, "servers with clients")
        # It wakes up and answers what it finds in its queues: late answers to clients that are elsewhere by now.
        wait_for(lambda: bench.servers[1].initiators(), "a handshake at the server that was frozen", 5.0)
        equal(bench.ping_tunnels(), set(everybody), "tunnels that carry pings after the server has come back")


def test_failover_transparent() -> None:
    """One of three servers is frozen and nobody probes: 60 of 60 clients connect, each after two repetitions of its
    first message at most, and late answers of the server disturb nobody."""
    check_no_probes("transparent")


def test_failover_full_nat() -> None:
    """The same with full NAT."""
    check_no_probes("full-nat")


def test_failover_before_probes() -> None:
    """A server freezes while clients arrive, and some arrive before the probes have noticed: none is lost."""
    probes = {"probe": "ike", "interval": "1s", "timeout": "500ms", "rise": 1, "fall": 3}
    early, late = range(1, 21), range(21, 61)
    with lab(clients=60, servers=3) as bench:
        bench.start_servers(UNLIMITED)
        start(bench, [service(bench.topology, "transparent", health=probes)])
        clients = bench.start_clients(PATIENT)
        all_connected(clients.connect_all(early))
        with bench.servers[1].process.frozen():
            equal(health(bench.balancer, "s1"), "up", "what ikelb thinks of the frozen server")
            outcomes = []
            for first in range(late.start, late.stop, 10):
                # Four waves: the first come before the probes can have noticed, the last perhaps after.
                outcomes += clients.connect_all(range(first, first + 10))
            all_connected(outcomes)
            say("a server freezes between arrivals, with probes", outcomes, clients)
            check_repetitions(clients)
            wait_health(bench.balancer, "s1", "down", 10.0)
            equal(bench.ping_tunnels(late), set(late), "tunnels that carry pings")


def refuse(bench: Bench, mode: str) -> list[str]:
    """Servers with their real limits and a slow authentication; 40 clients, which ask only once, while other tunnels
    carry traffic. The alarms that the service had until one told of refusals, or all clients were connected."""
    settled, crowd, rest = range(1, 7), range(7, 32), range(32, 47)
    # Handshakes stay half open until the last client has come, however slowly a busy machine lets them come.
    bench.start_servers(ServerOptions(auth_delay_ms=3000))
    balancer = start(bench, [service(bench.topology, mode)])
    clients = bench.start_clients(ClientOptions(patience_s=10.0))
    all_connected(clients.connect_all(settled))
    seen: set[str] = set()

    def is_all_decided() -> bool:
        """What comes now comes after the servers' last answer, before which nothing counts."""
        answered = [backend["handshakes"]["answered"] for backend in balancer.status()["services"][0]["backends"]]
        return sum(answered) + sum(len(server.refused()) for server in bench.servers.values()) == max(crowd)

    def is_over() -> bool:
        seen.update(balancer.status()["services"][0]["alarms"])
        return any("refus" in alarm for alarm in seen) or len(clients.tunnels()) == max(rest)

    with clients.pinger(settled):
        clients.start_only(crowd)
        wait_for(is_all_decided, "every client of the crowd answered or refused")
        clients.start_only(rest)
        wait_for(is_over, "an alarm, or all clients connected", 20.0)
    return sorted(seen)


def test_refusing_alarm() -> None:
    """Full NAT before servers with strongSwan's limits: they ignore new clients while their tunnels carry traffic.
    That is an alarm, in the status and in the log."""
    with lab(clients=46, servers=3) as bench:
        alarms = refuse(bench, "full-nat")
        refused = sum(len(server.refused()) for server in bench.servers.values())
        assert refused, "the servers refused nobody: the test shows nothing"
        print(f"full NAT: {refused} handshakes refused; alarms: {alarms}")
        assert any("refus" in alarm for alarm in alarms), f"alarms: {alarms}"
        wait_log(bench.balancer, "refus")


def test_no_refusing_alarm() -> None:
    """The same servers and clients in transparent mode: nobody is refused, and there is no such alarm."""
    with lab(clients=46, servers=3) as bench:
        alarms = refuse(bench, "transparent")
        equal(len(bench.clients.tunnels()), 46, "clients that are connected")
        equal(sum(len(server.refused()) for server in bench.servers.values()), 0, "handshakes refused")
        equal(alarms, [], "alarms")
        equal([line for line in log_lines(bench.balancer) if "refus" in line], [], "lines of the log about refusals")


def test_refusing_is_avoided() -> None:
    """A server that answers no new client, while its tunnel goes on, gets new clients on trial only; they come to the
    others without a repetition. When it has answered one, new clients come to it again."""
    with lab(clients=100, servers=2) as bench:
        balancer = start(bench, [fake_service(bench, "transparent", schedule="round-robin")], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        refusing, got = handshake(client, servers, client_address(1), VIP[4])

        def suspect() -> str | None:
            return {b["name"]: b["suspect"] for b in balancer.status()["services"][0]["backends"]}[f"s{refusing}"]

        def knock(number: int, answer: bool) -> int:
            """A new client's first message; the server that got it, and whether that answers if it is the refusing one."""
            spi_i = messages.spi()
            client[500].send(messages.init(spi_i), (VIP[4], 500), source=client_address(number))
            server, init = servers.receive(500)
            if answer or server != refusing:
                servers.port(server, 500).reply(init, messages.init_answer(spi_i, messages.spi()))
            return server

        def tunnel_goes_on() -> bool:
            servers.port(refusing, 4500).reply(got, messages.esp(b"its tunnel goes on"))
            return suspect() == "refusing"

        newcomers = iter(range(2, 101))
        for _ in range(6):
            knock(next(newcomers), False)
        wait_for(tunnel_goes_on, "a suspicion")
        equal([knock(next(newcomers), False) for _ in range(10)].count(refusing), 0, "new clients at the refusing server")

        def is_on_trial() -> bool:
            time.sleep(0.2)  # clients come now and then
            return knock(next(newcomers), True) == refusing

        wait_for(is_on_trial, "a client on trial", 15.0)
        wait_for(lambda: suspect() is None, "an end of the suspicion")
        equal([knock(next(newcomers), True) for _ in range(10)].count(refusing), 5, "new clients at the server again")
