"""The end-to-end tests: ikelb before real strongSwan servers and before hostile peers, in network namespaces.

    run.py --list       prints the names of all tests, one a line (--help: or of some)
    run.py [NAME...]    runs these tests (default: all); exit status 0 only if all passed

A test is a function test_NAME() in a file test_*.py beside this one; its docstring says what it shows. One with variants
(variants.py) is several tests, NAME_VARIANT. With --in FOLDER it is those of another folder, which may use what is here.
The environment variable IKELB_BINARY names the program under test. IKELB_FASTPATH is the `dataplane.fastpath` of
configurations that do not name one; with `native` the networks are made fit for it. IKELB_E2E_TAG (default e2e) marks the
namespaces, so that two runs with different tags may go side by side.
"""

import argparse
import importlib
import inspect
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

PREFIX = "test_"
HERE = Path(__file__).resolve().parent

# Which tests --list prints.
LISTS: dict[str, Callable[[Callable[[], None]], bool]] = {
    "all": lambda test: True,
    "any-path": lambda test: not hasattr(getattr(test, "func", test), "own_path"),
    "every-path": lambda test: hasattr(test, "every_path"),
    "long": lambda test: hasattr(getattr(test, "func", test), "long"),
}


def find_tests(folder: Path) -> dict[str, Callable[[], None]]:
    """Every test of a folder by its name without the prefix, in the order of files and lines."""
    # Each test is a run of its own. Beside the sources root would leave byte code in somebody's checkout.
    sys.pycache_prefix, sys.dont_write_bytecode = str(HERE.parents[1] / "build" / "pycache"), False
    sys.path[:0] = [str(folder), str(HERE), str(HERE.parents[1] / "lab"), str(HERE.parent / "cli")]
    tests: dict[str, Callable[[], None]] = {}
    for path in sorted(folder.glob(f"{PREFIX}*.py")):
        module = importlib.import_module(path.stem)
        own = [function for _, function in inspect.getmembers(module, inspect.isfunction)
               if function.__module__ == path.stem and function.__name__.startswith(PREFIX)]
        for function in sorted(own, key=lambda function: function.__code__.co_firstlineno):
            for name, test in named(function).items():
                if name in tests:
                    raise SystemExit(f"run.py: two tests have the name {name}")
                tests[name] = test
    return tests


def named(function: Callable[..., None]) -> dict[str, Callable[[], None]]:
    """The tests that a function is."""
    name = function.__name__.removeprefix(PREFIX)
    kinds = getattr(function, "variants", ())
    return {f"{name}_{kind}": partial(function, kind) for kind in kinds} if kinds else {name: function}


def run_one(name: str, test: Callable[[], None]) -> bool:
    begin = time.monotonic()
    try:
        test()
        passed = True
    except Exception:
        traceback.print_exc()
        passed = False
    print(f"{'ok  ' if passed else 'FAIL'} {name} ({time.monotonic() - begin:.1f} s)", flush=True)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--list", nargs="?", const="all", choices=sorted(LISTS), metavar="WHICH",
                        help="print the names of all tests; of those that do not name a fast path (any-path); of those "
                        "that have to be run with each of them (every-path); of those that take long (long)")
    parser.add_argument("--in", dest="folder", type=Path, default=HERE, metavar="FOLDER",
                        help="where the tests are (default: beside this file)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a test to run (default: all)")
    options = parser.parse_args()
    tests = find_tests(options.folder.resolve())
    if options.list:
        print("\n".join(name for name, test in tests.items() if LISTS[options.list](test)))
        return 0
    unknown = [name for name in options.names if name not in tests]
    if unknown:
        print(f"run.py: no such test: {', '.join(unknown)} (--list names them all)", file=sys.stderr)
        return 2
    results = [run_one(name, tests[name]) for name in options.names or tests]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
