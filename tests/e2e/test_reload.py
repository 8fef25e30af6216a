"""A running ikelb takes a changed file, or leaves everything as it is. Fake peers under steady traffic."""

import json
import re
import socket
import subprocess
import time
from collections import Counter
from typing import Any

import messages
from peers import FakeServers, Port, client_ports, fake_service, handshake, open_handshakes, two_services
from steady import Steady
from support import (
    MAX_CLIENTS,
    SECOND_VIP,
    THIRD_VIP,
    equal,
    lab,
    log_lines,
    start,
    stop,
    wait_for,
    wait_log,
)
from vpnlab.balancer import Balancer
from vpnlab.bench import Bench
from vpnlab.topology import VIP, client_address, server_address

RELOADS = 100
CLIENTS = range(1, 13)
RATE = 2000  # packets a second each way
PACKETS_A_RELOAD = 100
SERVERS = 4  # The last one is not in the file at first.

# What the reloads change, one after the other, there and back again.
CHANGES = ("weight", "state", "timeouts", "log", "probe", "backend", "service", "removal", "name", "rate", "schedule",
           "order")
DONE = "reload: done"
PING = {"probe": "icmp", "interval": "1s", "timeout": "500ms", "rise": 1, "fall": 3}
SHORT = {"idle_timeout": "2s", "half_open_timeout": "1s"}

Config = dict[str, Any]


def changed(bench: Bench, made: set[str]) -> Config:
    """The configuration after these changes."""
    services = two_services(bench, (4,))
    for service in services:
        backends = {backend["name"]: backend for backend in service["backends"]}
        if "weight" in made:
            backends["s1"]["weight"] = 50
        if "state" in made:
            backends["s2"]["state"] = "drain"
        if "name" in made:
            backends["s3"]["name"] = "renamed"
        if "backend" not in made:
            del backends["s4"]
        if "removal" in made:
            del backends["s1"]
        if "timeouts" in made:
            service["persistence"] = {"idle_timeout": "30m", "half_open_timeout": "20s"}
        if "probe" in made:
            service["health"] = PING
        if "schedule" in made:
            service["schedule"] = "least-clients"
        service["backends"] = list(backends.values())
        if "order" in made:
            service["backends"].reverse()
    if "order" in made:
        services.reverse()
    if "service" in made:
        services.insert(0, fake_service(bench, "transparent", name="third", vips=THIRD_VIP))
    configuration: Config = {"services": services, "dataplane": {"max_clients": MAX_CLIENTS}}
    if "log" in made:
        configuration["log"] = {"level": "debug"}
    if "rate" in made:
        configuration["dataplane"] |= {"source_rate": 500}
    return configuration


def post(balancer: Balancer) -> tuple[int, dict[str, Any]]:
    """POST /api/v1/reload: status and body."""
    status, body = balancer.request("POST", "/api/v1/reload")
    return status, json.loads(body)


def reload(balancer: Balancer, configuration: Config) -> dict[str, Any]:
    """Writes the file and has it read; it must be taken."""
    balancer.configure(configuration)
    status, answer = post(balancer)
    equal(status, 200, f"status of the reload ({answer})")
    return answer


def reload_services(balancer: Balancer, services: list[dict[str, Any]], **sections: Any) -> dict[str, Any]:
    return reload(balancer, {"services": services, "dataplane": {"max_clients": MAX_CLIENTS}, **sections})


def done_count(balancer: Balancer) -> int:
    return sum(DONE in line for line in log_lines(balancer))


def reload_by_signal(balancer: Balancer, configuration: Config) -> None:
    """The same by SIGHUP; waits for the log to say that it is done."""
    before = done_count(balancer)
    balancer.configure(configuration)
    balancer.reload()
    wait_for(lambda: done_count(balancer) > before, "a reload by SIGHUP")


def removed(balancer: Balancer) -> list[str]:
    """What is not in the file any more and still there."""
    return [entry["name"] for service in balancer.status()["services"] for entry in (service, *service["backends"])
            if entry["removed"]]


