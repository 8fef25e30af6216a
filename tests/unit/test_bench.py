"""The parts of the benchmark (tests/bench) that measure nothing: figures, tables, the chart, the document."""

import contextlib
import io
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "tests/bench")]

import bench  # noqa: E402
import chart  # noqa: E402
import document  # noqa: E402
import load  # noqa: E402
import quiet  # noqa: E402
import results  # noqa: E402
import stats  # noqa: E402
import tables  # noqa: E402


def bucket(ns: int) -> int:
    """As bucket_of() of sink.bpf.c has it."""
    if ns < stats.STEPS:
        return ns
    octave = ns.bit_length() - 1 - 5
    return (octave << 5) + (ns >> octave)


def example() -> results.Results:
    names = {"floor": "no forwarder", "kernel": "kernel forwarding", "pen": "pen", "native": "ikelb fast, native"}
    main = results.Rates("200 bytes", 200, {key: 1000 for key in names})
    for key, rates in {"floor": [9e6, 3e6], "kernel": [1e6, 0.5e6], "pen": [1e5, 1e5], "native": [2e6, 1e6]}.items():
        main.cell(key, "in").rates += rates
        if key != "pen":
            main.cell(key, "out").rates += rates
    main.cell("kernel", "in").latency = {bucket(1000): 98, bucket(50_000): 2}
    more = results.Rates("many", 200, {"kernel": 100_000, "native": 100_000, "pen": 9000})
    more.cell("kernel", "in").rates += [1e6]
    more.cell("native", "in").rates += [1.01e6]
    more.cell("pen", "in").rates += [1e5]
    few = results.Rates("few", 200, main.clients, cells=main.cells)
    lag = results.Lag(100_000, 2e5, 0.0025, 0.01, 5000, 20, 0.01)
    return results.Results(machine={"processor": "a"}, names=names, rounds=2, main=[main], scaling=[few, more],
                           reads=[12.4, 99.6], dense_reads=[3.1, 41.7],
                           memory={"kernel": results.Memory(1000, 5000, 300_000, "slab")}, lag={"native": lag})


class Stats(unittest.TestCase):
    def test_ratio_is_taken_round_by_round(self) -> None:
        """Twice as fast in each round, on a machine that becomes ten times slower."""
        self.assertEqual(stats.ratio([200, 20, 200], [100, 10, 100]), stats.Spread(2, 2, 2))

    def test_rounds_must_be_pairs(self) -> None:
        with self.assertRaises(ValueError):
            stats.ratio([1, 2], [1])

    def test_cost_is_without_the_floor(self) -> None:
        self.assertAlmostEqual(stats.cost_ns(1e6, 10e6), 900)

    def test_buckets_hold_what_they_say(self) -> None:
        for ns in [*range(200), 848, 4095, 4096, 1_000_000, 10**9]:
            with self.subTest(ns=ns):
                self.assertLess(abs(stats.bucket_ns(bucket(ns)) - ns), max(1, ns / 32))

    def test_percentiles(self) -> None:
        histogram = stats.merge([{bucket(1000): 98}, {bucket(50_000): 1}, {bucket(50_000): 1}])
        self.assertAlmostEqual(stats.percentile_ns(histogram, 0.5), 1000, delta=32)
        self.assertAlmostEqual(stats.percentile_ns(histogram, 0.98), 1000, delta=32)
        self.assertAlmostEqual(stats.percentile_ns(histogram, 0.99), 50_000, delta=1600)
        with self.assertRaises(ValueError):
            stats.percentile_ns({}, 0.5)

    def test_bound_of_a_cumulative_histogram(self) -> None:
        counts = {0.001: 998.0, 0.01: 999.0, float("inf"): 1000.0}
        self.assertEqual(stats.bound(counts, 0.998), 0.001)
        self.assertEqual(stats.bound(counts, 0.999), 0.01)
        self.assertEqual(stats.bound(counts, 1.0), float("inf"))


class Quiet(unittest.TestCase):
    BEFORE = quiet.Times(run=1.0, waited=2.0, softirqd=3.0)

    def others(self, waited: float, run: float = 0, forwarder_waited: float = 0, shared: bool = True,
               softirqd: float = 0) -> float:
        after = quiet.Times(1.0 + run, 2.0 + forwarder_waited, 3.0 + softirqd)
        return quiet.others(load.Outcome(1, 1, 0, 2.0, waited), self.BEFORE, after, shared)

    def test_the_forwarder_is_nobody_else(self) -> None:
        self.assertEqual(self.others(waited=1.5, run=1.5), 0)

    def test_who_is_not_known_is(self) -> None:
        self.assertAlmostEqual(self.others(waited=1.5, run=0.5), 0.5)

    def test_on_a_core_of_its_own_the_forwarder_is_no_excuse(self) -> None:
        self.assertAlmostEqual(self.others(waited=0.5, run=1.9, shared=False), 0.25)

    def test_a_forwarder_that_waits_on_a_core_of_its_own_waits_for_others(self) -> None:
        self.assertAlmostEqual(self.others(waited=0.0, run=1.0, forwarder_waited=0.2, shared=False), 0.1)

    def test_one_that_waits_on_the_core_of_all_waits_for_the_generator(self) -> None:
        self.assertEqual(self.others(waited=1.0, run=1.0, forwarder_waited=0.2), 0)

    def test_the_kernels_own_process_is_nobody_else(self) -> None:
        self.assertEqual(self.others(waited=1.5, run=1.0, softirqd=0.5), 0)


