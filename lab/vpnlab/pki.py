"""Certificates with long keys: a chain whose IKE_AUTH is far over the MTU. Made once by strongSwan's `pki`."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .shell import run

SERVER_ID = "vpn.lab.example"
CLIENT_ID = "client.lab.example"
DAYS = "3650"

# Each leaf hangs on two authorities of its own below a common root, so each side sends three certificates, and the
# fourth, the root, is known to both. Were the authorities common too, each side would ask the other for a certificate
# by the lowest of them, and strongSwan would leave the chain out.
ISSUERS = {
    "server1": "root",
    "server2": "server1",
    "server": "server2",
    "client1": "root",
    "client2": "client1",
    "client": "client2",
}
LEAVES = {"server": SERVER_ID, "client": CLIENT_ID}


@dataclass(frozen=True)
class Identity:
    """What one side needs to authenticate by certificate. Everything is DER."""

    certificate: bytes
    key: bytes
    root: bytes
    intermediates: tuple[bytes, ...]


def identity(cache: Path, name: str) -> Identity:
    """The identity `server` or `client` of the cached chain; makes the chain first if the cache has none."""
    if not cache.is_dir():
        _make(cache)
    der = {entry.stem: entry.read_bytes() for entry in cache.glob("*.crt")}
    return Identity(
        certificate=der[name],
        key=(cache / f"{name}.key").read_bytes(),
        root=der["root"],
        intermediates=(der[f"{name}1"], der[f"{name}2"]),
    )


def _make(cache: Path) -> None:
    """Makes the chain in a folder of its own and moves it into place whole: an interrupted run leaves no half chain."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="pki-", dir=cache.parent))
    try:
        with ThreadPoolExecutor(max_workers=2) as pool:
                        list(pool.map(_make_key, [folder / f"{name}.key" for name in ("root", *ISSUERS)]))
        _issue(folder, "root")
        for name in ISSUERS:
            _issue(folder, name)
        try:
            folder.rename(cache)
        except OSError:
            if not cache.is_dir():  # Else another run was quicker, and its chain is as good.
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_key(path: Path) -> None:
    _write(path, ["--gen", "--type", "rsa", "--size", "4096"])
    path.chmod(0o600)


def _issue(folder: Path, name: str) -> None:
    """Makes the certificate of one name; its issuer's must be there already, the root signs itself."""
    arguments = ["--in", str(folder / f"{name}.key"), "--lifetime", DAYS, "--digest", "sha256"]
    if name in LEAVES:
        flag = f"{name}Auth"  # Extended key usage: serverAuth or clientAuth.
        arguments += ["--dn", f"O=ikelb lab, CN={LEAVES[name]}", "--san", LEAVES[name], "--flag", flag]
    else:
        arguments += ["--dn", f"O=ikelb lab, CN={name}", "--ca"]
    if name == "root":
        _write(folder / "root.crt", ["--self", "--type", "rsa", *arguments])
    else:
        issuer = ["--cacert", str(folder / f"{ISSUERS[name]}.crt"), "--cakey", str(folder / f"{ISSUERS[name]}.key")]
        _write(folder / f"{name}.crt", ["--issue", "--type", "priv", *arguments, *issuer])


def _write(path: Path, arguments: list[str]) -> None:
    """Runs pki and writes what it prints, which is DER, to a file."""
    # The shell only redirects: the output is binary, and `pki` knows no output file.
    run(["sh", "-c", 'out=$1; shift; exec pki "$@" >"$out"', "sh", str(path), *arguments], timeout_s=300)
