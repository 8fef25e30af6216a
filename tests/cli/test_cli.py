"""The binary as a user's shell sees it: help, usage errors, exit statuses, `check`, an unreachable daemon, closed pipes.

Needs nothing but the binary, which IKELB_BINARY names (default: build/asan/app/ikelb). No root, no network.
"""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from fake_daemon import FakeDaemon
from harness import BINARY, ROOT, run_tests

COMMANDS = ["run", "check", "status", "top", "clients", "explain", "drain", "enable", "disable", "reload", "probe",
            "doctor", "version"]

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
    for command in ("status", "clients", "explain", "drain", "reload", "probe", "doctor"):
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
    for command in ("drain", "enable", "disable"):
        expect([command], USAGE, err=f"ikelb {command}: it needs a SERVICE/BACKEND\nSee `ikelb {command} --help`.\n")
        for word in ("vpn1", "", "/", "a/", "/b", "a/b/c"):
            expect([command, "a/b", word], USAGE, err=f"ikelb {command}: '{word}' is no SERVICE/BACKEND; write it as")
    expect(["reload", "FILE"], USAGE, err="ikelb reload: unexpected argument 'FILE'")
    expect(["check", "a", "b"], USAGE, err="unexpected argument 'b'")
    expect(["version", "x"], USAGE, err="unexpected argument 'x'")
    expect(["probe"], USAGE, err="ikelb probe: it needs a HOST to ask")
    expect(["doctor"], USAGE, err="ikelb doctor: it needs a HOST to examine")
    for command in ("probe", "doctor"):
        expect([command, "a", "b"], USAGE, err="unexpected argument 'b'")
    for duration in ("5", "0s", "61s", "-1s", "abc", ""):
        for command in ("probe", "doctor"):
            expect([command, "--timeout", duration, "127.0.0.1"], USAGE,
                   err=f"ikelb {command}: --timeout: '{duration}' is no duration")


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


