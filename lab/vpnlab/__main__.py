"""The command line of `lab/run`."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from . import balancer, diagnosis, diagnosis_report, report, workspace
from .bench import Bench
from .scenarios import MODES, SCENARIOS, Plan, Result, Scenario, end, measure
from .shell import LabError
from .topology import MAX_SERVERS, client_address
from .workspace import Interrupted, Interruptible

MAX_CLIENTS = 10000  # Fewer than the network has room for: some scenarios add clients of their own.
LAB_DIR = balancer.REPOSITORY / "build/lab"


def main(argv: Sequence[str]) -> int:
    """Runs the lab; returns the exit status.

    It is 0 if every scenario ran, transparent mode connected everybody, and every verdict on a client was right.
    """
    arguments = _arguments(argv)
    if arguments.check_arguments:
        return 0
    try:
        if arguments.clean:
            workspace.clean(arguments.tag)
            print(f"Nothing is left of the lab '{arguments.tag}'.")
            return 0
        with Interruptible():
            return _run(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        print(f"lab: {interrupted}; everything it had set up is removed", file=sys.stderr)
        return interrupted.exit_status
    except BrokenPipeError:
        # Whoever read the output has gone. The interpreter's last flush must not complain about it too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        _give_back(LAB_DIR)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    names = [*(scenario.name for scenario in SCENARIOS), diagnosis.NAME]
    told = {**{scenario.name: scenario.what for scenario in SCENARIOS}, diagnosis.NAME: diagnosis.WHAT}
    parser = argparse.ArgumentParser(
        prog="lab/run",
        description="Real VPN clients connect to a pool of real VPN servers through ikelb: full NAT against "
        "transparent. Then ikelb is asked what is the matter with clients in trouble. Everything happens in network "
        "namespaces of its own and is removed at the end.",
        epilog="Scenarios: " + " ".join(f"{name}: {what}" for name, what in told.items()),
    )
    counts = {"clients": (MAX_CLIENTS, 60, "VPN clients"), "backends": (MAX_SERVERS, 3, "VPN servers")}
    for name, (most, usual, what) in counts.items():
        parser.add_argument(
            f"--{name}", type=_number(most), default=usual, metavar="N", help=f"{what} (default: {usual})"
        )
    parser.add_argument("--scenario", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--mode", action="append", choices=MODES, help="only this one")
    parser.add_argument("--ipv6", action="store_true", help="clients and servers speak IPv6 outside the tunnels")
    parser.add_argument(
        "--retransmissions", type=int, choices=range(6), default=0,
        help="a client repeats a message so often (default: 0)",
    )
    parser.add_argument("--keep", action="store_true", help="leave the last scenario running, to look around in it")
    parser.add_argument("--clean", action="store_true", help="remove what --keep has left, and do nothing else")
    parser.add_argument("--tag", default="lab", help="names the namespaces: several labs can run (default: lab)")
    parser.add_argument("--check-arguments", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.scenario and _wants_diagnosis(arguments) and not _allows_diagnosis(arguments):
        parser.error(f"the scenario {diagnosis.NAME} is over IPv4 and in transparent mode only")
    return arguments


def _number(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}': 1 to {most} are allowed")
        return int(text)

    return number


def _run(arguments: argparse.Namespace) -> int:
    scenarios = [scenario for scenario in SCENARIOS if not arguments.scenario or scenario.name in arguments.scenario]
    modes = [mode for mode in MODES if not arguments.mode or mode in arguments.mode]
    runs = [(scenario, mode) for mode in modes for scenario in scenarios]
    diagnoses = _wants_diagnosis(arguments)
    workspace.clean(arguments.tag)
    logs = LAB_DIR / "logs" / arguments.tag
    shutil.rmtree(logs, ignore_errors=True)
    say = _Progress()
    kept, fine = "", True
    if os.environ.get("IKELB_BINARY"):
        _print(f"ikelb is {balancer.binary()}.\n")
    if runs:
        kept, fine = _compare(arguments, runs, say, logs, keep=arguments.keep and not diagnoses)
    if diagnoses:
        if runs:
            _print("")
        kept, right = _diagnose(arguments, say, logs / diagnosis.NAME)
        fine = fine and right
    _print(f"\nLogs: {logs}{kept}")
    return 0 if fine else 1


def _wants_diagnosis(arguments: argparse.Namespace) -> bool:
    """By name, or with all the others as far as the other options allow it."""
    return diagnosis.NAME in arguments.scenario if arguments.scenario else _allows_diagnosis(arguments)


def _allows_diagnosis(arguments: argparse.Namespace) -> bool:
    return not arguments.ipv6 and (not arguments.mode or "transparent" in arguments.mode)


def _compare(
    arguments: argparse.Namespace, runs: Sequence[tuple[Scenario, str]], say: "_Progress", logs: Path, *, keep: bool
) -> tuple[str, bool]:
    """The first part: full NAT against transparent. What to do with the last bench if it is kept, and the success."""
    plan = Plan(arguments.clients, 6 if arguments.ipv6 else 4, arguments.retransmissions)
    _print(report.introduction(plan.clients, arguments.backends, plan.retransmissions) + "\n")
    results: list[Result] = []
    kept = ""
    for scenario, mode in runs:
        say.step(f"{mode}: {scenario.title}")
        # A new network for each: nothing that one run leaves in a kernel can touch the next.
        clients = plan.client_addresses(scenario, arguments.backends)
        log_dir = logs / mode / scenario.name
        with Bench(arguments.tag, clients=clients, servers=arguments.backends, log_dir=log_dir) as bench:
            keeps = keep and (scenario, mode) == runs[-1]
            results.append(_finish(bench, measure(bench, scenario, mode, plan, say), say, keeps))
            if keeps:
                bench.workspace.keep()
                kept = _look_around(bench)
    _print(f"\n{report.table(results, _colour())}\n\n{report.explanation(results)}".rstrip("\n"))
    return kept, all(_as_promised(result) for result in results)


def _diagnose(arguments: argparse.Namespace, say: "_Progress", logs: Path) -> tuple[str, bool]:
    """The second part: clients in trouble. What to do with its bench if it is kept, and whether all went right."""
    width = shutil.get_terminal_size((report.TEXT_WIDTH, 0)).columns
    _print(diagnosis_report.introduction(width) + "\n")
    say.step(diagnosis.TITLE)
    with Bench(arguments.tag, clients=diagnosis.CLIENT_COUNT, servers=arguments.backends, log_dir=logs) as bench:
        findings = diagnosis.diagnose(bench, say)
        say.step("all have been asked for")
        _print(f"\n{diagnosis_report.table(findings, width, _colour())}")
        kept = ""
        if arguments.keep:
            bench.workspace.keep()
            kept = _look_around(bench, f"{client_address(1)}   # and so on, in the table's order")
        else:
            end(bench)
    return kept, not diagnosis.wrong(findings)


def _finish(bench: Bench, result: Result, say: "_Progress", keep: bool) -> Result:
    """Ends what the measurement has started, unless it is to be kept. An ikelb that does not end well is a failure."""
    try:
        if not keep and not result.failure:
            end(bench)
    except LabError as error:
        result = replace(result, failure=str(error))
    if result.failure:
        say(f"failed: {result.failure}")
    return result


def _as_promised(result: Result) -> bool:
    return result.everybody if result.mode == "transparent" else not result.failure


class _Progress:
    """Says what is going on, with the time since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def step(self, words: str) -> None:
        _print(f"[{time.monotonic() - self._start:5.1f} s] {words}")

    def __call__(self, words: str) -> None:
        _print(f"          {words}")


