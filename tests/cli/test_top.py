"""`ikelb top` on a terminal that the test plays, before a daemon that the test plays, too."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from fake_daemon import FakeDaemon
from harness import BINARY, run_tests
from terminal import BACKSPACE, CTRL_C, CTRL_Z, DOWN, ENTER, ESCAPE, UP, Terminal

DONE, _, USAGE, UNREACHABLE = range(4)
REVERSE, RED = "\033[7m", "\033[1;31m"


class Pool:
    """The status of two services; each answer is a second later than the one before, whatever the time."""

    def __init__(self) -> None:
        self.second = 0
        self.states = {"vpn1": "enabled", "vpn2": "enabled", "vpn10": "enabled"}
        self.changes: list[str] = []
        self.alarm = ""

    def backend(self, name: str, number: int, **more: Any) -> dict[str, Any]:
        count = 10 * self.second
        return {"name": name, "address": f"10.0.0.{number}", "weight": 100, "state": self.states.get(name, "enabled"),
                "removed": False, "health": "up", "clients": 100 * number, "new_clients_total": count * number,
                "rx_pps": 1000 * number, "rx_bps": 3400000 * number, "tx_pps": 2000, "tx_bps": 12000000 // number,
                "fast_pps": 500 * number + 1000, "probe_ms": 0.8 * number, "suspect": None,
                "handshakes": {"init_sent": count, "init_answered": count, "auth_sent": count, "auth_answered": count,
                               "established": count, "answered": count, "unanswered": 0}, **more}

    def answer(self, target: str) -> tuple[int, object]:
        if target != "/api/v1/status":
            _, _, _, _, service, name, verb = target.split("/")
            self.changes.append(f"{verb} {service}/{name}")
            self.states[name] = {"drain": "drain", "enable": "enabled", "disable": "disabled"}[verb]
            return 200, {"service": service, "backend": name, "state": self.states[name], "was": "enabled",
                         "clients": 100, "health": "up", "warning": None}
        self.second += 1
        return 200, {
            "version": "9.8.7", "uptime_s": 93600 + self.second,
            "tables": {"pins": {"entries": 1500, "capacity": 1000000}},
            "fastpath": {"mode": "generic", "interfaces": []},
            "services": [
                {"name": "aovpn", "mode": "transparent", "schedule": "bounded-hash", "vip": ["203.0.113.10"],
                 "alarms": [self.alarm] if self.alarm else [],
                 "backends": [self.backend("vpn1", 1), self.backend("vpn10", 10), self.backend("vpn2", 2)]},
                {"name": "évil\033[2Jx", "mode": "full-nat", "schedule": "round-robin", "vip": ["203.0.113.11"],
                 "alarms": [], "backends": [self.backend(f"rras{n}", n, health="down") for n in range(1, 31)]},
            ],
        }


def top(path: Path, *args: str) -> list[str]:
    return [str(BINARY), "top", "--socket", str(path), *args]


def marked(text: str) -> str:
    """The name in the selected row."""
    (row,) = [line for line in text.splitlines() if line.startswith("> ")]
    return row.split()[1]


def below(text: str, *names: str) -> bool:
    """These stand one below the other."""
    places = [text.find(f" {name} ") for name in names]
    return -1 not in places and places == sorted(places)


def test_screen(work: Path) -> None:
    """What 80 columns and 24 lines show; it moves on by itself, and fits each new size."""
    path = work / "s"
    with FakeDaemon(path, Pool().answer), Terminal(top(path)) as terminal:
        text = terminal.wait(lambda text: "  10.0  " in text, "new clients a second")
        assert terminal.is_alternate
        lines = terminal.lines()
        assert lines[0].rstrip() == "ikelb 9.8.7, up 1d 2h | clients 1,500 of 1,000,000 | fast path 50%", text
        assert lines[1].startswith("in ") and " | out " in lines[1] and " | new " in lines[1], text
        assert lines[2].startswith("last 60 s: ") and lines[2].endswith(" up"), text
        assert lines[4] == "aovpn  203.0.113.10  transparent  bounded-hash", text
        assert lines[5].split() == "BACKEND STATE HEALTH CLIENTS NEW/S UNANSW. IN b/s OUT b/s PROBE".split(), text
        assert lines[6] == "> vpn1     enabled   up           100   10.0       0%   3.4 M     12 M   0.8 ms", text
        assert "évil?[2Jx  203.0.113.11  full-nat" in text, text
        assert lines[22] == "(more below: select with Up and Down)" and lines[23].startswith("q quit  ? help"), text
        begun = lines[2]
        terminal.wait(lambda text: begun not in text, "the next second")

        terminal.resize(120, 40)
        text = terminal.wait(lambda text: "IN pps" in text and "ADDRESS" in text, "the columns that there is room for")
        assert terminal.lines()[39].startswith("q quit") and "rras20" in text, text
        terminal.resize(40, 10)
        text = terminal.wait(lambda text: terminal.lines()[9].startswith("q quit"), "ten lines")
        assert marked(text) == "vpn1" and "PROBE" not in text, text
        terminal.resize(80, 24)
        terminal.wait(lambda text: "PROBE" in text and "rras8" in text, "the first size")
        terminal.type("q")
        assert terminal.wait_end() == DONE


def test_keys(work: Path) -> None:
    path = work / "s"
    with FakeDaemon(path, Pool().answer), Terminal(top(path)) as terminal:
        terminal.wait_for("rras1")
        terminal.type(DOWN + DOWN)
        terminal.wait(lambda text: marked(text) == "vpn2", "the third row")
        terminal.type(UP)
        terminal.wait(lambda text: marked(text) == "vpn10", "the second row")
        terminal.type("\033[F")
        terminal.wait(lambda text: marked(text) == "rras30" and "(more above" in text, "the last row")
        terminal.type("\033[1~")
        terminal.wait(lambda text: marked(text) == "vpn1", "the first row")

        terminal.type("s")
        text = terminal.wait_for("sort: name")
        assert below(text, "vpn1", "vpn2", "vpn10"), text
        terminal.type("s")
        text = terminal.wait_for("sort: clients")
        assert below(text, "vpn10", "vpn2", "vpn1") and marked(text) == "vpn1", text
        terminal.type("r")
        text = terminal.wait_for("sort: clients, rev.")
        assert below(text, "vpn1", "vpn2", "vpn10"), text

        terminal.type("/rras3")
        text = terminal.wait_for("Show only what is like: rras3_")
        assert "vpn1 " not in text and "aovpn" not in text and below(text, "rras3", "rras30"), text
        terminal.type(BACKSPACE + "0" + ENTER)
        text = terminal.wait_for('Only what is like "rras0"')
        assert "0 of 33 backends" in text and "No backend is like that." in text, text
        terminal.type(ESCAPE)
        terminal.wait_for("vpn10 ")
        terminal.type("?")
        text = terminal.wait_for("any key: back")
        assert "drain it: it keeps its clients" in text and "vpn10" not in text, text
        terminal.type("q")
        terminal.wait_for("vpn10 ")
        terminal.type(CTRL_C)
        assert terminal.wait_end() == DONE


def test_changes(work: Path) -> None:
    """d, e and x, each with a yes; without one nothing is done."""
    path, pool = work / "s", Pool()
    with FakeDaemon(path, pool.answer), Terminal(top(path)) as terminal:
        terminal.wait_for("vpn10 ")
        terminal.type(DOWN + "d")
        terminal.wait_for("drain aovpn/vpn10? It keeps its clients and gets no new ones. (y/n)")
        terminal.type("n")
        terminal.wait_for("nothing was changed")
        assert pool.changes == []
        for key, verb, words in (("d", "drain", "drain; 100 clients stay until they end, new ones go elsewhere"),
                                 ("e", "enable", "enabled already; it gets new clients"),
                                 ("x", "disable", "disabled; 100 clients keep their tunnels")):
            terminal.type(key)
            terminal.wait_for(f"{verb} aovpn/vpn10? ")
            terminal.type("y")
            terminal.wait_for(f"aovpn/vpn10: {words}")
            terminal.wait_for(f"> vpn10    {pool.states['vpn10']} ")
        assert pool.changes == ["drain aovpn/vpn10", "enable aovpn/vpn10", "disable aovpn/vpn10"]
        terminal.type("q")
        assert terminal.wait_end() == DONE


def test_daemon_goes_and_returns(work: Path) -> None:
    """What was known last stays on the screen; keys work meanwhile."""
    path, pool = work / "s", Pool()
    with FakeDaemon(path, pool.answer), Terminal(top(path)) as terminal:
        terminal.wait_for("vpn10 ")
        path.unlink()
        text = terminal.wait_for("ikelb is not reachable, for ")
        assert "; trying again" in text and f"{path}: no such socket" in text and "vpn10 " in text, text
        terminal.type("dy")
        terminal.wait_for(f"{path}: no such socket: is ikelb running?")
        with FakeDaemon(path, pool.answer):
            terminal.wait_gone("not reachable")
            terminal.type("q")
            assert terminal.wait_end() == DONE


def test_alarm(work: Path) -> None:
    path, pool = work / "s", Pool()
    pool.alarm = "no backend is up: new clients are dropped"
    with FakeDaemon(path, pool.answer), Terminal(top(path)) as terminal:
        text = terminal.wait_for("  ALARM: no backend is up: new clients are dropped")
        assert "| 1 alarm" in text, text
        assert RED.encode() in terminal.output and REVERSE.encode() in terminal.output
        pool.alarm = ""
        terminal.wait_gone("ALARM")
        terminal.type("q")
        assert terminal.wait_end() == DONE


def test_no_color(work: Path) -> None:
    path = work / "s"
    with FakeDaemon(path, Pool().answer), Terminal(top(path), NO_COLOR="1") as terminal:
        terminal.wait(lambda text: "> vpn1" in text, "the screen")
        for sequence in (RED, REVERSE, "\033[1m", "\033[32m", "\033[2m"):
            assert sequence.encode() not in terminal.output, sequence
        terminal.type("q")
        assert terminal.wait_end() == DONE


def test_signals(work: Path) -> None:
    """Whatever ends it, the terminal is what it was; a stop gives the terminal back, too."""
    path = work / "s"
    with FakeDaemon(path, Pool().answer):
        for number, status in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP),
                               (signal.SIGINT, DONE)):
            with Terminal(top(path)) as terminal:
                terminal.wait_for("vpn10 ")
                terminal.process.send_signal(number)
                assert terminal.wait_end() == status, number
        with Terminal(top(path)) as terminal:
            for stop in (lambda: terminal.type(CTRL_Z), lambda: terminal.process.send_signal(signal.SIGTSTP)):
                terminal.wait_for("vpn10 ")
                stop()
                _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
                assert os.WIFSTOPPED(status), status
                terminal.read()
                terminal.check_restored()
                terminal.process.send_signal(signal.SIGCONT)
                terminal.wait(lambda _: terminal.is_alternate, "the screen again")
            terminal.type("q")
            assert terminal.wait_end() == DONE


def test_refusals(work: Path) -> None:
    path = work / "s"
    done = subprocess.run(top(path), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (USAGE, ""), done
    assert done.stderr.startswith("ikelb top: it needs a terminal; use `ikelb top --once`"), done
    for name in ("dumb", ""):
        with Terminal(top(path), TERM=name) as terminal:
            assert terminal.wait_end() == USAGE
            assert "this terminal (see TERM) cannot show a live screen" in terminal.text().replace("\n", ""), name
    with Terminal(top(path)) as terminal:
        assert terminal.wait_end() == UNREACHABLE
        assert "no such socket: is ikelb running?" in terminal.text().replace("\n", ""), terminal.text()
        assert b"\033[?1049h" not in terminal.output


def test_once(work: Path) -> None:
    """Plain text, all columns, of two answers."""
    path = work / "s"
    with FakeDaemon(path, Pool().answer):
        done = subprocess.run(top(path, "--once"), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                              check=False)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (DONE, "") and "\033" not in done.stdout, done
    assert lines[2].startswith("last 60 s: 330 begun > 330 answered"), done.stdout
    row = "  vpn1     enabled   up           100   10.0       0%   3.4 M   1.0 k     12 M    2.0 k   0.8 ms  10.0.0.1"
    head, _, _ = row.partition("10.0  ")  # how many a second depends on how long that second was
    assert lines[6].startswith(head[:head.rindex("100") + 3]) and lines[6].endswith("0.8 ms  10.0.0.1"), done.stdout
    assert "rras30" in done.stdout and "q quit" not in done.stdout, done.stdout
    path.unlink()
    done = subprocess.run(top(path, "--once"), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.returncode == UNREACHABLE and done.stderr.startswith(f"ikelb top: {path}: no such socket"), done


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
