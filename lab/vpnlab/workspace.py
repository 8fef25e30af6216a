"""What one run owns on the machine: a tag, a directory, namespaces, processes; and that all of it goes away again."""

import os
import re
import shutil
import signal
import socket
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from . import net, processes
from .shell import LabError

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked the run to end. Not an Exception, so that no handler of errors swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"ended by {signal.Signals(signum).name}")
        self.exit_status = 128 + signum


class Interruptible:
    """A context manager: inside it the ending signals raise Interrupted in the main thread.

    After `defer` they wait for the end of the block, so that a second Ctrl-C leaves nothing half removed. Signals that
    were ignored stay so, as nohup wants it. Blocks may be nested.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._deferring = False
        self._deferred: int | None = None

    def __enter__(self) -> "Interruptible":
        for signum in ENDING_SIGNALS:
            if signal.getsignal(signum) != signal.SIG_IGN:
                self._handlers[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        if self._deferred is not None and not isinstance(error, Interrupted):
            raise Interrupted(self._deferred)

    def defer(self) -> None:
        self._deferring = True

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if not self._deferring:
            raise Interrupted(signum)
        self._deferred = signum


class Workspace:
    """A context manager. Entering cleans up after an earlier run of the same tag; leaving removes everything.

    Several runs live side by side under different tags. Two runs of one tag do not: the second gets a LabError. While
    it is open, SIGINT, SIGTERM and SIGHUP raise Interrupted, so that leaving cleans up for them too.
    """

    def __init__(self, tag: str, log_dir: Path | None = None) -> None:
        if not re.fullmatch(r"[a-z0-9]{1,12}", tag):
            raise LabError(f"tag '{tag}': 1 to 12 small letters and digits are allowed")
        self.tag = tag
        self.directory = Path(f"/run/ikelb-{tag}")  # Short: sockets live here, and their paths hold 107 bytes at most.
        self.log_dir = log_dir or self.directory / "log"
        self.processes = processes.Processes(tag)
        self.kept = False
        self._lock: socket.socket | None = None
        self._signals = Interruptible()

    def __enter__(self) -> "Workspace":
        if os.geteuid() != 0:
            raise LabError("network namespaces need root: run it with sudo")
        self._lock = _lock(self.tag)
        self._signals.__enter__()
        try:
            self._remove()
            self.directory.mkdir(mode=0o700)
            self.log_dir.mkdir(parents=True, exist_ok=True)
        except BaseException as error:
            self._release(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signals.defer()
        try:
            if self.kept:
                self.processes.forget_all()
            else:
                self.processes.stop_all()
                self._remove()
        finally:
            self._release(error)

    def namespace(self, name: str) -> net.Namespace:
        """The namespace ikelb-TAG-NAME, not yet created."""
        return net.Namespace(f"ikelb-{self.tag}-{name}")

    def namespaces(self) -> list[net.Namespace]:
        """All that there are."""
        return net.namespaces(f"ikelb-{self.tag}-")

    def keep(self) -> None:
        """Leaves namespaces and processes alive after the end; `clean` or the next run of the tag removes them."""
        self.kept = True

    def _remove(self) -> None:
        processes.end_leftovers(self.tag)
        for namespace in self.namespaces():
            namespace.delete()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _release(self, error: BaseException | None) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self._signals.__exit__(type(error), error, None)


def clean(tag: str) -> None:
    """Removes everything that runs of a tag left behind."""
    with Workspace(tag):
        pass


def _lock(tag: str) -> socket.socket:
    """A name that one process at a time can hold, and that vanishes with it, however it ends."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(f"\0ikelb-lab-{tag}")
    except OSError as error:
        lock.close()
        raise LabError(f"a lab with the tag '{tag}' is running: end it, or take another --tag") from error
    return lock