def test_documents(work: Path) -> None:
    """What the documents show as a configuration is one, and a whole one."""
    file = work / "ikelb.yaml"
    count = 0
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for text in re.findall(r"^```yaml\n(services:\n.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL):
            file.write_text(text)
            done = ikelb("check", str(file))
            assert done.returncode == DONE, f"{document.name}: {done.stderr}\n{text}"
            count += 1
    assert count >= 7, f"only {count} configurations in the documents"


def test_unreachable(work: Path) -> None:
    path = work / "ikelb.sock"
    expect(["explain", "--socket", str(path), "::1"], UNREACHABLE, err=f"ikelb explain: {path}: no such socket: is ikelb")
    for command in ("status", "clients", "reload"):
        expect([command, "--socket", str(path)], UNREACHABLE, err=f"ikelb {command}: {path}: no such socket: is ikelb")
    done = expect(["drain", "--socket", str(path), "a/b", "a/c"], UNREACHABLE, err=f"ikelb drain: {path}: no such socket")
    assert done.stderr.count("\n") == 1, done.stderr
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
    interfaces = [{"name": "eth0", "mode": "off", "trouble": "another XDP\033[2J program is attached"}]
    document = {"version": "1.2.3", "uptime_s": 61, "fastpath": {"mode": "native", "interfaces": interfaces},
                "services": [{"name": "aovpn", "backends": [{"name": "vpn1", "rx_pps": 7, "tx_pps": 13, "fast_pps": 15}]}]}
    with FakeDaemon(path, lambda _: (200, document)):
        done = expect(["status", "--socket", str(path)], DONE, out="ikelb 1.2.3, up 1m 1s\n")
        assert "\nfast path native, 75% of packets | not on eth0 (another XDP?[2J program is attached)\n" in done.stdout, done.stdout
        assert "  vpn1 " in done.stdout and "\033" not in done.stdout, done.stdout
        done = expect(["status", "--json", "--socket", str(path)], DONE, out="{")
        assert json.loads(done.stdout) == document


def changed(state: str, clients: int, **more: object) -> dict:
    return {"service": "aovpn", "backend": "vpn1", "state": state, "was": "enabled", "clients": clients, "health": "up",
            "warning": None, **more}


def test_backend_states(work: Path) -> None:
    path = work / "ikelb.sock"
    cases = [
        ("drain", changed("drain", 1234), "drain; 1,234 clients stay until they end, new ones go elsewhere"),
        ("drain", changed("drain", 1), "drain; 1 client stays until it ends, new ones go elsewhere"),
        ("drain", changed("drain", 0, was="drain"), "drain already; it has no clients, new ones go elsewhere"),
        ("disable", changed("disabled", 2),
         "disabled; 2 clients keep their tunnels until they go elsewhere with the next handshake, as new ones do"),
        ("disable", changed("disabled", 1),
         "disabled; 1 client keeps its tunnel until it goes elsewhere with the next handshake, as new ones do"),
        ("enable", changed("enabled", 2), "enabled already; it gets new clients"),
        ("enable", changed("enabled", 2, was="drain", health="down"),
         "enabled; it is down, and gets new clients when it is up again"),
        ("drain", {"state": "drain"}, "drain; it has no clients, new ones go elsewhere"),  # another version
    ]
    for command, answer, line in cases:
        with FakeDaemon(path, lambda _, answer=answer: (200, answer)) as daemon:
            done = expect([command, "--socket", str(path), "aovpn/vpn1"], DONE, out=f"aovpn/vpn1: {line}\n")
            assert done.stdout.count("\n") == 1 and "\033" not in done.stdout, done.stdout
            assert (daemon.methods, daemon.targets) == (["POST"], [f"/api/v1/backends/aovpn/vpn1/{command}"])
        path.unlink()


def test_backend_state_warning(work: Path) -> None:
    """What is dropped is not said to go elsewhere; the change is made all the same."""
    path = work / "ikelb.sock"
    warning = "service aovpn has no backend for new clients now: they are dropped"
    for state, clients, line in (("drain", 2, "drain; 2 clients stay until they end"),
                                 ("drain", 0, "drain; it has no clients"),
                                 ("disabled", 1, "disabled; 1 client keeps its tunnel until it ends"),
                                 ("disabled", 2, "disabled; 2 clients keep their tunnels until they end")):
        with FakeDaemon(path, lambda _, answer=changed(state, clients, warning=warning): (200, answer)):
            done = ikelb("drain", "--socket", str(path), "aovpn/vpn1")
            assert (done.returncode, done.stdout) == (DONE, f"aovpn/vpn1: {line}\n"), done
            assert done.stderr == f"ikelb drain: warning: {warning}\n", done
        path.unlink()


def one_is_unknown(target: str) -> tuple[int, object]:
    if "vpn9" in target:
        return 404, {"error": "service aovpn has no backend 'vpn9'; did you mean vpn1?"}
    return 200, changed("drain", 3)


def test_several_backends(work: Path) -> None:
    path = work / "ikelb.sock"
    with FakeDaemon(path, one_is_unknown) as daemon:
        at = ["drain", "--socket", str(path), "aovpn/vpn1", "aovpn/vpn9", "aovpn/v p?n#%"]
        done = ikelb(*at)
        assert done.returncode == NO, done
        assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["aovpn/vpn1", "aovpn/v p?n#%"], done
        assert done.stderr == "ikelb drain: service aovpn has no backend 'vpn9'; did you mean vpn1?\n", done
        assert daemon.targets[-1] == "/api/v1/backends/aovpn/v%20p%3Fn%23%25/drain", daemon.targets
        done = ikelb(*at, "--json")
        assert done.returncode == NO and json.loads(done.stdout) == {"backends": 2 * [changed("drain", 3)]}, done
        expect(["drain", "--socket", str(path), "--json", "aovpn/vpn9"], NO, err="did you mean vpn1?")
        expect(["drain", "--socket", str(path), "../.."], DONE, out="../..: drain;")
        assert daemon.targets[-1] == "/api/v1/backends/../../drain", daemon.targets


def test_reload(work: Path) -> None:
    path = work / "ikelb.sock"
    changes = ["service aovpn, backend vpn3: added", "service \033[1maovpn: schedule: round-robin"]
    document = {"changes": changes, "needs_restart": ["dataplane.max_clients: 5000 instead of 1000"]}
    with FakeDaemon(path, lambda _: (200, document)) as daemon:
        done = ikelb("reload", "--socket", str(path))
        assert done.returncode == DONE and done.stdout == "\n".join(changes).replace("\033", "?") + "\n", done
        assert done.stderr == "needs a restart: dataplane.max_clients: 5000 instead of 1000\n", done
        assert (daemon.methods, daemon.targets) == (["POST"], ["/api/v1/reload"]), daemon.targets
        done = expect(["reload", "--json", "--socket", str(path)], DONE, out="{")
        assert json.loads(done.stdout) == document
    path.unlink()
    with FakeDaemon(path, lambda _: (200, {"changes": [], "needs_restart": []})):
        assert expect(["reload", "--socket", str(path)], DONE, out="nothing").stdout == "nothing has changed\n"
    path.unlink()
    errors = ["ikelb.yaml:3:5: services[0].vpi: unknown key", "ikelb.yaml:9:5: log.level: no"]
    refusal = {"error": "the file has 2 errors", "errors": errors}
    with FakeDaemon(path, lambda _: (422, refusal)):
        done = expect(["reload", "--socket", str(path)], NO, err=errors[0])
        assert done.stderr == "\n".join([*errors, "ikelb reload: nothing was changed\n"]), done
        done = ikelb("reload", "--json", "--socket", str(path))
        assert done.returncode == NO and json.loads(done.stdout) == refusal, done
        assert done.stderr == "ikelb reload: nothing was changed\n", done
    path.unlink()
    with FakeDaemon(path, lambda _: (403, {"error": "not you"})):
        expect(["reload", "--socket", str(path)], NO, err="ikelb reload: not you\n")
    path.unlink()
    with FakeDaemon(path, lambda _: (200, {"something": "else"})):
        expect(["reload", "--socket", str(path)], UNREACHABLE, err="ikelb reload: ")


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


def test_doctor_of_nobody(_: Path) -> None:
    done = expect(["doctor", "--timeout", "200ms", "127.0.0.1"], NO, out="127.0.0.1")
    assert "\nfailed: Clients fail here" in done.stdout and "\033" not in done.stdout, done.stdout
    result = json.loads(expect(["doctor", "--timeout", "200ms", "--json", "[::1]"], NO, out="{").stdout)
    assert result["host"] == "[::1]" and result["verdict"] == "failed", result
    (address,) = result["addresses"]
    statuses = {check["check"]: check["status"] for check in address["checks"]}
    assert address["address"] == "::1" and statuses["udp-500"] == statuses["udp-4500"] == "failed", result
    name = 64 * "a" + ".example"  # as above
    done = expect(["doctor", name], NO, out=f"{name} has no address: ")
    assert "failed: " in done.stdout, done.stdout
    assert json.loads(ikelb("doctor", "--json", "a\udcff" + name).stdout)["host"] == f"a?{name}"


def test_few_descriptors(work: Path) -> None:
    """With too few descriptors the daemon does not start, and says what is to be raised."""
    file = work / "good.yaml"
    file.write_text(GOOD)
    done = subprocess.run(["prlimit", "--nofile=20:20", BINARY, "run", "-c", file], stdin=subprocess.DEVNULL, timeout=30,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (NO, "", 1), done
    assert ("at most 20 open files are allowed, and 67 are needed (raise the limit: `ulimit -n`, or LimitNOFILE= in the "
            "unit)") in done.stderr, done


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
    path.unlink()
    for args, answer in ((["reload"], {"changes": ["log.level: info -> debug"], "needs_restart": []}),
                         (["drain", "aovpn/vpn1"], changed("drain", 2, warning="nobody takes new clients"))):
        with FakeDaemon(path, lambda _, answer=answer: (200, answer)), open("/dev/full", "w", encoding="utf-8") as full:
            done = ikelb(*args, "--socket", str(path), stdout=full)
        assert done.returncode == NO and done.stderr.count("No space left on device") == 1, (args, done)
        path.unlink()


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
