"""HTTP on TCP, and the metrics: as curl sees them, as promtool judges them, as a real Prometheus scrapes them."""

import json
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from support import all_connected, equal, lab, start, stop, wait_for
from vpnlab.balancer import REPOSITORY, Balancer, service
from vpnlab.bench import Bench
from vpnlab.net import Namespace

ADDRESS = "127.0.0.1:8809"
PROMETHEUS = "127.0.0.1:9090"
TOKEN = "0123456789abcdef0123456789abcdef"
ALERTS = REPOSITORY / "docs" / "alerts.yaml"
CLIENTS = 4

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def test_alert_rules() -> None:
    """The alert rules of docs/ are valid, fire for what they are made for, and for nothing else."""
    for argv in (["check", "rules", str(ALERTS)], ["test", "rules", str(Path(__file__).with_name("alerts_test.yaml"))]):
        done = subprocess.run(["promtool", *argv], capture_output=True, text=True, timeout=60, check=False)
        equal(done.returncode, 0, f"promtool {' '.join(argv)}:\n{done.stdout}{done.stderr}")


def test_metrics() -> None:
    """After known traffic the metrics are what the status says; promtool has nothing to object to, the documents name
    each of them, and a Prometheus scrapes them and evaluates the alert rules."""
    with lab(clients=CLIENTS, servers=2) as bench:
        bench.start_servers()
        balancer = start(bench, [service(bench.topology, "transparent")])
        bench.start_clients()
        all_connected(bench.clients.connect_all(range(1, CLIENTS + 1)))
        equal(len(bench.ping_tunnels()), CLIENTS, "tunnels that carry pings")

        lb = bench.topology.lb
        check_same_over_both(balancer, lb)
        header, text = curl(lb, "-i", f"http://{ADDRESS}/metrics").split("\n\n", 1)
        assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in header, f"the header: {header}"
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True,
                              timeout=30, check=False)
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "promtool check metrics")
        check_documents(text)
        check_values(balancer, lb)
        check_prometheus(bench)


def test_changes_over_tcp() -> None:
    """Over TCP nobody changes anything without the token; a port that is taken, and a missing token, are named."""
    with lab(clients=1, servers=1) as bench:
        token = bench.workspace.directory / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        admin = {"listen": "0.0.0.0:8809", "token_file": str(token)}
        pool = [service(bench.topology, "transparent", health={"probe": "none"})]
        start(bench, pool, ready=False, admin=admin)
        lb = bench.topology.lb
        for path, wanted in (("/healthz", "405"), ("/api/v1/status", "405"), ("/metrics", "405"), ("/nowhere", "404")):
            for header in ("X-Nothing: x", f"Authorization: Bearer {TOKEN}"):
                equal(curl(lb, "-X", "POST", "-H", header, "-o", "/dev/null", "-w", "%{http_code}",
                           f"http://{ADDRESS}{path}"), wanted, f"POST {path} with {header}")
        stop(bench)

        taken = lb.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # Of curl's connections some linger.
            taken.bind(("127.0.0.1", 8809))
            taken.listen()
            check_refuses(bench, {}, "cannot listen on 127.0.0.1:8809: Address already in use: another program listens")
        finally:
            taken.close()
        token.unlink()
        check_refuses(bench, admin, f"cannot read admin.token_file {token}: No such file")
        start(bench, pool, ready=False)

def check_refuses(bench: Bench, admin: dict[str, str], words: str) -> None:
    """ikelb says so and ends with status 1, and leaves nothing in the way of its next start."""
    balancer = bench.balancer
    balancer.configure({"services": [service(bench.topology, "transparent")], "admin": admin})
    balancer.restart()
    equal(balancer.process.wait(10.0), 1, "exit status")
    assert words in balancer.process.tail(20), f"not in the log: {words}\n{balancer.process.tail(20)}"
    assert not balancer.socket.exists(), "the UNIX socket is left behind"


def curl(namespace: Namespace, *argv: str) -> str:
    return namespace.run("curl", "-s", "-S", "--max-time", "10", *argv)


def check_same_over_both(balancer: Balancer, lb: Namespace) -> None:
    """curl gets the same JSON over TCP and over the socket, as soon as nothing changes from one to the other."""
    local = ("--unix-socket", str(balancer.socket))

    for path in ("/api/v1/status", "/readyz", "/api/v1/clients/192.0.2.1"):
        def pair(path: str = path) -> bool:
            first, second = curl(lb, *local, f"http://x{path}"), curl(lb, f"http://{ADDRESS}{path}")
            return json.loads(first) is not None and first == second

        wait_for(pair, f"{path} the same over TCP and over the socket", 20.0)


def samples(text: str) -> dict[tuple[str, str], float]:
    """The samples by name and labels, as they stand in the text."""
    found: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = _SAMPLE.match(line)
            assert match, f"no sample: {line}"
            key = (match[1], match[2] or "")
            assert key not in found, f"twice: {line}"
            found[key] = float(match[3])
    return found


