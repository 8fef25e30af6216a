"""Pings that go on and on while something happens to the tunnels: what was lost, and when it worked again."""

import os
import select
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from . import traffic
from .net import Namespace
from .shell import LabError

SEQUENCES = 1 << 16


@dataclass
class Echo:
    """One ping: when it was sent, and when its answer came."""

    sent: float
    answered: float | None = None


@dataclass(frozen=True)
class Interruption:
    """What something that happened did to the pings of one source, from that moment on."""

    lost: int
    resumed_s: float  # until the first answer after which none was missing


class Pinger:
    """A context manager: while it is open, each source pings the target every `interval_s`, from a thread.

    Times are those of time.monotonic().
    """

    def __init__(self, namespace: Namespace, sources: Iterable[str], target: str, interval_s: float = 0.1) -> None:
        self._echoes: dict[str, list[Echo]] = {source: [] for source in sources}
        self._target = target
        self._interval_s = interval_s
        # Differs from that of traffic.ping, which may be at work in the same namespace.
        self._identifier = (os.getpid() + 1) & 0xFFFF
        self._raw = traffic.open_socket(namespace)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Pinger":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._raw.close()

    def answered(self, begin: float, end: float) -> int:
        """How many pings sent between two moments have been answered, all sources together."""
        return sum(
            begin <= echo.sent < end and echo.answered is not None for row in self._echoes.values() for echo in row[:]
        )

    def sent(self, begin: float, end: float) -> int:
        """How many pings were sent between two moments, all sources together."""
        return sum(begin <= echo.sent < end for row in self._echoes.values() for echo in row[:])

    def interruption(self, source: str, moment: float, *, steady: int = 5, timeout_s: float = 15.0) -> Interruption:
        """Waits until so many pings in a row, all sent after the moment, are answered; LabError if none are."""
        deadline = time.monotonic() + timeout_s
        while True:
            echoes = [echo for echo in self._echoes[source][:] if echo.sent >= moment]
            for first in range(len(echoes) - steady + 1):
                row = echoes[first : first + steady]
                if (back := row[0].answered) is not None and all(echo.answered is not None for echo in row):
                    return Interruption(sum(echo.answered is None for echo in echoes[:first]), back - moment)
            if time.monotonic() > deadline:
                lost = sum(echo.answered is None for echo in echoes)
                raise LabError(f"{source}: {lost} of {len(echoes)} pings lost in {timeout_s:.0f} s: they do not resume")
            time.sleep(self._interval_s / 2)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ending.is_set():
            now = time.monotonic()
            if now >= due:
                self._send_round(now)
                due += self._interval_s
            elif select.select([self._raw], [], [], due - now)[0]:
                self._receive()

    def _send_round(self, now: float) -> None:
        for source, row in self._echoes.items():
            sequence = len(row) % SEQUENCES
            row.append(Echo(now))
            traffic.send_echo(self._raw, source, self._target, self._identifier, sequence, 56)

    def _receive(self) -> None:
        found = traffic.receive_echo(self._raw, self._target, self._identifier)
        if found and (row := self._echoes.get(found[0])):
            # Of the pings with this sequence number the latest: an older one would have gone round all 65,536.
            last = len(row) - 1
            at = last - (last - found[1]) % SEQUENCES
            if at >= 0 and row[at].answered is None:
                row[at].answered = time.monotonic()
