"""A restart under traffic: the sockets and the kernel set-up are handed over to the next run, and no packet is lost."""

import itertools
import os
import re
import signal
import socket
from collections.abc import Callable
from typing import Any

import messages
import systemd
from kernel_state import own_parts, snapshot, unchanged
from peers import FakeServers, client_ports, fake_service, handshake
from service_manager import ServiceManager
from steady import Steady
from test_state import state_file, wait_saved
from support import MAX_CLIENTS, SECOND_VIP, check_log, equal, lab, start, stop, wait_for, wait_log, wait_running
from vpnlab.balancer import binary, yaml
from vpnlab.bench import Bench
from vpnlab.topology import VIP, client_address, server_address

ALL_PARTS = {"table": 1, "rule": 2, "route": 2}
RESTARTS = 10
RATE = 2000  # packets a second in each direction
BETWEEN = 1000  # packets between two restarts
BATCH = 64  # what a process that is killed may have read


def sockets_of(vip: dict[int, str]) -> list[str]:
    """The names of a service's sockets."""
    return [f"udp.{address.replace(':', '-')}.{udp}" for address in vip.values() for udp in (500, 4500)]


SOCKETS = sorted([*sockets_of(VIP), "return.4", "return.6"])


def start_managed(bench: Bench, manager: ServiceManager, mode: str = "transparent") -> None:
    """Starts ikelb under a service manager, with a state file: full NAT must know its source ports again."""
    bench.start_balancer({"services": [fake_service(bench, mode, families=(4, 6))],
                          "dataplane": {"max_clients": MAX_CLIENTS}, "state": {"file": str(state_file(bench))}},
                         ready=False, starter=manager.start)
    manager.wait_ready(1)


def end(bench: Bench, signum: int, status: int = 0) -> None:
    """Ends ikelb by a signal."""
    bench.balancer.process.send(signum)
    equal(bench.balancer.process.wait(10.0), status, f"exit status on signal {signum}")
    check_log(bench.balancer)


def check_restarts(mode: str, signum: int, status: int, may_lose: int) -> None:
    with lab(clients=4, servers=2) as bench, ServiceManager(bench) as manager:
        start_managed(bench, manager, mode)
        wait_for(lambda: manager.names() == SOCKETS, "all sockets stored")
        before = snapshot(bench.topology.lb)
        with Steady(bench, range(1, 5), (4, 6), RATE) as steady:
            wait_saved(bench, range(1, 5))
            for number in range(RESTARTS):
                steady.wait_sent(BETWEEN)
                end(bench, signum, status)
                equal(own_parts(snapshot(bench.topology.lb)), ALL_PARTS, "ikelb's set-up between two runs")
                bench.balancer.restart()
                manager.wait_ready(number + 2)
            steady.wait_sent(BETWEEN)
        print(f"     {mode}, {RESTARTS} restarts by {signal.Signals(signum).name}: {steady.figure()}")
        equal(steady.astray, [], "packets that went astray")
        equal(steady.doubled(), 0, "packets that came twice")
        assert steady.lost() <= may_lose, steady.figure()
        unchanged(before, snapshot(bench.topology.lb), f"after {RESTARTS} restarts")
        equal(manager.names(), SOCKETS, "sockets stored after all")


def test_restarts_lose_nothing_transparent() -> None:
    """Ten restarts under traffic in both directions, IPv4 and IPv6: every packet arrives, once."""
    check_restarts("transparent", signal.SIGUSR2, 0, 0)


def test_restarts_lose_nothing_full_nat() -> None:
    """The same in full-NAT mode, where each client keeps the source port that its server knows."""
    check_restarts("full-nat", signal.SIGUSR2, 0, 0)


def test_restarts_after_crashes_transparent() -> None:
    """The same by SIGKILL; what the process had read when it was killed may be gone."""
    check_restarts("transparent", signal.SIGKILL, -signal.SIGKILL, RESTARTS * BATCH)


def test_restarts_after_crashes_full_nat() -> None:
    """The same in full-NAT mode."""
    check_restarts("full-nat", signal.SIGKILL, -signal.SIGKILL, RESTARTS * BATCH)


def check_untouched(bench: Bench, command: tuple[str, ...], restart: Callable[[], None], forbidden: str) -> None:
    """A monitor in ikelb's namespace sees nothing taken away during a restart. A foreign table or rule that comes and
    goes shows that the monitor listens."""
    lb, log = bench.topology.lb, bench.log_dir / f"{command[0]}.log"
    monitor = bench.workspace.processes.start("monitor", ["stdbuf", "-oL", *command], log, namespace=lb)

    def is_heard() -> bool:
        lb.run("nft", "add table inet foreign; delete table inet foreign")
        lb.ip("rule", "add", "priority", "99", "lookup", "99")
        lb.ip("rule", "del", "priority", "99")
        return bool(log.read_text())

    wait_for(is_heard, f"a word of {' '.join(command)}")
    restart()
    before = log.read_text()
    wait_for(lambda: is_heard() and log.read_text() != before, f"one more word of {' '.join(command)}")
    bench.workspace.processes.stop([monitor])
    found = [line for line in log.read_text().splitlines()
             if re.search(forbidden, line) and "foreign" not in line and "99" not in line]
    equal(found, [], f"what {' '.join(command)} saw")


