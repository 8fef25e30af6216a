"""A machine of its own with a clean Debian: a real systemd as process 1, before which packages come and go.

What it writes goes into a layer that vanishes with it. Its network is ikelb's namespace of the lab.
"""

import shlex
import subprocess
from pathlib import Path

import systemd
from vpnlab.bench import Bench
from vpnlab.shell import LabError

# Where installing, running and removing a package may leave something for good: logs, caches, the records of dpkg.
ELSEWHERE = ("/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/var/log",
             "/var/tmp", "/var/lib/systemd/catalog", "/var/lib/systemd/random-seed", "/etc/ld.so.cache")
RUN_TIMEOUT_S = 60.0


class Machine(systemd.Systemd):
    """A context manager; `root` is the folder with the clean system, which stays unchanged."""

    def __init__(self, bench: Bench, root: Path) -> None:
        super().__init__(bench, {})
        self._clean = root

    def run(self, *argv: str, status: int | None = 0) -> str:
        """Runs a command there; what it printed. It must end with this status (None: any)."""
        done = subprocess.run(self._command("env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", *argv),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=RUN_TIMEOUT_S, check=False)
        if status is not None and done.returncode != status:
            raise LabError(f"{shlex.join(argv)}: status {done.returncode}:\n{done.stdout}")
        return done.stdout

    def install(self, package: Path, *options: str) -> str:
        """Copies a package there and has apt install it. What it prints."""
        self.path("/root", package.name).write_bytes(package.read_bytes())
        return self.run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "install", "--yes",
                        "--no-install-recommends", *options, f"/root/{package.name}")

    def path(self, *parts: str) -> Path:
        """A file of that machine, as seen from here. Absolute links in it lead elsewhere."""
        return Path(f"/proc/{self._init()}/root", *(part.lstrip("/") for part in parts))

    def files(self) -> dict[str, str]:
        """Every file and directory of the system, and what it is: owner, mode, and the target of a link."""
        exclude = [word for path in ELSEWHERE for word in ("-path", path, "-prune", "-o")]
        listed = self.run("find", "/", *exclude, "-not", "-type", "d", "-printf", r"%p\t%U:%G %M %l\n", "-o", "-type",
                          "d", "-printf", r"%p/\t%U:%G %M\n")
        return dict(line.split("\t", 1) for line in listed.splitlines())

    def _script(self) -> str:
        """Makes the machine's file system and becomes its process 1."""
        here, clean = shlex.quote(str(self._directory)), shlex.quote(str(self._clean))
        devices = "\n".join(f"touch dev/{name}; mount --bind /dev/{name} dev/{name}" for name in systemd.DEVICES)
        return f"""set -e
mount --make-rprivate /
mkdir {here}/layer {here}/root
mount -t tmpfs -o mode=755 tmpfs {here}/layer
mkdir {here}/layer/upper {here}/layer/work
mount -t overlay -o lowerdir={clean},upperdir={here}/layer/upper,workdir={here}/layer/work overlay {here}/root
cd {here}/root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
{devices}
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
touch dev/console
echo 0123456789abcdef0123456789abcdef > etc/machine-id
pivot_root . mnt
umount -l /mnt
export container=ikelb-lab
exec {systemd.PROGRAM} --system --log-target=journal --show-status=0
"""
