"""The second part of the lab: clients in all sorts of trouble, and what `ikelb explain` says of each."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from . import balancer
from .bench import Bench
from .clients import ClientOptions, Clients, begun
from .noise import Noise
from .scenarios import Say
from .servers import PSK, ServerOptions
from .shell import LabError
from .sites import Roamer
from .situations import ARRIVED, FORGOTTEN, GUEST_ID, IDLE, MOVED, SITUATIONS, Place, Situation, rules
from .topology import VIP, client_address

NAME = "diagnosis"
TITLE = "why does this client fail?"
WHAT = (
    "A client in each of a dozen situations, and what `ikelb explain` says of it; in transparent mode, over IPv4, and "
    "with clients of its own."
)

# The clients by number.
CONNECTING: dict[int, Situation] = dict(enumerate(SITUATIONS, 1))
IDLE_CLIENT, FORGOTTEN_CLIENT = len(SITUATIONS) + 1, len(SITUATIONS) + 2
STAYING = {IDLE_CLIENT: IDLE, FORGOTTEN_CLIENT: FORGOTTEN}  # connected while ikelb is restarted
CLIENT_COUNT = len(CONNECTING) + len(STAYING)

# Of a handshake younger than three seconds ikelb says that it may just be under way. A client gives up after
# 0.6 + 1.2 + 2.4 seconds, in which ikelb tries three servers.
CLIENTS = ClientOptions(auth="chain", patience_s=0.6, retransmissions=2)
ROAMER = ClientOptions(
    auth="chain", patience_s=0.3, retransmissions=6, settings={"retransmit_base": 1}, connection={"mobike": "yes"}
)
# kernel-libipsec cannot move an SA to another address: the server makes a new one, and its first message may still go
# to where the client was.
SERVERS = ServerOptions(
    auth="chain", settings={"retransmit_timeout": "0.3", "retransmit_tries": 6, "retransmit_base": 1}
)
# Little enough for one address to come to the end of it, and enough for every client that behaves.
LIMITS = {"source_rate": 1, "source_burst": 20}

# A packet that a client has sent, or an answer that a server has, may be under way when ikelb is asked.
UNDER_WAY_S = 2.0


@dataclass(frozen=True)
class Finding:
    """What `ikelb explain` has said of the client at an address, and the situation that it is in."""

    situation: Situation
    address: str
    verdict: str
    summary: str
    advice: Sequence[str] = ()

    @property
    def right(self) -> bool:
        return self.verdict == self.situation.verdict and (not self.situation.advice or bool(self.telling_advice()))

    def telling_advice(self) -> str:
        """The advice that tells the situation from another one with the same verdict; empty if there is none."""
        wanted = self.situation.advice
        return next((advice for advice in self.advice if wanted and wanted in advice), "")


def diagnose(bench: Bench, say: Say) -> list[Finding]:
    """Brings every situation about, on a bench that nothing has run on yet, and asks. What it starts runs on."""
    # A MOBIKE client tries every address that its server has told it: there is no way to them but through ikelb.
    bench.topology.lb.sysctl({"net.ipv4.ip_forward": 0})
    bench.start_servers(SERVERS)
    # By source-hash a client that ikelb does not remember comes to the server that it had.
    service = balancer.service(bench.topology, "transparent", schedule="source-hash")
    bench.start_balancer({"services": [service], "dataplane": LIMITS})
    clients = _start_clients(bench)
    roamer = Roamer(bench.workspace, bench.topology)
    roaming = bench.start_clients_at(roamer.site(), ROAMER, [1])
    # First, so that ikelb still remembers all the rest at the end, for those who --keep it.
    say("two clients connect, and ikelb is restarted")
    restarted = _restart(bench)
    say(f"{len(SITUATIONS)} clients connect, or try to")
    _lose(bench, {**CONNECTING, **STAYING})
    found = _connect(bench, clients)
    say("a client with MOBIKE changes its address")
    return found + _move(bench, roamer, roaming) + restarted


def _start_clients(bench: Bench) -> Clients:
    clients = bench.start_clients(CLIENTS)
    clients.vici.command("load-shared", {"type": "IKE", "data": PSK, "owners": [GUEST_ID]})
    for number, situation in CONNECTING.items():
        if situation.connection:
            clients.change(number, situation.connection)
    return clients


def _lose(bench: Bench, clients: Mapping[int, Situation]) -> None:
    """Puts the rules in place by which packets of these clients get lost, and no others."""
    situations = {client_address(number): situation for number, situation in clients.items()}
    bench.topology.clients.nft(rules(Place.CLIENT, situations))
    bench.topology.lb.nft(rules(Place.WAY, situations))
    for server in bench.topology.servers.values():
        server.nft(rules(Place.SERVERS, situations))


def _connect(bench: Bench, clients: Clients) -> list[Finding]:
    with ExitStack() as noises:
        for number, situation in CONNECTING.items():
            if situation.noisy:
                noises.enter_context(Noise(bench.topology.clients, client_address(number), VIP[4]))
        clients.connect_all(CONNECTING)
        # Else nothing would be seen of a client that has not even tried.
        if idle := {f"c{number}" for number in CONNECTING} - begun("\n".join(clients.lines())):
            raise LabError(f"clients {sorted(idle)} have not begun to connect:\n{_tail(clients)}")
        clients.ping(number for number, situation in CONNECTING.items() if situation.pings)
        return _ask_all(bench, CONNECTING)


def _move(bench: Bench, roamer: Roamer, roaming: Clients) -> list[Finding]:
    old = roamer.address
    roaming.connect_all([1])
    tunnel = roaming.tunnels().get(1)
    if tunnel is None:
        raise LabError(f"the client that was to move has not connected:\n{_tail(roaming)}")
    with roaming.pinger([1]) as pinger:
        pinger.interruption(tunnel, time.monotonic(), steady=2)
        moment = time.monotonic()
        new = roamer.move()
        pinger.interruption(tunnel, moment, steady=2)
    return [ask(bench, old, MOVED), ask(bench, new, ARRIVED)]


def _restart(bench: Bench) -> list[Finding]:
    bench.clients.connect_all(STAYING)
    missing = STAYING.keys() - bench.ping_tunnels(STAYING)
    if missing:
        raise LabError(f"clients {sorted(missing)} have no tunnel:\n{_tail(bench.clients)}")
    if status := bench.balancer.stop():
        raise LabError(f"ikelb ended with status {status}:\n{bench.balancer.process.tail()}")
    bench.balancer.restart()
    bench.balancer.wait_ready()
    _lose(bench, STAYING)
    # All that a client sends while its tunnel is idle is IKE, now and then.
    bench.clients.rekey(IDLE_CLIENT)
    bench.ping_tunnels([FORGOTTEN_CLIENT], rounds=1, wait_s=0.1)
    return _ask_all(bench, STAYING)


def _ask_all(bench: Bench, clients: Mapping[int, Situation]) -> list[Finding]:
    return [ask(bench, client_address(number), situation) for number, situation in clients.items()]


def ask(bench: Bench, address: str, situation: Situation) -> Finding:
    """Asks until the verdict is the right one, but not for long."""
    deadline = time.monotonic() + UNDER_WAY_S
    while True:
        answer: dict[str, Any] = bench.balancer.explain(address)
        finding = Finding(situation, address, answer["verdict"], answer["summary"], answer["advice"])
        if finding.right or time.monotonic() > deadline:
            return finding
        time.sleep(0.05)


def _tail(clients: Clients) -> str:
    return "\n".join(clients.lines()[-10:])


def wrong(findings: Iterable[Finding]) -> Sequence[Finding]:
    """Those with another verdict than the situation's."""
    return [finding for finding in findings if not finding.right]