def test_set_up_stays() -> None:
    """While ikelb is restarted neither rule nor route is taken away, nor the table or a chain or a set in it: not for
    the shortest time is there a gap for a packet to fall into."""
    with lab(clients=1, servers=1) as bench, ServiceManager(bench) as manager:
        start_managed(bench, manager)
        starts = itertools.count(2)

        def restart() -> None:
            end(bench, signal.SIGUSR2)
            bench.balancer.restart()
            manager.wait_ready(next(starts))

        check_untouched(bench, ("ip", "-ts", "monitor", "rule", "route"), restart, "Deleted")
        check_untouched(bench, ("nft", "monitor"), restart, r"delete (table|chain|set inet ikelb [^_])")


def test_vips_change() -> None:
    """A VIP that the file has no more when ikelb is restarted: its sockets are closed, and the service manager keeps
    them no longer; a new one's are stored."""
    with lab(clients=1, servers=1) as bench, ServiceManager(bench) as manager:
        start_managed(bench, manager)
        wait_for(lambda: manager.names() == SOCKETS, "all sockets stored")
        end(bench, signal.SIGUSR2)
        vips = {4: SECOND_VIP[4], 6: VIP[6]}
        bench.balancer.configure({"services": [fake_service(bench, "transparent", families=(4, 6), vips=vips)]})
        bench.balancer.restart()
        manager.wait_ready(2)
        wanted = sorted([*sockets_of(vips), "return.4", "return.6"])
        wait_for(lambda: manager.names() == wanted, f"{wanted} stored")
        wait_log(bench.balancer, f"no use for UDP {VIP[4]}:500")
        # Nobody holds the port any more, neither ikelb nor the service manager.
        with bench.topology.lb.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((VIP[4], 500))
        servers, client = FakeServers(bench, (4, 6)), {family: client_ports(bench, family) for family in (4, 6)}
        for family in (4, 6):
            handshake(client[family], servers, client_address(1, family), vips[family])
        end(bench, signal.SIGUSR2)

        # Without IPv6 its return socket goes, too, and its part of the table.
        bench.balancer.configure({"services": [fake_service(bench, "transparent")]})
        bench.balancer.restart()
        manager.wait_ready(3)
        wanted = sorted([f"udp.{VIP[4]}.500", f"udp.{VIP[4]}.4500", "return.4"])
        wait_for(lambda: manager.names() == wanted, f"{wanted} stored")
        table = bench.topology.lb.run("nft", "list", "table", "inet", "ikelb")
        assert "6 {" not in table and "ip6 " not in table, f"something of IPv6 is left:\n{table}"
        handshake(client[4], servers, client_address(1), VIP[4])


def test_reload_stores() -> None:
    """The sockets of a VIP that a reload brings are stored, those of one that it takes away are stored no longer; and
    the service manager is told when a reload begins and ends."""
    with lab(clients=1, servers=1) as bench, ServiceManager(bench) as manager:
        start_managed(bench, manager)
        wait_for(lambda: manager.names() == SOCKETS, "all sockets stored")
        first = fake_service(bench, "transparent", families=(4, 6), schedule="source-hash")
        second = fake_service(bench, "transparent", name="second", vips=SECOND_VIP)
        bench.balancer.configure({"services": [first, second], "dataplane": {"max_clients": MAX_CLIENTS}})
        bench.balancer.reload()
        more = sorted([*SOCKETS, *(f"udp.{SECOND_VIP[4]}.{udp}" for udp in (500, 4500))])
        wait_for(lambda: manager.names() == more, f"{more} stored")
        manager.wait_ready(2)
        equal(manager.count("RELOADING", "1"), 1, "times that RELOADING=1 was said")
        assert all("MONOTONIC_USEC" in message for message in manager.said if "RELOADING" in message)
        bench.balancer.configure({"services": [first], "dataplane": {"max_clients": MAX_CLIENTS}})
        bench.balancer.reload()
        wait_for(lambda: manager.names() == SOCKETS, "the first sockets stored alone")


