"""Builds ikelb and runs every stage of its tests; prints a line a test and, last, 'N passed, N failed'."""

import argparse
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ASAN = ROOT / "build" / "asan"
FUZZ = ROOT / "build" / "fuzz"
RELEASE = ROOT / "build" / "release"
FUZZ_SECONDS = 20  # of a core, for each target

LONGEST_UNIT = "test_steering_model"  # more than a third of all unit tests, and begun before the others

# So many end-to-end tests side by side beyond the number of cores: they mostly wait.
E2E_MORE = 1

# What stands before the command of clang-tidy, which works beside them and takes what they leave. They have sessions of
# their own, and between sessions the kernel does not look at `nice` (sched(7), autogroup).
GIVE_WAY = ("setsid", "sh", "-c", 'echo 10 2>/dev/null >/proc/self/autogroup; exec nice -n 10 "$@"', "sh")

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
        self._lock = threading.Lock()  # clang-tidy and the end-to-end tests report side by side.

    def add(self, name: str, ok: bool, seconds: float, output: str = "") -> None:
        with self._lock:
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


@cache
def build(tally: Tally, preset: str, target: str = "all") -> bool:
    """Configures and builds a preset. Counted only when it fails, and done once: a build is no test."""
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


def stage_tidy(tally: Tally, word: str, before: Sequence[str] = ()) -> None:
    """clang-tidy over every source file of the product. `before`: what stands before its command."""
    if not build(tally, "asan"):
        return
    sources = [f for f in c_files() if f.endswith(".c") and not f.startswith("tests/") and word in f]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {f: pool.submit(run, [*before, "clang-tidy", "--quiet", "-p", ASAN, f]) for f in sources}
        for name, job in jobs.items():
            ok, output, seconds = job.result()
            tally.add(f"tidy: {name}", ok, seconds, output)


def stage_unit(tally: Tally, word: str) -> None:
    """Each cmocka program, under AddressSanitizer and UndefinedBehaviorSanitizer; its tests are counted one by one."""
    if not build(tally, "asan"):
        return
    programs = [p for p in (ASAN / "tests").glob("test_*") if p.is_file() and word in p.name]
    programs.sort(key=lambda program: (program.name != LONGEST_UNIT, program.name))
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
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {name: pool.submit(run, [sys.executable, script], IKELB_BINARY=str(ASAN / "app" / "ikelb"))
                for script, name in scripts.items() if word in name}
        for name, job in jobs.items():
            ok, output, seconds = job.result()
            tally.add(name, ok, seconds, output)


def stage_fuzz(tally: Tally, word: str) -> None:
    """All fuzz targets at once, from their corpora; what they find is written below build/fuzz."""
    if not build(tally, "fuzz"):
        return
    programs = [p for p in sorted((FUZZ / "tests").glob("fuzz_*")) if p.is_file() and word in p.name]
    # Where there are fewer cores than targets they share them for so much longer.
    seconds_each = round(FUZZ_SECONDS * max(1.0, len(programs) / (os.cpu_count() or 1)))

    def fuzz(program: Path) -> tuple[bool, str, float]:
        name = program.name.removeprefix("fuzz_")
        work = FUZZ / "work" / name
        work.mkdir(parents=True, exist_ok=True)
        corpus = ROOT / "tests" / "fuzz" / "corpus" / name
        return run([program, f"-max_total_time={seconds_each}", "-timeout=5", "-rss_limit_mb=2048",
                    f"-artifact_prefix={FUZZ}/{name}-", work, corpus], timeout=seconds_each + 120)

    with ThreadPoolExecutor(max(1, len(programs))) as pool:
        for program, (ok, output, seconds) in zip(programs, pool.map(fuzz, programs)):
            tally.add(f"fuzz: {program.name}", ok, seconds, output)


class Scene(NamedTuple):
    """A test of a folder of them, and how to run it."""

    title: str
    name: str
    fastpath: str