def longest_turn(balancer: Balancer) -> str:
    """The bucket of the longest turn of the loop so far, in seconds."""
    _, text = balancer.request("GET", "/metrics")
    buckets = re.findall(r'^ikelb_loop_lag_seconds_bucket\{le="([^"]+)"\} (\d+)$', text.decode(), re.MULTILINE)
    return next(bound for bound, count in buckets if count == buckets[-1][1])


def pins(balancer: Balancer) -> dict[tuple[str, str], str]:
    """The address of the server of each client, by service and client."""
    addresses = {(service["name"], backend["name"]): backend["address"]
                 for service in balancer.status()["services"] for backend in service["backends"]}
    return {(client["service"], client["address"]): addresses[client["service"], client["backend"]]
            for client in balancer.clients()}


def test_reloads_lose_nothing() -> None:
    """A hundred reloads, by signal and over the API, of weights, states, timeouts, probes, names, order, log level and
    rates, that add and remove servers, with clients or without, and a whole service: not one datagram of tunnels is lost
    or goes astray, in either mode, and no client moves."""
    with lab(clients=len(CLIENTS), servers=SERVERS) as bench:
        made: set[str] = set()
        first = changed(bench, made)
        balancer = start(bench, first["services"], ready=False)
        slowest_s = 0.0
        with Steady(bench, CLIENTS, (4,), RATE, vips=(VIP, SECOND_VIP)) as traffic:
            equal(len({stream.server for stream in traffic.streams}), SERVERS - 1, "servers that have clients")
            before, drops = pins(balancer), balancer.status()["drops"]
            for count in range(RELOADS):
                made ^= {CHANGES[count % len(CHANGES)]}
                if count % 2:
                    reload_by_signal(balancer, changed(bench, made))
                else:
                    balancer.configure(changed(bench, made))
                    begin = time.monotonic()
                    status, answer = post(balancer)
                    slowest_s = max(slowest_s, time.monotonic() - begin)
                    equal((status, answer.get("needs_restart")), (200, []), f"reload {count} ({answer})")
                traffic.wait_sent(PACKETS_A_RELOAD)
            traffic.finish()
            wait_for(lambda: not removed(balancer), "all gone that the reloads have removed")
            print(f"     {RELOADS} reloads: {traffic.figure()}; slowest answer {slowest_s * 1000:.1f} ms, "
                  f"longest turn of the loop below {longest_turn(balancer)} s")
            traffic.check()
        equal(balancer.status()["drops"], drops, "packets that ikelb has dropped")
        equal(pins(balancer), before, "clients and their servers")


def without_traffic(status: dict[str, Any]) -> Any:
    """What a reload could change of the status."""
    keys = ("name", "address", "weight", "state", "removed", "health", "clients", "new_clients_total")
    return [({key: service[key] for key in ("name", "mode", "schedule", "vip", "alarms", "removed")},
             [{key: backend[key] for key in keys} for backend in service["backends"]])
            for service in status["services"]]


def listening(bench: Bench) -> list[str]:
    """Where UDP sockets of ikelb's machine listen."""
    return sorted(line.split()[3] for line in bench.topology.lb.run("ss", "-Huln").splitlines())


def check_refused(bench: Bench, words: str, status: int = 422) -> dict[str, Any]:
    """The file as it stands is refused with these words, over the API and by SIGHUP, and nothing has changed."""
    balancer = bench.balancer
    kernel = bench.topology.lb.run("nft", "--stateless", "list", "ruleset")
    before, sockets = without_traffic(balancer.status()), listening(bench)
    found, answer = post(balancer)
    equal(found, status, f"status of a reload that should be refused ({answer})")
    equal(answer["error"], "nothing was changed", "error")
    assert any(words in line for line in answer["errors"]), f"'{words}' is not in {answer['errors']}"
    count = len(log_lines(balancer))
    balancer.reload()
    wait_for(lambda: any("reload: nothing was changed" in line for line in log_lines(balancer)[count:]), "refusal by SIGHUP")
    assert any(words in line for line in log_lines(balancer)[count:]), f"'{words}' is not in the log"
    equal(without_traffic(balancer.status()), before, "status after a refused reload")
    equal(bench.topology.lb.run("nft", "--stateless", "list", "ruleset"), kernel, "nft after a refused reload")
    equal(listening(bench), sockets, "sockets after a refused reload")
    return answer


