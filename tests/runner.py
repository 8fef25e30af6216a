"""Builds ikelb and runs every stage of its tests; prints a line a test and, last, 'N passed, N failed'."""

import argparse
import os
import queue
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ASAN = ROOT / "build" / "asan"
FUZZ = ROOT / "build" / "fuzz"
RELEASE = ROOT / "build" / "release"
FUZZ_SECONDS = 20

# What is not run side by side with others: loads that take the whole machine, and what shares a system root.
ALONE = re.compile(r"flood|restarts|refus|package:")

# Configurations that do not name a fast path get one of these; "": none is named, as most users have it.
FASTPATHS = ("off", "generic", "native")

# What the lab says at the end of its second part.
ALL_RIGHT = re.compile(r"^(\d+) of \1 verdicts are right\.$", re.MULTILINE)


class Tally:
    """Counts what passed and what failed, and prints it as it goes. `fastpath`: what was asked for."""

    def __init__(self, fastpath: str = "") -> None:
        self.fastpath = fastpath
        self.passed = 0
        self.failed: list[str] = []

    def add(self, name: str, ok: bool, seconds: float, output: str = "") -> None:
        print(f"{'ok  ' if ok else 'FAIL'} {name} ({seconds:.1f} s)", flush=True)
        if ok:
            self.passed += 1
        else:
            self.failed.append(name)
            print(output[-20000:], flush=True)


def run(command: list[str | Path], timeout: float = 600, **env: str) -> tuple[bool, str, float]:
    """Runs a command; whether it exited with 0, what it printed, and how long it took."""
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, timeout=timeout, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        ok, output = done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired as expired:
        ok, output = False, f"{expired.stdout or ''}\nno end within {timeout} s"
    return ok, output, time.monotonic() - start


def build(tally: Tally, preset: str, target: str = "all") -> bool:
    """Configures and builds a preset. Counted only when it fails: a build is no test."""
    for command in (["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset, "--target", target]):
        ok, output, seconds = run(command, timeout=1200)
        if not ok:
            tally.add(f"build {preset}", False, seconds, output)
            return False
    return True


def c_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=ROOT, check=True, capture_output=True, text=True)
    return listed.stdout.split()


def manual_pages() -> list[Path]:
    return sorted((ROOT / "docs" / "man").glob("*.[1-9]"))


def stage_style(tally: Tally, word: str) -> None:
    checks = {
        "style: include direction": [sys.executable, "tests/check_includes.py"],
        "style: include check finds a violation": [sys.executable, "tests/check_includes.py", "--self-test"],
        "style: documents": [sys.executable, "tests/check_docs.py"],
        "style: document check finds faults": [sys.executable, "tests/check_docs.py", "--self-test"],
        "style: manual pages": ["mandoc", "-T", "lint", "-W", "warning", *map(str, manual_pages())],
        "style: clang-format": ["clang-format", "--dry-run", "-Werror", *c_files()],
    }
    for name, command in checks.items():
        if word in name:
            ok, output, seconds = run(command)
            tally.add(name, ok, seconds, output)


def stage_tidy(tally: Tally, word: str) -> None:
    """clang-tidy over every source file of the product."""
    if not build(tally, "asan"):
        return
    sources = [f for f in c_files() if f.endswith(".c") and not f.startswith("tests/") and word in f]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {f: pool.submit(run, ["clang-tidy", "--quiet", "-p", ASAN, f]) for f in sources}
        for name, job in jobs.items():
            ok, output, seconds = job.result()
            tally.add(f"tidy: {name}", ok, seconds, output)


def stage_unit(tally: Tally, word: str) -> None:
    """Each cmocka program, under AddressSanitizer and UndefinedBehaviorSanitizer; its tests are counted one by one."""
    if not build(tally, "asan"):
        return
    programs = [p for p in sorted((ASAN / "tests").glob("test_*")) if p.is_file() and word in p.name]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda program: run([program], timeout=120), programs))
    for program, (ok, output, seconds) in zip(programs, results):
        passed = re.findall(r"^\[       OK \] (\S+)", output, re.MULTILINE)
        failed = set(re.findall(r"^\[  FAILED  \] (test_\S+)", output, re.MULTILINE))
        if ok and passed:
            tally.passed += len(passed)
            print(f"ok   unit: {program.name}: {len(passed)} tests ({seconds:.1f} s)", flush=True)
        else:
            tally.passed += len(set(passed) - failed)
            tally.add(f"unit: {program.name}: {', '.join(sorted(failed)) or 'did not end well'}", False, seconds, output)
    for script in sorted((ROOT / "tests" / "unit").glob("test_*.py")):
        if word in script.name:
            ok, output, seconds = run([sys.executable, script], timeout=120)
            ran = re.search(r"^Ran (\d+) tests?", output, re.MULTILINE)
            if ok and ran:
                tally.passed += int(ran[1])
                print(f"ok   unit: {script.name}: {ran[1]} tests ({seconds:.1f} s)", flush=True)
            else:
                tally.add(f"unit: {script.name}", False, seconds, output)


def stage_cli(tally: Tally, word: str) -> None:
    """The binary as a user's shell and terminal see it, without a daemon or with one that a test makes up."""
    scripts = {script: f"cli: {script.name}" for script in sorted((ROOT / "tests" / "cli").glob("test_*.py"))}
    if not any(word in name for name in scripts.values()) or not build(tally, "asan"):
        return
    for script, name in scripts.items():
        if word in name:
            ok, output, seconds = run([sys.executable, script], IKELB_BINARY=str(ASAN / "app" / "ikelb"))
            tally.add(name, ok, seconds, output)


