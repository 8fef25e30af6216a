"""A flood: what is left to known clients while forged IKE_SA_INITs come as fast as the other core can send them.

ikelb has its core for itself; the flood and the known clients share the other one. What it is compared with is the same
flood to an address that the kernel drops packets to, so that the sharing makes no difference.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ikelb import Ikelb
from load import Load
from network import ROOT, Site, site
from results import Flood
from rounds import progress
from vpnlab.topology import CLIENTS_NET, VIP

PROGRAM = ROOT / "build/release/tests/flood"
CORE = "1"
NOWHERE = "203.0.113.99"
PACKETS_MAX = 100_000_000  # more than it sends in its time
CLIENTS = 1000
MAX_CLIENTS = 500_000


def measure_flood(kinds: Sequence[type[Ikelb]], rounds: int, seconds: float) -> dict[str, Flood]:
    found = {}
    for kind in kinds:
        flood = Flood([], [])
        with site(kind.key) as place:
            forwarder = kind(place, MAX_CLIENTS)
            try:
                forwarder.start()
                forwarder.open(clients=CLIENTS)
                load = Load(CLIENTS, seconds=seconds, core=CORE, stubborn=True)
                place.lb.ip("route", "add", "blackhole", NOWHERE)
                for _ in range(rounds):
                    for target, rates in ((NOWHERE, flood.calm), (VIP[4], flood.flooded)):
                        with flooding(place, target, seconds + 1.0):
                            rates.append(forwarder.measure("in", load).rate)
            finally:
                forwarder.stop()
        found[kind.key] = flood
        progress(f"  flood: {forwarder.name}")
    return found


@contextmanager
def flooding(place: Site, target: str, seconds: float) -> Iterator[None]:
    """Forged handshakes to an address, for so long at most."""
    argv = ["taskset", "-c", CORE, str(PROGRAM), CLIENTS_NET[4], target, str(PACKETS_MAX), str(seconds), "1"]
    processes = place.workspace.processes
    process = processes.start("flood", argv, place.directory / "flood.out", namespace=place.network.clients)
    try:
        yield
    finally:
        processes.stop([process])
