#!/usr/bin/env python3
"""Holds the documents to the tree: what they point at exists, and what the code lets users see is in them.

- Every relative link and every anchor in a *.md resolves; docs/README.md lists every document.
- docs/diagnosis.md and docs/error-809.md have a row for each verdict of lb/diagnosis.h, and no other.
- docs/configuration.md has a row for each key of config/schema.c, with its limits, default, words, and whether a reload is
  enough, and no other.
- docs/metrics.md has each alarm of lb/alarms.h. (Its metrics are compared with a real scrape by tests/e2e.)

Usage: check_docs.py [ROOT] | check_docs.py --self-test
Exit status: 0 all is well, 1 something is amiss.
"""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

FENCE = re.compile(r"^ *```.*?^ *```[^\n]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: +(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")

SECOND = 1000
UNITS = {"SECOND_MS": SECOND, "MINUTE_MS": 60 * SECOND, "HOUR_MS": 3600 * SECOND}
EFFECTS = ("reload", "restart")


def documents(root: Path) -> list[str]:
    """Every *.md of the tree by its path from the root, but for what git ignores."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=root,
                            check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split() if (root / name).is_file()]


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as the usual renderers make them: small letters, hyphens for spaces, the rest gone."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number, unique = 0, slug
        while unique in found:
            number += 1
            unique = f"{slug}-{number}"
        found.add(unique)
    return found


def links(text: str) -> list[str]:
    """The targets of the links, but for what is code."""
    plain = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    return [inline or reference for inline, reference in LINK.findall(plain)]


def check_links(root: Path, names: list[str]) -> list[str]:
    faults = []
    for name in names:
        for target in links((root / name).read_text(encoding="utf-8")):
            if ELSEWHERE.match(target):
                continue
            path, _, anchor = target.partition("#")
            file = (root / name).parent / path if path else root / name
            if not file.exists():
                faults.append(f"{name}: {target}: no such file")
            elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
                faults.append(f"{name}: {target}: no such heading")
    return faults


def check_index(root: Path, names: list[str]) -> list[str]:
    listed = links((root / "docs/README.md").read_text(encoding="utf-8"))
    known = {target.partition("#")[0] for target in listed}
    own = [Path(name) for name in names if Path(name).parent == Path("docs")]
    return [f"docs/README.md: no link to {path.name}" for path in own if path.name not in {"README.md", *known}]


def rows(text: str, head: str) -> dict[str, list[str]]:
    """The cells of each row of the tables whose first column has that head, by the `word` of the row's first cell."""
    found: dict[str, list[str]] = {}
    inside = False
    for line in text.splitlines():
        inside = line.startswith(f"| {head} |") or (inside and line.startswith("|"))
        match = re.match(r"\| `([^`]+)` \|(.*)\|$", line) if inside else None
        if match:
            found[match[1]] = [cell.strip() for cell in match[2].split("|")]
    return found


def compare(name: str, what: str, documented: set[str], wanted: set[str]) -> list[str]:
    return [f"{name}: no row for the {what} {word}" for word in sorted(wanted - documented)] + [
        f"{name}: there is no {what} {word}" for word in sorted(documented - wanted)
    ]


def listed_words(root: Path, header: str) -> set[str]:
    """The second member of each X(NAME, "word", ...) of a header."""
    return set(re.findall(r'\bX\([A-Z_0-9]+, "([a-z_-]+)"', (root / header).read_text(encoding="utf-8")))


def check_verdicts(root: Path) -> list[str]:
    wanted = listed_words(root, "lb/diagnosis.h")
    faults = []
    for name in ("docs/diagnosis.md", "docs/error-809.md"):
        documented = set(rows((root / name).read_text(encoding="utf-8"), "verdict"))
        faults += compare(name, "verdict", documented, wanted)
    return faults


def check_alarms(root: Path) -> list[str]:
    text = (root / "docs/metrics.md").read_text(encoding="utf-8")
    return [f"docs/metrics.md: no alarm {alarm}" for alarm in sorted(listed_words(root, "lb/alarms.h")) if f"`{alarm}`" not in text]


