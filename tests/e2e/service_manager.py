"""A service manager as ikelb sees one: a socket for its notifications, and a store for its descriptors (sd_notify(3),
sd_listen_fds(3)). What systemd does with units, and all the rest, is left out."""

import fcntl
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from support import wait_for
from vpnlab.bench import Bench
from vpnlab.processes import Process

MESSAGE_BYTES = 4096
FIRST_PASSED = 3  # SD_LISTEN_FDS_START
FIRST_STORED = 200  # Above all the numbers that stored descriptors are passed under.


@dataclass(frozen=True)
class Stored:
    """A descriptor in the store, and the name it came with."""

    name: str
    descriptor: int

    def is_same(self, descriptor: int) -> bool:
        return os.fstat(self.descriptor).st_ino == os.fstat(descriptor).st_ino


@dataclass
class ServiceManager:
    """A context manager. While it is open it hears what ikelb says; `start` starts ikelb with what is in the store."""

    bench: Bench
    stored: list[Stored] = field(default_factory=list)
    said: list[dict[str, str]] = field(default_factory=list)  # The messages of ikelb, in their order.

    def __enter__(self) -> "ServiceManager":
        self._path: Path = self.bench.workspace.directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", str(self._path))
        self._thread.join()
        self._socket.close()
        self._path.unlink()
        for entry in self.stored:
            os.close(entry.descriptor)

    def start(self, argv: Sequence[str], output: Path) -> Process:
        """A `Starter` for the bench: ikelb gets all that is stored, from descriptor 3 on."""
        entries = list(self.stored)
        moves = " ".join(f"{FIRST_PASSED + place}<&{entry.descriptor}" for place, entry in enumerate(entries))
        closes = " ".join(f"{entry.descriptor}<&-" for entry in entries)
        shell = f'LISTEN_PID=$$ exec "$@" {moves} {closes}' if entries else 'exec "$@"'
        environment = {"NOTIFY_SOCKET": str(self._path)}
        if entries:
            environment |= {"LISTEN_FDS": str(len(entries)),
                            "LISTEN_FDNAMES": ":".join(entry.name for entry in entries)}
        return self.bench.workspace.processes.start(
            "ikelb", ["bash", "-c", shell, "ikelb", *argv], output, namespace=self.bench.topology.lb,
            environment=environment, descriptors=[entry.descriptor for entry in entries])

    def names(self) -> list[str]:
        """Of all that is stored, in order."""
        return sorted(entry.name for entry in self.stored)

    def count(self, key: str, value: str) -> int:
        """How often ikelb has said so."""
        return sum(message.get(key) == value for message in self.said)

    def wait_ready(self, times: int) -> None:
        """Waits until ikelb has said for the n-th time that it is ready."""
        wait_for(lambda: self.count("READY", "1") >= times, f"READY=1 for the {times}. time", 20.0)

    def _listen(self) -> None:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, 16)
            if not data:
                return
            message = dict(line.split("=", 1) for line in data.decode().splitlines())
            if "FDSTORE" in message:
                for descriptor in descriptors:
                    self._store(message.get("FDNAME", "stored"), descriptor)
            if "FDSTOREREMOVE" in message:
                self._remove(message["FDNAME"])
            self.said.append(message)
            for descriptor in descriptors:
                os.close(descriptor)

    def _store(self, name: str, descriptor: int) -> None:
        if not any(entry.is_same(descriptor) for entry in self.stored):
            self.stored.append(Stored(name, fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_STORED)))

    def _remove(self, name: str) -> None:
        for entry in [entry for entry in self.stored if entry.name == name]:
            self.stored.remove(entry)
            os.close(entry.descriptor)
