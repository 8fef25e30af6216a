"""A clean Debian as a folder: what `apt install` needs and systemd, nothing else, from where this machine gets its own.

It is made once and kept below build/, with the packages that ikelb's depends on in its apt's cache: then no network is
needed any more. Whoever uses it puts a layer over it, so that it stays as it is.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from vpnlab.balancer import REPOSITORY
from vpnlab.shell import LabError, run

CACHE = REPOSITORY / "build" / "package"
INCLUDED = "systemd-sysv,libnss-systemd,iproute2"
TIMEOUT_S = 300.0

# Downloads what the package given needs into the cache of the new system's apt, which installs nothing by that.
DOWNLOAD = """
rm -f "$1"/var/cache/apt/archives/*.deb
cp {package} "$1"/root/wanted.deb
chroot "$1" apt-get -qq install --download-only --no-install-recommends /root/wanted.deb
rm "$1"/root/wanted.deb
"""


def clean(package: Path) -> Path:
    """The folder, in which nothing must be changed."""
    suite, sources = _sources()
    needs = run(["dpkg-deb", "--field", str(package), "Depends"])
    key = hashlib.sha256("\n".join([needs, suite, *sources, INCLUDED, DOWNLOAD]).encode()).hexdigest()[:12]
    folder = CACHE / f"debian-{key}"
    if not folder.is_dir():
        for old in CACHE.glob("debian-*"):
            shutil.rmtree(old)
        made = CACHE / "debian-unfinished"
        CACHE.mkdir(parents=True, exist_ok=True)
        _make(made, package, suite, sources)
        made.rename(folder)
    return folder


def _make(folder: Path, package: Path, suite: str, sources: list[str]) -> None:
    argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={INCLUDED}", "--skip=cleanup/apt",
            "--aptopt=Acquire::Languages none", "--aptopt=Acquire::GzipIndexes true",
            f"--customize-hook={DOWNLOAD.format(package=package)}", suite, str(folder), "-"]
    done = subprocess.run(argv, input="\n".join(sources), text=True, timeout=TIMEOUT_S, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    if done.returncode != 0:
        raise LabError(f"no clean Debian, for which the network is needed, could be made in {folder}:\n{done.stdout}")


def _sources() -> tuple[str, list[str]]:
    """This machine's release, and the lines of sources.list for where its apt gets Debian from."""
    suite = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    index = ["apt-get", "indextargets", "--format", "$(ORIGIN)|deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
             "Created-By: Packages"]
    lines = run(index).splitlines()
    if not any(line.startswith("Debian|") for line in lines):
        run(["apt-get", "-qq", "update"], timeout_s=TIMEOUT_S)  # Until then apt knows no origins.
        lines = run(index).splitlines()
    found = sorted({line.removeprefix("Debian|") for line in lines if line.startswith("Debian|")})
    if not found:
        raise LabError("this machine's apt has no sources of Debian packages")
    return suite["VERSION_CODENAME"].strip('"'), found