def schema_keys(source: str) -> dict[str, dict[str, str]]:
    """The members of each key of config/schema.c, by the key's path: "services[].health.rise"."""
    tables = {}
    for name, body in re.findall(r"struct schema_key (\w+)_KEYS\[\] = \{\n(.*?)^\};", source, re.MULTILINE | re.DOTALL):
        entries = re.findall(r"\{(\.name = .*?)\}(?=,\n|,?\s*\Z)", body, re.DOTALL)
        tables[name] = [dict(re.findall(r"\.(\w+) = (\"[^\"]*\"|[^,]+?)(?:,|\s*\Z)", entry)) for entry in entries]

    def walk(table: str, prefix: str) -> dict[str, dict[str, str]]:
        found = {}
        for entry in tables[table]:
            path = prefix + entry["name"].strip('"')
            if "section" not in entry:
                found[path] = entry
                continue
            mark = ""
            if entry["kind"] == "SCHEMA_SECTION_LIST":
                found[path] = entry
                mark = "[]"
            found |= walk(entry["section"].lstrip("&"), f"{path}{mark}.")
        return found

    return walk("FILE", "")


def number(text: str) -> int:
    """The value of a constant expression of the schema."""
    product = 1
    for factor in text.split("*"):
        word = factor.strip().rstrip("U")
        product *= UNITS[word] if word in UNITS else int(word)
    return product


