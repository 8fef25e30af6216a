"""The parts of the lab's package (lab/vpnlab) that need no root: formats, figures, the ending of processes."""

import contextlib
import io
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "lab"))

from vpnlab import (  # noqa: E402
    __main__ as command_line,
    balancer,
    clients,
    diagnosis_report,
    noise,
    processes,
    report,
    servers,
    shell,
    situations,
    traffic,
    vici,
    workspace,
)
from vpnlab.diagnosis import Finding  # noqa: E402
from vpnlab.scenarios import MODES, SCENARIOS, Plan, Result  # noqa: E402
from vpnlab.shell import LabError  # noqa: E402
from vpnlab.situations import Place, Situation  # noqa: E402


class Vici(unittest.TestCase):
    def test_message_survives_the_wire(self) -> None:
        message: vici.Message = {"a": "x", "n": 7, "list": ["p", b"\x00\xff"], "in": {"deep": {"k": ""}}, "empty": []}
        want = {"a": b"x", "n": b"7", "list": [b"p", b"\x00\xff"], "in": {"deep": {"k": b""}}, "empty": []}
        self.assertEqual(vici._decode(vici._encode(message)), want)

    def test_known_encoding(self) -> None:
        """The example of the protocol's description."""
        want = b"\x03\x04key1\x00\x06value1" b"\x01\x08section1" b"\x03\x07sub-key\x00\x09sub-value" b"\x02"
        self.assertEqual(vici._encode({"key1": "value1", "section1": {"sub-key": "sub-value"}}), want)

    def test_truncated_message_is_an_error(self) -> None:
        whole = vici._encode({"key": "value", "list": ["item"]})
        for length in (1, 4, 9, len(whole) - 3):
            with self.subTest(length=length), self.assertRaises(vici.ViciError):
                vici._decode(whole[:length])

    def test_unknown_element_is_an_error(self) -> None:
        with self.assertRaises(vici.ViciError):
            vici._decode(b"\x09")


class Yaml(unittest.TestCase):
    def test_document(self) -> None:
        service = {"name": "vpn", "vip": ["203.0.113.10", "2001:db8::1"], "health": {"rise": 1}}
        want = (
            "services:\n"
            "  - name: vpn\n"
            "    vip:\n"
            "      - 203.0.113.10\n"
            '      - "2001:db8::1"\n'
            "    health:\n"
            "      rise: 1\n"
            "x: 1h\n"
        )
        self.assertEqual(balancer.yaml({"services": [service], "x": "1h"}), want)


class Figures(unittest.TestCase):
    def result(self, **values: object) -> Result:
        return Result(SCENARIOS[0], "transparent", 2, **values)  # type: ignore[arg-type]

    def test_everybody_needs_tunnel_and_traffic(self) -> None:
        self.assertTrue(self.result(connected=2, with_traffic=2).everybody)
        self.assertFalse(self.result(connected=1, with_traffic=1).everybody)
        self.assertFalse(self.result(connected=2, with_traffic=1).everybody)
        self.assertFalse(self.result(connected=2, with_traffic=2, failure="ikelb ended").everybody)

    def test_percentile_is_the_nearest_rank(self) -> None:
        for count, want in ((1, 1), (60, 60), (99, 99), (100, 99), (101, 100), (200, 198)):
            with self.subTest(count=count):
                self.assertEqual(self.result(seconds=tuple(range(1, count + 1))).percentile_99_s(), want)
        self.assertIsNone(self.result().percentile_99_s())

    def test_dead_clients_have_numbers_of_their_own(self) -> None:
        dead = next(scenario for scenario in SCENARIOS if scenario.dead_per_server)
        self.assertEqual(Plan(60).dead(dead, 3), range(61, 91))
        self.assertEqual(Plan(60).client_addresses(dead, 3), 90)
        self.assertEqual(Plan(60).client_addresses(SCENARIOS[0], 3), 60)

    def test_table_is_aligned_and_paired_by_scenario(self) -> None:
        figures = {"full-nat": (5, 195, 1), "transparent": (200, 0, 200)}
        results = [Result(scenario, mode, 200, *figures[mode]) for mode in MODES for scenario in SCENARIOS]
        lines = report.table(results, colour=False).splitlines()
        rows = [line for line in lines[3:] if line]
        self.assertEqual(len({len(line) for line in rows}), 1)
        self.assertEqual(["full-nat" in row for row in rows], [True, False] * len(SCENARIOS))
        self.assertNotIn("\033", "".join(lines))