def check_documents(text: str) -> None:
    """docs/metrics.md names each metric, each drop reason and no other metric; the rules use none that there is not."""
    served = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    documented = (REPOSITORY / "docs" / "metrics.md").read_text()
    suffix = r"(?:_bucket|_count|_sum)?\b"
    equal(set(re.findall(rf"^\| `(ikelb_[a-z_]+?){suffix}", documented, re.MULTILINE)), served, "metrics in docs/metrics.md")
    used = set(re.findall(rf"\b(ikelb_[a-z_]+?){suffix}(?=[{{\[) ]|$)", ALERTS.read_text(), re.MULTILINE))
    assert used and used <= served, f"rules use what there is not: {used - served}"
    named = set(re.findall(r"alert: (\w+)", ALERTS.read_text()))
    equal(set(re.findall(r"\bIkelb\w+", documented)), named, "alerts in docs/metrics.md")
    alarms = set(re.findall(r'^ikelb_alarm\{.*alarm="(\w+)"', text, re.MULTILINE))
    assert alarms and all(f"`{alarm}`" in documented for alarm in alarms), f"alarms in docs/metrics.md: {alarms}"


def check_values(balancer: Balancer, lb: Namespace) -> None:
    """Metrics and status agree, as of one moment, and clients are established."""
    def compare() -> bool:
        before = balancer.status()
        found = samples(curl(lb, f"http://{ADDRESS}/metrics"))
        return without_clock(balancer.status()) == without_clock(before) and agrees(found, before)

    wait_for(compare, "metrics that agree with the status", 20.0)


def without_clock(status: dict[str, Any]) -> dict[str, Any]:
    for backend in status["services"][0]["backends"]:
        backend.pop("probe_ms")
    return {key: value for key, value in status.items() if key != "uptime_s"}


def agrees(found: dict[tuple[str, str], float], status: dict[str, Any]) -> bool:
    """Raises if a figure differs; the status did not change meanwhile."""
    vpn = status["services"][0]
    for backend in vpn["backends"]:
        own = f'service="vpn",backend="{backend["name"]}"'
        clients = {key[1]: value for key, value in found.items() if key[0] == "ikelb_clients" and own in key[1]}
        equal(clients[f'{own},stage="established"'], backend["clients"], "established clients")
        equal(sum(clients.values()), backend["clients"], "clients of all stages")
        for name, labels, value in (
            ("ikelb_backend_up", "", 1),
            ("ikelb_packets_total", ',direction="in",path="slow"', backend["rx_packets"]),
            ("ikelb_packets_total", ',direction="out",path="slow"', backend["tx_packets"]),
            ("ikelb_bytes_total", ',direction="in",path="slow"', backend["rx_bytes"]),
            ("ikelb_bytes_total", ',direction="out",path="slow"', backend["tx_bytes"]),
            ("ikelb_new_clients_total", "", backend["new_clients_total"]),
            ("ikelb_handshakes_total", ',outcome="answered"', backend["handshakes"]["answered"]),
            ("ikelb_handshake_stages_total", ',stage="established"', backend["handshakes"]["established"]),
        ):
            equal(found[name, own + labels], value, name + labels)
        assert found["ikelb_probe_seconds_count", own] >= 1, "probes that were timed"
    equal(sum(found["ikelb_clients", f'service="vpn",backend="{name}",stage="established"'] for name in ("s1", "s2")),
          CLIENTS, "clients in all")
    for table, counts in status["tables"].items():
        equal(found["ikelb_table_entries", f'table="{table}"'], counts["entries"], table)
        equal(found["ikelb_table_capacity", f'table="{table}"'], counts["capacity"], table)
    for reason, count in status["drops"].items():
        equal(found["ikelb_drops_total", f'reason="{reason}"'], count, reason)
    equal(found["ikelb_build_info", f'version="{status["version"]}"'], 1, "the version")
    assert found["ikelb_loop_lag_seconds_count", ""] > 20, "turns of the loop"
    assert abs(found["ikelb_start_time_seconds", ""] + status["uptime_s"] - time.time()) < 3, "the time of the start"
    return True


def check_prometheus(bench: Bench) -> None:
    """A Prometheus scrapes ikelb once a second, without an error, and has nothing to alert of."""
    directory = bench.workspace.directory
    (directory / "prometheus.yaml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{ALERTS}]\n"
        f"scrape_configs: [{{job_name: ikelb, static_configs: [{{targets: ['{ADDRESS}']}}]}}]\n")
    argv = ["prometheus", f"--config.file={directory}/prometheus.yaml", f"--storage.tsdb.path={directory}/tsdb",
            f"--web.listen-address={PROMETHEUS}"]
    prometheus = bench.workspace.processes.start("prometheus", argv, bench.log_dir / "prometheus.log",
                                                 namespace=bench.topology.lb)
    try:
        def ask(path: str) -> Any:
            try:
                return json.loads(curl(bench.topology.lb, f"http://{PROMETHEUS}/api/v1/{path}"))["data"]
            except Exception:  # It is not up yet.
                return None

        def scraped() -> bool:
            answer = ask("query?query=sum(ikelb_clients%7Bstage%3D%22established%22%7D)")
            return bool(answer) and [row["value"][1] for row in answer["result"]] == [str(CLIENTS)]

        wait_for(scraped, "the clients in Prometheus", 30.0)
        target = ask("targets")["activeTargets"][0]
        equal((target["health"], target["lastError"]), ("up", ""), "the target")

        def evaluated() -> list[Any] | None:
            groups = ask("rules")["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            return rules if rules and all(rule["health"] != "unknown" for rule in rules) else None

        rules = wait_for(evaluated, "rules that were evaluated", 30.0)
        equal([rule for rule in rules if rule["health"] != "ok"], [], "rules that cannot be evaluated")
        equal([rule["name"] for rule in rules if rule["state"] == "firing"], [], "alerts, although all is well")
    finally:
        bench.workspace.processes.stop([prometheus])
