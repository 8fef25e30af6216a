"""The package in a clean Debian, from `apt install` to `apt purge`, before a real systemd, with real clients."""

import json
import re
from pathlib import Path

import debian
import package
import systemd
from kernel_state import own_parts, snapshot, unchanged, xdp_attached
from machine import Machine
from support import SECOND_VIP, all_connected, equal, ikelb, lab, wait_for
from test_privileges import KEPT
from vpnlab.balancer import REPOSITORY, service, yaml
from vpnlab.bench import Bench
from vpnlab.topology import client_address

CONFIG = "/etc/ikelb/ikelb.yaml"
TOKEN = "/etc/ikelb/token"
SECCOMP_FILTER = "2"  # proc(5)
NO_FAST_PATH = "fast path: the kernel does not take the program: Operation not permitted"
GIVEN = KEPT | 1 << 38 | 1 << 39  # linux/capability.h: CAP_PERFMON, CAP_BPF


def test_installation() -> None:
    """apt resolves what is needed; nothing is started before it is configured; the daemon serves without root under the
    unit's limits; reload, restart, upgrade, stop, removal; after purging nothing is left but the system user."""
    if systemd.obstacle():
        print(f"     not shown: {systemd.obstacle()}")
        return
    deb = package.built()
    root = debian.clean(deb)
    with lab(clients=6, servers=2) as bench:
        before = snapshot(bench.topology.lb)
        bench.start_servers()
        with Machine(bench, root) as machine:
            clean = machine.files()
            check_fresh(machine, machine.install(deb))
            unchanged(before, snapshot(bench.topology.lb), "after the installation")
            needed = machine.files()
            check_unconfigured(machine)
            check_service(bench, machine)
            check_process(machine)
            check_fast_path(bench, machine)
            check_access(machine)
            check_reload(bench, machine)
            check_restart(bench, machine)
            check_without_bpf(bench, machine)
            check_upgrade(bench, machine, package.higher(deb, bench.workspace.directory))
            check_stop(bench, machine, before)
            check_start(bench, machine)
            check_removal(bench, machine, before)
            check_purge(machine, clean, needed)


def check_fresh(machine: Machine, said: str) -> None:
    """What the installation has said and done."""
    for word in (CONFIG, "ikelb check", "systemctl enable --now ikelb"):
        assert word in said, f"the installation does not tell of {word}:\n{said}"
    equal(machine.run("systemctl", "is-enabled", "ikelb", status=None).strip(), "disabled", "the unit")
    equal(machine.run("systemctl", "is-active", "ikelb", status=None).strip(), "inactive", "the service")
    equal(machine.run("stat", "-c", "%U:%G %a", CONFIG).strip(), "root:root 644", "owner and mode of the configuration")
    conffiles = machine.run("dpkg-query", "-W", "-f", "${Conffiles}", "ikelb").split()
    equal(conffiles[::2], [CONFIG], "configuration files that dpkg guards")
    user = machine.run("getent", "passwd", "ikelb").strip().split(":")
    assert 0 < int(user[2]) < 1000 and user[6].endswith("nologin"), f"the user is {user}"
    equal(machine.run("dpkg", "--verify", "ikelb"), "", "files that differ from the package's")


def check_unconfigured(machine: Machine) -> None:
    """A start with the configuration as it came fails, and the log says what to do."""
    machine.run("systemctl", "start", "ikelb", status=1)
    said = machine.run("journalctl", "--unit", "ikelb", "--output", "cat")
    assert f"{CONFIG}:1:1: the file is empty; it must have at least the key services" in said, said
    machine.run("systemctl", "stop", "ikelb")
    machine.run("systemctl", "reset-failed")  # The attempts do not count for what follows.


def configure(bench: Bench, machine: Machine, *more: dict[str, object]) -> None:
    """Writes the configuration: a service that is probed by IKE, and others."""
    services = [service(bench.topology, "transparent"), *more]
    machine.path(CONFIG).write_text(yaml({"services": services, "admin": {"token_file": TOKEN}}))


def wait_up(machine: Machine) -> None:
    def all_up() -> bool:
        shown = json.loads(machine.run("ikelb", "status", "--json"))
        return all(b["health"] == "up" for s in shown["services"] for b in s["backends"])

    wait_for(all_up, "all backends up")


def check_service(bench: Bench, machine: Machine) -> None:
    """The three steps that the installation has told; then clients connect."""
    machine.path(TOKEN).write_text("0123456789abcdef\n")
    machine.run("chgrp", "ikelb", TOKEN)
    machine.run("chmod", "640", TOKEN)
    configure(bench, machine)
    machine.run("ikelb", "check")
    machine.run("systemctl", "enable", "--now", "ikelb")
    wait_up(machine)
    bench.start_clients()
    connect(bench, 1, 2)


