"""Measures forwarders side by side: kernel forwarding, nginx stream (transparent), ikelb's slow path; and ikelb's memory.

Network and names are those of the lab (lab/vpnlab/topology.py): clients - balancer - one server. All forwarders, the
sender and the sink share one core, so each figure includes everything; the forwarders take turns, round by round, so
that a machine whose speed drifts is fair to all. What counts are the ratios.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))

from vpnlab.balancer import Balancer  # noqa: E402
from vpnlab.net import Namespace  # noqa: E402
from vpnlab.processes import Process  # noqa: E402
from vpnlab.topology import VIP, Topology, client_address, server_address  # noqa: E402
from vpnlab.workspace import Workspace  # noqa: E402

LOAD = ROOT / "build/release/load"
CLIENT_PORT = 40000
WINDOW = 512
CORE = "0"
OTHER_CORE = "1"

CROWD = ROOT / "build/release/tests/crowd"

FLOOD = ROOT / "build/release/tests/flood"
FORGED_NET = "198.18.0.0/15"
FLOOD_PACKETS_MAX = 100_000_000  # more than it sends in its time

NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
user root;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
worker_rlimit_nofile 20000;
events {{ worker_connections 20000; }}
stream {{
    server {{
        listen {vip}:4500 udp;
        proxy_bind $remote_addr:$remote_port transparent;
        proxy_pass {server}:4500;
        proxy_timeout 10m;
    }}
}}
"""

# What nginx's transparent mode needs for the way back; the lab's ikelb brings its own.
NGINX_RETURN = """
table ip nginx {
  chain replies {
    type filter hook prerouting priority mangle; policy accept;
    ip saddr %s udp sport 4500 meta mark set 1
  }
}
"""


class Bench:
    """The network, and the ways to load it."""

    def __init__(self, workspace: Workspace, clients: int, options: argparse.Namespace) -> None:
        self.workspace = workspace
        self.clients = clients
        self.options = options
        self.topology = Topology(workspace, clients=min(clients, 50), servers=1)
        self.counter = workspace.directory / "counter"

    def sink(self, namespace: Namespace, port: int, seconds: float) -> Process:
        argv = ["taskset", "-c", CORE, str(LOAD), "sink", str(self.counter), str(port), str(seconds)]
        return self.workspace.processes.start("sink", argv, self.workspace.directory / "sink.out", namespace=namespace)

    def send(self, namespace: Namespace, src: str, srcs: int, ports: tuple[int, int], dst: str, dsts: int,
             seconds: float) -> tuple[float, int]:
        """Packets a second that arrived, and packets lost."""
        out = namespace.run("taskset", "-c", CORE, str(LOAD), "send", str(self.counter), src, str(srcs), str(ports[0]),
                            dst, str(dsts), str(ports[1]), str(self.options.payload), str(WINDOW), str(seconds))
        rate, lost = out.split()
        return float(rate), int(lost)

    def inward(self, destination: str, seconds: float, port: int = 4500) -> tuple[float, int]:
        """Clients to the server, by way of `destination`."""
        sink = self.sink(self.topology.servers[1], port, seconds + 1.5)
        try:
            return self.send(self.topology.clients, client_address(1), self.clients, (CLIENT_PORT, port), destination,
                             1, seconds)
        finally:
            self.workspace.processes.stop([sink])

    def outward(self, seconds: float) -> tuple[float, int]:
        """The server to the clients. The way must have been opened from inside before."""
        sink = self.sink(self.topology.clients, CLIENT_PORT, seconds + 1.5)
        try:
            return self.send(self.topology.servers[1], server_address(1), 1, (4500, CLIENT_PORT), client_address(1),
                             self.clients, seconds)
        finally:
            self.workspace.processes.stop([sink])


@contextmanager
def kernel(_bench: Bench) -> Iterator[str]:
    """Plain forwarding; the clients send to the server itself."""
    yield server_address(1)


@contextmanager
def nginx(bench: Bench) -> Iterator[str]:
    directory = bench.workspace.directory
    conf = directory / "nginx.conf"
    conf.write_text(NGINX.format(directory=directory, vip=VIP[4], server=server_address(1)))
    lb = bench.topology.lb
    lb.nft(NGINX_RETURN % server_address(1))
    lb.ip_batch(["rule add fwmark 1 lookup 100", "route add local default dev lo table 100"])
    argv = ["taskset", "-c", CORE, "nginx", "-c", str(conf)]
    process = bench.workspace.processes.start("nginx", argv, directory / "nginx.out", namespace=lb)
    try:
        wait_for(lambda: ":4500" in lb.run("ss", "-Hlun"))
        yield VIP[4]
    finally:
        bench.workspace.processes.stop([process])
        lb.nft("delete table ip nginx")
        lb.ip_batch(["rule del fwmark 1 lookup 100", "route del local default dev lo table 100"])


