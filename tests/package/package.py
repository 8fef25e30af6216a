"""The Debian package under test, and one of a higher version made from it."""

import re
from pathlib import Path

from vpnlab.balancer import REPOSITORY
from vpnlab.shell import LabError, run

HIGHER = "9999.0"


def built() -> Path:
    """The package of the release build, which may have older ones beside it."""
    build = REPOSITORY / "build" / "release"
    cache = build / "CMakeCache.txt"
    version = re.search(r"^CMAKE_PROJECT_VERSION:STATIC=(.+)$", cache.read_text() if cache.exists() else "", re.MULTILINE)
    found = list(build.glob(f"ikelb_{version[1]}_*.deb")) if version else []
    if len(found) != 1:
        raise LabError("there is no package in build/release: cmake --build --preset release --target package")
    return found[0]


def higher(package: Path, work: Path) -> Path:
    """The same with a higher version, made in a folder."""
    tree, result = work / "tree", work / f"ikelb_{HIGHER}.deb"
    run(["dpkg-deb", "--raw-extract", str(package), str(tree)])
    control = tree / "DEBIAN" / "control"
    version = run(["dpkg-deb", "--field", str(package), "Version"]).strip()
    control.write_text(control.read_text().replace(f"Version: {version}\n", f"Version: {HIGHER}\n"))
    run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(result)])
    return result
