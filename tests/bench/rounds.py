"""Measures forwarders in turn, round by round, and keeps them all alive meanwhile: those that wait are frozen."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from forwarders import Forwarder
from load import CORE, Load, Outcome
from network import site
from quiet import LIMIT, measured
from results import Rates

PACED_MAX = 1_000_000.0  # packets a second: faster than this the paced generator cannot send one by one
LATENCY_SHARE = 0.6  # of the time of a closed loop
TRIES = 5
PAUSE_S = 0.5


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def running(kinds: Sequence[type[Forwarder]], clients: int) -> Iterator[list[Forwarder]]:
    """Each of these forwarders in a site of its own, started, its clients known, and frozen."""
    with ExitStack() as stack:
        forwarders = []
        for kind in kinds:
            forwarder = kind(stack.enter_context(site(kind.key)), clients)
            stack.callback(forwarder.stop)
            forwarder.start()
            forwarder.open()
            forwarder.freeze()
            forwarders.append(forwarder)
            progress(f"  {forwarder.name}: ready with {forwarder.clients} clients")
        yield forwarders


def measure_rounds(rates: Rates, forwarders: Sequence[Forwarder], directions: Sequence[str], rounds: int,
                   seconds: float, latency: bool = False) -> Rates:
    """Fills `rates`. With `latency` each closed loop is followed by an open one at half of its rate."""
    for number in range(rounds):
        for forwarder in forwarders:
            forwarder.thaw()
            for direction in directions:
                if direction not in forwarder.missing:
                    _measure(rates, forwarder, direction, seconds, latency)
            forwarder.freeze()
        progress(f"  {rates.title}: round {number + 1} of {rounds}")
    return rates


def _measure(rates: Rates, forwarder: Forwarder, direction: str, seconds: float, latency: bool) -> None:
    cell = rates.cell(forwarder.key, direction)
    load = Load(forwarder.clients, payload=rates.payload, seconds=seconds, window=forwarder.window)
    outcome, disturbed = _measure_quietly(forwarder, direction, load)
    cell.rates.append(outcome.rate)
    cell.lost += outcome.lost
    cell.disturbed += disturbed
    if latency:
        half = min(outcome.rate / 2, PACED_MAX)
        paced = Load(forwarder.clients, payload=rates.payload, seconds=seconds * LATENCY_SHARE, window=forwarder.window,
                     rate=half)
        for bucket, count in _measure_quietly(forwarder, direction, paced)[0].latencies.items():
            cell.latency[bucket] = cell.latency.get(bucket, 0) + count


def _measure_quietly(forwarder: Forwarder, direction: str, load: Load) -> tuple[Outcome, bool]:
    """Measures again while others are at work on the machine, some times; takes the quietest, and says if it was not."""
    pid = forwarder.process.pid if forwarder.process else None
    tries: list[tuple[float, Outcome]] = []
    while len(tries) < TRIES:
        if tries:
            time.sleep(PAUSE_S)
        outcome, share = measured(lambda: forwarder.measure(direction, load), pid, forwarder.core == CORE)
        if share <= LIMIT:
            return outcome, False
        tries.append((share, outcome))
    share, outcome = min(tries, key=lambda each: each[0])
    progress(f"  {forwarder.name}, {direction}: disturbed, others took {share:.0%} of the time")
    return outcome, True
