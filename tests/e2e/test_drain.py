"""Draining, and reloads, with real clients: a server is emptied without anybody noticing. (By hand: test_operator.)"""

import json
import time
from collections import Counter

from peers import FakeServers, Port, client_ports, fake_service, handshake, open_handshakes
from support import MAX_CLIENTS, all_connected, equal, lab, start, wait_for, wait_log
from variants import long
from vpnlab.balancer import Balancer, service
from vpnlab.bench import Bench
from vpnlab.clients import ClientOptions
from vpnlab.servers import ServerOptions
from vpnlab.sites import Site
from vpnlab.topology import Topology, VIP, client_address, server_of

HOSTS = range(1, 11)
NEW_HOSTS = range(11, 17)
SERVERS = 3
RELOADS = 20
SHORT = {"idle_timeout": "4s", "half_open_timeout": "2s"}
OPTIONS = ClientOptions(patience_s=0.5, retransmissions=4)
UNLIMITED = ServerOptions(settings={"dos_protection": "no"})


def device_tunnel(host: int) -> int:
    """The client that is the first tunnel of a host ..."""
    return 2 * host - 1


def user_tunnel(host: int) -> int:
    """... and that which is its second, from the same address and port."""
    return 2 * host


def hosts_with_two_tunnels(topology: Topology) -> Site:
    return Site("clients", topology.clients, lambda client, family: client_address((client + 1) // 2, family))


def drain(balancer: Balancer, name: str) -> None:
    status, body = balancer.request("POST", f"/api/v1/backends/vpn/{name}/drain")
    equal(status, 200, f"status of the drain ({body!r})")


def reload_often(bench: Bench, mode: str) -> None:
    """Weights, timeouts, order and another server's address come and go."""
    for count in range(RELOADS):
        changed = service(bench.topology, mode, persistence=SHORT, weights={1: 100 + count})
        if count % 2:
            changed["backends"].reverse()
            changed["backends"].append({"name": "more", "address": "10.99.0.1", "state": "disabled"})
            changed["schedule"] = "least-clients"
        bench.balancer.configure({"services": [changed], "dataplane": {"max_clients": MAX_CLIENTS}})
        status, body = bench.balancer.request("POST", "/api/v1/reload")
        equal((status, json.loads(body).get("needs_restart")), (200, []), f"reload {count} ({body!r})")


def check_tunnels(mode: str) -> None:
    with lab(clients=max(NEW_HOSTS), servers=SERVERS) as bench:
        bench.start_servers(UNLIMITED)
        balancer = start(bench, [service(bench.topology, mode, persistence=SHORT)])
        everybody = range(1, user_tunnel(max(NEW_HOSTS)) + 1)
        clients = bench.start_clients_at(hosts_with_two_tunnels(bench.topology), OPTIONS, everybody)
        firsts = [device_tunnel(host) for host in HOSTS]
        all_connected(clients.connect_all(firsts))
        home = {client: server_of(tunnel) for client, tunnel in clients.tunnels().items()}
        counts = Counter(home.values())
        left = max(counts, key=lambda server: counts[server])
        name = f"s{left}"
        with clients.pinger(firsts, interval_s=0.05) as pinger:
            begin = time.monotonic()
            reload_often(bench, mode)
            drain(balancer, name)
            time.sleep(4.0)  # The idle timeout: who sends is not at rest.
            seconds = [user_tunnel(host) for host in HOSTS]
            all_connected(clients.connect_all(seconds))
            all_connected(clients.connect_all([device_tunnel(host) for host in NEW_HOSTS]))
            end = time.monotonic()
            wait_for(lambda: time.monotonic() > end + 0.5, "the last answers")
            equal(pinger.answered(begin, end), pinger.sent(begin, end), "pings of the first tunnels that were answered")
            print(f"     {mode}: {RELOADS} reloads and a drain under {pinger.sent(begin, end)} pings: none lost")
            servers = {client: server_of(tunnel) for client, tunnel in clients.tunnels().items()}
            equal({client: servers[client] for client in firsts}, home, "servers of the first tunnels")
            equal([servers[client] for client in seconds], [servers[client] for client in firsts], "servers of the pairs")
            new = {servers[device_tunnel(host)] for host in NEW_HOSTS}
            assert left not in new, f"a new client went to {name}, which is being drained"
            equal(balancer.backend(name)["clients"], counts[left], f"clients that are left at {name}")
        assert not any("drained" in line for line in balancer.log.read_text().splitlines()), "drained with clients"
        clients.terminate(client for client, server in servers.items() if server == left)
        wait_for(lambda: balancer.backend(name)["clients"] == 0, f"no client left at {name}", 15.0)
        wait_log(balancer, f"service vpn, backend {name}: drained: no client is left")
        again = [client for client in firsts if home[client] == left]
        all_connected(clients.connect_all(again))
        back = {server_of(tunnel) for client, tunnel in clients.tunnels().items() if client in again}
        assert left not in back, f"a client came back to {name}, which is being drained"


@long
def test_drain_tunnels_transparent() -> None:
    """Ten strongSwan clients stay connected, without a lost ping, through 20 reloads and the drain of their server; a
    second tunnel of each joins the first at its server, draining or not; new clients go elsewhere. When the last has
    ended the log says so, and who comes back then goes elsewhere, too."""
    check_tunnels("transparent")


@long
def test_drain_tunnels_full_nat() -> None:
    """The same with full NAT."""
    check_tunnels("full-nat")


def test_drain_by_file() -> None:
    """`state: drain` in the file does the same, and an operator's word is not undone by a reload that says nothing new
    about it."""
    with lab(clients=30, servers=2) as bench:
        balancer = start(bench, [fake_service(bench, "transparent", persistence=SHORT)], ready=False)
        servers, client = FakeServers(bench), client_ports(bench)
        other = Port(bench.topology.clients, 4, 61000)
        home = {number: handshake(client, servers, client_address(number), VIP[4])[0] for number in range(1, 9)}
        first = next(number for number, server in home.items() if server == 1)

        balancer.configure({"services": [fake_service(bench, "transparent", persistence=SHORT, states={1: "drain"})]})
        equal(balancer.request("POST", "/api/v1/reload")[0], 200, "status of the reload")
        both = {500: client[500], 4500: other}
        equal(handshake(both, servers, client_address(first), VIP[4])[0], 1, "the server of a second tunnel")
        equal(set(open_handshakes(client[500], servers, range(9, 20), VIP[4]).values()), {2}, "servers of new clients")
        wait_log(balancer, "service fake, backend s1: drained: no client is left", 15.0)

        equal(balancer.request("POST", "/api/v1/backends/fake/s1/enable")[0], 200, "status of the enable")
        changed = fake_service(bench, "transparent", persistence=SHORT, states={1: "drain"}, weights={1: 7, 2: 7})
        balancer.configure({"services": [changed]})
        equal(balancer.request("POST", "/api/v1/reload")[0], 200, "status of the reload")
        equal(balancer.backend("s1")["state"], "enabled", "the state after a reload that says nothing new")
        assert 1 in open_handshakes(client[500], servers, range(20, 31), VIP[4]).values(), "s1 gets no new client"
