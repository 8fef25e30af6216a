"""Whether the machine was quiet: how much of the cores' time others took while something was measured.

The generator says how long it was ready to run and had to wait. It has the lowest priority, so it waits for the
forwarder on its core, whose time is known, and for the kernel's ksoftirqd; the rest were others. A forwarder on that
core also waits for the generator, which the kernel does not interrupt in the middle of a batch; one on a core of its
own waits for others only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from load import CORE, Outcome

LIMIT = 0.05  # of the time: more than this is no quiet machine
NS = 1e9


@dataclass(frozen=True)
class Times:
    """Seconds so far: the forwarder's on a core and waiting for one, and ksoftirqd's."""

    run: float
    waited: float
    softirqd: float


def times(pid: int | None) -> Times:
    run, waited = _schedstat(pid) if pid is not None else (0.0, 0.0)
    return Times(run, waited, sum(_schedstat(process)[0] for process in _softirqd()))


def others(outcome: Outcome, before: Times, after: Times, shared_core: bool) -> float:
    """The share of the time that others took; `shared_core`: the forwarder's process is on the generator's core."""
    known = after.softirqd - before.softirqd + (after.run - before.run if shared_core else 0)
    own_core = 0 if shared_core else after.waited - before.waited
    return max(outcome.waited - known, own_core, 0.0) / outcome.seconds


def measured(measure: Callable[[], Outcome], pid: int | None, shared_core: bool) -> tuple[Outcome, float]:
    """What was measured, and the share of others."""
    before = times(pid)
    outcome = measure()
    return outcome, others(outcome, before, times(pid), shared_core)


def _schedstat(pid: int) -> tuple[float, float]:
    """Seconds on a core, and ready but waiting for one."""
    run, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(run) / NS, int(waited) / NS


def _softirqd() -> list[int]:
    """The process of the generator's core that the kernel hands work to, if there is much."""
    if not _found:
        for comm in Path("/proc").glob("[0-9]*/comm"):
            try:
                if comm.read_text() == f"ksoftirqd/{CORE}\n":
                    _found.append(int(comm.parent.name))
            except OSError:
                continue  # It has ended.
    return _found


_found: list[int] = []