def _look_around(bench: Bench, client: str = client_address(1)) -> str:
    """Commands to try on a bench that runs on; `client` is an address to ask about."""
    topology, directory = bench.topology, bench.workspace.directory
    clients, lb = topology.clients.name, topology.lb.name
    tunnel = next(iter(bench.clients.tunnels().values()), "VIRTUAL-ADDRESS")
    return f"""

The last scenario runs on. To look around in it (as root):
  ip netns exec {lb} {balancer.binary()} status --socket {bench.balancer.socket}
  ip netns exec {lb} {balancer.binary()} clients --socket {bench.balancer.socket}
  ip netns exec {lb} {balancer.binary()} explain --socket {bench.balancer.socket} {client}
  ip netns exec {lb} nft list ruleset
  ip netns exec {lb} tcpdump -ni inside -Z root udp
  swanctl --list-sas --uri unix://{directory}/s1/vici          # server 1; the clients: {directory}/clients/vici
  ip netns exec {clients} ping -I {tunnel} 10.99.0.1
To remove it all: lab/run --clean{"" if bench.workspace.tag == "lab" else f" --tag {bench.workspace.tag}"}"""


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _print(words: str) -> None:
    print(words, flush=True)


def _give_back(path: Path) -> None:
    """Files made by root in somebody's checkout become theirs, or they could never remove them."""
    owner = balancer.REPOSITORY.stat()
    if os.geteuid() != 0 or owner.st_uid == 0 or not path.exists():
        return
    for entry in (path, *path.rglob("*")):
        os.chown(entry, owner.st_uid, owner.st_gid, follow_symlinks=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
