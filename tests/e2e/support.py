"""What the end-to-end tests share: a lab that checks how ikelb ends, waiting for conditions, ikelb's own reports."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from vpnlab.balancer import Balancer, binary
from vpnlab.bench import Bench
from vpnlab.clients import Outcome
from vpnlab.net import Namespace
from vpnlab.topology import Topology
from vpnlab.workspace import Interrupted

T = TypeVar("T")

# The second and third address of ikelb's namespace that tests use as VIPs besides the lab's own.
SECOND_VIP = {4: "203.0.113.11", 6: "2001:db8:113::11"}
THIRD_VIP = {4: "203.0.113.12", 6: "2001:db8:113::12"}

# Tables of a test's size, so that they can be filled up, and so that their memory does not hide other growth.
MAX_CLIENTS = 10000

TAIL_LINES = 40

_SANITIZER = re.compile(r"Sanitizer|runtime error:|SUMMARY:")


@contextmanager
def lab(
    *, clients: int, servers: int, network: type[Topology] = Topology, fastpath: str = ""
) -> Iterator[Bench]:
    """A bench. When the test is over ikelb must end well by SIGTERM; when it has failed, the logs' ends are printed.
    `fastpath` is for configurations that do not name one."""
    tag = os.environ.get("IKELB_E2E_TAG", "e2e")
    logs = Path(tempfile.mkdtemp(prefix="ikelb-e2e-"))
    try:
        with Bench(tag, clients=clients, servers=servers, log_dir=logs, network=network,
                   fastpath=fastpath) as bench:
            try:
                lo = [f"addr add {vips[4]}/32 dev lo" for vips in (SECOND_VIP, THIRD_VIP)]
                lo += [f"addr add {vips[6]}/128 dev lo nodad" for vips in (SECOND_VIP, THIRD_VIP)]
                bench.topology.lb.ip_batch(lo)
                yield bench
                if _balancer(bench) is not None:
                    stop(bench)  # If it has ended already, in the test or by a crash, its status tells.
            except BaseException as error:
                if not isinstance(error, Interrupted):
                    _print_tails(logs)
                raise
    finally:
        shutil.rmtree(logs, ignore_errors=True)


def _balancer(bench: Bench) -> Balancer | None:
    """The bench's ikelb, if the test has started one."""
    try:
        return bench.balancer
    except AssertionError:
        return None


def _print_tails(logs: Path) -> None:
    for log in sorted(logs.iterdir()):
        print(f"--- the end of {log.name}", file=sys.stderr)
        print("\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:]), file=sys.stderr)


def start(
    bench: Bench, services: list[dict[str, Any]], *, ready: bool = True, options: Sequence[str] = (), **sections: Any
) -> Balancer:
    """Starts ikelb with these services and options of `ikelb run`. `ready`: waits for all backends to be up, else only
    for it to answer."""
    configuration = {"services": services, "dataplane": {"max_clients": MAX_CLIENTS}, **sections}
    balancer = bench.start_balancer(configuration, ready=ready, options=options)
    if not ready:
        wait_running(balancer)
    return balancer


def wait_running(balancer: Balancer) -> None:
    """Waits until ikelb answers on its socket, which it does only after its kernel set-up is complete."""
    balancer.wait_status(lambda status: True, "answering", 15.0)


def check_log(balancer: Balancer) -> None:
    """No sanitizer has complained."""
    found = [line for line in log_lines(balancer) if _SANITIZER.search(line)]
    assert not found, f"the sanitizer reports: {found}"


def stop(bench: Bench) -> None:
    """Ends ikelb by SIGTERM; it must end by itself, with status 0 and without a word from a sanitizer."""
    status = bench.balancer.stop()
    assert status == 0, f"ikelb ended with status {status} on SIGTERM:\n{bench.balancer.process.tail(TAIL_LINES)}"
    check_log(bench.balancer)


def restart(bench: Bench, services: list[dict[str, Any]], *, ready: bool = True) -> Balancer:
    """Ends ikelb as `stop` does and starts it with other services."""
    stop(bench)
    return start(bench, services, ready=ready)


def log_lines(balancer: Balancer) -> list[str]:
    return balancer.log.read_text(errors="replace").splitlines()


def wait_log(balancer: Balancer, words: str, timeout_s: float = 5.0) -> str:
    """Waits for a line of ikelb's log that contains these words, and returns the last such line."""

    def find() -> str | None:
        return next((line for line in reversed(log_lines(balancer)) if words in line), None)

    return wait_for(find, f"'{words}' in ikelb's log", timeout_s)


def wait_for(probe: Callable[[], T | None], what: str, timeout_s: float = 10.0) -> T:
    """Calls `probe` until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.02)


def drops(balancer: Balancer) -> Counter[str]:
    """ikelb's count of dropped packets by reason."""
    return Counter(balancer.status()["drops"])


def accounted_for(balancer: Balancer) -> int:
    """How many packets from clients went to a server, and packets from either side were dropped."""
    status = balancer.status()
    forwarded = sum(backend["rx_packets"] for service in status["services"] for backend in service["backends"])
    return int(forwarded + sum(status["drops"].values()))


def health(balancer: Balancer, backend: str) -> str:
    """The health of the first backend of that name in any service."""
    found = [b for service in balancer.status()["services"] for b in service["backends"] if b["name"] == backend]
    return str(found[0]["health"])


def wait_health(balancer: Balancer, backend: str, wanted: str, timeout_s: float = 15.0) -> float:
    """Waits until a backend has that health; the seconds it took."""
    begin = time.monotonic()
    wait_for(lambda: health(balancer, backend) == wanted, f"{backend} {wanted}", timeout_s)
    return time.monotonic() - begin


def resident_kib(balancer: Balancer) -> int:
    """The memory of ikelb's process."""
    text = Path("/proc", str(balancer.process.pid), "status").read_text()
    return int(re.findall(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)[0])


def listed_client(balancer: Balancer, address: str) -> dict[str, Any] | None:
    """What ikelb lists of the client with this address, if it does."""
    return next((client for client in balancer.clients() if client["address"] == address), None)


def ikelb(namespace: Namespace, *argv: str, stdin: Any = None, timeout_s: float = 30.0) -> tuple[int, str, str]:
    """Runs a subcommand in a namespace: exit status, standard output, standard error."""
    done = subprocess.run(
        namespace.command(str(binary()), *argv),
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def all_connected(outcomes: Iterable[Outcome]) -> None:
    failed = [outcome.client for outcome in outcomes if not outcome.connected]
    assert not failed, f"clients {failed} did not connect"


def equal(found: T, wanted: T, what: str) -> None:
    assert found == wanted, f"{what}: {found!r} instead of {wanted!r}"


def same_backends(first: Mapping[str, int], second: Mapping[str, int], what: str) -> None:
    """Both map client addresses to servers; the clients that went elsewhere are named."""
    moved = {client: (server, second.get(client)) for client, server in first.items() if second.get(client) != server}
    assert not moved, f"{what}: {moved}"