@contextmanager
def ikelb(bench: Bench) -> Iterator[str]:
    balancer = start_ikelb(bench)
    bench.workspace.processes.start("taskset", ["taskset", "-cp", CORE, str(balancer.process.pid)],
                                    bench.workspace.directory / "taskset.out").wait(5)
    try:
        yield VIP[4]
    finally:
        balancer.stop()


def start_ikelb(bench: Bench, sections: dict[str, Any] = {}, timeout_s: float = 10) -> Balancer:
    service = {
        "name": "bench",
        "vip": VIP[4],
        "health": {"probe": "none"},
        "backends": [{"name": "s1", "address": server_address(1)}],
    }
    balancer = Balancer(bench.workspace, bench.topology, {"services": [service], **sections},
                        bench.workspace.directory / "ikelb.log")
    balancer.wait_status(lambda _: True, "answering", timeout_s)
    return balancer


def wait_for(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("condition not met")
        time.sleep(0.02)


FORWARDERS = {"kernel forwarding": kernel, "nginx stream transparent": nginx, "ikelb slow path": ikelb}


def measure_rates(options: argparse.Namespace) -> None:
    rates: dict[tuple[str, str], list[float]] = {}
    lost: dict[tuple[str, str], int] = {}
    with Workspace("bench") as workspace:
        bench = Bench(workspace, 50, options)
        for number in range(options.rounds):
            for name, start in FORWARDERS.items():
                with start(bench) as destination:
                    bench.inward(destination, 0.3)  # opens the way
                    for direction, result in (("in", bench.inward(destination, options.seconds)),
                                              ("out", bench.outward(options.seconds))):
                        rates.setdefault((name, direction), []).append(result[0])
                        lost[name, direction] = lost.get((name, direction), 0) + result[1]
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)

    print(f"UDP, {options.payload} bytes of payload, 50 clients, all on one core; median of {options.rounds} rounds\n")
    print(f"{'':26}{'in: kpps':>10}{'spread':>16}{'/nginx':>8}{'out: kpps':>11}{'spread':>16}{'/nginx':>8}{'lost':>8}")
    for name in FORWARDERS:
        line = f"{name:26}"
        for direction in ("in", "out"):
            values = rates[name, direction]
            median = statistics.median(values)
            ratios = [a / b for a, b in zip(values, rates["nginx stream transparent", direction])]
            spread = f"{min(values) / 1e3:.0f}..{max(values) / 1e3:.0f}"
            line += f"{median / 1e3:>{10 if direction == 'in' else 11}.0f}{spread:>16}{statistics.median(ratios):>8.2f}"
        print(line + f"{lost[name, 'in'] + lost[name, 'out']:>8}")


@contextmanager
def flood(bench: Bench, seconds: float) -> Iterator[None]:
    """Forged IKE_SA_INITs to the VIP, from the other core, as fast as that goes."""
    argv = ["taskset", "-c", OTHER_CORE, str(FLOOD), FORGED_NET, VIP[4], str(FLOOD_PACKETS_MAX), str(seconds), "1"]
    process = bench.workspace.processes.start("flood", argv, bench.workspace.directory / "flood.out",
                                              namespace=bench.topology.clients)
    try:
        yield
    finally:
        bench.workspace.processes.stop([process])


def measure_flood(options: argparse.Namespace) -> None:
    """Clients that were there before, with a flood of forged handshakes and without, round by round."""
    ratios, calm_rates, flooded_rates = [], [], []
    with Workspace("bench") as workspace:
        bench = Bench(workspace, 50, options)
        with ikelb(bench) as destination:
            bench.inward(destination, 0.3)
            for _ in range(options.rounds):
                calm, _ = bench.inward(destination, options.seconds)
                with flood(bench, options.seconds + 1.0):
                    flooded, _ = bench.inward(destination, options.seconds)
                calm_rates.append(calm)
                flooded_rates.append(flooded)
                ratios.append(flooded / calm)
    print(f"\nclients that were there before, to the server: {statistics.median(calm_rates) / 1e3:.0f} kpps, in a flood of "
          f"forged handshakes {statistics.median(flooded_rates) / 1e3:.0f} kpps: ratio {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f})")


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise LookupError("VmRSS")


def measure_memory(options: argparse.Namespace) -> None:
    """Each client sends on both ports: one pin and two flows."""
    clients = options.memory_clients
    with Workspace("bench") as workspace:
        bench = Bench(workspace, clients, options)
        balancer = start_ikelb(bench)
        before = resident_bytes(balancer.process.pid)
        # As many seconds as it takes: the sender goes round all addresses, and round again.
        for port, flows in ((500, clients), (4500, 2 * clients)):
            while entries(balancer)["flows"] < flows:
                bench.inward(VIP[4], 1.0, port)
        after = resident_bytes(balancer.process.pid)
        print(f"\nmemory with {clients} clients, tables {entries(balancer)}: {(after - before) / clients:.0f} bytes a client "
              f"(resident: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after)")
        balancer.stop()


