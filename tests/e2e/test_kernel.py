"""What ikelb puts into the kernel: taken over after a crash, gone at the end, and nobody else's is touched."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import messages
from kernel_state import add_foreign, own_parts, snapshot, unchanged, xdp_attached
from peers import FakeServers, Port, client_ports, fake_service, handshake
from support import (
    MAX_CLIENTS,
    SECOND_VIP,
    THIRD_VIP,
    all_connected,
    check_log,
    equal,
    ikelb,
    lab,
    start,
    stop,
    wait_for,
    wait_running,
)
from vpnlab.balancer import binary, service, yaml
from vpnlab.bench import Bench
from vpnlab.net import Namespace
from vpnlab.topology import INSIDE, VIP, client_address, server_address

ALL_PARTS = {"table": 1, "rule": 2, "route": 2}
NO_PARTS = {"table": 0, "rule": 0, "route": 0}


def test_kill_and_restart() -> None:
    """ikelb is killed and started again: the tunnels of established clients carry pings as before, new clients connect,
    and the kernel set-up that was left behind is taken over; after SIGTERM nothing of it is left."""
    kill_and_restart("off", set())


def test_kill_and_restart_fast() -> None:
    """The same with the fast path, which an ikelb of root leaves in the kernel: tunnels go on without it."""
    kill_and_restart("auto", set(range(1, 7)))


def kill_and_restart(fastpath: str, alive: set[int]) -> None:
    """`alive`: the tunnels that carry pings while there is no ikelb."""
    with lab(clients=8, servers=2) as bench:
        before = snapshot(bench.topology.lb)
        bench.start_servers()
        # A schedule without memory: after the restart the clients' ESP finds its servers again whoever speaks first.
        start(bench, [service(bench.topology, "transparent", schedule="source-hash")],
              dataplane={"max_clients": MAX_CLIENTS, "fastpath": fastpath})
        bench.start_clients()
        all_connected(bench.clients.connect_all(range(1, 7)))
        equal(bench.ping_tunnels(), set(range(1, 7)), "tunnels that carry pings before")

        bench.balancer.kill()
        equal(bench.ping_tunnels(rounds=1, wait_s=0.2), alive, "tunnels that carry pings without ikelb")
        equal(set(xdp_attached(bench.topology.lb)), {"outside", "inside"} if alive else set(), "devices with XDP")
        assert own_parts(snapshot(bench.topology.lb))["table"] == 1, "a killed ikelb has no chance to clean up"
        bench.balancer.restart()
        bench.balancer.wait_ready()
        equal(bench.ping_tunnels(), set(range(1, 7)), "tunnels that carry pings after the restart")
        all_connected(bench.clients.connect_all([7, 8]))
        equal(bench.ping_tunnels([7, 8]), {7, 8}, "new tunnels that carry pings")
        parts = own_parts(snapshot(bench.topology.lb))
        equal(parts["table"] + parts["rule"] + parts["route"], 3, "parts of ikelb's set-up after the restart")
        stop(bench)
        unchanged(before, snapshot(bench.topology.lb), "after SIGTERM")


def test_server_speaks_first() -> None:
    """After a crash, what a server sends to a client that nobody remembers reaches the client from the VIP, and makes
    the client known: its own next packet goes to that server, against the schedule."""
    with lab(clients=12, servers=3) as bench:
        start(bench, [fake_service(bench, "transparent", schedule="round-robin")], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        addresses = [client_address(number) for number in range(1, 13)]
        homes = {address: handshake(client, servers, address, VIP[4])[0] for address in addresses}
        bench.balancer.kill()
        bench.balancer.restart()
        wait_running(bench.balancer)
        for address, server in reversed(homes.items()):
            servers.port(server, 4500).send(messages.esp(b"first"), (address, 4500))
            back = client[4500].receive()
            equal((back.source, back.destination), ((VIP[4], 4500), address), "the way of what the server sent")
        # In an order in which the schedule would not choose the same servers again.
        for address, server in reversed(homes.items()):
            client[4500].send(messages.esp(b"then"), (VIP[4], 4500), source=address)
            equal(servers.receive(4500)[0], server, f"the server of {address}")


def test_leaves_nothing_behind() -> None:
    """Foreign packet filters, rules and routes, as alike to ikelb's as can be, are exactly as before after SIGTERM,
    after SIGINT, and after a crash, a new start and SIGTERM."""
    with lab(clients=1, servers=1) as bench:
        lb = bench.topology.lb
        add_foreign(lb)
        before = snapshot(lb)
        services = [fake_service(bench, "transparent", families=(4, 6))]
        servers, client = FakeServers(bench), client_ports(bench)
        for signum in (signal.SIGTERM, signal.SIGINT):
            start(bench, services, ready=False)
            equal(own_parts(snapshot(lb)), ALL_PARTS, "ikelb's set-up while it runs")
            handshake(client, servers, client_address(1), VIP[4])
            bench.balancer.process.send(signum)
            equal(bench.balancer.process.wait(10.0), 0, f"exit status on {signum.name}")
            check_log(bench.balancer)
            unchanged(before, snapshot(lb), f"after {signum.name}")

        start(bench, services, ready=False)
        bench.balancer.kill()
        equal(own_parts(snapshot(lb)), ALL_PARTS, "ikelb's set-up after a crash")
        bench.balancer.restart()
        wait_running(bench.balancer)
        equal(own_parts(snapshot(lb)), ALL_PARTS, "ikelb's set-up after the new start")
        handshake(client, servers, client_address(1), VIP[4])
        stop(bench)
        unchanged(before, snapshot(lb), "after a crash, a new start and SIGTERM")


def test_second_start() -> None:
    """A second ikelb in the same namespace, on the same VIP or on another one, ends with status 1 and says why; the
    first goes on undisturbed."""
    with lab(clients=3, servers=1) as bench:
        start(bench, [fake_service(bench, "transparent")], ready=False)
        before = snapshot(bench.topology.lb)
        servers, client = FakeServers(bench), client_ports(bench)
        handshake(client, servers, client_address(1), VIP[4])

        status, _, error = ikelb(bench.topology.lb, "run", "-c", str(bench.balancer.file))
        equal(status, 1, "exit status of a second ikelb on the same VIP")
        assert "another ikelb runs" in error, f"a second ikelb on the same VIP does not say why it ends: {error}"
        unchanged(before, snapshot(bench.topology.lb), "after a second start on the same VIP")
        handshake(client, servers, client_address(2), VIP[4])
        equal(len(bench.balancer.clients()), 2, "clients that the first ikelb lists on its socket")

        other = run_other(bench, "other", [fake_service(bench, "transparent", vips=SECOND_VIP)])
        equal(other[0], 1, "exit status of a second ikelb on another VIP")
        assert "another ikelb runs" in other[1], f"a second ikelb on another VIP does not say why it ends: {other[1]}"
        unchanged(before, snapshot(bench.topology.lb), "after a second start on another VIP")
        handshake(client, servers, client_address(3), VIP[4])


def run_other(
    bench: Bench, name: str, services: list[dict[str, object]], wait_s: float = 3.0
) -> tuple[int | None, str]:
    """Runs one more ikelb beside the first, with a socket of its own. Its exit status (None: it had to be ended,
    because it did not end by itself) and what it printed."""
    directory = bench.workspace.directory
    file = directory / f"{name}.yaml"
    file.write_text(yaml({"services": services, "admin": {"socket": str(directory / f"{name}.sock")},
                          "state": {"file": "off"}}))
    argv = [str(binary()), "run", "-c", str(file)]
    process = bench.workspace.processes.start(name, argv, bench.log_dir / f"{name}.log", namespace=bench.topology.lb)
    status = process.wait(wait_s)
    if status is None:
        bench.workspace.processes.stop([process])
    return status, (bench.log_dir / f"{name}.log").read_text()


def test_failed_start() -> None:
    """A start that fails because a VIP's port is in use, or because its own socket cannot be, leaves nothing
    behind, names the cause and ends with status 1."""
    with lab(clients=1, servers=1) as bench:
        lb = bench.topology.lb
        before = snapshot(lb)
        for family, kind in ((4, socket.AF_INET), (6, socket.AF_INET6)):
            for udp in (500, 4500):
                services = [fake_service(bench, "full-nat", families=(4, 6))]
                with lb.socket(kind, socket.SOCK_DGRAM) as taken:
                    taken.bind((VIP[family], udp))
                    status, output = run_other(bench, "failed", services, 10.0)
                where = f"{VIP[4]}:{udp}" if family == 4 else f"[{VIP[6]}]:{udp}"
                equal(status, 1, f"exit status with {where} in use")
                assert where in output, f"{where} is in use, but ikelb says: {output}"
                unchanged(before, snapshot(lb), f"after a failed start with {where} in use")

        check_same_rule(bench)
        file = bench.workspace.directory / "nowhere.yaml"
        impossible = file / "ikelb.sock"  # a file is no folder
        file.write_text(yaml({"services": [fake_service(bench, "transparent", vips=THIRD_VIP)],
                              "admin": {"socket": str(impossible)}, "state": {"file": "off"}}))
        status, _, error = ikelb(lb, "run", "-c", str(file))
        equal(status, 1, "exit status with an impossible place for its socket")
        assert str(file) in error, f"the place is not named: {error}"
        unchanged(before, snapshot(lb), "after a failed start with an impossible place for its socket")
        check_capabilities(lb, file)


def check_capabilities(lb: Namespace, file: Path) -> None:
    """A capability that is missing is named, in words of ikelb's own."""
    for capability in ("net_admin", "net_raw", "net_bind_service"):
        argv = ["setpriv", f"--bounding-set=-{capability}", str(binary()), "run", "-c", str(file)]
        done = subprocess.run(lb.command(*argv), capture_output=True, text=True, timeout=30)
        equal(done.returncode, 1, f"exit status without CAP_{capability.upper()}")
        lines = done.stderr.splitlines()
        assert any(f"CAP_{capability.upper()}" in line for line in lines), f"{capability} is not named: {lines}"
        assert all(" error " in line for line in lines), f"lines that are not ikelb's: {lines}"


