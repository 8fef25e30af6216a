"""A real systemd as process 1 of namespaces of its own: pid, mount, cgroup, ipc and uts; its network is ikelb's.

It knows one unit besides the few targets it needs, sees a private /dev and /run/systemd, and can change neither the
machine's kernel settings nor its id. It is ended by SIGKILL, and with it all in its pid namespace.
"""

import os
import re
import shlex
import signal
import time
from pathlib import Path
from types import TracebackType

from support import wait_for
from vpnlab.bench import Bench
from vpnlab.net import Namespace
from vpnlab.processes import Process
from vpnlab.shell import LabError, run

PROGRAM = Path("/lib/systemd/systemd")
TARGETS = ("default", "sysinit", "basic", "shutdown")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


class Systemd:
    """A context manager. Units may be given by their files' text, or as files of a package."""

    def __init__(self, bench: Bench, units: dict[str, str]) -> None:
        self._namespace: Namespace = bench.topology.lb
        self._processes = bench.workspace.processes
        self._directory = bench.workspace.directory / "systemd"
        self._log = bench.log_dir / "systemd.log"
        self._cgroup = _cgroup_mounts()[0] / f"ikelb-{bench.workspace.tag}"
        self._units = units
        self._process: Process | None = None

    def __enter__(self) -> "Systemd":
        units = self._directory / "units"
        units.mkdir(parents=True)
        for target in TARGETS:
            (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n")
        for name, text in self._units.items():
            (units / name).write_text(text)
        (self._directory / "init").write_text(self._script())
        self._cgroup.mkdir(exist_ok=True)
        # Into its control group first: `ip netns exec` hides /sys.
        argv = self._namespace.command("unshare", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--cgroup",
                                       "--ipc", "--uts", "--mount-proc", "sh", str(self._directory / "init"))
        enter = f"echo $$ > {self._cgroup}/cgroup.procs && exec {shlex.join(argv)}"
        self._process = self._processes.start("systemd", ["sh", "-c", enter], self._log)
        try:
            wait_for(lambda: "running" in self._try("is-system-running"), "systemd running", 15.0)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def systemctl(self, *argv: str) -> str:
        """Runs systemctl before this systemd."""
        return run(self._command("systemctl", *argv), timeout_s=60.0)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def kill_main(self, unit: str, signum: int) -> None:
        """Sends a signal to the main process of a unit."""
        self.systemctl("kill", "--kill-who=main", f"--signal={signum}", unit)

    def _try(self, *argv: str) -> str:
        """The same, while it may not answer yet."""
        assert self._process is not None and self._process.exit_status() is None, f"systemd ended:\n{self._tail()}"
        try:
            return run(self._command("systemctl", *argv), timeout_s=5.0, statuses=range(256))
        except (LabError, FileNotFoundError):
            return ""

    def _command(self, *argv: str) -> list[str]:
        return ["nsenter", "-t", str(self._init()), "-m", "-p", "-C", "-n", *argv]

    def _init(self) -> int:
        """The process id of this systemd in the machine's own pid namespace: the child of `unshare`."""
        assert self._process is not None
        text = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not text:
            raise LabError("systemd is not there yet")
        return int(text[0])

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def _script(self) -> str:
        """What process 1 does before it becomes systemd."""
        here = shlex.quote(str(self._directory))
        devices = "\n".join(f"touch {here}/dev/{name}; mount --bind /dev/{name} {here}/dev/{name}" for name in DEVICES)
        return f"""set -e
mount --make-rprivate /
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --rbind /run /run
mkdir -p {here}/dev /run/systemd
mount -t tmpfs -o mode=755 tmpfs {here}/dev
{devices}
mkdir {here}/dev/shm {here}/dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts {here}/dev/pts
ln -s pts/ptmx {here}/dev/ptmx
touch {here}/dev/console
mount --rbind {here}/dev /dev
mount -t tmpfs -o mode=755 tmpfs /run/systemd
echo 0123456789abcdef0123456789abcdef > {here}/machine-id
[ ! -e /etc/machine-id ] || mount --bind {here}/machine-id /etc/machine-id
export container=ikelb-lab SYSTEMD_UNIT_PATH={here}/units
exec {PROGRAM} --system --log-target=console --show-status=0
"""

    def _end(self) -> None:
        if self._process is not None:
            self._process.send(signal.SIGKILL)
            self._process.wait(5.0)
        _remove_cgroup(self._cgroup)


def obstacle() -> str:
    """Why systemd cannot run here, in a container of little power for instance; empty if it can."""
    if not PROGRAM.exists():
        return f"there is no {PROGRAM}"
    return "" if _cgroup_mounts() else "no version 2 control groups that could be written to"


def _cgroup_mounts() -> list[Path]:
    """Where the machine has its version 2 control groups."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [Path(line.split()[1]) for line in lines if re.fullmatch(r"\S+ \S+ cgroup2 rw(,\S*)? 0 0", line)]


def _remove_cgroup(top: Path) -> None:
    """Control groups can be removed when their processes have gone, which takes a moment."""
    deadline = time.monotonic() + 5.0
    while top.exists():
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass
        assert time.monotonic() < deadline, f"{top} cannot be removed"
        time.sleep(0.02)