def test_bad_file_changes_nothing() -> None:
    """A file with errors, one that is gone, a VIP whose port somebody else has, a token that cannot be read, and a
    kernel that refuses the table: each is named, and nothing of the rest of the file is taken. The next good file is."""
    with lab(clients=len(CLIENTS), servers=SERVERS) as bench:
        first = changed(bench, set())
        balancer = start(bench, first["services"], ready=False)
        with Steady(bench, CLIENTS, (4,), RATE, vips=(VIP, SECOND_VIP)) as traffic:
            before = pins(balancer)
            good = {"backend", "weight", "service", "removal"}  # All of it would be taken.
            check_bad_files(bench, changed(bench, good))
            check_port_in_use(bench, changed(bench, good))
            check_bad_token(bench, changed(bench, good))
            equal(pins(balancer), before, "clients and their servers")
            reload(balancer, changed(bench, good))
            traffic.wait_sent(PACKETS_A_RELOAD)
            traffic.check()
        check_kernel_refuses(bench, changed(bench, good))


def check_bad_files(bench: Bench, configuration: Config) -> None:
    balancer = bench.balancer
    configuration["services"][1]["schedule"] = "bounded-hush"
    balancer.configure(configuration)
    lines = balancer.file.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "bounded-hush" in text)
    column = lines[line - 1].index("bounded-hush") + 1
    answer = check_refused(bench, f"{balancer.file}:{line}:{column}: services[1].schedule: ")
    equal(len(answer["errors"]), 1, "errors")
    balancer.file.write_text("services: [\n")
    check_refused(bench, f"{balancer.file}:2:1: not valid YAML")  # There the file has ended.
    balancer.file.unlink()
    check_refused(bench, "No such file or directory")


def check_port_in_use(bench: Bench, configuration: Config) -> None:
    bench.balancer.configure(configuration)
    taken = bench.topology.lb.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        taken.bind((THIRD_VIP[4], 4500))
        check_refused(bench, "services.third.vip: cannot listen there: Address already in use")
        wait_log(bench.balancer, f"cannot listen on UDP {THIRD_VIP[4]}:4500: Address already in use")
    finally:
        taken.close()


def check_bad_token(bench: Bench, configuration: Config) -> None:
    configuration["admin"] = {"token_file": str(bench.workspace.directory / "none")}
    bench.balancer.configure(configuration)
    check_refused(bench, "admin.token_file: cannot be used: No such file or directory")


def check_kernel_refuses(bench: Bench, configuration: Config) -> None:
    """Somebody has made ikelb's table his own: replacing it is not permitted until he lets go."""
    balancer, lb = bench.balancer, bench.topology.lb
    with subprocess.Popen(lb.command("nft", "-i"), stdin=subprocess.PIPE, text=True) as thief:
        assert thief.stdin
        thief.stdin.write("delete table inet ikelb\nadd table inet ikelb { flags owner; }\n")
        thief.stdin.flush()
        wait_for(lambda: "flags owner" in lb.run("nft", "list", "ruleset"), "the table with an owner")
        configuration["services"][1]["backends"].append({"name": "more", "address": "10.99.0.1"})
        balancer.configure(configuration)
        check_refused(bench, "the kernel refused the changed addresses; see the log")
        thief.stdin.close()
    reload(balancer, configuration)
    assert "10.99.0.1" in lb.run("nft", "list", "set", "inet", "ikelb", "backends4"), "the table is not ikelb's again"


