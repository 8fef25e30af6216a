"""What the scripts here share: the binary under test, and the running of a module's tests."""

import os
import tempfile
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
BINARY = Path(os.environ.get("IKELB_BINARY", ROOT / "build" / "asan" / "app" / "ikelb"))


def run_tests(module: dict[str, Any]) -> int:
    """Runs each test_NAME(work) of a module, with a directory of its own; the exit status."""
    tests = [value for name, value in module.items() if name.startswith("test_")]
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
