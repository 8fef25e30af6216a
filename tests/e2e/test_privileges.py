"""What the daemon keeps of root's powers: three capabilities, and with --user not even root's name."""

import os
import pwd
import re
import resource
import subprocess
from pathlib import Path

from kernel_state import snapshot, unchanged
from support import SECOND_VIP, all_connected, equal, ikelb, lab, start, stop, wait_for
from vpnlab.balancer import Balancer, binary, service, yaml
from vpnlab.bench import Bench

# linux/capability.h: CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW
KEPT = 1 << 10 | 1 << 12 | 1 << 13
USER = "nobody"
SOME_MEMORY = 400 << 20  # bytes; ten million clients take more


def test_root_is_dropped() -> None:
    """Started as root, ikelb keeps the three capabilities that it needs and can gain no other, and all works: probes,
    handshakes, tunnels, the set-up of the kernel and its removal."""
    with lab(clients=3, servers=2) as bench:
        before = snapshot(bench.topology.lb)
        bench.start_servers()
        balancer = start(bench, [service(bench.topology, "transparent")])
        check_traffic(bench)
        check_process(balancer, os.geteuid(), os.getegid())
        stop(bench)
        unchanged(before, snapshot(bench.topology.lb), "after SIGTERM")


def test_another_user() -> None:
    """With --user it becomes that user as well, makes the directories of its socket and its state for him, serves in both
    modes, opens the ports of another VIP after a reload, saves its state, and removes everything else at its end."""
    with lab(clients=3, servers=2) as bench:
        before = snapshot(bench.topology.lb)
        user = pwd.getpwnam(USER)
        bench.start_servers()
        bench.workspace.directory.chmod(0o711)  # The user must get to what is below.
        own = bench.workspace.directory / "own" / "ikelb.sock"
        state = bench.workspace.directory / "kept" / "state"
        for mode in ("transparent", "full-nat"):
            services = [service(bench.topology, mode)]
            sections = {"admin": {"socket": str(own)}, "state": {"file": str(state)}}
            balancer = bench.start_balancer({"services": services, **sections}, ready=False, options=("--user", USER))
            balancer.socket = own
            balancer.wait_ready()
            check_traffic(bench)
            bench.stop_clients()
            check_process(balancer, user.pw_uid, user.pw_gid)

            services.append(service(bench.topology, mode, name="second", vip=SECOND_VIP[4]))
            balancer.configure({"services": services, **sections})
            equal(ikelb(bench.topology.lb, "reload", "--socket", str(own))[0], 0, "exit status of a reload")
            equal(ikelb(bench.topology.clients, "probe", SECOND_VIP[4])[0], 0, "exit status of a probe of the new VIP")
            equal(own.parent.stat().st_uid, user.pw_uid, "owner of the socket's directory")
            equal(own.stat().st_uid, user.pw_uid, "owner of the socket")
            stop(bench)
            assert not own.exists(), "the socket is left behind"
            equal([(path.stat().st_uid, path.stat().st_mode & 0o777) for path in (state.parent, state)],
                  [(user.pw_uid, 0o700), (user.pw_uid, 0o600)], "owner and mode of the state and its directory")
            unchanged(before, snapshot(bench.topology.lb), "after SIGTERM")


def test_user_cannot_be() -> None:
    """A user that is not there, and a directory in which the user may not make the socket, end the start with a
    message and leave nothing behind; a configuration that the user cannot read again is warned of."""
    with lab(clients=1, servers=1) as bench:
        before = snapshot(bench.topology.lb)
        status, _, error = ikelb(bench.topology.lb, "run", "--user", "no-such-user")
        equal(status, 1, "exit status for an unknown user")
        assert "no-such-user" in error, f"the user is not named: {error}"

        directory = bench.workspace.directory  # Root's, and closed to others.
        file, own = directory / "other.yaml", directory / "other.sock"
        file.write_text(yaml({"services": [service(bench.topology, "transparent")], "admin": {"socket": str(own)}}))
        status, _, error = ikelb(bench.topology.lb, "run", "-c", str(file), "-u", USER)
        equal(status, 1, "exit status when the user may not make the socket")
        assert f"cannot listen on {own}" in error, f"the socket is not named: {error}"
        assert f"{file} cannot be read any more" in error, f"the file is not warned of: {error}"
        unchanged(before, snapshot(bench.topology.lb), "after a start that failed")


def test_out_of_memory() -> None:
    """Where there is no memory for its tables the start ends with a message that names the key which decides about
    their size, and leaves nothing behind."""
    with lab(clients=1, servers=1) as bench:
        before = snapshot(bench.topology.lb)
        configuration = {"services": [service(bench.topology, "transparent")],
                         "admin": {"socket": str(bench.workspace.directory / "other.sock")},
                         "dataplane": {"max_clients": 10_000_000, "fastpath": "off"}, "state": {"file": "off"}}
        with subprocess.Popen(bench.topology.lb.command(str(binary()), "run", "-c", "/dev/stdin"), text=True,
                              stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            proc = Path("/proc", str(process.pid))
            # It waits for its configuration: from here on it shall get so much memory. A sanitizer has terabytes mapped.
            wait_for(lambda: (proc / "exe").resolve() == binary().resolve()
                     and "pipe_read" in (proc / "wchan").read_text(), "a start that reads its configuration")
            mapped = int((proc / "statm").read_text().split()[0]) * resource.getpagesize()
            resource.prlimit(process.pid, resource.RLIMIT_AS, (mapped + SOME_MEMORY, mapped + SOME_MEMORY))
            _, error = process.communicate(yaml(configuration), timeout=30.0)
        equal(process.returncode, 1, f"exit status without memory ({error})")
        assert "Cannot allocate memory (dataplane.max_clients, which is 10000000, " in error, error
        unchanged(before, snapshot(bench.topology.lb), "after a start without memory")


def check_traffic(bench: Bench) -> None:
    clients = range(1, 4)
    bench.start_clients()
    all_connected(bench.clients.connect_all(clients))
    equal(bench.ping_tunnels(), set(clients), "tunnels that carry pings")


def check_process(balancer: Balancer, uid: int, gid: int) -> None:
    text = Path("/proc", str(balancer.process.pid), "status").read_text()
    fields = dict(re.findall(r"^(\w+):\s+(.*)$", text, re.MULTILINE))
    for name, wanted in (("Uid", uid), ("Gid", gid)):
        equal([int(word) for word in fields[name].split()], [wanted] * 4, f"{name} of the process")
    for name in ("CapEff", "CapPrm", "CapBnd"):
        equal(int(fields[name], 16), KEPT, f"{name} of the process")
    for name in ("CapInh", "CapAmb"):
        equal(int(fields[name], 16), 0, f"{name} of the process")
    equal(fields["NoNewPrivs"], "1", "NoNewPrivs of the process")
    if uid:
        assert "0" not in fields["Groups"].split(), f"root's group is kept: {fields['Groups']}"