def test_strange_descriptors() -> None:
    """What cannot be ikelb's among the descriptors passed is closed and given back, and hinders nothing."""
    with lab(clients=1, servers=1) as bench, ServiceManager(bench) as manager:
        lb = bench.topology.lb
        strange = {
            "tcp": lb.socket(socket.AF_INET, socket.SOCK_STREAM),
            "unbound": lb.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "connected": lb.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "elsewhere": bench.topology.clients.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "return.4": lb.socket(socket.AF_INET, socket.SOCK_DGRAM),  # a right name, but not transparent
            f"udp.{VIP[4]}.500": lb.socket(socket.AF_INET, socket.SOCK_DGRAM),
        }
        strange["connected"].connect((server_address(1), 500))
        strange["elsewhere"].setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
        strange["elsewhere"].bind((VIP[4], 4500))
        strange["return.4"].bind(("0.0.0.0", 0))
        strange[f"udp.{VIP[4]}.500"].bind(("127.0.0.1", 0))
        for name, stray in strange.items():
            manager._store(name, stray.fileno())
            stray.close()
        start_managed(bench, manager)
        wait_for(lambda: manager.names() == SOCKETS, "just ikelb's own sockets stored")
        servers, client = FakeServers(bench), client_ports(bench)
        handshake(client, servers, client_address(1), VIP[4])
        end(bench, signal.SIGUSR2)
        bench.balancer.restart()
        manager.wait_ready(2)
        wait_log(bench.balancer, f"{len(SOCKETS)} sockets taken over")


def test_without_a_service_manager() -> None:
    """SIGUSR2 without anybody who keeps the sockets ends ikelb as SIGTERM does."""
    with lab(clients=1, servers=1) as bench:
        before = snapshot(bench.topology.lb)
        start(bench, [fake_service(bench, "transparent")], ready=False)
        end(bench, signal.SIGUSR2)
        unchanged(before, snapshot(bench.topology.lb), "after SIGUSR2")


def test_sigterm_removes_all() -> None:
    """SIGTERM removes the set-up also under a service manager that keeps the sockets."""
    with lab(clients=1, servers=1) as bench, ServiceManager(bench) as manager:
        before = snapshot(bench.topology.lb)
        start_managed(bench, manager)
        equal(own_parts(snapshot(bench.topology.lb)), ALL_PARTS, "ikelb's set-up while it runs")
        stop(bench)
        unchanged(before, snapshot(bench.topology.lb), "after SIGTERM")
        equal(manager.count("STOPPING", "1"), 1, "times that STOPPING=1 was said")


def test_leftovers_are_mended() -> None:
    """What is left of the set-up after a crash and a meddling hand (a rule gone, a rule twice, a rule with more
    conditions, a route gone, a route that is not quite it, a table of another make) is made whole again, and goes away
    at the end."""
    rule = ["rule", "add", "fwmark", "0x45000000/0xff000000", "priority", "45", "lookup", "4500", "protocol", "73"]
    route = ["route", "add", "local", "default", "dev", "lo", "table", "4500", "proto", "73"]
    meddling: dict[str, list[list[str]]] = {
        "rule gone": [["ip", "rule", "del", "priority", "45"]],
        "rule twice": [["ip", *rule, "iif", "inside"]],
        "rule with more conditions": [["ip", "rule", "del", "priority", "45"], ["ip", *rule, "iif", "inside"]],
        "route gone": [["ip", "route", "flush", "table", "4500"]],
        "another route": [["ip", "route", "flush", "table", "4500"], ["ip", *route, "mtu", "1300"]],
        "another table": [["nft", "delete table inet ikelb; add table inet ikelb; "
                                  "add chain inet ikelb replies { type filter hook output priority 7; }; "
                                  "add set inet ikelb vips4 { type inet_service; }"]],
        "table gone": [["nft", "delete table inet ikelb"]],
    }
    with lab(clients=1, servers=1) as bench:
        lb = bench.topology.lb
        before = snapshot(lb)
        start(bench, [fake_service(bench, "transparent", families=(4, 6))], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        for what, commands in meddling.items():
            bench.balancer.kill()
            for command in commands:
                lb.run(*command)
            bench.balancer.restart()
            wait_running(bench.balancer)
            equal(own_parts(snapshot(lb)), ALL_PARTS, f"ikelb's set-up after: {what}")
            handshake(client, servers, client_address(1), VIP[4])
        stop(bench)
        unchanged(before, snapshot(lb), "after all")


def test_nobody_listens() -> None:
    """The set-up without sockets, as a crash leaves it that nobody mends: what a server sends to a client goes its way
    as on any router."""
    with lab(clients=1, servers=1) as bench:
        start(bench, [fake_service(bench, "transparent", families=(4, 6))], ready=False)
        bench.balancer.kill()
        equal(own_parts(snapshot(bench.topology.lb)), ALL_PARTS, "ikelb's set-up after a crash")
        servers = FakeServers(bench, (4, 6))
        for family in (4, 6):
            client = client_ports(bench, family)
            for udp in (500, 4500):
                server = servers.port(1, udp, family)
                server.send(messages.esp(b"plain"), (client_address(1, family), udp))
                equal(client[udp].receive().source, (server_address(1, family), udp), "who the client hears")
        bench.balancer.restart()  # Else the lab's end would find it killed.
        wait_running(bench.balancer)


UNIT = """[Unit]
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
Environment=ASAN_OPTIONS={asan}
ExecStart={binary} run -c {file}
RestartKillSignal=SIGUSR2
FileDescriptorStoreMax=2048
Restart=on-failure
RestartSec=100ms
WatchdogSec=3s
LimitCORE=0
StandardOutput=append:{log}
StandardError=append:{log}
"""


def write_unit(bench: Bench, services: list[dict[str, Any]]) -> str:
    """The configuration, and a unit that runs ikelb with it."""
    file = bench.workspace.directory / "ikelb.yaml"
    admin = {"socket": str(bench.workspace.directory / "ikelb.sock"), "listen": "off"}
    file.write_text(yaml({"services": services, "admin": admin, "dataplane": {"max_clients": MAX_CLIENTS},
                          "state": {"file": "off"}}))
    # systemd sends SIGCONT after each signal. Should the daemon have come to its end by then, that takes away the SIGSTOP
    # of LeakSanitizer, which then waits for ever. Other tests look for leaks.
    options = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "detect_leaks=0")))
    return UNIT.format(binary=binary(), file=file, log=bench.log_dir / "ikelb.log", asan=options)


