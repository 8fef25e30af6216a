"""Measures forwarders side by side, and what ikelb costs besides. docs/benchmarks.md explains the method."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))

import document  # noqa: E402
from flood import measure_flood  # noqa: E402
from forwarders import Bare, BarePacket, Conntrack, Floor, Forwarder, Kernel, Nginx, Pen, Stateless  # noqa: E402
from ikelb import Generic, Ikelb, Native, accepts  # noqa: E402
from lag import measure_lag  # noqa: E402
from machine import CORE, facts, memory_read_ns, prepared  # noqa: E402
from memory import measure_memory  # noqa: E402
from results import Rates, Results, save  # noqa: E402
from results import load as load_results  # noqa: E402
from network import clean  # noqa: E402
from rounds import Rounds, progress, running  # noqa: E402
from sessions import measure_new_flows  # noqa: E402
from state import measure_state  # noqa: E402
from tables import everything  # noqa: E402
from vpnlab.shell import LabError  # noqa: E402
from vpnlab.workspace import Interrupted, Interruptible  # noqa: E402

RESULTS = ROOT / "build/bench/results.json"
KINDS: list[type[Forwarder]] = [Floor, Kernel, Stateless, Conntrack, Nginx, Pen, Bare, BarePacket, Ikelb, Generic, Native]
SCALING = ("kernel", "conntrack", "slow", "generic", "native")
REMEMBERING = ("conntrack", "nginx", "pen", "slow", "generic", "native")
NEW_FLOWS = ("conntrack", "nginx", "pen", "slow")
SLOTS_A_CLIENT = 4  # of the fast path's table: two entries a client, half full
CLIENTS_A_LINE = 4  # in a table of the least that could know a client: 16 bytes
SECTIONS = ("rates", "scaling", "memory", "sessions", "lag", "flood", "state")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    keys = [kind.key for kind in KINDS]
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="all of it within two minutes: rougher figures")
    parser.add_argument("--rounds", type=int, help="of everything that is compared (default 5)")
    parser.add_argument("--seconds", type=float, help="of each measurement (default 1)")
    parser.add_argument("--payload", type=int, nargs="+", default=[200, 1400], help="bytes (default 200 1400)")
    parser.add_argument("--clients", type=int, nargs="+", help="for the scaling (default 1000 100000 1000000)")
    parser.add_argument("--direction", choices=["in", "out", "both"], default="both",
                        help="in: clients to server (default both)")
    parser.add_argument("--forwarders", nargs="+", choices=keys, default=keys, metavar="NAME",
                        help=f"only these: {' '.join(keys)}")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION",
                        help=f"only these: {' '.join(SECTIONS)}")
    parser.add_argument("--only-state", action="store_true", help="the same as --only state")
    parser.add_argument("--state-clients", type=int, help="for the state file (default 1000000)")
    parser.add_argument("--add", action="store_true",
                        help="takes the sections that are not measured from the latest run")
    parser.add_argument("--write", action="store_true", help="writes docs/benchmarks.md and its chart")
    parser.add_argument("--from", dest="results", type=Path, metavar="FILE",
                        help=f"measures nothing, and takes the results of an earlier run ({RESULTS.relative_to(ROOT)})")
    options = parser.parse_args(argv)
    quick = options.quick
    options.rounds = options.rounds or (2 if quick else 5)
    options.seconds = options.seconds or (0.25 if quick else 1.0)
    options.clients = options.clients or ([1000, 100_000] if quick else [1000, 100_000, 1_000_000])
    options.state_clients = options.state_clients or (100_000 if quick else 1_000_000)
    options.directions = ["in", "out"] if options.direction == "both" else [options.direction]
    options.crowd = 20_000 if quick else 100_000  # for memory and loop lag
    if options.only_state:
        options.only = ("state",)
    if options.write and "rates" not in options.only and not (options.add or options.results):
        parser.error("--write: the document begins with the rates; measure them, too, or --add to those of the latest run")
    return options


class Bench:
    """One run: its options, the forwarders that there are, and the results so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.results = load_results(RESULTS) if options.add and RESULTS.exists() else Results()
        self.results.machine, self.results.rounds, self.results.notes = facts(), options.rounds, []
        self.kinds = [kind for kind in KINDS if kind.key in options.forwarders and self._there(kind)]
        self.results.names = {kind.key: kind.name for kind in self.kinds}
        for kind in self.kinds:
            self.results.notes += [f"{kind.name}: {words}" for words in kind.limits]

    def _there(self, kind: type[Forwarder]) -> bool:
        if not issubclass(kind, Ikelb):
            return True
        with tempfile.TemporaryDirectory() as directory:
            if accepts(kind.fastpath, Path(directory)):
                return True
        self.results.notes.append(f"{kind.name}: left out, this ikelb does not take dataplane.fastpath {kind.fastpath}")
        return False

    def of(self, keys: Sequence[str]) -> list[type[Forwarder]]:
        return [kind for kind in self.kinds if kind.key in keys]

    def ikelbs(self) -> list[type[Ikelb]]:
        return [kind for kind in self.kinds if issubclass(kind, Ikelb)]

    def _rounds(self, forwarders: Sequence[Forwarder]) -> Rounds:
        return Rounds(forwarders, self.options.directions, self.options.rounds, self.options.seconds)

    def rates(self) -> None:
        o = self.options
        self.results.main, self.results.own_core = [], []
        with running(self.kinds, 1000) as forwarders:
            counts = {forwarder.key: forwarder.clients for forwarder in forwarders}
            for payload in o.payload:
                rates = Rates(f"{payload} bytes of payload, everything on one core", payload, counts)
                self.results.main.append(self._rounds(forwarders).measure(rates, latency=payload == o.payload[0]))
            processes = [forwarder for forwarder in forwarders if forwarder.in_user_space]
            for forwarder in processes:
                forwarder.pin(str(CORE))
            if processes:
                title = f"{o.payload[0]} bytes of payload, the forwarder on a core of its own"
                rates = Rates(title, o.payload[0], counts)
                self.results.own_core.append(self._rounds(processes).measure(rates, latency=True))

    def scaling(self) -> None:
        o = self.options
        self.results.scaling = []
        self.results.reads = [memory_read_ns(clients, clients * SLOTS_A_CLIENT) for clients in o.clients]
        lines = [max(clients // CLIENTS_A_LINE, 1) for clients in o.clients]
        self.results.dense_reads = [memory_read_ns(count, count) for count in lines]
        for clients in o.clients:
            with running(self.of(SCALING), clients) as forwarders:
                rates = Rates(f"{clients:,} clients", o.payload[0], {each.key: each.clients for each in forwarders})
                self.results.scaling.append(self._rounds(forwarders).measure(rates))

    def memory(self) -> None:
        self.results.memory = measure_memory(self.of(REMEMBERING), self.options.crowd)

    def sessions(self) -> None:
        o = self.options
        self.results.new_flows = measure_new_flows(self.of(NEW_FLOWS), o.rounds, 5_000 if o.quick else 20_000)

    def lag(self) -> None:
        self.results.lag = measure_lag(self.ikelbs(), self.options.crowd, 4 if self.options.quick else 15)

    def flood(self) -> None:
        self.results.flood = measure_flood(self.ikelbs(), self.options.rounds, self.options.seconds)

    def state(self) -> None:
        self.results.state = measure_state(self.options.state_clients, self.options.rounds)

    def run(self) -> Results:
        begin = time.monotonic()
        for section in SECTIONS:
            if section in self.options.only:
                progress(f"{section} ({time.monotonic() - begin:.0f} s so far)")
                getattr(self, section)()
                save(self.results, RESULTS)
        progress(f"measured in {time.monotonic() - begin:.0f} s")
        return self.results


def show(results: Results) -> str:
    machine = "; ".join(f"{what}: {words}" for what, words in results.machine.items())
    return "\n\n\n".join([machine, *everything(results), *results.notes])


def main() -> int:
    options = parse(sys.argv[1:])
    try:
        if options.results:
            results = load_results(options.results)
        else:
            with Interruptible(), prepared():
                clean([*(kind.key for kind in KINDS), "state"])
                results = Bench(options).run()
    except Interrupted as interrupted:
        return interrupted.exit_status
    except LabError as error:
        print(f"tests/bench/run: {error}", file=sys.stderr)
        return 1
    print(show(results))
    if options.write and not results.main:
        print("tests/bench/run: no rates, so nothing is written", file=sys.stderr)
        return 1
    if options.write:
        document.write(results, ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
