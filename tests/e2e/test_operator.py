"""What an operator does to backends and to the configuration while ikelb runs, by the command line."""

import json
import re

import messages
from peers import FakeServers, Port, client_ports, fake_service, handshake, open_handshakes
from support import equal, ikelb, lab, start, wait_log
from vpnlab.balancer import Balancer, binary
from vpnlab.bench import Bench
from vpnlab.topology import VIP, client_address

DONE, NO = 0, 1
OLD = range(1, 5)  # clients that are there before anything changes


def run(bench: Bench, *argv: str) -> tuple[int, str, str]:
    return ikelb(bench.topology.lb, argv[0], "--socket", str(bench.balancer.socket), *argv[1:])


def state_shown(bench: Bench, name: str) -> str:
    """The cell STATE of a backend, as people see it."""
    _, output, _ = run(bench, "status")
    lines = output.splitlines()
    head = next(line for line in lines if line.lstrip().startswith("BACKEND"))
    row = next(line for line in lines if line.lstrip().startswith(f"{name} "))
    return row[head.index("STATE"):head.index("HEALTH")].strip()


def esp_reaches(client: Port, servers: FakeServers, address: str) -> int:
    client.send(messages.esp(address.encode()), (VIP[4], 4500), source=address)
    return servers.receive(4500)[0]


def test_drain() -> None:
    """A draining server keeps its clients, whatever they begin, and gets no new ones; enabled again, it does. A disabled
    one keeps tunnels, but not their clients' next handshake. Every change is in the log."""
    with lab(clients=40, servers=2) as bench:
        balancer = start(bench, [fake_service(bench, "transparent", schedule="round-robin")], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        other = Port(bench.topology.clients, 4, 61000)
        home = {number: handshake(client, servers, client_address(number), VIP[4])[0] for number in OLD}
        first = [number for number in OLD if home[number] == 1]
        equal(len(first), 2, "clients of the first server")

        code, output, error = run(bench, "drain", "fake/s1")
        equal((code, error), (DONE, ""), "drain")
        equal(output, "fake/s1: drain; 2 clients stay until they end, new ones go elsewhere\n", "drain says")
        wait_log(balancer, "admin: fake/s1: drain, was enabled; clients: 2; by a request over the socket")
        equal(state_shown(bench, "s1"), "drain, 2 left", "the state shown")
        for number in first:  # A further tunnel, from the same port and from another, and the one that there is.
            address = client_address(number)
            equal(handshake(client, servers, address, VIP[4])[0], 1, f"the server of another handshake of {address}")
            equal(esp_reaches(client[4500], servers, address), 1, f"the server of {address}'s tunnel")
            equal(esp_reaches(other, servers, address), 1, f"the server of a new flow of {address}")
        new = open_handshakes(client[500], servers, range(5, 15), VIP[4])
        equal(set(new.values()), {2}, "servers of new clients while s1 drains")

        code, output, error = run(bench, "enable", "fake/s1")
        equal((code, output, error), (DONE, "fake/s1: enabled; it gets new clients\n", ""), "enable")
        new = open_handshakes(client[500], servers, range(15, 25), VIP[4])
        equal(set(new.values()), {1, 2}, "servers of new clients after enable")

        code, output, _ = run(bench, "disable", "--json", "fake/s1")
        equal((code, json.loads(output)["backends"][0]["state"]), (DONE, "disabled"), "disable")
        address = client_address(first[0])
        equal(esp_reaches(client[4500], servers, address), 1, "the server of a tunnel after disable")
        equal(handshake(client, servers, address, VIP[4])[0], 2, "the server of a new handshake after disable")
        check_refusals(bench, balancer)


def check_refusals(bench: Bench, balancer: Balancer) -> None:
    """The last server is drained, too, but not without a warning; unknown names change nothing."""
    code, _, error = run(bench, "drain", "fake/s2")
    equal(code, DONE, "exit status of a drain with a warning")
    equal(error, "ikelb drain: warning: service fake has no backend for new clients now: they are dropped\n", "drain")
    equal(json.loads(balancer.request("GET", "/readyz")[1])["ready"], False, "ready")
    code, output, error = run(bench, "enable", "fake/s3")
    equal((code, output), (NO, ""), "enable of an unknown server")
    equal(error, "ikelb enable: service fake has no backend 's3'; there are s1 and s2\n", "its complaint")
    code, output, error = run(bench, "enable", "fake/s1", "fake/s2")
    equal((code, output.count("it gets new clients"), error), (DONE, 2, ""), "enable of two")


def test_reload_command() -> None:
    """`ikelb reload` prints what has changed; of a bad file all errors, as `check` prints them, and nothing is changed."""
    with lab(clients=1, servers=2) as bench:
        pool = fake_service(bench, "transparent")
        balancer = start(bench, [pool], ready=False)
        equal(run(bench, "reload"), (DONE, "nothing has changed\n", ""), "reload of the same file")

        configuration = {"services": [pool | {"schedule": "round-robin"}], "dataplane": {"max_clients": 20000}}
        balancer.configure(configuration)
        code, output, error = run(bench, "reload")
        assert code == DONE and "schedule" in output and "round-robin" in output, (code, output, error)
        assert error.startswith("needs a restart: dataplane.max_clients: "), error
        equal(balancer.status()["services"][0]["schedule"], "round-robin", "the schedule after the reload")

        balancer.configure(configuration | {"services": [pool | {"schedule": "rnd", "mode": "open"}]})
        code, output, error = run(bench, "reload")
        checked = ikelb(bench.topology.lb, "check", str(balancer.file))
        equal((code, output), (NO, ""), "reload of a bad file")
        equal(error, checked[2] + "ikelb reload: nothing was changed\n", "its complaints")
        equal(len(error.splitlines()), 3, "lines of complaint")
        equal(balancer.status()["services"][0]["schedule"], "round-robin", "the schedule after a bad file")


def test_top() -> None:
    """The live screen before a real ikelb: new clients show, the selected server is drained, and when ikelb is killed
    and started again the screen goes on."""
    from terminal import DOWN, Terminal  # Needs python3-pyte, which no other test here does.

    with lab(clients=20, servers=2) as bench:
        balancer = start(bench, [fake_service(bench, "transparent", schedule="round-robin")], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        with Terminal([str(binary()), "top", "--socket", str(balancer.socket)]) as terminal:
            terminal.wait_for("> s1 ")
            for number in OLD:
                handshake(client, servers, client_address(number), VIP[4])
            terminal.wait_for(" 4 begun > 4 answered > 4 auth > 4 answered > 0 up")
            counts = re.findall(r" s\d +enabled +unknown +(\d+) ", terminal.text())
            equal(counts, ["2", "2"], f"clients of the two servers in\n{terminal.text()}")
            terminal.type(DOWN + "d")
            terminal.wait_for("drain fake/s2? ")
            terminal.type("y")
            terminal.wait_for("fake/s2: drain; 2 clients stay until they end, new ones go elsewhere")
            equal(balancer.backend("s2")["state"], "drain", "the state of s2")

            balancer.kill()
            terminal.wait_for("ikelb is not reachable, for ")
            terminal.wait_for("nobody listens there any more: ikelb has ended")
            balancer.restart()
            terminal.wait_gone("not reachable")
            terminal.type("q")
            equal(terminal.wait_end(), DONE, "how top ended")
