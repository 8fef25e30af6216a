"""The command line against a running daemon, as scripts use it."""

import json
import subprocess

from support import all_connected, equal, ikelb, lab, start, stop
from vpnlab.balancer import binary, service
from vpnlab.bench import Bench
from vpnlab.topology import VIP, client_address

DONE, NO, USAGE, UNREACHABLE = 0, 1, 2, 3


def test_command_line() -> None:
    """status, clients and probe against a running daemon: what they print, also into a pipe that ends early, and their
    exit statuses; and without a daemon."""
    with lab(clients=4, servers=2) as bench:
        bench.start_servers()
        balancer = start(bench, [service(bench.topology, "transparent")])
        bench.start_clients()
        all_connected(bench.clients.connect_all(range(1, 5)))
        equal(len(bench.ping_tunnels()), 4, "tunnels that carry pings")
        lb, outside, at = bench.topology.lb, bench.topology.clients, ("--socket", str(balancer.socket))

        code, output, error = ikelb(lb, "status", "--json", *at)
        equal((code, error), (DONE, ""), "status --json")
        shown = json.loads(output)["services"][0]
        equal((shown["name"], shown["mode"], shown["vip"]), ("vpn", "transparent", [VIP[4]]), "the service")
        equal([(b["name"], b["health"]) for b in shown["backends"]], [("s1", "up"), ("s2", "up")], "backends")
        equal(sum(b["clients"] for b in shown["backends"]), 4, "clients at the backends")
        code, output, error = ikelb(lb, "status", *at)
        equal((code, error), (DONE, ""), "status")
        for word in ("vpn", "transparent", VIP[4], "s1", "s2", "up"):
            assert word in output, f"status does not show {word}:\n{output}"
        assert "\x1b" not in output, "status writes colours into a pipe"

        wanted = {client_address(number) for number in range(1, 5)}
        code, output, error = ikelb(lb, "clients", "--json", *at)
        equal((code, error), (DONE, ""), "clients --json")
        listed = json.loads(output)["clients"]
        equal({client["address"] for client in listed}, wanted, "clients --json")
        equal({client["stage"] for client in listed}, {"established"}, "stages")
        code, output, error = ikelb(lb, "clients", *at)
        equal((code, error), (DONE, ""), "clients")
        equal({word for word in output.split() if word in wanted}, wanted, "clients in the table")
        of = {name: json.loads(ikelb(lb, "clients", "--backend", name, "--json", *at)[1])["clients"]
              for name in ("s1", "vpn/s2")}
        equal(len(of["s1"]) + len(of["vpn/s2"]), 4, "clients of s1 and of vpn/s2")
        equal([client for client in of["s1"] if client["backend"] != "s1"], [], "others among the clients of s1")
        equal(ikelb(lb, "clients", "--backend", "s9", *at)[0], NO, "exit status for an unknown backend")
        check_early_end(bench, at)

        code, output, error = ikelb(outside, "probe", VIP[4])
        equal((code, error), (DONE, ""), "probe of the VIP")
        assert "500" in output and "4500" in output, f"probe does not name the ports:\n{output}"
        code, output, _ = ikelb(outside, "probe", "192.0.2.1")
        equal(code, NO, f"exit status of the probe of an address without a server ({output})")
        equal(ikelb(outside, "probe")[0], USAGE, "exit status of probe without an address")

        stop(bench)
        for command in ("status", "clients"):
            code, output, error = ikelb(lb, command, *at)
            equal((code, output), (UNREACHABLE, ""), f"{command} without a daemon")
            assert str(balancer.socket) in error, f"{command} does not say what it cannot reach: {error}"


def check_early_end(bench: Bench, at: tuple[str, ...]) -> None:
    """A reader that goes away early, as `head` does, is no cause for a complaint."""
    for command in ("status", "clients"):
        shell = 'program=$1; shift; "$program" "$@" | head -c 1 >/dev/null'
        argv = bench.topology.lb.command("sh", "-c", shell, "sh", str(binary()), command, *at)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        equal((done.returncode, done.stderr), (0, ""), f"{command} into a pipe that ends early")
