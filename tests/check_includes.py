#!/usr/bin/env python3
"""Holds the tree to its include direction.

base <- ike <- {config, persist, health} <- lb <- admin <- app: a folder may include itself and what stands left of
it; config, persist and health do not include each other; tests may include everything. Inside a folder no header
includes itself in a circle. Project headers are named from the root ("lb/pool.h").

Usage: check_includes.py [ROOT] | check_includes.py --self-test
Exit status: 0 all is well, 1 a violation.
"""

import re
import sys
import tempfile
import unittest
from pathlib import Path

RANKS = {"base": 0, "ike": 1, "config": 2, "persist": 2, "health": 2, "lb": 3, "admin": 4, "app": 5}
TESTS = "tests"
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def sources(root):
    """Every C file of the project's folders, by its path from the root."""
    for folder in [*RANKS, TESTS]:
        for path in sorted((root / folder).rglob("*.[ch]")):
            yield path.relative_to(root).as_posix()


def includes(root, name):
    """(line number, text of the line, included path) of each #include "..." in a file."""
    text = (root / name).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, line.strip(), found.group(1)


def fault(root, name, included):
    """What is wrong with one include, or None."""
    folder, target = name.split("/")[0], included.split("/")[0]
    if "/" not in included or not (root / included).is_file():
        return "no such file from the root"
    if ".." in included.split("/"):
        return "not named from the root"
    if folder == TESTS:
        return None
    if target not in RANKS:
        return f"{folder} may not include {target}"
    if folder != target and RANKS[target] >= RANKS[folder]:
        return f"{folder} may not include {target}"
    return None


def find_cycle(graph):
    """One circle of the graph {file: [included files]} as a list of names, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name):], name]
        if name in done:
            return None
        path.append(name)
        for following in graph.get(name, []):
            cycle = visit(following)
            if cycle:
                return cycle
        path.pop()
        done.add(name)
        return None

    for start in graph:
        cycle = visit(start)
        if cycle:
            return cycle
    return None


def check(root):
    """(number of files, violations as lines of text)."""
    violations, graph = [], {}
    for name in sources(root):
        graph[name] = []
        for number, line, included in includes(root, name):
            wrong = fault(root, name, included)
            if wrong:
                violations.append(f"{name}:{number}: {line}: {wrong}")
            else:
                graph[name].append(included)
    cycle = find_cycle(graph)
    if cycle:
        violations.append("include cycle: " + " -> ".join(cycle))
    return len(graph), violations


class SelfTest(unittest.TestCase):
    """Each kind of violation is found, and what is allowed is not."""

    def tree(self, files):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = Path(folder.name)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return check(root)

    def test_allowed(self):
        every = "".join(f'#include "{folder}/x.h"\n' for folder in RANKS)
        files = {f"{folder}/x.h": "" for folder in RANKS}
        files |= {"lb/x.c": '#include "lb/x.h"\n#include "health/x.h"\n#include <uv.h>\n', "app/x.c": every}
        files |= {"tests/unit/unit.h": "", "tests/unit/test_x.c": every + '#include "tests/unit/unit.h"\n'}
        self.assertEqual(self.tree(files), (len(files), []))

    def test_wrong_direction(self):
        for folder, target in [("base", "ike"), ("ike", "config"), ("health", "lb"), ("lb", "admin"), ("admin", "app"),
                               ("config", "health"), ("persist", "config"), ("health", "persist"), ("app", "tests")]:
            files = {f"{folder}/a.c": f'int a;\n  # include "{target}/b.h"\n', f"{target}/b.h": ""}
            self.assertEqual(self.tree(files)[1],
                             [f'{folder}/a.c:2: # include "{target}/b.h": {folder} may not include {target}'])

    def test_not_from_the_root(self):
        files = {"lb/a.c": '#include "b.h"\n#include "lb/../base/c.h"\n#include "lb/gone.h"\n', "lb/b.h": "", "base/c.h": ""}
        self.assertEqual(len(self.tree(files)[1]), 3)

    def test_cycle(self):
        files = {"lb/a.h": '#include "lb/b.h"\n', "lb/b.h": '#include "lb/c.h"\n', "lb/c.h": '#include "lb/a.h"\n'}
        self.assertEqual(self.tree(files)[1], ["include cycle: lb/a.h -> lb/b.h -> lb/c.h -> lb/a.h"])

    def test_diamond_is_no_cycle(self):
        files = {"lb/a.h": '#include "lb/b.h"\n#include "lb/c.h"\n', "lb/b.h": '#include "lb/d.h"\n',
                 "lb/c.h": '#include "lb/d.h"\n', "lb/d.h": ""}
        self.assertEqual(self.tree(files)[1], [])


def main(arguments):
    if arguments == ["--self-test"]:
        return 0 if unittest.main(argv=sys.argv[:1], exit=False).result.wasSuccessful() else 1
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 1
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    count, violations = check(root)
    for violation in violations:
        print(violation)
    print(f"includes of {count} files: {f'{len(violations)} violations' if violations else 'all as they should be'}")
    return 1 if violations or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