def test_needs_restart() -> None:
    """What a running ikelb cannot change is named, the rest is taken; it is named again by the next reload, and not any
    more when the file says what holds."""
    with lab(clients=1, servers=2) as bench:
        first = [fake_service(bench, "transparent")]
        balancer = start(bench, first, ready=False)
        socket_path = str(bench.workspace.directory / "other.sock")
        other = [fake_service(bench, "full-nat", schedule="least-clients", persistence={"spread_nat": "true"})]
        fixed = {"services": other, "dataplane": {"max_clients": 2 * MAX_CLIENTS},
                 "admin": {"socket": socket_path, "listen": "127.0.0.1:8810"}}
        named = ["admin.listen", "admin.socket", "dataplane.max_clients", "services.fake.mode",
                 "services.fake.persistence.spread_nat"]
        for changes in (1, 0):
            answer = reload(balancer, fixed)
            equal(sorted(text.split(":")[0] for text in answer["needs_restart"]), named, f"named in {answer}")
            equal(sum("schedule: bounded-hash -> least-clients" in text for text in answer["changes"]), changes,
                  f"changes: {answer}")
        equal(balancer.status()["services"][0]["mode"], "transparent", "mode")
        answer = reload_services(balancer, first)
        equal(answer, {"changes": ["services.fake.schedule: least-clients -> bounded-hash"], "needs_restart": []},
              "the way back, where all but the schedule has stayed")
        equal(reload_services(balancer, first), {"changes": [], "needs_restart": []}, "the same file again")


def nft_set(bench: Bench, name: str) -> set[str]:
    """The addresses in a set of ikelb's table."""
    text = bench.topology.lb.run("nft", "list", "set", "inet", "ikelb", name)
    return set(re.findall(r"\d+\.\d+\.\d+\.\d+", text))


def backends(balancer: Balancer, service: str) -> dict[str, dict[str, Any]]:
    """The backends of the service of that name by their names; none if there is no such service."""
    found = [entry for entry in balancer.status()["services"] if entry["name"] == service]
    return {backend["name"]: backend for entry in found for backend in entry["backends"]}


def check_removed(mode: str) -> None:
    with lab(clients=40, servers=2) as bench:
        whole = fake_service(bench, mode, persistence=SHORT)
        first, second = whole["backends"]
        balancer = start(bench, [whole], ready=False)
        with Steady(bench, CLIENTS, (4,), RATE) as traffic:
            servers, client = traffic.servers, traffic.clients[4]
            counts = Counter(stream.server for stream in traffic.streams)
            assert counts[1] and counts[2], "one server has all clients: the test shows nothing"
            reload_services(balancer, [whole | {"backends": [second]}])
            left = backends(balancer, "fake")["s1"]
            equal((left["removed"], left["clients"]), (True, counts[1]), "the removed server: removed, clients")
            got = open_handshakes(client[500], servers, range(20, 32), VIP[4])
            equal(set(got.values()), {2}, "servers of new clients")
            reload_services(balancer, [whole])  # It is wanted again before its clients have gone.
            back = backends(balancer, "fake")["s1"]
            equal((back["removed"], back["clients"]), (False, counts[1]), "the server that is wanted again")
            assert back["new_clients_total"] == left["new_clients_total"], "it has begun anew"
            got = open_handshakes(client[500], servers, range(32, 40), VIP[4])
            assert 1 in got.values(), "the server that is wanted again gets no new client"
            usurper = {"name": "s1", "address": "10.99.0.1", "weight": 1}
            reload_services(balancer, [whole | {"backends": [usurper, second]}])
            equal(set(backends(balancer, "fake")), {"s1", "s2", f"s1@{server_address(1)}"}, "names")
            equal(nft_set(bench, "backends4"), {server_address(1), server_address(2), "10.99.0.1"}, "servers in nft")
            time.sleep(2 * 2.0)  # Longer than the idle timeout: who sends stays.
            assert f"s1@{server_address(1)}" in backends(balancer, "fake"), "it has gone although clients are there"
            traffic.check()
            reload_services(balancer, [whole | {"backends": [second]}])
            wait_for(lambda: set(backends(balancer, "fake")) == {"s2"}, "the removed server gone from the status", 15.0)
            wait_for(lambda: nft_set(bench, "backends4") == {server_address(2)}, "the removed server gone from nft")
            wait_log(balancer, f"backend s1@{server_address(1)}: removed: its last client has gone")
            server, _ = handshake(client, servers, traffic.streams[0].address, VIP[4])
            equal(server, 2, "the server of a client that comes back")