def connect(bench: Bench, *clients: int) -> None:
    """These clients connect, and all that ever did have tunnels that carry pings."""
    all_connected(bench.clients.connect_all(clients))
    equal(bench.ping_tunnels(), set(range(1, clients[-1] + 1)), "tunnels that carry pings")


def main_pid(machine: Machine) -> str:
    return machine.show("ikelb", "MainPID")


def check_process(machine: Machine) -> None:
    """The user, the capabilities, and the filter for system calls."""
    text = machine.path("proc", main_pid(machine), "status").read_text()
    fields = dict(re.findall(r"^(\w+):\s+(.*)$", text, re.MULTILINE))
    user = machine.run("getent", "passwd", "ikelb").split(":")
    equal(fields["Uid"].split(), [user[2]] * 4, "Uid of the daemon")
    equal(fields["Gid"].split(), [user[3]] * 4, "Gid of the daemon")
    for name, wanted in (("CapEff", KEPT), ("CapPrm", KEPT), ("CapInh", 0), ("CapAmb", 0), ("CapBnd", GIVEN)):
        equal(int(fields[name], 16), wanted, f"{name} of the daemon")
    equal(fields["NoNewPrivs"], "1", "NoNewPrivs of the daemon")
    equal(fields["Seccomp"], SECCOMP_FILTER, "Seccomp of the daemon")


def check_fast_path(bench: Bench, machine: Machine) -> None:
    """The two capabilities for it are there as long as they are needed, and the system calls: it carries the tunnels of
    both clients, and goes with the process."""
    bench.ping_tunnels()
    shown = json.loads(machine.run("ikelb", "status", "--json"))["fastpath"]
    assert shown["mode"] in ("native", "generic"), f"the fast path: {shown}"
    equal([one["trouble"] for one in shown["interfaces"]], [None, None], "trouble of the interfaces")
    equal(shown["entries"], 4, "entries of the fast path")
    equal(set(xdp_attached(bench.topology.lb)), {"outside", "inside"}, "devices with XDP")


def check_access(machine: Machine) -> None:
    """Who may talk to the daemon: root, and members of the group ikelb; nobody else gets in, or sees the state."""
    stat = ("stat", "-c", "%U:%G %a")
    equal(machine.run(*stat, "/run/ikelb/ikelb.sock").strip(), "ikelb:ikelb 660", "the socket")
    equal(machine.run(*stat, "/var/lib/ikelb").strip(), "ikelb:ikelb 700", "the directory of the state")
    somebody = ("setpriv", "--reuid=nobody", "--regid=nogroup")
    machine.run(*somebody, "--groups=ikelb", "ikelb", "status")
    machine.run(*somebody, "--clear-groups", "ikelb", "status", status=3)


def check_reload(bench: Bench, machine: Machine) -> None:
    """`systemctl reload` opens a new VIP's ports, and starts probes of another kind; with a bad file it fails, says
    what is wrong, and all goes on."""
    configure(bench, machine, service(bench.topology, "full-nat", name="second", vip=SECOND_VIP[4],
                                      health={"probe": "icmp", "interval": "500ms", "timeout": "400ms"}))
    machine.run("systemctl", "reload", "ikelb")
    wait_up(machine)
    equal(ikelb(bench.topology.clients, "probe", SECOND_VIP[4])[0], 0, "exit status of a probe of the new VIP")

    good = machine.path(CONFIG).read_text()
    machine.path(CONFIG).write_text(good.replace("mode: full-nat", "mode: half-nat"))
    machine.run("systemctl", "reload", "ikelb", status=1)
    machine.path(CONFIG).write_text(good)
    assert "half-nat" in machine.run("journalctl", "--unit", "ikelb", "--output", "cat"), "the error is not in the log"
    equal(machine.show("ikelb", "ActiveState"), "active", "the service after a reload that failed")
    connect(bench, 3)


def check_restart(bench: Bench, machine: Machine) -> None:
    """The next run takes the sockets over, which systemd has kept."""
    machine.run("systemctl", "restart", "ikelb")
    said = machine.run("journalctl", "--unit", "ikelb", "--output", "cat")
    assert re.search(r"\d+ sockets taken over from the last run", said), f"no socket was taken over:\n{said}"
    wait_up(machine)
    connect(bench, 4)


