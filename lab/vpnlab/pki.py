"""Certificates with long keys: a chain whose IKE_AUTH is far over the MTU. Made once by strongSwan's `pki`, then kept."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .shell import run

SERVER_ID = "vpn.lab.example"
CLIENT_ID = "client.lab.example"
DAYS = "3650"

# Each certificate is signed by the one before it. Both leaves hang on issuing2, so that a peer sends three
# certificates and the fourth, the root, is known to both.
AUTHORITIES = ("root", "issuing1", "issuing2")


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
        root=der[AUTHORITIES[0]],
        intermediates=tuple(der[authority] for authority in AUTHORITIES[1:]),
    )


def _make(cache: Path) -> None:
    """Makes the chain in a folder of its own and moves it into place whole: an interrupted run leaves no half chain."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="pki-", dir=cache.parent))
    try:
        with ThreadPoolExecutor(max_workers=2) as pool:
            for key in pool.map(_make_key, [folder / f"{name}.key" for name in (*AUTHORITIES, "server", "client")]):
                key.chmod(0o600)
        _make_authorities(folder)
        _issue(folder, "server", SERVER_ID, "--flag", "serverAuth")
        _issue(folder, "client", CLIENT_ID, "--flag", "clientAuth")
        try:
            folder.rename(cache)
        except OSError:
            if not cache.is_dir():  # Else another run was quicker, and its chain is as good.
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_key(path: Path) -> Path:
    _write(path, ["--gen", "--type", "rsa", "--size", "4096"])
    return path


def _make_authorities(folder: Path) -> None:
    common = ["--ca", "--lifetime", DAYS, "--digest", "sha256"]
    for position, name in enumerate(AUTHORITIES):
        key = ["--in", str(folder / f"{name}.key"), "--type", "rsa"]
        subject = ["--dn", f"O=ikelb lab, CN={name}"]
        if position == 0:
            _write(folder / f"{name}.crt", ["--self", *key, *subject, *common])
        else:
            _write(folder / f"{name}.crt", ["--issue", *key, *subject, *common, *_issuer(folder, position - 1)])


def _issue(folder: Path, name: str, subject: str, *extra: str) -> None:
    key = ["--in", str(folder / f"{name}.key"), "--type", "priv", "--lifetime", DAYS, "--digest", "sha256"]
    names = ["--dn", f"O=ikelb lab, CN={subject}", "--san", subject]
    _write(folder / f"{name}.crt", ["--issue", *key, *names, *extra, *_issuer(folder, len(AUTHORITIES) - 1)])


def _issuer(folder: Path, position: int) -> list[str]:
    name = AUTHORITIES[position]
    return ["--cacert", str(folder / f"{name}.crt"), "--cakey", str(folder / f"{name}.key")]


def _write(path: Path, arguments: list[str]) -> None:
    """Runs pki and writes what it prints, which is DER, to a file."""
    # The shell only redirects: the output is binary, and `pki` knows no output file.
    run(["sh", "-c", 'out=$1; shift; exec pki "$@" >"$out"', "sh", str(path), *arguments], timeout_s=300)
