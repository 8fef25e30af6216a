"""The completion that packaging/bash-completion brings, in a real bash, before a daemon that the test plays."""

import shlex
import subprocess
import sys
from pathlib import Path

from fake_daemon import FakeDaemon
from harness import BINARY, ROOT, run_tests

COMPLETION = ROOT / "packaging" / "bash-completion" / "ikelb"
LIBRARY = "/usr/share/bash-completion/bash_completion"

# Does what the Tab key does: cuts the line into words as bash would, calls the function, prints what it offers.
DRIVER = """
source {library}
source {completion}
PATH={folder}:$PATH
cd {work}
COMP_LINE={line}
COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=({words})
COMP_CWORD=$(({count} - 1))
COMP_TYPE=9
_ikelb ikelb "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

STATUS = {"version": "1", "services": [
    {"name": "aovpn", "vip": ["203.0.113.10"], "backends": [{"name": "vpn1", "handshakes": {"answered": 1}}, {"name": "vpn2"}]},
    {"name": "old", "backends": [{"name": "rras"}]},
]}


def answer(target: str) -> tuple[int, object]:
    if target == "/api/v1/status":
        return 200, STATUS
    return 200, {"clients": [{"service": "aovpn", "address": address, "backend": "vpn1"}
                             for address in ("198.51.100.7", "198.51.100.8", "2001:db8::7", "198.51.100.7")], "next": None}


def cut(line: str) -> list[str]:
    """The words as bash has them in COMP_WORDS: ':' and '=' are words of their own."""
    found = []
    for word in line.split(" "):
        part = ""
        for letter in word:
            if letter in ":=":
                found += ([part] if part else []) + [letter]
                part = ""
            else:
                part += letter
        if part or not word:
            found.append(part)
    return found


def complete(work: Path, line: str) -> list[str]:
    """What is offered at the end of the line; nothing else may be written."""
    words = cut(line)
    script = DRIVER.format(library=LIBRARY, completion=COMPLETION, folder=BINARY.parent, work=shlex.quote(str(work)),
                           line=shlex.quote(line), words=" ".join(map(shlex.quote, words)), count=len(words))
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=30, check=False,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(work)})
    assert done.stderr == "", (line, done.stderr)
    return sorted(word for word in done.stdout.splitlines() if word)


def help_words(command: str, begins: str) -> list[str]:
    """The words of the command's help that begin so."""
    text = subprocess.run([BINARY, command, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout
    return sorted({word.strip(",.;") for line in text.splitlines() if line.startswith("  ") for word in line.split()[:2]
                   if word.startswith(begins)})


def commands() -> list[str]:
    text = subprocess.run([BINARY, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout
    return [line.split()[0] for line in text.splitlines() if line.startswith("  ")]


def test_commands(work: Path) -> None:
    assert complete(work, "ikelb ") == sorted([*commands(), "--help", "--version"])
    assert complete(work, "ikelb dr") == ["drain"]
    assert complete(work, "ikelb help st") == ["status"]
    assert complete(work, "ikelb help status ") == []
    assert complete(work, "ikelb nonsense ") == []


def test_options(work: Path) -> None:
    """Every option of every command."""
    for command in commands():
        if command != "help":
            wanted = help_words(command, "--")
            assert "--help" in wanted and complete(work, f"ikelb {command} -") == wanted, (command, wanted)
    assert complete(work, "ikelb clients --b") == ["--backend"]


def test_names(work: Path) -> None:
    path = work / "s"
    with FakeDaemon(path, answer):
        for command in ("drain", "enable", "disable"):
            assert complete(work, f"ikelb {command} --socket {path} ") == ["aovpn/vpn1", "aovpn/vpn2", "old/rras"], command
        assert complete(work, f"ikelb drain --socket={path} aovpn/vpn1 o") == ["old/rras"]
        assert complete(work, f"ikelb clients --socket {path} --backend aovpn/") == ["aovpn/vpn1", "aovpn/vpn2"]
        assert complete(work, f"ikelb explain --socket {path} 198") == ["198.51.100.7", "198.51.100.8"]
        assert complete(work, f"ikelb explain --socket {path} 2001:db8:") == [":7"]  # what follows the last colon


def test_without_a_daemon(work: Path) -> None:
    for command in ("drain ", "explain ", "clients --backend "):
        first, _, rest = command.partition(" ")
        assert complete(work, f"ikelb {first} --socket {work}/none {rest}") == [], command


def test_files(work: Path) -> None:
    for name in ("good.yaml", "other.yml", "notes.txt", "ikelb.sock"):
        (work / name).touch()
    assert complete(work, "ikelb check ") == ["good.yaml", "other.yml"]
    assert complete(work, "ikelb run -c ") == ["good.yaml", "other.yml"]
    assert complete(work, "ikelb run --config=g") == ["good.yaml"]
    assert "root" in complete(work, "ikelb run -u r")
    assert complete(work, "ikelb status --socket i") == ["ikelb.sock"]


def test_loads_without_bash_completion(_: Path) -> None:
    """Sourced by a shell that has no bash-completion it says nothing."""
    done = subprocess.run(["bash", "--norc", "-c", f"source {COMPLETION}"], capture_output=True, text=True, timeout=30,
                          check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
