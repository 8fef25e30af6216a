"""Runs flood.c: forged IKE_SA_INIT requests, as fast as the machine goes."""

import os
from dataclasses import dataclass
from pathlib import Path

from vpnlab.balancer import binary
from vpnlab.bench import Bench
from vpnlab.topology import VIP

# Within the lab's network of clients, but beyond its clients' addresses.
FORGED_NET = "198.19.0.0/16"
SEED = 809


@dataclass(frozen=True)
class Flooded:
    """What was sent, and how long it took."""

    packets: int
    seconds: float

    @property
    def rate_kpps(self) -> float:
        return self.packets / self.seconds / 1000


class Flood:
    """A flood that has begun. It ends by itself after `count` packets or `seconds`; the same seed makes the same."""

    def __init__(
        self, bench: Bench, count: int, *, source: str = FORGED_NET, seed: int = SEED, seconds: float = 20.0
    ) -> None:
        argv = [str(_program()), source, VIP[4], str(count), str(seconds), str(seed)]
        self._limit_s = seconds + 10.0
        self._output = bench.workspace.directory / f"flood-{seed}"
        self._output.unlink(missing_ok=True)
        self._process = bench.workspace.processes.start("flood", argv, self._output, namespace=bench.topology.clients)

    def wait(self) -> Flooded:
        """Waits for its end."""
        status = self._process.wait(self._limit_s)
        assert status == 0, f"flood ended with status {status}: {self._process.tail()}"
        sent, seconds = self._output.read_text().split()
        return Flooded(int(sent), float(seconds))


def _program() -> Path:
    """It is built beside ikelb."""
    path = binary().parents[1] / "tests" / "flood"
    assert os.access(path, os.X_OK), f"{path} is missing: it is built with ikelb, by the same cmake --build"
    return path
