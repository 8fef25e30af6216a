"""The Python side of the generator: one load, and what came of it."""

from dataclasses import dataclass, field

from network import ROOT, Way

GENERATOR = ROOT / "build/bench/generator"
CORE = "0"
WINDOW = 256  # A veth's ring holds as many, so a forwarder that is slow never makes the ring overflow.
CLIENT_PORT = 40000


@dataclass(frozen=True)
class Route:
    """Addresses and ports of a direction's packets, before a forwarder has rewritten them; of the clients the first."""

    way: Way
    source: str
    destination: str
    ports: tuple[int, int]
    varies: str  # source, destination: the clients' side


@dataclass(frozen=True)
class Load:
    """What is sent. Without `rate` the loop is closed: as much as arrives, with `window` packets under way."""

    clients: int
    payload: int = 200
    seconds: float = 1.0
    first: int = 0
    kind: str = "esp"
    window: int = WINDOW
    each_once: bool = False  # one packet of each client, and the end
    rate: float | None = None  # packets a second
    core: str = CORE
    stubborn: bool = False  # it does not give way to whoever else is on its core


@dataclass(frozen=True)
class Outcome:
    """What arrived."""

    sent: int
    arrived: int
    lost: int
    seconds: float
    waited: float = 0.0  # seconds that the generator was ready and had no core
    latencies: dict[int, int] = field(default_factory=dict)  # counts of sink.bpf.c's buckets

    @property
    def rate(self) -> float:
        """Packets a second."""
        return self.arrived / self.seconds


def send(route: Route, load: Load) -> Outcome:
    """Runs the generator on its core, to the end."""
    arguments = {
        "interface": route.way.interface,
        "meter": route.way.meter,
        "eth_dst": route.way.next_hop,
        "from": route.source,
        "to": route.destination,
        "sport": route.ports[0],
        "dport": route.ports[1],
        "vary": route.varies,
        "payload": load.payload,
        "kind": load.kind,
        "first": load.first,
        "count": load.clients,
        "window": load.window,
        "seconds": load.seconds,
        "stubborn": int(load.stubborn),
    }
    if load.each_once:
        arguments["limit"] = load.clients
    if load.rate is not None:
        arguments["interval_ns"] = round(1e9 / load.rate)
    words = (f"{key}={value}" for key, value in arguments.items())
    out = route.way.namespace.run("taskset", "-c", load.core, str(GENERATOR), *words)
    head, *rest = out.splitlines()
    sent, arrived, lost, seconds, waited = head.split()
    pairs = (line.split() for line in rest)
    latencies = {int(bucket): int(count) for bucket, count in pairs}
    return Outcome(int(sent), int(arrived), int(lost), float(seconds), float(waited), latencies)
