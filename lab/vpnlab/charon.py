"""One strongSwan daemon (charon-systemd) in one namespace, with configuration, socket and log of its own.

Many run side by side: STRONGSWAN_CONF names the configuration file of each, and it names the VICI socket. ESP is done
in user space (kernel-libipsec, over a TUN device), so the kernel needs no IPsec; kernel-netlink sets addresses and
routes.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import pki
from .net import Namespace
from .processes import Process
from .shell import LabError
from .vici import Message, Vici
from .workspace import Workspace

PLUGINS = (
    "random nonce aes sha1 sha2 md5 hmac kdf pem pkcs1 pkcs8 x509 pubkey revocation constraints openssl curve25519 "
    "kernel-libipsec kernel-netlink socket-default counters vici updown eap-identity eap-md5"
)
START_TIMEOUT_S = 10.0

IKE_PROPOSALS: list[str | bytes] = ["aes128-sha256-x25519"]
ESP_PROPOSALS: list[str | bytes] = ["aes128-sha256"]


class Charon:
    """A running charon. `settings` are lines of the section charon of strongswan.conf, dots in names allowed."""

    def __init__(
        self, workspace: Workspace, namespace: Namespace, name: str, settings: Mapping[str, str | int], log: Path
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.log = log
        self.workspace = workspace
        self._directory = workspace.directory / name
        self._directory.mkdir(exist_ok=True)
        self._socket = self._directory / "vici"
        self._socket.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)
        configuration = self._directory / "strongswan.conf"
        configuration.write_text(self._configuration(settings))
        self.process: Process = workspace.processes.start(
            name,
            ["charon-systemd"],
            self._directory / "output",
            namespace=namespace,
            environment={"STRONGSWAN_CONF": str(configuration), "SWANCTL_DIR": str(self._directory)},
        )
        self._vici: Vici | None = None

    @property
    def vici(self) -> Vici:
        """The connection for commands; waits for the daemon to be up if need be."""
        if self._vici is None:
            self._vici = self.connect()
        return self._vici

    def connect(self) -> Vici:
        """One more connection to the daemon, for instance for events."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return Vici(self._socket)
            except OSError as error:
                if self.process.exit_status() is not None:
                    raise LabError(f"charon of {self.name} ended at once:\n{self.process.tail()}") from error
                if time.monotonic() > deadline:
                    raise LabError(f"charon of {self.name} is not up after {START_TIMEOUT_S:.0f} s") from error
                time.sleep(0.02)

    def stop(self) -> None:
        """Ends the daemon; its log stays."""
        stop([self])

    def disconnect(self) -> None:
        """Closes the connection for commands; the next use opens it anew."""
        if self._vici is not None:
            self._vici.close()
            self._vici = None

    def established(self) -> list[tuple[str, Message]]:
        """Name and VICI description of every established IKE SA."""
        found = self.vici.stream("list-sas", "list-sa")
        pairs = [(name, sa) for message in found for name, sa in message.items() if isinstance(sa, dict)]
        return [(name, sa) for name, sa in pairs if sa.get("state") == b"ESTABLISHED"]

    def pending(self) -> set[str]:
        """Names of the connections that have an IKE SA in any state."""
        return {name for message in self.vici.stream("list-sas", "list-sa") for name in message}

    def load_identity(self, own: pki.Identity) -> None:
        """Gives the daemon a key and the certificates above it."""
        self.vici.command("load-key", {"type": "rsa", "data": own.key})
        self.vici.command("load-cert", {"type": "X509", "flag": "CA", "data": own.root})
        for certificate in own.intermediates:
            self.vici.command("load-cert", {"type": "X509", "flag": "CA", "data": certificate})

    def lines(self) -> list[str]:
        """The lines of its log so far."""
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def _configuration(self, settings: Mapping[str, str | int]) -> str:
        own: dict[str, str | int] = {
            "load": PLUGINS,
            "plugins.vici.socket": f"unix://{self._socket}",
            "retry_initiate_interval": 0,
            "filelog.log.path": str(self.log),
            "filelog.log.default": 1,
            "filelog.log.flush_line": "yes",
            "filelog.log.time_format": "%H:%M:%S",
            "filelog.log.time_add_ms": "yes",
            "journal.default": -1,
            **settings,
        }
        # Dotted names are this package's shorthand: strongswan.conf itself wants nested sections.
        return "charon {\n" + "".join(_setting(name.split("."), value) for name, value in own.items()) + "}\n"


def stop(daemons: Sequence[Charon]) -> None:
    """Ends several daemons of one workspace together, which takes no longer than one."""
    for daemon in daemons:
        daemon.disconnect()
    if daemons:
        daemons[0].workspace.processes.stop([daemon.process for daemon in daemons])


def _setting(path: list[str], value: str | int) -> str:
    if len(path) == 1:
        return f"{path[0]} = {value}\n"
    return f"{path[0]} {{\n{_setting(path[1:], value)}}}\n"

