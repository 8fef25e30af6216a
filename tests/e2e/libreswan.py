"""libreswan as a server and as a client: one pluto in one namespace, with configuration, database and log of its own.

Debian's package cannot be installed beside strongSwan, so .ci/install unpacks it where nobody looks. The kernel's part is
played by libreswan_kernel.c and esp.py.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from esp import Esp
from support import wait_for
from vpnlab import pki
from vpnlab.bench import Bench
from vpnlab.net import Namespace
from vpnlab.servers import PSK
from vpnlab.shell import run
from vpnlab.topology import TUNNEL_TARGET, VIP, client_address, server_address, server_pool

HERE = Path(__file__).resolve().parent
UNPACKED = Path("/usr/local/lib/ikelb-tests/libreswan/usr/libexec")
START_TIMEOUT_S = 10.0

# esp.py signs what goes through the tunnels and does not encrypt it. The words of libreswan, and of strongSwan.
IKE, ESP = "aes128-sha2_256-dh31", "null-sha2_256"
STRONGSWAN_ESP = "null-sha256"

TARGET = {4: TUNNEL_TARGET, 6: "fd00:99::1"}  # what answers pings behind a server
EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}

Connection = Mapping[str, str]  # keys and values of a `conn` in ipsec.conf

COMMON = {
    "ikev2": "yes", "authby": "secret", "ike": IKE, "phase2alg": ESP, "pfs": "no", "esn": "no",
    "leftupdown": "%disabled", "auto": "add",
}


def server_connection(number: int, family: int = 4, **extra: str) -> Connection:
    """A server of the lab. `family` is that outside of the tunnels and inside: libreswan does not mix them. `extra` adds
    or replaces keys."""
    first, last = f"fd00:{number}::1", f"fd00:{number}::ffff"
    if family == 4:
        first, last = (server_pool(number).replace("0.0/16", end) for end in ("0.1", "255.254"))
    return {
        **COMMON, "left": server_address(number, family), "leftid": f"@{pki.SERVER_ID}", "leftsubnet": _host(TARGET[family]),
        "right": "%any" if family == 4 else "%any6", "rightaddresspool": f"{first}-{last}",
        "leftmodecfgserver": "yes", "rightmodecfgclient": "yes", "mobike": "yes", **extra,
    }


def client_connection(client: int, family: int = 4, **extra: str) -> Connection:
    """A client of the lab."""
    return {
        **COMMON, "left": client_address(client, family), "leftid": f"@c{client}.lab.example",
        "leftsubnet": EVERYWHERE[family], "right": VIP[family], "rightid": f"@{pki.SERVER_ID}",
        "rightsubnet": _host(TARGET[family]), "leftmodecfgclient": "yes", "rightmodecfgserver": "yes", "narrowing": "yes",
        "keyingtries": "1", **extra,
    }


class Pluto:
    """A context manager: a running pluto. `connections` are those of ipsec.conf by name; `setup` is its config setup."""

    def __init__(
        self,
        bench: Bench,
        namespace: Namespace,
        name: str,
        connections: Mapping[str, Connection],
        setup: Connection | None = None,
    ) -> None:
        self.log = bench.log_dir / f"{name}.log"
        self._directory = bench.workspace.directory / f"pluto-{name}"
        self._processes = bench.workspace.processes
        database, configuration = self._directory / "nss", self._directory / "ipsec.conf"
        secrets, sas = self._directory / "ipsec.secrets", self._directory / "sas"
        shutil.rmtree(self._directory, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        database.mkdir(parents=True)
        run(["certutil", "-N", "-d", f"sql:{database}", "--empty-password"])
        options = {"nssdir": str(database), "dumpdir": str(self._directory), **(setup or {})}
        sections = {"config setup": options, **{f"conn {conn}": keys for conn, keys in connections.items()}}
        configuration.write_text("".join(_section(head, keys) for head, keys in sections.items()))
        secrets.write_text(f': PSK "{PSK}"\n')
        sas.touch()
        # It starts a helper by its absolute path, which is there in its own view of the files.
        start = 'mount --bind "$1" /usr/libexec && shift && exec "$@"'
        pluto = ["/usr/libexec/ipsec/pluto", "--nofork", "--stderrlog", "--no-dnssec", "--config", str(configuration),
                 "--secretsfile", str(secrets), "--rundir", str(self._directory)]
        preload = f"LD_PRELOAD={_library(bench)}"
        self.process = self._processes.start(
            name, ["sh", "-c", start, "sh", str(UNPACKED), "env", preload, *pluto], self.log,
            namespace=namespace, environment={"SA_FILE": str(sas)},
        )
        self.esp = Esp(namespace, sas)

    def __enter__(self) -> "Pluto":
        # The connections are read before.
        wait_for(lambda: "loading secrets" in self.log.read_text(), f"{self.process.name} with libreswan", START_TIMEOUT_S)
        self.esp.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.esp.__exit__()
        self._processes.stop([self.process])

    def whack(self, *arguments: str) -> str:
        """Gives it a command; returns what it says to that, when it is through with it."""
        command = [str(UNPACKED / "ipsec/whack"), "--ctlsocket", str(self._directory / "pluto.ctl"), *arguments]
        # Its exit status is the number of the last message.
        return run(command, statuses=range(256), timeout_s=30.0)

    def connect(self, connection: str) -> str:
        """A client connects; the address that it got for its tunnel."""
        said = self.whack("--initiate", "--name", connection)
        found = re.search(r"established Child SA .*IPsec tunnel \[([0-9a-f.:]+)-", said)
        assert found, f"{connection} did not connect: {said}"
        return found[1].split("-")[0]

    def rekey(self, connection: str) -> None:
        """A client asks for new keys of its IKE SA, and then of its tunnel, and has got them."""
        for option, what in (("--rekey-ike", "IKE SA"), ("--rekey-ipsec", "Child SA")):
            before = self.count(f"initiator rekeyed {what}")
            self.whack(option, "--name", connection, "--asynchronous")
            wait_for(lambda: self.count(f"initiator rekeyed {what}") > before, f"{connection}: new keys of its {what}")

    def tunnels(self) -> int:
        """How many there are."""
        return self.whack("--trafficstatus").count("type=ESP")

    def status(self, name: str) -> int:
        """A number of its global status."""
        return int(re.findall(rf"^{re.escape(name)}=(\d+)$", self.whack("--globalstatus"), re.MULTILINE)[0])

    def count(self, words: str) -> int:
        """Lines of its log with these words."""
        return sum(words in line for line in self.log.read_text(errors="replace").splitlines())


def _host(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def _section(head: str, keys: Connection) -> str:
    return f"{head}\n" + "".join(f"    {key}={value}\n" for key, value in keys.items()) + "\n"


def _library(bench: Bench) -> Path:
    """Built without the sanitizers of ikelb's own build: pluto has none."""
    assert os.access(UNPACKED / "ipsec/pluto", os.X_OK), "libreswan is missing: .ci/install unpacks it"
    made = bench.workspace.directory / "libreswan_kernel.so"
    if not made.exists():
        flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-shared", "-fPIC"]
        subprocess.run(["cc", *flags, str(HERE / "libreswan_kernel.c"), "-o", str(made)], check=True)
    return made