class Situations(unittest.TestCase):
    def test_there_is_one_for_each_verdict_of_ikelb(self) -> None:
        header = (ROOT / "lb/diagnosis.h").read_text()
        verdicts = re.findall(r'^    X\([A-Z_]+, "([a-z-]+)", (?:true|false)\)', header, re.MULTILINE)
        others = (situations.MOVED, situations.ARRIVED, situations.IDLE, situations.FORGOTTEN)
        shown = {situation.verdict for situation in (*situations.SITUATIONS, *others)}
        self.assertEqual(shown, set(verdicts))

    def test_two_that_share_a_failing_verdict_are_told_apart_by_the_advice(self) -> None:
        for verdict in ("init-unanswered", "answered-no-auth", "auth-unanswered", "refused"):
            sharing = [one.advice for one in situations.SITUATIONS if one.verdict == verdict]
            with self.subTest(verdict=verdict):
                self.assertEqual(len(set(sharing)), len(sharing))

    def test_a_place_drops_what_is_lost_there_and_no_more(self) -> None:
        here = Situation("a", "x", Place.SERVERS, "udp dport 4500")
        elsewhere = Situation("b", "x", Place.CLIENT, "udp dport 500")
        nowhere = Situation("c", "x")
        rules = situations.rules(Place.SERVERS, {"192.0.2.1": here, "192.0.2.2": elsewhere, "192.0.2.3": nowhere})
        want = (
            "table inet lost-servers\n"
            "delete table inet lost-servers\n"
            "table inet lost-servers {\n"
            "    chain lost {\n"
            "        type filter hook input priority filter\n"
            "        ip saddr 192.0.2.1 udp dport 4500 counter drop\n"
            "    }\n"
            "}\n"
        )
        self.assertEqual(rules, want)


class Diagnosis(unittest.TestCase):
    plain = Situation("the client is somewhere, and does not get any further", "refused")
    particular = Situation("the same", "refused", advice="fragmentation")
    summary = "The server has not answered the first message of the client for quite some time now. " * 2

    def test_verdict_and_advice_must_be_right(self) -> None:
        advice = ["Look in the log.", "Enable fragmentation."]
        self.assertTrue(Finding(self.plain, "", "refused", "").right)
        self.assertFalse(Finding(self.plain, "", "moved", "", advice).right)
        self.assertTrue(Finding(self.particular, "", "refused", "", advice).right)
        self.assertFalse(Finding(self.particular, "", "refused", "", advice[:1]).right)
        self.assertEqual(Finding(self.particular, "", "refused", "", advice).telling_advice(), advice[1])
        self.assertEqual(Finding(self.plain, "", "refused", "", advice).telling_advice(), "")

    def test_table_is_as_wide_as_the_terminal(self) -> None:
        findings = [Finding(self.plain, "", "refused", self.summary)] * 2
        for terminal, width in ((10, 72), (80, 80), (116, 116), (400, 160)):
            with self.subTest(terminal=terminal):
                table = diagnosis_report.table(findings, terminal, colour=False)
                lines = table.split("\n\n")[0].splitlines()
                self.assertEqual(max(map(len, lines)), width)
                words = " ".join(line[37:] for line in lines[2:]).split()  # The first two columns end there.
                self.assertEqual(words, 2 * self.summary.split())

    def test_a_wrong_verdict_shows_without_colour(self) -> None:
        right, wrong = Finding(self.plain, "", "refused", "Yes."), Finding(self.plain, "", "moved", "No.")
        good = diagnosis_report.table([right, right], 116, colour=False)
        bad = diagnosis_report.table([right, wrong], 116, colour=False)
        self.assertNotIn("wrong", good)
        self.assertIn("2 of 2 verdicts are right", good)
        self.assertRegex(bad, r"moved +No\.\n.*\(wrong:")
        self.assertIn("1 of 2 verdicts are right", bad)
        self.assertNotIn("\033", good + bad)

    def test_noise_is_first_messages_with_an_spi(self) -> None:
        message = noise.first_message(bytes(7))
        spi_i, spi_r, _, version, exchange, flags, number, length = struct.unpack_from("!8s8sBBBBII", message)
        self.assertNotEqual(spi_i, bytes(8))
        self.assertEqual((spi_r, version, exchange, flags, number), (bytes(8), 0x20, 34, 0x08, 0))
        self.assertEqual(length, len(message))