def test_removed_backend_transparent() -> None:
    """A server that is taken out of the file keeps its clients and gets no others; put back, it goes on; another may
    have its name meanwhile; when its last client has gone it goes from status, log and kernel."""
    check_removed("transparent")


def test_removed_backend_full_nat() -> None:
    """The same with full NAT."""
    check_removed("full-nat")


def test_removed_service() -> None:
    """A service that is taken out of the file serves the clients that it has; then its sockets close. A new one takes
    its name at once."""
    with lab(clients=4, servers=2) as bench:
        kept, gone = two_services(bench, (4,), persistence=SHORT)
        balancer = start(bench, [kept, gone], ready=False)
        with Steady(bench, (1,), (4,), RATE, vips=(SECOND_VIP,)) as traffic:
            servers, client, server = traffic.servers, traffic.clients[4], traffic.streams[0].server
            reload_services(balancer, [kept, gone | {"vip": [THIRD_VIP[4]]}])
            old = f"nat@{SECOND_VIP[4]}"
            equal([(entry["name"], entry["removed"]) for entry in balancer.status()["services"]],
                  [("open", False), ("nat", False), (old, True)], "services")
            client[500].send(messages.init(messages.spi()), (SECOND_VIP[4], 500), source=client_address(2))
            wait_for(lambda: balancer.status()["drops"]["no_backend"] == 1, "a new client of the removed service dropped")
            equal(balancer.request("GET", "/readyz")[0], 200, "readyz")
            time.sleep(2 * 2.0)  # Longer than the idle timeout: who sends stays.
            assert f"{SECOND_VIP[4]}:4500" in listening(bench), "the removed service's sockets are closed too soon"
            traffic.check()
            handshake(client, servers, client_address(3), THIRD_VIP[4])
            wait_for(lambda: f"{SECOND_VIP[4]}:4500" not in listening(bench), "the removed service's sockets closed", 15.0)
            equal([entry["name"] for entry in balancer.status()["services"]], ["open", "nat"], "services at last")
            equal(nft_set(bench, "vips4"), {VIP[4], THIRD_VIP[4]}, "VIPs in nft")
            wait_log(balancer, f"service {old}, backend s{server}: removed: its last client has gone")


def test_lists_during_reloads() -> None:
    """Status, clients and metrics that are read while one reload follows the other stay well-formed."""
    with lab(clients=600, servers=SERVERS) as bench:
        first = changed(bench, set())
        balancer = start(bench, first["services"], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        open_handshakes(client[500], servers, range(1, 601), VIP[4])
        made: set[str] = set()
        for count in range(40):
            made ^= {CHANGES[count % len(CHANGES)]}
            balancer.configure(changed(bench, made))
            readers = [subprocess.Popen(bench.topology.lb.command("curl", "-sS", "--max-time", "10", "--limit-rate", "2M",
                                                                  "--unix-socket", str(balancer.socket), f"http://x{path}"),
                                        stdout=subprocess.PIPE)
                       for path in ("/api/v1/clients?limit=1000", "/api/v1/status", "/metrics")]
            balancer.reload()
            clients, status, metrics = (reader.communicate(timeout=20.0)[0] for reader in readers)
            equal([reader.returncode for reader in readers], [0, 0, 0], "exit status of the readers")
            equal(len(json.loads(clients)["clients"]), 600, "clients listed")
            assert json.loads(status)["services"], "no services in the status"
            assert metrics.endswith(b"\n") and b"ikelb_build_info" in metrics, "the metrics end early"
        wait_for(lambda: done_count(balancer) == 40, "all reloads done")
        stop(bench)