def stage_fuzz(tally: Tally, word: str) -> None:
    """Each fuzz target for some seconds, from its corpus; what it finds is written below build/fuzz."""
    if not build(tally, "fuzz"):
        return

    def fuzz(program: Path) -> tuple[bool, str, float]:
        name = program.name.removeprefix("fuzz_")
        work = FUZZ / "work" / name
        work.mkdir(parents=True, exist_ok=True)
        corpus = ROOT / "tests" / "fuzz" / "corpus" / name
        return run([program, f"-max_total_time={FUZZ_SECONDS}", "-timeout=5", "-rss_limit_mb=2048",
                    f"-artifact_prefix={FUZZ}/{name}-", work, corpus], timeout=FUZZ_SECONDS + 120)

    programs = [p for p in sorted((FUZZ / "tests").glob("fuzz_*")) if p.is_file() and word in p.name]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for program, (ok, output, seconds) in zip(programs, pool.map(fuzz, programs)):
            tally.add(f"fuzz: {program.name}", ok, seconds, output)


def run_namespaced(
    tally: Tally, stage: str, word: str, binary: Path, *, fastpath: str = "", which: str = "all"
) -> None:
    """The tests of the folder tests/STAGE one by one, by the program tests/e2e/run.py."""
    command = [sys.executable, "tests/e2e/run.py", "--in", f"tests/{stage}"]
    listed, names, _ = run([*command, "--list", which])
    if not listed:
        tally.add(f"{stage}: list", False, 0, names)
        return
    titles = {name: f"{stage}: {name} [{fastpath}]" if fastpath else f"{stage}: {name}" for name in names.split()}
    chosen = [name for name, title in titles.items() if word in title]
    tags = queue.SimpleQueue[str]()
    prefix = os.environ.get("IKELB_E2E_TAG", "e2e")  # Another one for each of several runs on one machine.
    for worker in range(os.cpu_count() or 1):
        tags.put(f"{prefix}{worker}")

    def scene(name: str) -> tuple[bool, str, float]:
        tag = tags.get()  # Namespaces are named by it: two tests at a time keep out of each other's way.
        try:
            return run([*command, name], timeout=300, IKELB_E2E_TAG=tag, IKELB_BINARY=str(binary),
                       IKELB_FASTPATH=fastpath)
        finally:
            tags.put(tag)

    side_by_side = [name for name in chosen if not ALONE.search(titles[name])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, (ok, output, seconds) in zip(side_by_side, pool.map(scene, side_by_side)):
            tally.add(titles[name], ok, seconds, output)
    for name in chosen:
        if name not in side_by_side:
            ok, output, seconds = scene(name)
            tally.add(titles[name], ok, seconds, output)


def stage_e2e(tally: Tally, word: str) -> None:
    """Network namespaces and real strongSwan; ikelb built with the sanitizers. What carries ESP is run without a fast
    path and with each kind; or everything is, if that is asked for."""
    if not build(tally, "asan"):
        return
    asked = FASTPATHS if tally.fastpath == "all" else (tally.fastpath,)
    for turn, fastpath in enumerate(asked):
        run_namespaced(tally, "e2e", word, ASAN / "app" / "ikelb", fastpath=fastpath,
                       which="any-path" if turn else "all")
    if not tally.fastpath:  # Where the cables are not made fit for native XDP none is generic.
        for fastpath in ("off", "native"):
            run_namespaced(tally, "e2e", word, ASAN / "app" / "ikelb", fastpath=fastpath, which="every-path")


def stage_package(tally: Tally, word: str) -> None:
    """The Debian package: lintian, and its life in a clean Debian."""
    if build(tally, "release", "package"):
        run_namespaced(tally, "package", word, RELEASE / "app" / "ikelb")


def stage_lab(tally: Tally, word: str) -> None:
    """The demonstration itself, as the README tells newcomers to run it; and its second part with a single server."""
    runs = {"lab: ./lab/run": [], "lab: ./lab/run --scenario diagnosis": ["--scenario", "diagnosis", "--backends", "1"]}
    for name, options in runs.items():
        if word in name:
            ok, output, seconds = run(["./lab/run", *options], timeout=400)
            tally.add(name, ok and bool(ALL_RIGHT.search(output)), seconds, output)


STAGES: dict[str, Callable[[Tally, str], None]] = {
    "style": stage_style,
    "tidy": stage_tidy,
    "unit": stage_unit,
    "cli": stage_cli,
    "fuzz": stage_fuzz,
    "e2e": stage_e2e,
    "package": stage_package,
    "lab": stage_lab,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/run", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(STAGES), help="run this stage; may be given again")
    parser.add_argument("-k", metavar="WORD", default="", help="run only what has WORD in its name")
    parser.add_argument("--fastpath", choices=[*FASTPATHS, "all"], default="",
                        help="run all end-to-end tests with this fast path, or one after the other with each")
    options = parser.parse_args()
    tally = Tally(options.fastpath)
    start = time.monotonic()

    for name in options.only or STAGES:
        print(f"== {name}", flush=True)
        STAGES[name](tally, options.k)
    print(f"{time.monotonic() - start:.0f} s in all")
    for name in tally.failed:
        print(f"FAIL {name}")
    if tally.passed + len(tally.failed) == 0:
        print("no test has that name")
        return 2
    print(f"{tally.passed} passed, {len(tally.failed)} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