def check_without_bpf(bench: Bench, machine: Machine) -> None:
    """With the drop-in of the documents the daemon gets three capabilities and cannot load the fast path: it says so, and
    works."""
    told = (REPOSITORY / "docs" / "installation.md").read_text()
    text = re.search(r"`dataplane.fastpath: off`[^\n]*\n\n```\n(.*?)```", told, re.DOTALL)
    assert text, "docs/installation.md has no drop-in for less capabilities"
    folder = machine.path("/etc/systemd/system/ikelb.service.d")
    folder.mkdir()
    (folder / "override.conf").write_text(text[1])
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "ikelb")
    wait_up(machine)
    equal(bench.ping_tunnels(), set(range(1, 5)), "tunnels that carry pings without the fast path")
    bounds = re.search(r"CapBnd:\s+(\w+)", machine.path("proc", main_pid(machine), "status").read_text())
    assert bounds and int(bounds[1], 16) == KEPT, f"the bounding set is {bounds}"
    equal(xdp_attached(bench.topology.lb), {}, "devices with XDP")
    assert NO_FAST_PATH in machine.run("journalctl", "--unit", "ikelb", "--output", "cat"), "no word of the fast path"
    (folder / "override.conf").unlink()
    folder.rmdir()
    machine.run("systemctl", "daemon-reload")


def check_upgrade(bench: Bench, machine: Machine, newer: Path) -> None:
    """A higher version over it: the configuration stays as it was edited, the daemon is restarted."""
    edited, pid = machine.path(CONFIG).read_text(), main_pid(machine)
    said = machine.install(newer)
    assert "What comes next" not in said, f"an upgrade tells what to do first:\n{said}"
    equal(machine.run("dpkg-query", "-W", "-f", "${Version}", "ikelb"), package.HIGHER, "the version installed")
    equal(machine.path(CONFIG).read_text(), edited, "the edited configuration")
    equal(machine.show("ikelb", "ActiveState"), "active", "the service after the upgrade")
    equal(machine.run("systemctl", "is-enabled", "ikelb").strip(), "enabled", "the unit after the upgrade")
    assert main_pid(machine) != pid, "the daemon was not restarted"
    wait_up(machine)
    connect(bench, 5)


def check_stop(bench: Bench, machine: Machine, before: object) -> None:
    """After `systemctl stop` nothing of it is in the kernel, and no file of its run."""
    machine.run("systemctl", "stop", "ikelb")
    unchanged(before, snapshot(bench.topology.lb), "after systemctl stop")
    assert not machine.path("/run/ikelb").exists(), "/run/ikelb is left"
    equal(machine.run("stat", "-c", "%U:%G %a", "/var/lib/ikelb/state").strip(), "ikelb:ikelb 600", "the state")
    said = machine.run("journalctl", "--unit", "ikelb", "--output", "cat")
    complaints = [line for line in said.splitlines() if re.match(r"\S+ (warn|error) ", line)]
    equal([line for line in complaints if " reload: " not in line and NO_FAST_PATH not in line], [], "complaints of a hardened daemon")


def check_start(bench: Bench, machine: Machine) -> None:
    """What was saved at the stop is known after the start, and the tunnels go on."""
    machine.run("systemctl", "start", "ikelb")
    known = {client["address"] for client in json.loads(machine.run("ikelb", "clients", "--json"))["clients"]}
    equal(known, {client_address(number) for number in range(1, 6)}, "clients that are known after a stop")
    wait_up(machine)
    connect(bench, 6)


def check_removal(bench: Bench, machine: Machine, before: object) -> None:
    """`apt remove` stops the daemon and keeps the configuration."""
    equal(own_parts(snapshot(bench.topology.lb))["table"], 1, "tables of ikelb's")
    machine.run("apt-get", "-qq", "remove", "--yes", "ikelb")
    unchanged(before, snapshot(bench.topology.lb), "after apt remove")
    equal(machine.run("systemctl", "show", "--value", "--property=ActiveState", "ikelb").strip(), "inactive",
          "the service after apt remove")
    assert not machine.path("/usr/bin/ikelb").exists(), "the program is left"
    assert machine.path(CONFIG).exists() and machine.path(TOKEN).exists(), "the configuration is gone"


def check_purge(machine: Machine, clean: dict[str, str], needed: dict[str, str]) -> None:
    """`apt purge` leaves what there was before, but for the packages that ikelb needed, and the user."""
    machine.run("apt-get", "-qq", "purge", "--yes", "ikelb")
    now = machine.files()
    left = [path for path in now if path not in clean and (path not in needed or "ikelb" in path)]
    equal(left, [], "what a purged package leaves")
    equal([path for path, what in clean.items() if now.get(path) != what], [], "what was changed for good")
    machine.run("getent", "passwd", "ikelb")
    machine.run("systemctl", "daemon-reload")
    equal(machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "ikelb*"), "", "units left")
