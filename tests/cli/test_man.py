"""The manual pages against the program: every command and option, every key with what is allowed and its default."""

import re
import subprocess
import sys
from pathlib import Path

from harness import BINARY, ROOT, run_tests

sys.path.insert(0, str(ROOT / "tests"))
from check_docs import Words, holds, schema_keys  # noqa: E402

PAGES = {name: ROOT / "docs" / "man" / name for name in ("ikelb.8", "ikelb.yaml.5")}
EFFECTS = ("reload", "restart")

# One of each kind of key, so that `check --print` prints every one of them.
FULL = """services:
  - name: s
    vip: 203.0.113.10
    mode: full-nat
    snat: 10.0.0.1
    backends:
      - {name: b, address: 10.0.0.11}
admin:
  token_file: /etc/ikelb/token
"""


def help_of(*command: str) -> str:
    done = subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def plain(line: str) -> str:
    """A line of mdoc as text, without its macros."""
    words = line.split()[1:] if line.startswith(".") else line.split()
    return " ".join(word for word in words if word not in ("Op", "Oo", "Oc", "Fl", "Ar", "Cm", "Li", "Pa"))


def command_sections() -> dict[str, str]:
    """The lines below each .Ss of COMMANDS, the heading included, by the command."""
    text = PAGES["ikelb.8"].read_text(encoding="utf-8")
    text = text[text.index("\n.Sh COMMANDS"):text.index("\n.Sh SIGNALS")]
    return {section.split()[0]: ".Ss " + section for section in text.split("\n.Ss ")[1:]}


def key_entries() -> dict[str, str]:
    """What is written below each key, as one line, by the key's path."""
    text = PAGES["ikelb.yaml.5"].read_text(encoding="utf-8")
    entries = re.findall(r"^\.It Cm (\S+)\n(.*?)(?=^\.(?:It|El)\b)", text, re.MULTILINE | re.DOTALL)
    return {key: " ".join(map(plain, body.splitlines())) for key, body in entries}


def printed_paths(text: str) -> set[str]:
    """The paths of the keys in YAML as `check --print` writes it."""
    found, path = set(), []
    for line in text.splitlines():
        match = re.match(r"( *)(- )?(\w+):", line)
        if not match:
            continue
        depth = len(match[1]) // 2 + (1 if match[2] else 0)
        path = path[:depth] + [""] * (depth - len(path)) + [match[3]]
        found.add(tuple(path))
    return {re.sub(r"(services|backends)\.\.?", r"\1[].", ".".join(filter(None, steps))) for steps in found}


def test_commands(_: Path) -> None:
    """Each command of --help has its section with all of its options, and no others."""
    sections = command_sections()
    commands = [line.split()[0] for line in help_of().splitlines() if line.startswith("  ")]
    assert len(commands) > 10, commands
    assert set(commands) - set(sections) == set(), set(commands) - set(sections)
    shared = {"--help"}
    for command in commands:
        if command == "help":
            continue
        options = set(re.findall(r"^ +(?:-\w, )?(--\w+)", help_of(command), re.MULTILINE)) - shared
        written = {f"--{option}" for option in re.findall(r"Fl -(\w+)", sections[command])}
        assert written == options, f"{command}: ikelb.8 has {sorted(written)}, --help {sorted(options)}"
        letters = set(re.findall(r"^ +-(\w), --", help_of(command), re.MULTILINE))
        assert set(re.findall(r"Fl (\w)\b", sections[command])) == letters, command


def test_keys(_: Path) -> None:
    """Each key of the file is there with its limits, words and default, and says what makes a change of it take effect."""
    keys = schema_keys((ROOT / "config/schema.c").read_text(encoding="utf-8"))
    words = Words((ROOT / "config/words.c").read_text(encoding="utf-8"))
    entries = key_entries()
    assert set(entries) == set(keys), set(entries) ^ set(keys)
    for key, entry in keys.items():
        match = re.match(r"Allowed: (.*?)\. Default: (.*?)\. Takes effect by: (\w+)", entries[key])
        assert match, f"{key}: {entries[key]}"
        allowed, default, effect = match.groups()
        in_allowed, in_default = words.wanted(entry)
        for word in in_allowed:
            assert holds(allowed, word), f"{key}: {word} is allowed, not {allowed}"
        for word in in_default:
            assert holds(default, word), f"{key}: the default is {word}, not {default}"
        assert effect in EFFECTS, f"{key}: {effect}"
        assert ("needs_restart" not in entry) or effect == "restart", f"{key} needs a restart"
        assert ("required" in entry) == (default == "required"), key


def test_printed_keys(work: Path) -> None:
    """What `check --print` prints of a full example is in the page, and default for default the same."""
    file = work / "full.yaml"
    file.write_text(FULL)
    printed = subprocess.run([BINARY, "check", "--print", file], capture_output=True, text=True, timeout=30, check=True).stdout
    entries = key_entries()
    paths = {path for path in printed_paths(printed) if path not in ("admin", "dataplane", "log", "state")
             and not path.endswith((".persistence", ".health"))}
    assert paths - set(entries) == set(), paths - set(entries)
    assert {"services[].backends[].weight", "log.level", "services[].health.rise"} <= paths, sorted(paths)
    for key, value in (("idle_timeout", "1h"), ("weight", "100"), ("max_clients", "1000000"), ("listen", "127.0.0.1:8809")):
        assert re.search(rf"\b{key}: \"?{re.escape(value)}\"?$", printed, re.MULTILINE), printed
        (entry,) = [text for path, text in entries.items() if path.endswith(f".{key}")]
        assert f"Default: {value}." in entry, entry


def test_examples(work: Path) -> None:
    """The examples are good files."""
    text = PAGES["ikelb.yaml.5"].read_text(encoding="utf-8")
    examples = re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2, examples
    for number, example in enumerate(examples):
        file = work / f"{number}.yaml"
        file.write_text(example)
        done = subprocess.run([BINARY, "check", file], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr


def test_form(_: Path) -> None:
    """The pages render, and no line of their text is wider than 80 columns."""
    for page in PAGES.values():
        done = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=78", page], capture_output=True, text=True, timeout=30,
                              check=False)
        text = re.sub(".\b", "", done.stdout)
        assert done.returncode == 0 and max(map(len, text.splitlines())) <= 80, (page.name, done.stderr)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