def list_tests(tally: Tally, stage: str, which: str) -> list[str]:
    listed, names, _ = run([sys.executable, "tests/e2e/run.py", "--in", f"tests/{stage}", "--list", which])
    if not listed:
        tally.add(f"{stage}: list", False, 0, names)
        return []
    return names.split()


def find_scenes(tally: Tally, stage: str, word: str, *, fastpath: str = "", which: str = "all") -> list[Scene]:
    """The tests of the folder tests/STAGE with that word in their titles."""
    made = [Scene(f"{stage}: {name} [{fastpath}]" if fastpath else f"{stage}: {name}", name, fastpath)
            for name in list_tests(tally, stage, which)]
    return [scene for scene in made if word in scene.title]


def run_scenes(
    tally: Tally, stage: str, binary: Path, scenes: list[Scene], beside: Callable[[], None] | None = None
) -> None:
    """Each by the program tests/e2e/run.py: side by side, the long ones first; and when they are over, and what
    `beside` does meanwhile, those that are to be alone."""
    workers = (os.cpu_count() or 1) + E2E_MORE
    tags = queue.SimpleQueue[str]()
    prefix = os.environ.get("IKELB_E2E_TAG", "e2e")  # Another one for each of several runs on one machine.
    for worker in range(workers):
        tags.put(f"{prefix}{worker}")

    def play(scene: Scene) -> tuple[bool, str, float]:
        tag = tags.get()  # Namespaces are named by it: tests at a time keep out of each other's way.
        try:
            return run([sys.executable, "tests/e2e/run.py", "--in", f"tests/{stage}", scene.name], timeout=300,
                       IKELB_E2E_TAG=tag, IKELB_BINARY=str(binary), IKELB_FASTPATH=scene.fastpath)
        finally:
            tags.put(tag)

    long = set(list_tests(tally, stage, "long"))
    side_by_side = sorted((scene for scene in scenes if not ALONE.search(scene.title)),
                          key=lambda scene: scene.name not in long)
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(1) as other:
        meanwhile = other.submit(beside) if beside else None
        for scene, (ok, output, seconds) in zip(side_by_side, pool.map(play, side_by_side)):
            tally.add(scene.title, ok, seconds, output)
        if meanwhile:
            meanwhile.result()
    for scene in scenes:
        if ALONE.search(scene.title):
            ok, output, seconds = play(scene)
            tally.add(scene.title, ok, seconds, output)


def stage_e2e(tally: Tally, word: str, beside: Callable[[], None] | None = None) -> None:
    """Network namespaces and real strongSwan; ikelb built with the sanitizers. What carries ESP is run without a fast
    path and with each kind; or everything is, if that is asked for."""
    if not build(tally, "asan"):
        return
    scenes: list[Scene] = []
    asked = FASTPATHS if tally.fastpath == "all" else (tally.fastpath,)
    for turn, fastpath in enumerate(asked):
        scenes += find_scenes(tally, "e2e", word, fastpath=fastpath, which="any-path" if turn else "all")
    if not tally.fastpath:  # Where the cables are not made fit for native XDP none is generic.
        for fastpath in ("off", "native"):
            scenes += find_scenes(tally, "e2e", word, fastpath=fastpath, which="every-path")
    run_scenes(tally, "e2e", ASAN / "app" / "ikelb", scenes, beside)


def stage_package(tally: Tally, word: str) -> None:
    """The Debian package: lintian, and its life in a clean Debian."""
    if build(tally, "release", "package"):
        run_scenes(tally, "package", RELEASE / "app" / "ikelb", find_scenes(tally, "package", word))


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

    stages = options.only or list(STAGES)
    together = {"tidy", "e2e"} <= set(stages)
    for name in stages:
        begin = time.monotonic()
        if together and name == "tidy":
            continue
        print(f"== {'e2e, and tidy beside it' if together and name == 'e2e' else name}", flush=True)
        if together and name == "e2e":
            stage_e2e(tally, options.k, lambda: stage_tidy(tally, options.k, GIVE_WAY))
        else:
            STAGES[name](tally, options.k)
        print(f"== {name} took {time.monotonic() - begin:.0f} s", flush=True)
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
