"""The machine: facts about it for the report, and what the benchmark asks of it."""

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from load import CORE as LOADED_CORE
from network import ROOT
from vpnlab.balancer import binary

AUTOGROUP = Path("/proc/sys/kernel/sched_autogroup_enabled")
REMEMBERED = Path("/run/ikelb-bench.autogroup")  # what it was before, should this end by SIGKILL
CORE = 1  # of the benchmark itself
READS = ROOT / "build/bench/reads"


def facts() -> dict[str, str]:
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": cpu[1] if cpu else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "virtualised": _output(["systemd-detect-virt", "--vm"]) or "unknown",
        "ikelb": _output([str(binary()), "version"]).removeprefix("ikelb "),
        "nginx": _version("nginx"),
        "pen": _version("pen"),
        "nftables": _version("nftables"),
    }


def memory_read_ns(lines: int, slots: int) -> float:
    """How long a read of a cache line takes, anywhere in a table of so many slots in which so many are in use."""
    command = ["taskset", "-c", LOADED_CORE, str(READS), str(lines), str(slots)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _version(package: str) -> str:
    return _output(["dpkg-query", "-W", "-f=${Version}", package])


def _output(argv: list[str]) -> str:
    """What a program says on its first line; nothing if it is missing."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip().splitlines()[0]
    except (FileNotFoundError, IndexError):
        return ""


@contextmanager
def prepared() -> Iterator[None]:
    """While it is open, this process keeps off the core that is measured, and the scheduler takes the generator for
    what it is: SCHED_IDLE holds only among processes of one group, and autogrouping makes a group of each session."""
    os.sched_setaffinity(0, {CORE})
    if AUTOGROUP.exists():
        if not REMEMBERED.exists():
            REMEMBERED.write_text(AUTOGROUP.read_text())
        AUTOGROUP.write_text("0")
    try:
        yield
    finally:
        if REMEMBERED.exists():
            AUTOGROUP.write_text(REMEMBERED.read_text())
            REMEMBERED.unlink()