class CommandLine(unittest.TestCase):
    def wants(self, *argv: str) -> bool:
        return command_line._wants_diagnosis(command_line._arguments(argv))

    def test_when_clients_in_trouble_are_shown(self) -> None:
        self.assertTrue(self.wants())
        self.assertTrue(self.wants("--mode", "transparent"))
        self.assertTrue(self.wants("--scenario", "slow", "--scenario", "diagnosis"))
        self.assertFalse(self.wants("--scenario", "slow"))
        self.assertFalse(self.wants("--mode", "full-nat"))
        self.assertFalse(self.wants("--ipv6"))

    def test_what_cannot_be_is_refused(self) -> None:
        for other in (("--ipv6",), ("--mode", "full-nat")):
            with self.subTest(other=other), contextlib.redirect_stderr(io.StringIO()) as complaint:
                with self.assertRaises(SystemExit):
                    self.wants("--scenario", "diagnosis", *other)
                self.assertIn("transparent mode only", complaint.getvalue())

    def test_exit_statuses_that_are_no_failure(self) -> None:
        argv = ["sh", "-c", "echo said; exit 1"]
        self.assertEqual(shell.run(argv, statuses=(0, 1)), "said\n")
        with self.assertRaises(LabError):
            shell.run(argv)


class Logs(unittest.TestCase):
    def test_lines_of_strongswan(self) -> None:
        refused = "10:00:00.123 07[NET] ignoring IKE_SA setup from 10.0.0.2, per-IP half-open IKE_SA limit of 5 reached"
        initiating = "10:00:00.123 09[IKE] 2001:db8:1::7 is initiating an IKE_SA"
        received = "10:00:00.123 09[NET] received packet: from 198.18.0.1[4500] to 10.0.0.11[4500] (4816 bytes)"
        begun = "10:00:00.123 16[IKE] initiating IKE_SA c7[10] to 203.0.113.10\n"
        self.assertEqual(clients.begun(begun + begun.replace("c7", "c12") + received), {"c7", "c12"})
        self.assertEqual(servers._REFUSED.search(refused)[1], "10.0.0.2")  # type: ignore[index]
        self.assertEqual(servers._INITIATING.search(initiating)[1], "2001:db8:1::7")  # type: ignore[index]
        self.assertEqual(servers._RECEIVED.search(received)[1], "4816")  # type: ignore[index]


class Checksum(unittest.TestCase):
    def test_checksummed_packet_sums_to_zero(self) -> None:
        for data in (b"\x08\x00\x00\x00\x12\x34\x00\x01" + bytes(range(56)), b"\x08\x00\x00\x00odd"):
            checksum = traffic._checksum(data).to_bytes(2, "big")
            self.assertEqual(traffic._checksum(data[:2] + checksum + data[4:]), 0)
        self.assertEqual(traffic._checksum(b"\x01"), 0xFEFF)


class Processes(unittest.TestCase):
    tag = f"labunit{os.getpid()}"  # Others may be running these tests, too, and would end each other's processes.

    def test_stop_ends_even_a_stopped_and_a_deaf_process(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            output = Path(directory, "output")
            own = processes.Processes(self.tag)
            deaf = own.start("deaf", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], output)
            stopped = own.start("stopped", ["sleep", "60"], output)
            _until(lambda: "ready" in output.read_text())
            stopped.send(signal.SIGSTOP)
            self.assertEqual(set(processes.leftovers(self.tag)) & {deaf.pid, stopped.pid}, {deaf.pid, stopped.pid})
            own.stop([deaf, stopped], timeout_s=0.5)
            self.assertEqual((deaf.exit_status(), stopped.exit_status()), (-signal.SIGKILL, -signal.SIGTERM))

    def test_leftovers_are_found_by_their_tag_alone(self) -> None:
        mine = subprocess.Popen(["sleep", "60"], env={**os.environ, processes.MARK: self.tag})
        other = subprocess.Popen(["sleep", "60"], env={**os.environ, processes.MARK: self.tag + "x"})
        try:
            _until(lambda: mine.pid in processes.leftovers(self.tag))
            processes.end_leftovers(self.tag)
            self.assertEqual(mine.wait(5), -signal.SIGTERM)
            self.assertIsNone(other.poll())
        finally:
            for process in (mine, other):
                process.kill()
                process.wait()


class Workspace(unittest.TestCase):
    def test_tags(self) -> None:
        for tag in ("", "A", "a-b", "../x", "a" * 13):
            with self.subTest(tag=tag), self.assertRaises(LabError):
                workspace.Workspace(tag)

    def setUp(self) -> None:
        # A shell's background jobs, and what nohup starts, ignore these; here they must arrive.
        for signum, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            self.addCleanup(signal.signal, signum, signal.signal(signum, handler))

    def test_signal_interrupts_once_and_handlers_come_back(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with self.assertRaises(workspace.Interrupted) as caught, workspace.Interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        self.assertEqual(caught.exception.exit_status, 128 + signal.SIGTERM)
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)

    def test_deferred_signal_comes_after_the_block(self) -> None:
        done = []
        with self.assertRaises(workspace.Interrupted), workspace.Interruptible() as signals:
            signals.defer()
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest of the block")
        self.assertEqual(done, ["the rest of the block"])


def _until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)


if __name__ == "__main__":
    unittest.main()
