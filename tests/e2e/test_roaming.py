"""Clients that move: MOBIKE, and NAT gateways that change a client's port, with real clients and servers."""

import re
import time
from typing import Any

from support import all_connected, equal, lab, listed_client, start, wait_for
from variants import every_path
from vpnlab.balancer import service
from vpnlab.bench import Bench
from vpnlab.clients import ClientOptions, Clients
from vpnlab.servers import ServerOptions
from vpnlab.sites import Gateway, Roamer
from vpnlab.topology import server_of

MODES = ("transparent", "full-nat")

# kernel-libipsec cannot move an SA to another address: the server makes a new one, and its first message may still go
# to where the client was.
# Several of the clients share an address, so the limits per address are off.
SERVERS = ServerOptions(
    settings={"dos_protection": "no", "retransmit_timeout": "0.3", "retransmit_tries": 6, "retransmit_base": 1}
)

DPD_ANSWER = re.compile(r"parsed INFORMATIONAL response \d+ \[ N\(NATD_S_IP\)")


def patient(**connection: str) -> ClientOptions:
    """Clients that repeat themselves soon and often."""
    return ClientOptions(patience_s=0.3, retransmissions=6, settings={"retransmit_base": 1}, connection={**connection})


def start_pool(bench: Bench, mode: str, **extra: Any) -> None:
    """Three servers behind ikelb, and no way to them but through it: a MOBIKE client tries every address that its
    server has told it."""
    bench.topology.lb.sysctl({"net.ipv4.ip_forward": 0})
    bench.start_servers(SERVERS)
    start(bench, [service(bench.topology, mode, health={"probe": "none"}, **extra)], ready=False)


def only_server(clients: Clients, client: int) -> int:
    """The number of the server that a client has its tunnel with."""
    return server_of(clients.tunnels()[client])


def check_mobike(mode: str) -> None:
    with lab(clients=1, servers=3) as bench:
        roamer = Roamer(bench.workspace, bench.topology)
        start_pool(bench, mode)
        clients = bench.start_clients_at(roamer.site(), patient(mobike="yes"), [1])
        all_connected(clients.connect_all([1]))
        home, tunnel = only_server(clients, 1), clients.tunnels()[1]
        with clients.pinger([1]) as pinger:
            pinger.interruption(tunnel, time.monotonic())
            for move in range(1, 4):
                moment = time.monotonic()
                address = roamer.move()
                seen = pinger.interruption(tunnel, moment)
                print(f"MOBIKE, {mode}, move {move}: {seen.lost} pings lost, resumed after {seen.resumed_s:.2f} s")
                found = wait_for(lambda: listed_client(bench.balancer, address), f"{address} among the clients")
                equal(found["backend"], f"s{home}", "the backend after the move")
                assert found["roams"] >= 1, f"ikelb has not counted the move: {found}"
        equal(clients.tunnels(), {1: tunnel}, "the tunnel after all moves")
        equal(len(bench.servers[home].established()), 1, "IKE SAs at the server")
        equal([n for n, server in bench.servers.items() if server.established()], [home], "servers with an IKE SA")


@every_path
def test_mobike_transparent() -> None:
    """A MOBIKE client changes its address three times: its tunnel goes on with the same server, and ikelb lists it
    under the new address."""
    check_mobike("transparent")


@every_path
def test_mobike_full_nat() -> None:
    """The same with full NAT, where the server sees nothing but another port."""
    check_mobike("full-nat")


def check_rebinding(mode: str, *, mobike: str = "no", spread: bool = False) -> None:
    hosts = range(1, 7)
    with lab(clients=1, servers=3) as bench:
        gateway = Gateway(bench.workspace, bench.topology, len(hosts))
        start_pool(bench, mode, **({"persistence": {"spread_nat": "true"}} if spread else {}))
        clients = bench.start_clients_at(gateway.site(), patient(mobike=mobike, dpd_delay="1s"), hosts)
        all_connected(clients.connect_all(hosts))
        tunnels = clients.tunnels()
        homes = {server_of(tunnel) for tunnel in tunnels.values()}
        assert (len(homes) > 1) == spread, f"6 clients behind one address are at servers {homes}"
        if mobike == "yes":
            # The client notices a new mapping only by comparing it with what an earlier DPD has shown; and DPD happens
            # only while nothing comes through the tunnel.
            wait_for(lambda: len(DPD_ANSWER.findall(clients.log.read_text())) >= len(hosts), "DPD exchanges", 5.0)
        with clients.pinger() as pinger:
            for tunnel in tunnels.values():
                pinger.interruption(tunnel, time.monotonic(), steady=2)
            moment = time.monotonic()
            gateway.remap(hosts)
            seen = [pinger.interruption(tunnel, moment) for tunnel in tunnels.values()]
        lost = sorted(one.lost for one in seen)
        # Most of this is the client's own: it asks by DPD when it has heard nothing for one to two seconds.
        print(f"rebinding, {mode}, MOBIKE {mobike}, spread {spread}: {lost[0]} to {lost[-1]} pings lost, resumed after "
              f"{max(one.resumed_s for one in seen):.2f} s at the latest")
        equal(clients.tunnels(), tunnels, "the tunnels after the rebinding")
        for number, server in bench.servers.items():
            wanted = sum(server_of(tunnel) == number for tunnel in tunnels.values())
            equal(len(server.established()), wanted, f"IKE SAs at server {number}")


@every_path
def test_rebinding_transparent() -> None:
    """A NAT gateway gives six clients, which know no MOBIKE, other ports: their IKE reaches the same server and their
    tunnels carry pings again."""
    check_rebinding("transparent")


@every_path
def test_rebinding_full_nat() -> None:
    """The same with full NAT."""
    check_rebinding("full-nat")


@every_path
def test_rebinding_spread() -> None:
    """The same where the six are spread over servers, so that their address tells nothing."""
    check_rebinding("transparent", spread=True)


@every_path
def test_rebinding_spread_full_nat() -> None:
    """The same with full NAT."""
    check_rebinding("full-nat", spread=True)


@every_path
def test_rebinding_mobike() -> None:
    """The same for clients with MOBIKE, which find out by DPD and tell their servers."""
    check_rebinding("transparent", mobike="yes", spread=True)
