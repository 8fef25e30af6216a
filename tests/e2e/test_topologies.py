"""docs/topologies.md, taken at its word: its commands are run as they stand there, and real clients connect."""

import re
from functools import cache
from pathlib import Path

from networks import COMPANY, Inline, OneArmed, TwoInterfaces, TwoNodes
from support import all_connected, equal, lab, start, stop, wait_for
from vpnlab.balancer import REPOSITORY, Balancer, binary, service
from vpnlab.bench import Bench
from vpnlab.clients import ClientOptions
from vpnlab.net import Namespace
from vpnlab.processes import Process
from vpnlab.topology import INSIDE, SNAT, Topology, client_address, server_address

DOCUMENT = REPOSITORY / "docs" / "topologies.md"
CLIENTS = range(1, 9)
STRANGERS = (9, 10, 11)

INLINE, ONE_ARMED, GATEWAY = "Inline gateway", "One-armed, with policy routing", "One-armed, ikelb as the default gateway"
TWO_INTERFACES, FULL_NAT, IPV6, TWO_NODES = "Servers with an inside interface", "Full NAT", "IPv6", "Two nodes"
FIREWALL, MISTAKE = "The firewall on ikelb's machine", "The classic mistake: an answer that goes past ikelb"

IKELB, SERVER, ROUTER = "on ikelb's machine", "on each server", "on the router"
CLIENTS_FIREWALL = """
    table inet firewall {
        chain input {
            type filter hook input priority filter
            meta l4proto udp ct state new drop
        }
    }
"""
ALARM = "^a server refuses new clients: .*check that its way back to clients leads through ikelb"
OTHER_TRAFFIC = ", for the servers' other traffic"