def check_same_rule(bench: Bench) -> None:
    """Somebody else's rule, the same as ikelb's in all but its protocol, is still there when ikelb has ended, whether
    that could start beside it or not."""
    lb = bench.topology.lb
    rule = ["rule", "add", "fwmark", "0x45000000/0xff000000", "priority", "45", "lookup", "4500"]
    lb.ip(*rule)
    before = snapshot(lb)
    run_other(bench, "same", [fake_service(bench, "transparent")], 1.0)
    unchanged(before, snapshot(lb), "after a start beside a foreign rule like ikelb's")
    rule[1] = "del"
    lb.ip(*rule)


def test_closed_streams() -> None:
    """Started with its standard streams closed, ikelb gives none of their numbers to a socket: a log line would leave as
    a packet."""
    with lab(clients=1, servers=1) as bench:
        file = bench.workspace.directory / "closed.yaml"
        at = bench.workspace.directory / "closed.sock"
        file.write_text(yaml({"services": [fake_service(bench, "transparent")], "admin": {"socket": str(at)},
                              "state": {"file": "off"}}))
        process = bench.workspace.processes.start(
            "closed", ["sh", "-c", f"exec {binary()} run -c {file} <&- >&- 2>&-"], bench.log_dir / "closed",
            namespace=bench.topology.lb)
        wait_for(at.exists, "ikelb's socket")
        for number in range(3):
            equal(os.stat(f"/proc/{process.pid}/fd/{number}").st_rdev, os.stat("/dev/null").st_rdev,
                  f"the device of descriptor {number}")
        bench.workspace.processes.stop([process])
        equal(process.exit_status(), 0, "exit status")


