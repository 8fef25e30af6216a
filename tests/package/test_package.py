"""The package as a file: what lintian, systemd and ikelb itself say of it."""

import re
import subprocess
import tempfile
from pathlib import Path

import package
from vpnlab.balancer import REPOSITORY, binary
from vpnlab.shell import run

UNIT = REPOSITORY / "packaging" / "ikelb.service"
EXPOSURE_MAX = 1.7  # of 10; docs/installation.md tells it

# What lintian may say, and why we leave it so.
ACCEPTED = {
    "spelling-error-in-binary": "`iif` is a word of nftables",
    "binary-has-unneeded-section": "some bytes of .comment, which CPack leaves",
    "package-supports-alternative-init-but-no-init.d-script": "docs/installation.md says how to start it otherwise",
}


def test_lintian() -> None:
    """lintian finds no error, and no warning or remark but the accepted ones."""
    done = subprocess.run(["lintian", "--allow-root", "--no-cfg", "--display-info", "--fail-on", "none",
                           str(package.built())], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"lintian ended with status {done.returncode}: {done.stdout}{done.stderr}"
    said = [line for line in done.stdout.splitlines() if re.match(r"[A-Z]: ", line)]
    wrong = [line for line in said if line[0] == "E" or line.split()[2] not in ACCEPTED]
    assert not wrong, "lintian: " + "\n".join(wrong)


def test_control() -> None:
    """Name, version and dependencies; the debug symbols lie in a package of their own."""
    file = package.built()
    field = dict(re.findall(r"^(\S+): (.*)$", run(["dpkg-deb", "--field", str(file)]), re.MULTILINE))
    version = re.search(r"VERSION (\S+)", (REPOSITORY / "CMakeLists.txt").read_text().split("project(")[1])
    assert version and field["Version"] == version[1], f"version {field['Version']}"
    for library in ("libc6", "libuv1", "libnftables1", "libcap-ng0", "libsystemd0", "libbpf1", "libmnl0"):
        assert re.search(rf"\b{library} |\b{library},", field["Depends"] + ","), f"no dependency on {library}"
    assert run(["dpkg-deb", "--info", str(file), "conffiles"]).split() == ["/etc/ikelb/ikelb.yaml"], "conffiles"
    with tempfile.TemporaryDirectory() as folder:
        run(["dpkg-deb", "--extract", str(file), folder])
        program = str(Path(folder, "usr/bin/ikelb"))
        assert run([program, "version"]).strip().endswith(version[1]), "the program has another version"
        build = re.search(r"Build ID: (\w+)", run(["readelf", "--notes", program]))
    symbols = file.with_name(file.name.replace("ikelb_", "ikelb-dbgsym_", 1)).with_suffix(".ddeb")
    assert symbols.exists() and build, "no debug symbols"
    assert f"/{build[1][2:]}.debug" in run(["dpkg-deb", "--contents", str(symbols)]), "symbols of another program"


def test_unit() -> None:
    """systemd finds nothing wrong with the unit, and its measure of what a hijacked daemon could do stays low; the
    documents tell the figure."""
    with tempfile.TemporaryDirectory() as folder:
        # `verify` wants the program to be there, and reads the manual pages.
        copy = Path(folder, UNIT.name)
        text = re.sub(r"/usr/bin/ikelb", str(binary()), UNIT.read_text())
        copy.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
        said = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60,
                              check=False)
        assert said.returncode == 0 and not said.stderr, f"systemd-analyze verify: {said.stderr}"
    told = run(["systemd-analyze", "security", "--no-pager", "--offline=true", str(UNIT)])
    level = re.search(r"Overall exposure level for ikelb.service: ([\d.]+)", told)
    assert level and float(level[1]) <= EXPOSURE_MAX, f"above {EXPOSURE_MAX}:\n{told}"
    words = f"exposure level of {level[1]}"
    assert words in (REPOSITORY / "docs" / "installation.md").read_text(), f"docs/installation.md: no '{words}'"


def test_default_configuration() -> None:
    """The file as it comes is refused, and says why; with its comment signs taken off it is valid, and but for the
    addresses, names and token all that it shows are the defaults."""
    file = REPOSITORY / "packaging" / "ikelb.yaml"
    with tempfile.TemporaryDirectory() as folder:
        def check(text: str) -> tuple[int, str]:
            path = Path(folder, "ikelb.yaml")
            path.write_text(text)
            done = subprocess.run([binary(), "check", "--print", path], capture_output=True, text=True, timeout=30,
                                  check=False)
            return done.returncode, done.stdout + done.stderr

        status, said = check(file.read_text())
        assert status == 1 and "must have at least the key services" in said, f"as it comes: {status}: {said}"
        text = file.read_text()
        bare = re.sub(r"^#", "", text[text.index("#services:"):], flags=re.MULTILINE)
        status, shown = check(bare)
        assert status == 0, f"without comment signs: {shown}"
        minimal = re.search(r"services:\n(.*?)\n\n", bare, re.DOTALL)
        assert minimal, "no example of a service"
        status, defaults = check(minimal[0])
        assert status == 0, f"with what is required alone: {defaults}"
        assert re.sub(r" *token_file: .*\n", "", shown) == re.sub(r" *token_file: .*\n", "", defaults), \
            f"other than the defaults:\n{shown}\n{defaults}"
