"""Memory: what a forwarder takes for each client that has a tunnel, in its process and in the kernel."""

import json
from collections.abc import Callable
from pathlib import Path

from forwarders import Conntrack, Forwarder
from ikelb import Generic, Ikelb
from network import site
from results import Memory
from rounds import progress
from vpnlab.shell import run

SLAB = "nf_conntrack"


def measure_memory(kinds: list[type[Forwarder]], clients: int) -> dict[str, Memory]:
    """Each forwarder freshly started, for whichever has a memory of its clients."""
    found = {}
    for kind in kinds:
        with site(kind.key) as place:
            # Its tables are sized by max_clients, so that is what they are divided by.
            forwarder = kind(place, clients, room=1) if issubclass(kind, Ikelb) else kind(place, clients)
            try:
                forwarder.start()
                what, kernel = _kernel_memory(forwarder)
                process_before, kernel_before = forwarder.resident_bytes("RssAnon"), kernel(False)
                forwarder.open()
                found[kind.key] = Memory(forwarder.clients, forwarder.resident_bytes("RssAnon") - process_before,
                                         kernel(True) - kernel_before, what)
            finally:
                forwarder.stop()
        progress(f"  memory: {forwarder.name}, {forwarder.clients} clients")
    return found


def _kernel_memory(forwarder: Forwarder) -> tuple[str, Callable[[bool], int]]:
    """What of the kernel's memory is looked at, and a function for it: (with clients) -> bytes."""
    if isinstance(forwarder, Conntrack):
        return f"slab {SLAB}", lambda _: _slab_bytes(SLAB)
    if isinstance(forwarder, Generic):
        pid = forwarder.process.pid if forwarder.process else 0
        return "BPF maps, whole", lambda with_clients: _map_bytes(pid) if with_clients else 0
    if forwarder.key == "slow":
        return "none", lambda _: 0
    return "slab of the machine", lambda _: _slab_total()


def _slab_bytes(name: str) -> int:
    for line in Path("/proc/slabinfo").read_text().splitlines():
        if line.startswith(f"{name} "):
            fields = line.split()
            return int(fields[1]) * int(fields[3])
    return 0


def _slab_total() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("SUnreclaim:"):
            return int(line.split()[1]) * 1024
    raise LookupError("SUnreclaim")


def _map_bytes(pid: int) -> int:
    """What the BPF maps that a process holds take, as the kernel accounts for them."""
    total = 0
    for number in {int(line.split()[1]) for line in _map_lines(pid)}:
        total += json.loads(run(["bpftool", "-j", "map", "show", "id", str(number)]))["bytes_memlock"]
    return total


def _map_lines(pid: int) -> list[str]:
    """The lines "map_id: N" of the process's descriptors."""
    lines = []
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        lines += [line for line in info.read_text().splitlines() if line.startswith("map_id:")]
    return lines