class Tables(unittest.TestCase):
    def test_columns_stand_below_each_other(self) -> None:
        lines = tables.table(["a", "b"], [["long name", "1"], ["x", "12,345"]]).splitlines()
        self.assertEqual(lines, ["a               b", "-----------------", "long name       1", "x          12,345"])

    def test_row(self) -> None:
        row = tables.rates_row(example().main[0], "native", "it", "in")
        self.assertEqual(row[:4], ["it", "1,000", "1,500", "1,000..2,000"])
        self.assertEqual(row[5], "2.00")
        self.assertEqual(row[6], tables.EMPTY, "without nginx no ratio to it")

    def test_latency_is_in_microseconds(self) -> None:
        row = tables.rates_row(example().main[0], "kernel", "it", "in")
        self.assertEqual(row[7], "1.0")
        self.assertAlmostEqual(float(row[8]), 50, delta=1.6)

    def test_what_cannot_be_measured_is_left_out(self) -> None:
        inward, outward = tables.rates_tables(example().main[0], example().names).split("server to clients")
        self.assertIn("\npen ", inward)
        self.assertNotIn("\npen ", outward)

    def test_scaling_says_who_had_fewer_clients(self) -> None:
        found = example()
        text = tables.scaling_table(found.scaling, found.names, found.reads, found.dense_reads)
        self.assertIn("100 (0.10) with 9,000", text)
        self.assertIn("1,010 (1.01)", text)
        self.assertRegex(text, "a read of memory.* 12 ns +100 ns")
        self.assertRegex(text, "the same, with 16 bytes.* 3 ns +42 ns")

    def test_memory_is_by_client(self) -> None:
        self.assertIn("300 (slab)", tables.memory_table(example()))

    def test_a_missed_aim_is_said(self) -> None:
        found = example()
        self.assertIn("MISSED", tables.lag_table(found))
        found.lag["native"].bound_s = 0.001
        self.assertNotIn("MISSED", tables.lag_table(found))


class Chart(unittest.TestCase):
    def test_is_well_formed_and_complete(self) -> None:
        svg = xml.etree.ElementTree.fromstring(chart.draw(example()))
        words = ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]
        for name in ("kernel forwarding", "pen", "ikelb fast, native", "not measured"):
            self.assertIn(name, words)
        self.assertNotIn("no forwarder", words, "its bar would dwarf all others")

    def test_the_longest_bar_is_the_fastest(self) -> None:
        svg = xml.etree.ElementTree.fromstring(chart.draw(example()))
        widths = [float(bar.attrib["width"]) for bar in svg.iter("{http://www.w3.org/2000/svg}rect")
                  if bar.attrib["class"] == "in"]
        self.assertEqual(widths, [chart.BARS * 0.5, round(chart.BARS / 15, 1), chart.BARS])

    def test_lines_only_of_those_with_so_many_clients(self) -> None:
        svg = chart.draw(example())
        self.assertEqual(svg.count("<polyline"), 2, "pen had fewer")

    def test_labels_keep_their_distance_and_order(self) -> None:
        placed = chart.apart({"a": 100, "b": 101, "c": 99, "d": 300}, 17)
        order = sorted(placed, key=lambda key: placed[key])
        self.assertEqual(order, ["c", "a", "b", "d"])
        gaps = [placed[after] - placed[before] for before, after in zip(order, order[1:])]
        self.assertTrue(all(gap >= 17 for gap in gaps), gaps)
        self.assertEqual(placed["a"], 100, "the middle one stays")
        self.assertEqual(placed["d"], 300, "who is far away stays")


class Document(unittest.TestCase):
    def test_only_what_is_between_the_marks_changes(self) -> None:
        text = f"before\n{document.BEGIN}old\n{document.END}after\n"
        new = document.replaced(text, "new")
        self.assertTrue(new.startswith("before\n") and new.endswith("after\n"))
        self.assertNotIn("old", new)
        self.assertEqual(document.replaced(new, "new"), new)

    def test_missing_marks_are_an_error(self) -> None:
        for text in ("nothing", document.BEGIN, document.END, f"{document.END}{document.BEGIN}"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                document.replaced(text, "new")

    def test_the_document_has_its_marks(self) -> None:
        document.replaced((ROOT / document.DOCUMENT).read_text(), "new")


class Results(unittest.TestCase):
    def test_survive_a_file(self) -> None:
        found = example()
        found.flood["slow"] = results.Flood([1.0], [0.5])
        found.new_flows["slow"] = results.NewFlows(5, [1.0])
        found.state = results.State(1, 2, 3.0, [4.0], 5.0, 6.0, 7.0, 8.0)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "results.json"
            results.save(found, path)
            self.assertEqual(results.load(path), found)


class Options(unittest.TestCase):
    def test_quick_is_shorter(self) -> None:
        quick, usual = bench.parse(["--quick"]), bench.parse([])
        lengths = [o.rounds * o.seconds * len(o.clients) for o in (quick, usual)]
        self.assertLess(lengths[0], lengths[1])

    def test_what_is_asked_for_goes_first(self) -> None:
        options = bench.parse(["--quick", "--rounds", "9", "--clients", "7", "--direction", "in"])
        self.assertEqual((options.rounds, options.clients, options.directions), (9, [7], ["in"]))

    def test_a_document_without_rates_is_refused(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
            bench.parse(["--only", "lag", "--write"])
        self.assertTrue(bench.parse(["--only", "lag", "--write", "--add"]).write)

    def test_only_state(self) -> None:
        self.assertEqual(bench.parse(["--only-state"]).only, ("state",))


if __name__ == "__main__":
    unittest.main()