@cache
def sections() -> dict[str, str]:
    """The document's sections by their headings."""
    parts = re.split(r"^## (.+)\n", DOCUMENT.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def block(heading: str, language: str, first_line: str = "") -> str:
    """A section's one block of code in that language, with that comment as its first line if one is given."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", sections()[heading], flags=re.MULTILINE | re.DOTALL)
    if first_line:
        found = [text for text in found if text.startswith(f"# {first_line}\n")]
    equal(len(found), 1, f"blocks of {language} '{first_line}' in section '{heading}'")
    return found[0]


def obey(namespace: Namespace, heading: str, machine: str) -> None:
    """Runs a section's commands for a machine."""
    namespace.run("sh", "-e", "-c", block(heading, "sh", machine))


def obey_on_servers(network: Topology, heading: str, machine: str = SERVER) -> None:
    """The same on every server; 10.0.0.11 stands for its own address."""
    for number, namespace in network.servers.items():
        commands = block(heading, "sh", machine).replace(server_address(1), server_address(number))
        namespace.run("sh", "-e", "-c", commands)


def network_of(bench: Bench, kind: type[Inline]) -> Inline:
    assert isinstance(bench.topology, kind)
    return bench.topology


def carry(bench: Bench, *, family: int = 4, sources: set[str] | None = None) -> None:
    """All clients connect, their tunnels carry pings, and the servers see their own addresses, or `sources`."""
    bench.start_clients(ClientOptions(family=family), CLIENTS)
    all_connected(bench.clients.connect_all(CLIENTS))
    equal(bench.ping_tunnels(), set(CLIENTS), "clients whose tunnels carry pings")
    seen = {address for server in bench.servers.values() for address in server.clients().values()}
    equal(seen, sources or {client_address(number, family) for number in CLIENTS}, "the addresses that servers see")


def pings(namespace: Namespace, address: str) -> bool:
    """Does one ping in three have an answer?"""
    return " 0 received" not in namespace.run("ping", "-n", "-q", "-c", "3", "-i", "0.2", "-W", "1", address, statuses=(0, 1))


def test_inline_gateway() -> None:
    """ikelb is the servers' gateway: clients connect, without IP forwarding; with it the servers reach the rest of the
    world, too. The firewall's two rules are enough, and both are needed."""
    with lab(clients=max(STRANGERS), servers=2, network=Inline) as bench:
        network = network_of(bench, Inline)
        obey(network.lb, INLINE, IKELB)
        obey(network.router, INLINE, ROUTER)
        obey_on_servers(network, INLINE)
        bench.start_servers()
        start(bench, [service(network, "transparent")])
        carry(bench)

        assert not pings(network.servers[1], client_address(1)), "the servers' other traffic is forwarded unasked"
        obey(network.lb, INLINE, IKELB + OTHER_TRAFFIC)
        obey(network.router, INLINE, ROUTER + OTHER_TRAFFIC)
        assert pings(network.servers[1], client_address(1)), "the servers' other traffic is not forwarded"
        bench.stop_clients()
        check_firewall(bench, network)


def check_firewall(bench: Bench, network: Inline) -> None:
    """Each refusal is that of a client which ikelb has not seen before."""
    rules = block(FIREWALL, "nft")
    network.lb.nft(without(rules, "servers"))
    fails(bench, STRANGERS[0], "init-unanswered")
    wait_health(bench, "down")
    fails(bench, STRANGERS[1], "refused")

    replace_firewall(network, rules)
    wait_health(bench, "up")  # Answers to probes come in again.
    carry(bench)
    bench.stop_clients()

    replace_firewall(network, without(rules, "clients"))
    fails(bench, STRANGERS[2], "nothing-seen")


def fails(bench: Bench, client: int, verdict: str) -> None:
    """A client does not connect, and that is what ikelb says of it."""
    clients = bench.start_clients(ClientOptions(patience_s=1.0), [client])
    equal([outcome.connected for outcome in clients.connect_all([client])], [False], f"client {client} connected")
    equal(bench.balancer.explain(client_address(client))["verdict"], verdict, f"the verdict on client {client}")
    bench.stop_clients()


def replace_firewall(network: Inline, rules: str) -> None:
    network.lb.nft(f"delete table inet firewall\n{rules}")


def wait_health(bench: Bench, wanted: str) -> None:
    wait_for(lambda: {backend["health"] for backend in backends(bench.balancer)} == {wanted}, f"all servers {wanted}")


def without(rules: str, comment: str) -> str:
    """The rules but for the one with that comment."""
    lines = rules.splitlines()
    kept = [line for line in lines if f'comment "{comment}"' not in line]
    equal(len(kept), len(lines) - 1, f"rules with the comment '{comment}'")
    return "\n".join(kept) + "\n"


def backends(balancer: Balancer) -> list[dict[str, object]]:
    return list(balancer.status()["services"][0]["backends"])


def test_one_armed_and_the_mistake() -> None:
    """Servers whose default gateway is the router answer past ikelb: no client connects, and ikelb says what to look
    at. Rules by port, or by address, on the servers mend it."""
    for variant in (", by port", ", by address"):
        with lab(clients=len(CLIENTS), servers=2, network=OneArmed) as bench:
            network = network_of(bench, OneArmed)
            obey(network.lb, ONE_ARMED, IKELB)
            obey(network.router, ONE_ARMED, ROUTER)
            bench.start_servers()
            start(bench, [service(network, "transparent")])
            if variant == ", by port":
                check_mistake(bench)
            obey_on_servers(network, ONE_ARMED, SERVER + variant)
            if variant == ", by address":
                back = network.servers[1].ip("route", "get", client_address(1), "from", server_address(1))
                assert f" via {INSIDE[4]} " in back, f"the route back: {back}"
            carry(bench)


def check_mistake(bench: Bench) -> None:
    """What the document says of it is what ikelb says, word by word. The clients' firewall drops what nobody asked for, as
    that of any client and every NAT does; strongSwan itself would take an answer from another address."""
    said = sections()[MISTAKE]
    bench.topology.clients.nft(CLIENTS_FIREWALL)
    bench.start_clients(ClientOptions(patience_s=1.0, retransmissions=1))
    equal({outcome.connected for outcome in bench.clients.connect_all(CLIENTS)}, {False}, "clients connected")

    found = bench.balancer.explain(client_address(1))
    assert f"`{found['verdict']}`" in said, f"the verdict: {found['verdict']}"
    quoted = re.findall(r'"(Check that the server.*?)"', said)
    assert quoted and any(quoted[0] in advice for advice in found["advice"]), f"the advice: {found['advice']}"

    def alarmed() -> bool:
        status = bench.balancer.status()["services"][0]
        suspects = {(backend["health"], backend["suspect"]) for backend in status["backends"]}
        return suspects == {("up", "refusing")} and any(re.search(ALARM, a) for a in status["alarms"])

    wait_for(alarmed, "servers up, refusing, and an alarm")
    equal([backend["handshakes"]["answered"] for backend in backends(bench.balancer)], [0, 0], "handshakes answered")
    bench.stop_clients()
    server = bench.topology.servers[1]
    route = ("route", "get", client_address(1), "from", server_address(1))
    assert f" via {INSIDE[4]} " not in server.ip(*route), "the route back leads through ikelb"


def test_one_armed_gateway() -> None:
    """ikelb's machine as default gateway in the servers' own network: clients connect, and a server's other traffic
    does not teach it a way past ikelb."""
    with lab(clients=len(CLIENTS), servers=2, network=OneArmed) as bench:
        network = network_of(bench, OneArmed)
        obey(network.lb, ONE_ARMED, IKELB)
        obey(network.router, ONE_ARMED, ROUTER)
        obey_on_servers(network, GATEWAY, SERVER + ", default gateway")
        obey(network.lb, GATEWAY, IKELB + OTHER_TRAFFIC)
        bench.start_servers()
        start(bench, [service(network, "transparent")])
        assert pings(network.servers[1], client_address(1)), "the servers' other traffic is not forwarded"
        route = network.servers[1].ip("route", "get", client_address(1))
        assert f"via {INSIDE[4]}" in route, f"a redirect was believed: {route}"
        carry(bench)


def test_two_interfaces() -> None:
    """Servers with a default gateway in the company's network answer no client; with it outside, and a route inside,
    they serve clients and reach the company."""
    with lab(clients=len(CLIENTS), servers=2, network=TwoInterfaces) as bench:
        network = network_of(bench, TwoInterfaces)
        obey(network.lb, INLINE, IKELB)
        obey(network.router, INLINE, ROUTER)
        bench.start_servers()
        start(bench, [service(network, "transparent")])
        fails(bench, 1, "init-unanswered")
        obey_on_servers(network, TWO_INTERFACES)
        carry(bench)
        assert pings(network.servers[1], COMPANY), "the company's network is out of reach"


def test_full_nat_one_armed() -> None:
    """Full NAT needs nothing of the servers' routing."""
    with lab(clients=len(CLIENTS), servers=2, network=OneArmed) as bench:
        network = network_of(bench, OneArmed)
        obey(network.lb, FULL_NAT, IKELB)
        obey(network.router, ONE_ARMED, ROUTER)
        bench.start_servers()
        start(bench, [service(network, "full-nat")])
        carry(bench, sources={SNAT[4]})


def test_inline_v6() -> None:
    """The inline gateway over IPv6."""
    with lab(clients=len(CLIENTS), servers=2, network=Inline) as bench:
        network = network_of(bench, Inline)
        obey(network.lb, IPV6, IKELB)
        obey(network.router, IPV6, ROUTER)
        obey_on_servers(network, IPV6)
        bench.start_servers()
        start(bench, [service(network, "transparent", family=6)])
        carry(bench, family=6)


def test_two_nodes() -> None:
    """keepalived moves the addresses to the second node when ikelb on the first ends: with source-hash the tunnels go
    on, and new clients connect. When the first is back it stays aside."""
    with lab(clients=len(CLIENTS), servers=2, network=TwoNodes) as bench:
        network = network_of(bench, TwoNodes)
        assert isinstance(network, TwoNodes)
        obey(network.lb, TWO_NODES, "on the first node")
        obey(network.second, TWO_NODES, "on the second node")
        obey(network.router, TWO_NODES, ROUTER)
        obey_on_servers(network, TWO_NODES)
        bench.start_servers()
        start(bench, [service(network, "transparent", schedule="source-hash")])
        first = keepalived(bench, network.lb, "first", str(bench.balancer.socket))
        wait_for(lambda: has_addresses(network.lb), "the addresses on the first node", 20.0)
        second, socket = second_node(bench, network)
        keepalived(bench, network.second, "second", socket)
        carry(bench)
        assert not has_addresses(network.second), "the second node has taken over already"

        stop(bench)
        wait_for(lambda: has_addresses(network.second) and not has_addresses(network.lb), "the change-over", 20.0)
        equal(bench.ping_tunnels(), set(CLIENTS), "tunnels that go on through the second node")
        bench.stop_clients()
        carry(bench)

        bench.balancer.restart()
        bench.balancer.wait_ready()
        wait_for(lambda: is_backup(bench.log_dir / "keepalived-first.log"), "the first as a backup", 20.0)
        assert has_addresses(network.second), "the addresses went back"
        equal(bench.ping_tunnels(), set(CLIENTS), "tunnels that go on when the first node is back")
        bench.workspace.processes.stop([first, second])
        equal(second.exit_status(), 0, "exit status of the second node's ikelb")


def is_backup(log: Path) -> bool:
    """Has a keepalived that had failed become well again, without taking the addresses?"""
    text = log.read_text()
    return "FAULT STATE" in text and text.rfind("BACKUP STATE") > text.rfind("FAULT STATE")


def has_addresses(node: Namespace) -> bool:
    return {"10.0.0.1", "192.0.2.1", "203.0.113.10"} <= node.addresses()


def second_node(bench: Bench, network: TwoNodes) -> tuple[Process, str]:
    """ikelb on the second node, with the file of the first but for its socket. The process, and the socket."""
    socket = bench.workspace.directory / "second.sock"
    file = bench.workspace.directory / "second.yaml"
    file.write_text(bench.balancer.file.read_text().replace(str(bench.balancer.socket), str(socket)))
    argv = [str(binary()), "run", "-c", str(file)]
    process = bench.workspace.processes.start("second", argv, bench.log_dir / "second.log", namespace=network.second)
    wait_for(socket.exists, "the second ikelb")
    return process, str(socket)


def keepalived(bench: Bench, node: Namespace, name: str, socket: str) -> Process:
    """keepalived with the document's file. Only the program's place and its socket are the test's own."""
    directory = bench.workspace.directory / f"keepalived-{name}"
    directory.mkdir(mode=0o755)
    file = directory / "keepalived.conf"
    file.write_text(block(TWO_NODES, "conf").replace("/usr/bin/ikelb status", f"{binary()} status --socket {socket}"))
    argv = ["keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file", str(file),
            "--pid", str(directory / "pid"), "--vrrp_pid", str(directory / "vrrp")]
    return bench.workspace.processes.start(f"keepalived-{name}", argv, bench.log_dir / f"keepalived-{name}.log",
                                           namespace=node)
