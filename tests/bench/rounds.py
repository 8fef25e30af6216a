"""Measures forwarders in turn, round by round, and keeps them all alive meanwhile: those that wait are frozen."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

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


class Rounds:
    """Measures forwarders in turn. With `latency` each closed loop is followed by an open one at half of its rate."""

    def __init__(self, forwarders: Sequence[Forwarder], directions: Sequence[str], rounds: int, seconds: float) -> None:
        self.forwarders = forwarders
        self.directions = directions
        self.rounds = rounds
        self.seconds = seconds
        self._retries = 0

    def measure(self, rates: Rates, latency: bool = False) -> Rates:
        """Fills `rates`, and returns it."""
        self._retries = self.rounds * len(self.forwarders)  # A machine that is never quiet must not take for ever.
        for number in range(self.rounds):
            for forwarder in self.forwarders:
                forwarder.thaw()
                for direction in self.directions:
                    if direction not in forwarder.missing:
                        self._measure(rates, forwarder, direction, latency)
                forwarder.freeze()
            progress(f"  {rates.title}: round {number + 1} of {self.rounds}")
        return rates

    def _measure(self, rates: Rates, forwarder: Forwarder, direction: str, latency: bool) -> None:
        cell = rates.cell(forwarder.key, direction)
        load = Load(forwarder.clients, payload=rates.payload, seconds=self.seconds, window=forwarder.window)
        outcome, disturbed = self._quietly(forwarder, direction, load)
        cell.rates.append(outcome.rate)
        cell.lost += outcome.lost
        cell.disturbed += disturbed
        if latency:
            half = min(outcome.rate / 2, PACED_MAX)
            paced = replace(load, seconds=self.seconds * LATENCY_SHARE, rate=half)
            for bucket, count in self._quietly(forwarder, direction, paced)[0].latencies.items():
                cell.latency[bucket] = cell.latency.get(bucket, 0) + count

    def _quietly(self, forwarder: Forwarder, direction: str, load: Load) -> tuple[Outcome, bool]:
        """Measures again while others are at work on the machine; takes the quietest, and says if it was not quiet."""
        pid = forwarder.process.pid if forwarder.process else None
        tries: list[tuple[float, Outcome]] = []
        while True:
            outcome, share = measured(lambda: forwarder.measure(direction, load), pid, forwarder.core == CORE)
            if share <= LIMIT:
                return outcome, False
            tries.append((share, outcome))
            if len(tries) == TRIES or self._retries == 0:
                break
            self._retries -= 1
            time.sleep(PAUSE_S)
        share, outcome = min(tries, key=lambda each: each[0])
        progress(f"  {forwarder.name}, {direction}: disturbed, others took {share:.0%} of the time")
        return outcome, True
