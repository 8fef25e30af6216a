"""What the lab shows: four situations of a VPN pool, each measured with ikelb in one mode or the other."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from . import balancer
from .bench import Bench
from .clients import ClientOptions, Outcome
from .servers import ServerOptions
from .shell import LabError
from .topology import INSIDE, client_address

MODES = ("full-nat", "transparent")

# strongSwan's own limit (block_threshold), left at its default: half-open handshakes of one address before silence.
SERVER_LIMIT = 5

Say = Callable[[str], None]


@dataclass(frozen=True)
class Scenario:
    """One situation. `dead_per_server` clients for each server begin a handshake before the others and never end it."""

    name: str
    title: str
    what: str
    servers: ServerOptions = ServerOptions()
    clients: ClientOptions = ClientOptions()
    dead_per_server: int = 0


SCENARIOS = (
    Scenario("burst", "all at once", "All clients connect at the same moment; the servers answer at once."),
    Scenario(
        "slow",
        "slow authentication",
        "The servers take 300 ms for each IKE_AUTH, as they do when they ask RADIUS or an OCSP responder.",
        servers=ServerOptions(auth_delay_ms=300),
    ),
    Scenario(
        "dead",
        "dead clients first",
        "Before the clients come others whose IKE_AUTH never arrives (something on their way drops it).",
        # Twice the limit: whichever way they are spread, each server gets enough of them.
        dead_per_server=2 * SERVER_LIMIT,
    ),
    Scenario(
        "chain",
        "large certificate chain",
        "Four RSA-4096 certificates and no IKE fragmentation: each IKE_AUTH crosses ikelb as IP fragments.",
        servers=ServerOptions(auth="chain", fragmentation="no"),
        clients=ClientOptions(auth="chain", fragmentation="no"),
    ),
)


@dataclass(frozen=True)
class Result:
    """What was measured. `failure` says in words why a measurement could not be finished."""

    scenario: Scenario
    mode: str
    clients: int
    connected: int = 0
    refused: int = 0
    sources: int = 0
    seconds: Sequence[float] = field(default_factory=tuple)  # of the connected clients, ascending
    per_server: Sequence[int] = field(default_factory=tuple)
    with_traffic: int = 0
    largest_message_bytes: int = 0
    failure: str = ""

    @property
    def everybody(self) -> bool:
        """Every client has a tunnel, and the tunnel carries its packets."""
        return not self.failure and self.connected == self.with_traffic == self.clients

    def median_s(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None

    def percentile_99_s(self) -> float | None:
        """The time within which 99 of 100 connected clients were up (nearest rank)."""
        rank = -(-99 * len(self.seconds) // 100)
        return self.seconds[rank - 1] if self.seconds else None


@dataclass(frozen=True)
class Plan:
    """How many clients, over which address family, and how often they repeat an unanswered message."""

    clients: int
    family: int = 4
    retransmissions: int = 0

    def dead(self, scenario: Scenario, servers: int) -> range:
        """The numbers of the scenario's dead clients, behind those of the healthy ones."""
        return range(self.clients + 1, self.clients + 1 + scenario.dead_per_server * servers)

    def client_addresses(self, scenario: Scenario, servers: int) -> int:
        """How many client addresses the scenario needs."""
        return self.clients + len(self.dead(scenario, servers))


def measure(bench: Bench, scenario: Scenario, mode: str, plan: Plan, say: Say) -> Result:
    """Runs one scenario in one mode on a bench that nothing has run on yet. What it starts runs on: see `end`."""
    try:
        return _measure(bench, scenario, mode, plan, say)
    except LabError as error:
        return Result(scenario, mode, plan.clients, failure=str(error))


def end(bench: Bench) -> None:
    """Ends clients, servers and ikelb as they would end in life; LabError if ikelb does not end well."""
    bench.stop_clients()
    bench.stop_servers()
    status = bench.balancer.stop()
    if status != 0:
        raise LabError(f"ikelb ended with status {status}:\n{bench.balancer.process.tail()}")


def _measure(bench: Bench, scenario: Scenario, mode: str, plan: Plan, say: Say) -> Result:
    dead = plan.dead(scenario, len(bench.topology.servers))
    healthy = range(1, plan.clients + 1)
    options = replace(scenario.clients, family=plan.family, retransmissions=plan.retransmissions)
    bench.start_servers(scenario.servers)
    service = balancer.service(bench.topology, mode, family=plan.family)
    bench.start_balancer({"services": [service]})
    bench.start_clients(options, numbers=(*healthy, *dead))
    if dead:
        say(f"{len(dead)} clients begin a handshake and never end it")
        _play_dead(bench, dead, plan.family)
    for server in bench.servers.values():
        server.count_from_here()
    say(f"{len(healthy)} clients connect through ikelb to {len(bench.servers)} servers")
    outcomes = bench.clients.connect_all(healthy)
    result = _result(bench, scenario, mode, plan, outcomes)
    say(f"{result.connected} of {result.clients} connected, {result.with_traffic} tunnels carry pings")
    return result


def _play_dead(bench: Bench, dead: range, family: int) -> None:
    """Lets clients get as far as the answer to their IKE_SA_INIT, and waits until the servers have dealt with each."""
    family_word, addresses = ("ip", "ip6")[family == 6], ", ".join(client_address(client, family) for client in dead)
    bench.topology.clients.nft(
        f"""
        table inet dead {{
            chain output {{
                type filter hook output priority filter
                {family_word} saddr {{ {addresses} }} udp dport 4500 drop
            }}
        }}
        """
    )
    bench.clients.start_only(dead)
    deadline = time.monotonic() + 2.0
    while _half_open_or_refused(bench) < len(dead) and time.monotonic() < deadline:
        time.sleep(0.05)


def _half_open_or_refused(bench: Bench) -> int:
    return sum(server.half_open() + len(server.refused()) for server in bench.servers.values())


def _result(bench: Bench, scenario: Scenario, mode: str, plan: Plan, outcomes: Sequence[Outcome]) -> Result:
    servers = bench.servers.values()
    seen = {address for server in servers for address in (*server.initiators(), *server.refused())}
    connected = [outcome for outcome in outcomes if outcome.connected]
    return Result(
        scenario,
        mode,
        plan.clients,
        connected=len(connected),
        refused=sum(len(server.refused()) for server in servers),
        # ikelb's own probes come from an address of their own.
        sources=len(seen - {INSIDE[plan.family]}),
        seconds=tuple(sorted(outcome.seconds for outcome in connected)),
        per_server=tuple(len(server.clients()) for server in servers),
        with_traffic=len(bench.ping_tunnels(outcome.client for outcome in connected)),
        largest_message_bytes=max(server.largest_message_bytes() for server in servers),
    )