def entries(balancer: Balancer) -> dict[str, int]:
    return {name: table["entries"] for name, table in balancer.status()["tables"].items()}


def loop_lag(balancer: Balancer) -> dict[float, float]:
    """How many turns of the loop took no longer than so many seconds, so far."""
    text = balancer.request("GET", "/metrics")[1].decode()
    found = re.findall(r'^ikelb_loop_lag_seconds_bucket\{le="([^"]+)"\} (\d+)$', text, re.MULTILINE)
    return {float(bound): float(count) for bound, count in found}


def percentile(before: dict[float, float], after: dict[float, float], share: float) -> str:
    """Below which bound that share of the turns in between lies, and how many these were."""
    counts = {bound: after[bound] - before[bound] for bound in after}
    total = counts[float("inf")]
    bound = min(bound for bound, count in counts.items() if count >= share * total)
    return f"at most {bound * 1e3:g} ms, of {total:.0f} turns"


def state_metrics(balancer: Balancer) -> dict[str, float]:
    text = balancer.request("GET", "/metrics")[1].decode()
    return {name: float(value) for name, value in re.findall(r"^ikelb_state_(\w+) (\S+)$", text, re.MULTILINE)}


def list_clients(balancer: Balancer) -> int:
    """Reads the whole list of clients in pages, as a browser does; how many there are."""
    found, path = 0, "/api/v1/clients?limit=1000"
    page = balancer.get(path)
    while page["next"] is not None:
        found += len(page["clients"])
        page = balancer.get(f"{path}&after={page['next']}")
    return found + len(page["clients"])


def save_again(balancer: Balancer) -> float:
    """Changes something, so that a saving is due, and waits until it is over; how long the saving took."""
    state = "drain" if balancer.backend("s1")["state"] == "enabled" else "enable"
    assert balancer.request("POST", f"/api/v1/backends/bench/s1/{state}")[0] == 200
    now = time.time()
    wait_for(lambda: state_metrics(balancer)["saved_timestamp_seconds"] > now, 30)
    return state_metrics(balancer)["save_seconds"]


def measure_state(options: argparse.Namespace) -> None:
    """Restores, saves and lists a crowd of clients, on the disk that the build is on."""
    clients = options.state_clients
    file = ROOT / "build/release/bench-state"
    with Workspace("bench") as workspace:
        bench = Bench(workspace, 1, options)
        subprocess.run([str(CROWD), str(file), str(clients), VIP[4], server_address(1)], check=True)
        begin = time.monotonic()
        balancer = start_ikelb(bench, {"dataplane": {"max_clients": clients}, "state": {"file": str(file)}}, timeout_s=60)
        started = time.monotonic() - begin
        assert balancer.backend("s1")["clients"] == clients
        seconds, before = [save_again(balancer)], loop_lag(balancer)
        time.sleep(3)
        calm = percentile(before, after := loop_lag(balancer), 0.999)
        seconds += [save_again(balancer) for _ in range(options.rounds)]
        saving = percentile(after, after := loop_lag(balancer), 0.999)
        threads = [threading.Thread(target=list_clients, args=(balancer,)) for _ in range(options.rounds)]
        for thread in threads:
            thread.start()
            seconds.append(save_again(balancer))
            thread.join()
        listing = percentile(after, loop_lag(balancer), 0.999)
        size = state_metrics(balancer)["bytes"]
        begin = time.monotonic()
        balancer.stop()
        stopped = time.monotonic() - begin
    file.unlink()
    print(f"\nstate file with {clients} clients, a session and two flows each: {size / 1e6:.0f} MB; started with it in "
          f"{started:.1f} s, saved while running in {statistics.median(seconds):.1f} s ({min(seconds):.1f} to "
          f"{max(seconds):.1f}), ended in {stopped:.1f} s\n"
          f"loop lag, 99.9th percentile: idle {calm}; while saving {saving}; while saving and listing all clients {listing}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--payload", type=int, default=200, help="bytes")
    parser.add_argument("--memory-clients", type=int, default=100000, help="for the figure of memory a client")
    parser.add_argument("--state-clients", type=int, default=1000000, help="for the figures of the state file")
    parser.add_argument("--only-state", action="store_true", help="no other figures")
    options = parser.parse_args()
    if options.only_state:
        measure_state(options)
        return 0
    measure_rates(options)
    measure_flood(options)
    measure_memory(options)
    measure_state(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