def test_systemd_restarts() -> None:
    """Under a real systemd: ten times `systemctl restart` and three crashes under traffic, and every packet arrives,
    once; what a process that crashed had read may be gone. One that hangs is started again. `systemctl stop` leaves
    nothing."""
    if systemd.obstacle():
        print(f"     not shown: {systemd.obstacle()}")
        return
    with lab(clients=4, servers=2) as bench:
        before = snapshot(bench.topology.lb)
        unit = write_unit(bench, [fake_service(bench, "transparent", families=(4, 6), schedule="source-hash")])
        with systemd.Systemd(bench, {"ikelb.service": unit}) as manager:
            manager.systemctl("start", "ikelb")
            equal(manager.show("ikelb", "NFileDescriptorStore"), str(len(SOCKETS)), "descriptors that systemd keeps")
            with Steady(bench, range(1, 5), (4, 6), RATE) as steady:
                for _ in range(RESTARTS):
                    steady.wait_sent(BETWEEN)
                    manager.systemctl("restart", "ikelb")
                steady.wait_sent(BETWEEN)
            print(f"     {RESTARTS} times systemctl restart: {steady.figure()}")
            equal((steady.astray, steady.doubled(), steady.lost()), ([], 0, 0), "astray, doubled, lost")
            equal(manager.show("ikelb", "NFileDescriptorStore"), str(len(SOCKETS)), "descriptors that systemd keeps")
            check_crashes(bench, manager)
            wait_for(lambda: manager.show("ikelb", "StatusText") == "1 service, 4 backends (0 down), 8 clients",
                     "the status in words")
            ping = manager.show("ikelb", "WatchdogTimestampMonotonic")
            wait_for(lambda: manager.show("ikelb", "WatchdogTimestampMonotonic") not in (ping, "0"),
                     "one more word to the watchdog")
            equal(manager.show("ikelb", "NRestarts"), "3", "times that systemd has started ikelb again")
            manager.kill_main("ikelb", signal.SIGSTOP)  # As if the loop hung.
            wait_restarted(manager, 4)
            manager.systemctl("stop", "ikelb")
            unchanged(before, snapshot(bench.topology.lb), "after systemctl stop")


def wait_restarted(manager: systemd.Systemd, times: int) -> None:
    """Waits until systemd has for the n-th time started ikelb again by itself, and it is ready."""
    wait_for(lambda: manager.show("ikelb", "NRestarts") == str(times) and
             manager.show("ikelb", "ActiveState") == "active", f"started again for the {times}. time", 20.0)


def check_crashes(bench: Bench, manager: systemd.Systemd) -> None:
    """systemd starts ikelb again by itself."""
    with Steady(bench, range(1, 5), (4, 6), RATE) as steady:
        for crash in range(1, 4):
            steady.wait_sent(BETWEEN)
            manager.kill_main("ikelb", signal.SIGKILL)
            wait_restarted(manager, crash)
        steady.wait_sent(BETWEEN)
    print(f"     3 crashes: {steady.figure()}")
    equal((steady.astray, steady.doubled()), ([], 0), "astray, doubled")
    assert steady.lost() <= 3 * BATCH, steady.figure()