def duration(milliseconds: int) -> str:
    """As people write it: the largest unit that divides it."""
    for unit, size in (("h", 3600 * SECOND), ("m", 60 * SECOND), ("s", SECOND)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


class Words:
    """config/words.c: the words of each list, and the word of each enum's member."""

    def __init__(self, source: str) -> None:
        bodies = re.findall(r"const char \*const (\w+)\[\] = \{(.*?)\};", source, re.DOTALL)
        uses = dict(re.findall(r"const struct words (\w+) = WORDS\((\w+)\)", source))
        lists = {name: dict(re.findall(r'\[(\w+)\] = "([^"]+)"', body)) for name, body in bodies}
        self.of = {name: lists[array] for name, array in uses.items()}

    def wanted(self, entry: dict[str, str]) -> tuple[list[str], list[str]]:
        """What a key's cells "allowed" and "default" must contain."""
        kind = entry["kind"]
        if kind in ("SCHEMA_NUMBER", "SCHEMA_DURATION"):
            form = str if kind == "SCHEMA_NUMBER" else duration
            return [form(number(entry[limit])) for limit in ("min", "max")], [form(number(entry["fallback"]))]
        if "words" in entry:
            words = self.of[entry["words"].lstrip("&")]
            return list(words.values()), [words[entry["fallback"]]]
        return [], [entry["fallback_text"].strip('"')] if "fallback_text" in entry else []


def check_configuration(root: Path) -> list[str]:
    name = "docs/configuration.md"
    text = (root / name).read_text(encoding="utf-8")
    keys = schema_keys((root / "config/schema.c").read_text(encoding="utf-8"))
    words = Words((root / "config/words.c").read_text(encoding="utf-8"))
    later = {path for path, entry in keys.items() if entry["kind"] == "SCHEMA_LATER"}
    # Rows of a backend's keys leave out the "services[]." that all of them would have.
    table = {re.sub(r"^backends\[\]", "services[].backends[]", key): cells for key, cells in rows(text, "key").items()}
    faults = compare(name, "key", set(table), set(keys) - later)
    faults += [f"{name}: no word of {path}" for path in sorted(later) if f"`{path}`" not in text]
    for path in sorted(set(table) & set(keys)):
        allowed, default, effect = (re.sub(r"(?<=\d),(?=\d)", "", cell) for cell in table[path][:3])
        in_allowed, in_default = words.wanted(keys[path])
        faults += [f"{name}: {path}: '{word}' is allowed" for word in in_allowed if not holds(allowed, word)]
        faults += [f"{name}: {path}: the default is '{word}'" for word in in_default if not holds(default, word)]
        if "needs_restart" in keys[path] and effect != "restart":
            faults.append(f"{name}: {path}: it takes a restart")
        if not effect.startswith(EFFECTS):
            faults.append(f"{name}: {path}: does it take effect by {' or by '.join(EFFECTS)}?")
    return faults


def holds(cell: str, word: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(word)}(?![\w])", cell) is not None


def check(root: Path) -> list[str]:
    names = documents(root)
    return [*check_links(root, names), *check_index(root, names), *check_verdicts(root), *check_alarms(root),
            *check_configuration(root)]


class SelfTest(unittest.TestCase):
    """Each kind of fault is found, and what is right is not."""

    def tree(self, files: dict[str, str]) -> Path:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = Path(folder.name)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return root

    def test_anchors(self) -> None:
        text = "# A `code` word, and more: 8.2!\n```\n# no heading\n```\n## Twice\n## Twice\n### [Link](x.md) to\n"
        self.assertEqual(anchors(text), {"a-code-word-and-more-82", "twice", "twice-1", "link-to"})

    def test_links(self) -> None:
        good = "[a](b.md) [b](#here) [c](b.md#there) [d](https://x.example/y) `[e](gone.md)`\n# Here\n```\n[f](gone.md)\n```\n"
        bad = "[a](gone.md) [b](#gone) [c](b.md#gone)\n[d]: gone.md\n"
        root = self.tree({"good.md": good, "docs/bad.md": bad, "b.md": "# There\n", "docs/b.md": ""})
        self.assertEqual(check_links(root, ["good.md"]), [])
        self.assertEqual(len(check_links(root, ["docs/bad.md"])), 4)

    def test_index(self) -> None:
        root = self.tree({"docs/README.md": "[a](a.md#x)"})
        names = ["README.md", "docs/README.md", "docs/a.md", "docs/b.md"]
        self.assertEqual(check_index(root, names), ["docs/README.md: no link to b.md"])

    def test_verdicts(self) -> None:
        files = {"lb/diagnosis.h": 'X(A_B, "a-b", false) \\\n X(C, "c", true)', "docs/diagnosis.md": "| verdict |\n|-|\n| `a-b` | |\n| `c` | |\n",
                 "docs/error-809.md": "| verdict |\n|-|\n| `a-b` | |\n| `d` | |\n\n| other |\n|-|\n| `e` | |\n"}
        wanted = ["docs/error-809.md: no row for the verdict c", "docs/error-809.md: there is no verdict d"]
        self.assertEqual(check_verdicts(self.tree(files)), wanted)

    SCHEMA = """
static const struct schema_key IN_KEYS[] = {
    {.name = "rise", .kind = SCHEMA_NUMBER, .offset = offsetof(struct x, rise), .min = 1, .max = 1000, .fallback = 2},
    {.name = "wait",
     .kind = SCHEMA_DURATION,
     .min = 100,
     .max = 2 * MINUTE_MS,
     .needs_restart = true,
     .fallback = SECOND_MS},
};
static const struct schema_key FILE_KEYS[] = {
    {.name = "list", .kind = SCHEMA_SECTION_LIST, .section = &IN},
    {.name = "mode", .kind = SCHEMA_WORD, .words = &words_mode, .fallback = TWO},
    {.name = "next", .kind = SCHEMA_LATER, .fallback_text = "off"},
};
"""
    WORDS = 'static const char *const MODES[] = {\n [ONE] = "one",\n [TWO] = "two",\n};\nconst struct words words_mode = WORDS(MODES);\n'
    GOOD = ("| key |\n|-|\n| `list` | | | reload | |\n| `list[].rise` | 1 to 1,000 | 2 | reload | |\n"
            "| `list[].wait` | 100ms to 2m | `1s` | restart | |\n| `mode` | `one`, `two` | `two` | reload | |\n\n`next` comes later.\n")

    def configuration(self, document: str) -> list[str]:
        files = {"config/schema.c": self.SCHEMA, "config/words.c": self.WORDS, "docs/configuration.md": document}
        return [fault.removeprefix("docs/configuration.md: ") for fault in check_configuration(self.tree(files))]

    def test_configuration(self) -> None:
        self.assertEqual(self.configuration(self.GOOD), [])
        for old, new, fault in (
            ("| `mode` |", "| `made` |", "no row for the key mode"),
            ("| `mode` |", "| `made` |", "there is no key made"),
            ("1,000", "100", "list[].rise: '1000' is allowed"),
            ("| 2 |", "| 3 |", "list[].rise: the default is '2'"),
            ("2m", "3m", "list[].wait: '2m' is allowed"),
            ("| restart |", "| reload |", "list[].wait: it takes a restart"),
            ("`one`, ", "", "mode: 'one' is allowed"),
            ("| `two` |", "| `one` |", "mode: the default is 'two'"),
            ("| `two` | reload |", "| `two` | |", "mode: does it take effect by reload or by restart?"),
            ("`next`", "nothing", "no word of next"),
        ):
            with self.subTest(fault=fault):
                self.assertIn(fault, self.configuration(self.GOOD.replace(old, new)))


def main(arguments: list[str]) -> int:
    if arguments == ["--self-test"]:
        return 0 if unittest.main(argv=sys.argv[:1], exit=False).result.wasSuccessful() else 1
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 1
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    faults = check(root)
    for fault in faults:
        print(fault)
    print(f"{len(documents(root))} documents: {f'{len(faults)} faults' if faults else 'all as they should be'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
