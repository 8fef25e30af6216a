"""Network namespaces: links, addresses, routes, kernel settings, nft rules, and sockets inside a namespace."""

import ctypes
import json
import os
import socket
from collections.abc import Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from .shell import LabError, run

NAMESPACE_DIR = "/run/netns"
CLONE_NEWNET = 0x40000000


class Namespace:
    """One network namespace, by name. The object holds no resource: `create` and `delete` act on the kernel."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create(self, settings: Mapping[str, str | int] | None = None) -> None:
        """Makes the namespace, with its loopback up and the sysctl settings given."""
        run(["ip", "netns", "add", self.name])
        self.ip("link", "set", "lo", "up")
        if settings:
            self.sysctl(settings)

    def delete(self) -> None:
        """Removes the namespace's name; the kernel frees it, and every link in it, after its last process."""
        run(["ip", "netns", "del", self.name])

    def command(self, *argv: str) -> list[str]:
        """The command line that runs argv inside; its process id stays the same through `ip netns exec`."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(
        self, *argv: str, stdin: str | None = None, timeout_s: float = 60.0, statuses: Container[int] = (0,)
    ) -> str:
        """Runs a program inside the namespace to its end and returns what it printed; see `shell.run`."""
        return run(self.command(*argv), stdin=stdin, timeout_s=timeout_s, statuses=statuses)

    def ip(self, *args: str) -> str:
        """`ip ARGS` on the namespace."""
        return run(["ip", "-n", self.name, *args])

    def ip_batch(self, lines: Iterable[str]) -> None:
        """Many `ip` commands in one process: hundreds of addresses cost milliseconds."""
        run(["ip", "-n", self.name, "-batch", "-"], stdin="\n".join(lines) + "\n")

    def sysctl(self, settings: Mapping[str, str | int]) -> None:
        """Sets kernel settings. Those the kernel does not have (modules not loaded, no IPv6) are left out."""
        self.run("sysctl", "-qe", "-w", *(f"{key}={value}" for key, value in settings.items()))

    def nft(self, ruleset: str) -> None:
        """Loads nft commands, for instance a whole table."""
        self.run("nft", "-f", "-", stdin=ruleset)

    def addresses(self) -> set[str]:
        """Every address of the namespace, in text, without prefix lengths."""
        lines = self.ip("-o", "addr", "show").splitlines()
        return {line.split()[3].split("/")[0] for line in lines}

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that lives in the namespace, for use from this process.

        A thread's namespace is its own, so the change is made in a thread that ends at once: nothing else of the
        process ever leaves its namespace.
        """

        def create() -> socket.socket:
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"{NAMESPACE_DIR}/{self.name}", "rb") as handle:
                if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                    raise LabError(f"setns {self.name}: {os.strerror(ctypes.get_errno())}")
            return socket.socket(family, kind, protocol)

        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(create).result()


def connect(a: Namespace, a_link: str, b: Namespace, b_link: str) -> None:
    """Joins two namespaces by a cable (a veth pair). Both ends are born inside, so the host never sees them."""
    run(["ip", "link", "add", a_link, "netns", a.name, "type", "veth", "peer", "name", b_link, "netns", b.name])
    a.ip("link", "set", a_link, "up")
    b.ip("link", "set", b_link, "up")


def let_native_in(namespace: Namespace) -> None:
    """Lets the veth links of a namespace take what XDP in the driver redirects to them from their other ends: they drop
    it unless they poll, and that is what GRO makes them do."""
    for link in json.loads(namespace.ip("-json", "link", "show", "type", "veth")):
        namespace.run("ethtool", "-K", link["ifname"], "gro", "on")


def namespaces(prefix: str) -> list[Namespace]:
    """The namespaces of the machine whose name begins with prefix."""
    if not os.path.isdir(NAMESPACE_DIR):
        return []
    return [Namespace(name) for name in sorted(os.listdir(NAMESPACE_DIR)) if name.startswith(prefix)]