def test_many_services() -> None:
    """A shell's soft limit of open files does not keep ikelb from 256 services with two VIPs each, nor do the
    descriptors of a run before, more than libnftables' select(2) can do; where the hard limit does, the cure is named."""
    services = [{"name": f"s{i}", "vip": [f"203.0.114.{i}", f"2001:db8:ff::{i:x}"], "health": {"probe": "none"},
                 "backends": [{"name": "b", "address": f"10.1.0.{i}"}]} for i in range(256)]
    with lab(clients=1, servers=1) as bench:
        file = bench.workspace.directory / "many.yaml"
        at = bench.workspace.directory / "many.sock"
        file.write_text(yaml({"services": services, "admin": {"socket": str(at)}, "state": {"file": "off"},
                              "dataplane": {"fastpath": "off", "max_clients": MAX_CLIENTS}}))
        command = f"exec {binary()} run -c {file}"
        kept = 'for i in {3..1100}; do eval "exec $i</dev/null"; done; export LISTEN_PID=$$ LISTEN_FDS=1098'
        for name, before in (("many", "ulimit -Sn 256"), ("kept", kept)):
            process = bench.workspace.processes.start(name, ["bash", "-c", f"{before}; {command}"],
                                                      bench.log_dir / name, namespace=bench.topology.lb)
            wait_for(at.exists, "ikelb's socket")
            bench.workspace.processes.stop([process])
            equal(process.exit_status(), 0, f"exit status of {name}")
        done = subprocess.run(bench.topology.lb.command("sh", "-c", f"ulimit -n 256; {command}"), capture_output=True,
                              text=True, timeout=30)
        equal(done.returncode, 1, "exit status with too few descriptors")
        assert "ulimit -n" in done.stderr, f"the cure is not named: {done.stderr}"


def test_other_programs() -> None:
    """Another program on the balancer talks to the IKE ports of a backend from a socket that is not connected, and gets
    the answers as they are: in transparent mode from any port, beside full NAT from those that this does not use."""
    with lab(clients=1, servers=1) as bench:
        servers = FakeServers(bench, families=(4, 6))
        for mode, numbers in (("transparent", (700, 5555)), ("full-nat", (700, 4500))):
            start(bench, [fake_service(bench, mode, families=(4, 6))], ready=False)
            for family in (4, 6):
                for number in numbers:
                    # At an address: the wildcard's port 4500 is taken by the VIP's socket.
                    port = Port(bench.topology.lb, family, number, INSIDE[family])
                    for udp in (500, 4500):
                        to = (server_address(1, family), udp)
                        port.send(b"hello", to)
                        server = servers.ports[1, family, udp]
                        server.reply(server.receive(), b"answer")
                        equal(port.receive().source, to, f"{mode}: who answers port {number}")
                    port.close()
            stop(bench)
