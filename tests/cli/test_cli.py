"""The binary as a user's shell sees it: help, usage errors, exit statuses, `check`, an unreachable daemon, closed pipes.

Needs nothing but the binary, which IKELB_BINARY names (default: build/asan/app/ikelb). No root, no network.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BINARY = Path(os.environ.get("IKELB_BINARY", ROOT / "build" / "asan" / "app" / "ikelb"))
COMMANDS = ["run", "check", "status", "clients", "explain", "probe", "version"]

DONE, NO, USAGE, UNREACHABLE = range(4)

GOOD = """services:
  - name: aovpn
    vip: 203.0.113.10
    backends:
      - {name: vpn1, address: 10.0.0.11}
      - {name: vpn2, address: 10.0.0.12, weight: 50}
"""


def ikelb(*args: str, stdout=subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BINARY, *args], stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                          timeout=30, check=False)


def expect(args: list[str], status: int, out: str = "", err: str = "") -> subprocess.CompletedProcess[str]:
    """Runs it; compares the exit status; `out` and `err` must be found, and what is not expected must be empty."""
    done = ikelb(*args)
    assert done.returncode == status, f"{args}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
    assert out in done.stdout and bool(out) == bool(done.stdout), f"{args}: standard output:\n{done.stdout}"
    assert err in done.stderr and bool(err) == bool(done.stderr), f"{args}: standard error:\n{done.stderr}"
    return done


class FakeDaemon:
    """Answers each request on a UNIX socket with what `answer` makes of its target; one request a connection."""

    def __init__(self, path: Path, answer: Callable[[str], tuple[int, object]]) -> None:
        self.answer = answer
        self.targets: list[str] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                request = b""
                while b"\r\n\r\n" not in request and (data := connection.recv(4096)):
                    request += data
                if not request:
                    continue
                target = request.split()[1].decode()
                self.targets.append(target)
                status, body = self.answer(target)
                text = json.dumps(body).encode()
                head = f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n"
                connection.sendall(head.encode() + text)

    def __enter__(self) -> "FakeDaemon":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


def client(number: int) -> dict:
    return {"service": "aovpn", "address": f"198.51.100.{number}", "backend": "vpn1", "stage": "established",
            "ports": {"500": 500, "4500": None}, "confirmed": True, "age_s": 75, "idle_s": 3, "flows": 1,
            "roams": 7, "fragmentation": None}


def two_pages(target: str) -> tuple[int, object]:
    if "after=c00000002" in target:
        return 200, {"clients": [client(3)], "next": None}
    if "after" in target:
        return 400, {"error": "wrong cursor"}
    return 200, {"clients": [client(1), client(2)], "next": "c00000002"}


def test_help(_: Path) -> None:
    for args in (["--help"], ["-h"], ["help"], ["help", "--help"], ["help", "help"]):
        done = expect(args, DONE, out="usage: ikelb COMMAND")
        for command in COMMANDS:
            assert f"\n  {command} " in done.stdout, command
    for command in COMMANDS:
        text = expect([command, "--help"], DONE, out=f"usage: ikelb {command}").stdout
        assert "Exit status: 0 " in text, command
        assert max(map(len, text.splitlines())) <= 100, command
        assert expect(["help", command], DONE, out="usage").stdout == text, command


def test_usage_errors(_: Path) -> None:
    expect([], USAGE, err="usage: ikelb COMMAND")
    expect(["sttus"], USAGE, err="ikelb: unknown command 'sttus'; did you mean 'status'?\nSee `ikelb --help`.\n")
    expect(["frobnicate"], USAGE, err="ikelb: unknown command 'frobnicate'\n")
    expect([""], USAGE, err="unknown command ''")
    expect(["--nonsense"], USAGE, err="ikelb: unknown option '--nonsense'\n")
    expect(["help", "chek"], USAGE, err="unknown command 'chek'; did you mean 'check'?")
    expect(["help", "check", "more"], USAGE, err="ikelb help: unexpected argument 'more'")
    for command in COMMANDS:
        done = expect([command, "--frob"], USAGE, err="--frob")
        assert f"ikelb {command} --help" in done.stderr, done.stderr
    for command in ("status", "clients", "explain", "probe"):
        expect([command, "--jsno"], USAGE, err=f"ikelb {command}: unknown option '--jsno'; did you mean '--json'?")
        expect([command, "--json=yes"], USAGE, err=f"ikelb {command}: option '--json' takes no value")
    expect(["status", "-x"], USAGE, err="ikelb status: unknown option '-x'\nSee `ikelb status --help`.\n")
    expect(["status", "--socket"], USAGE, err="ikelb status: option '--socket' needs a value")
    expect(["status", "more"], USAGE, err="ikelb status: unexpected argument 'more'")
    expect(["clients", "--backend"], USAGE, err="option '--backend' needs a value")
    expect(["clients", "vpn1"], USAGE, err="unexpected argument 'vpn1'")
    expect(["explain"], USAGE, err="ikelb explain: it needs the ADDRESS of a client\nSee `ikelb explain --help`.\n")
    expect(["explain", "10.0.0.1", "10.0.0.2"], USAGE, err="unexpected argument '10.0.0.2'")
    for address in ("10.0.0.256", "vpn1", "", "10.0.0.1/24", "[::1]"):
        expect(["explain", address], USAGE, err=f"ikelb explain: '{address}' is no IPv4 or IPv6 address")
    expect(["check", "a", "b"], USAGE, err="unexpected argument 'b'")
    expect(["version", "x"], USAGE, err="unexpected argument 'x'")
    expect(["probe"], USAGE, err="ikelb probe: it needs a HOST to ask")
    expect(["probe", "a", "b"], USAGE, err="unexpected argument 'b'")
    for duration in ("5", "0s", "61s", "-1s", "abc", ""):
        expect(["probe", "--timeout", duration, "127.0.0.1"], USAGE, err=f"--timeout: '{duration}' is no duration")


def test_version(_: Path) -> None:
    text = expect(["version"], DONE, out="ikelb ").stdout
    assert text.split(maxsplit=1)[1].strip().replace(".", "").isdigit(), text
    assert expect(["--version"], DONE, out="ikelb ").stdout == text


def test_check(work: Path) -> None:
    good, bad = work / "good.yaml", work / "bad.yaml"
    good.write_text(GOOD)
    expect(["check", str(good)], DONE, out=f"{good}: ok, 1 service, 2 backends\n")

    printed = expect(["check", "--print", str(good)], DONE, out="idle_timeout: 1h").stdout
    again = work / "again.yaml"
    again.write_text(printed)
    expect(["check", str(again)], DONE, out="ok, 1 service, 2 backends")
    assert expect(["check", str(again), "--print"], DONE, out="services").stdout == printed

    bad.write_text(GOOD.replace("weight: 50", "weight: 5000").replace("vip:", "vpi:"))
    done = expect(["check", str(bad)], NO, err=f"{bad}:")
    assert "weight" in done.stderr and "vpi" in done.stderr and "did you mean" in done.stderr, done.stderr
    expect(["check", str(work / "none.yaml")], NO, err=f"{work}/none.yaml")
    expect(["check", str(work)], NO, err=str(work))


def test_unreachable(work: Path) -> None:
    path = work / "ikelb.sock"
    expect(["explain", "--socket", str(path), "::1"], UNREACHABLE, err=f"ikelb explain: {path}: no such socket: is ikelb")
    for command in ("status", "clients"):
        expect([command, "--socket", str(path)], UNREACHABLE, err=f"ikelb {command}: {path}: no such socket: is ikelb")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()
    expect(["status", "--socket", str(path)], UNREACHABLE, err="nobody listens there any more")
    expect(["clients", "--json", "--socket", str(path)], UNREACHABLE, out="", err="nobody listens there any more")


def test_clients(work: Path) -> None:
    path = work / "ikelb.sock"
    with FakeDaemon(path, two_pages) as daemon:
        lines = expect(["clients", "--socket", str(path)], DONE, out="SERVICE").stdout.splitlines()
        assert [line.split()[1] for line in lines] == ["CLIENT", *(f"198.51.100.{n}" for n in (1, 2, 3))], lines
        assert lines[1].split() == "aovpn 198.51.100.1 vpn1 established 500 - yes 1m 15s 3s 1 7 -".split(), lines
        done = expect(["clients", "--socket", str(path), "--json"], DONE, out="{")
        assert json.loads(done.stdout) == {"clients": [client(1), client(2), client(3)], "next": None}
        expect(["clients", "--socket", str(path), "--backend", "a/b c"], DONE, out="SERVICE")
        assert daemon.targets[-1] == "/api/v1/clients?limit=1000&backend=a%2Fb%20c&after=c00000002", daemon.targets


def test_no_clients(work: Path) -> None:
    path = work / "ikelb.sock"
    with FakeDaemon(path, lambda _: (200, {"clients": [], "next": None})):
        expect(["clients", "--socket", str(path)], DONE, out="No clients.\n")
        done = expect(["clients", "--socket", str(path), "--json"], DONE, out="{")
        assert json.loads(done.stdout) == {"clients": [], "next": None}


def test_explain(work: Path) -> None:
    path = work / "ikelb.sock"
    document = {"address": "2001:db8::7", "verdict": "established", "connected": True, "summary": "It is well."}
    with FakeDaemon(path, lambda _: (200, document)) as daemon:
        expect(["explain", "--socket", str(path), "2001:DB8:0::7"], DONE, out="2001:db8::7: established\n  It is well.\n")
        assert daemon.targets == ["/api/v1/clients/2001:db8::7"], daemon.targets
        done = expect(["explain", "--socket", str(path), "--json", "::7"], DONE, out="{")
        assert json.loads(done.stdout) == document
    path.unlink()
    with FakeDaemon(path, lambda _: (200, document | {"verdict": "refused", "connected": False})):
        expect(["explain", "--socket", str(path), "::7"], NO, out="refused")
        expect(["explain", "--json", "--socket", str(path), "::7"], NO, out="refused")
    path.unlink()
    with FakeDaemon(path, lambda _: (200, {"something": "else"})):
        for json_flag in ([], ["--json"]):
            expect(["explain", "--socket", str(path), *json_flag, "::7"], UNREACHABLE, err="ikelb explain: ")


def test_refusals(work: Path) -> None:
    path = work / "ikelb.sock"
    with FakeDaemon(path, lambda _: (404, {"error": "no backend 'x'; there are: a/vpn1"})):
        expect(["clients", "--socket", str(path), "--backend", "x"], NO,
               err="ikelb clients: no backend 'x'; there are: a/vpn1\n")
    path.unlink()
    with FakeDaemon(path, lambda _: (200, ["something else"])):
        expect(["status", "--socket", str(path)], UNREACHABLE, err="does not speak like ikelb")
    path.unlink()
    with FakeDaemon(path, lambda _: (200, {"something": "else"})):
        expect(["status", "--socket", str(path)], UNREACHABLE, err="ikelb status: ")


def test_status(work: Path) -> None:
    path = work / "ikelb.sock"
    document = {"version": "1.2.3", "uptime_s": 61, "services": [{"name": "aovpn", "backends": [{"name": "vpn1"}]}]}
    with FakeDaemon(path, lambda _: (200, document)):
        done = expect(["status", "--socket", str(path)], DONE, out="ikelb 1.2.3, up 1m 1s\n")
        assert "  vpn1 " in done.stdout and "\033" not in done.stdout, done.stdout
        done = expect(["status", "--json", "--socket", str(path)], DONE, out="{")
        assert json.loads(done.stdout) == document


def test_probe_of_nobody(_: Path) -> None:
    done = expect(["probe", "--timeout", "200ms", "127.0.0.1"], NO, out="127.0.0.1")
    assert "  UDP 500 " in done.stdout and "  UDP 4500 " in done.stdout, done.stdout
    assert "answers after" not in done.stdout and "To do: this address is this machine's own" in done.stdout, done.stdout
    done = expect(["probe", "--timeout", "200ms", "--json", "[::1]"], NO, out="{")
    result = json.loads(done.stdout)
    assert result["host"] == "[::1]" and result["alive"] is False, result
    (address,) = result["addresses"]
    assert address["address"] == "::1" and address["fragmentation"] is None, result
    assert [address["ports"][port]["alive"] for port in ("500", "4500")] == [False, False], result
    name = 64 * "a" + ".example"  # a label too long to be asked for, so that no name server is needed
    expect(["probe", name], NO, err=f"ikelb probe: {name}: ")


def test_write_errors(work: Path) -> None:
    """A reader that goes away is met without a word, a full disk with one; neither with success or a signal."""
    path = work / "ikelb.sock"
    with FakeDaemon(path, two_pages):
        for args in (["--help"], ["version"], ["check", "--help"], ["clients", "--socket", str(path)],
                     ["clients", "--json", "--socket", str(path)]):
            read_end, write_end = os.pipe()
            os.close(read_end)
            done = ikelb(*args, stdout=write_end)
            os.close(write_end)
            assert (done.returncode, done.stderr) == (NO, ""), (args, done)
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = ikelb(*args, stdout=full)
            assert done.returncode == NO and "No space left on device" in done.stderr, (args, done)


def main() -> int:
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    failed = 0
    for test in tests:
        with tempfile.TemporaryDirectory(prefix="ikelb-cli-") as work:
            try:
                test(Path(work))
                print(f"ok   {test.__name__}")
            except Exception:
                failed += 1
                print(f"FAIL {test.__name__}\n{traceback.format_exc()}")
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
