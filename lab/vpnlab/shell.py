"""Running other programs, and the one error type of the lab."""

import subprocess
from collections.abc import Container, Sequence


class LabError(Exception):
    """Something the lab needs did not work; the message is meant for the person who runs it."""


def run(
    argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60.0, statuses: Container[int] = (0,)
) -> str:
    """Runs a program to its end and returns what it printed; LabError with its own words if it fails.

    It has failed if its exit status is none of `statuses`.

    It gets a session of its own: a Ctrl-C at the terminal must not end the `ip` that is just cleaning up.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed (.ci/install installs what is missing)") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(argv)}: no end within {timeout_s:.0f} s") from error
    if done.returncode not in statuses:
        words = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise LabError(f"{' '.join(argv)}: {words}")
    return done.stdout
