"""The processes that a lab starts: all known, all marked, ended politely and then surely. Never anybody else's."""

import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .net import Namespace
from .shell import LabError

# Every process gets this variable with the lab's tag, and its children inherit it. It is how a later run tells what a
# killed one left behind: unlike a list of process ids it can neither be stale nor meet a reused id.
MARK = "IKELB_LAB_TAG"

STOP_TIMEOUT_S = 5.0


class Process:
    """One running program of the lab."""

    def __init__(self, popen: subprocess.Popen[bytes], name: str, output: Path) -> None:
        self._popen = popen
        self.name = name
        self.output = output

    @property
    def pid(self) -> int:
        return self._popen.pid

    def exit_status(self) -> int | None:
        """None while it runs, else its exit status (negative: the signal that ended it)."""
        return self._popen.poll()

    def send(self, signum: int) -> None:
        """Sends a signal, for instance SIGSTOP to play dead: then all its threads have stopped when this returns.
        Nothing happens if the process has ended."""
        self._popen.send_signal(signum)
        if signum == signal.SIGSTOP:
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside the block it does nothing, as if its machine hung; it goes on afterwards, come what may."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def wait(self, timeout_s: float) -> int | None:
        """Its exit status, or None if it still runs after timeout_s."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def tail(self, lines: int = 10) -> str:
        """The last lines it printed, for an error message."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])


class Processes:
    """Starts programs and ends them; whatever is still running at `stop_all` is ended there."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._running: list[Process] = []

    def start(
        self,
        name: str,
        argv: Sequence[str],
        output: Path,
        *,
        namespace: Namespace | None = None,
        environment: Mapping[str, str] | None = None,
        descriptors: Collection[int] = (),
    ) -> Process:
        """Starts a program in the background; what it prints is added to the file `output`. It inherits the
        descriptors given, under their own numbers.

        It gets a session of its own: a Ctrl-C at the terminal goes to the lab, which ends its programs in order.
        """
        command = list(argv) if namespace is None else namespace.command(*argv)
        with open(output, "ab") as log:
            try:
                popen = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {}), MARK: self._tag},
                    pass_fds=descriptors,
                    start_new_session=True,
                )
            except OSError as error:
                raise LabError(f"cannot start {command[0]}: {error.strerror}") from error
        process = Process(popen, name, output)
        self._running.append(process)
        return process

    def stop(self, processes: Iterable[Process], timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ends processes: SIGTERM to all, then SIGKILL to those that have not ended in time."""
        ending = [process for process in processes if process.exit_status() is None]
        for process in ending:
            # A stopped process would never get to see its SIGTERM.
            process.send(signal.SIGCONT)
            process.send(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        for process in ending:
            if process.wait(max(0.0, deadline - time.monotonic())) is None:
                process.send(signal.SIGKILL)
                process.wait(timeout_s)
        self._running = [process for process in self._running if process.exit_status() is None]

    def stop_all(self) -> None:
        self.stop(reversed(self._running))

    def forget_all(self) -> None:
        """Lets the processes run on after the lab's end; `end_leftovers` finds them again by their mark."""
        self._running = []


def leftovers(tag: str) -> list[int]:
    """Ids of the processes that carry the mark of a tag, whoever started them."""
    mark = f"{MARK}={tag}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            environment = Path("/proc", entry, "environ").read_bytes()
        except OSError:
            continue  # It ended meanwhile.
        if mark in environment.split(b"\0"):
            found.append(int(entry))
    return found


def end_leftovers(tag: str, timeout_s: float = STOP_TIMEOUT_S) -> int:
    """Ends what an earlier run of the same tag left running (killed, or kept on purpose). Returns how many."""
    count = len(leftovers(tag))
    for signum in (signal.SIGTERM, signal.SIGKILL):
        for pid in leftovers(tag):
            _signal(pid, signal.SIGCONT)
            _signal(pid, signum)
        deadline = time.monotonic() + timeout_s
        while leftovers(tag) and time.monotonic() < deadline:
            time.sleep(0.05)
    if leftovers(tag):
        raise LabError(f"processes {leftovers(tag)} of the lab '{tag}' do not end")
    return count


def _signal(pid: int, signum: int) -> None:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        pass
