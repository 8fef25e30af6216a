"""Handshakes that take more than one round or another version of IKE, by real clients: each is one handshake."""

from typing import Any

from support import all_connected, equal, lab, start
from vpnlab.balancer import service
from vpnlab.clients import ClientOptions
from vpnlab.servers import ServerOptions
from vpnlab.topology import client_address

VERSION_1, OTHER_GROUP, PLAIN = 1, 2, 3

# strongSwan may throw an answer away that comes while it still handles the one before: then it repeats its message.
OPTIONS = ClientOptions(patience_s=0.5, retransmissions=3)


def test_rounds_of_one_handshake() -> None:
    """A client of IKEv1, one whose first guess of a key exchange group the server does not take (INVALID_KE_PAYLOAD),
    and a plain one connect through both modes. Each has one handshake, in all its stages, at one server."""
    for mode in ("transparent", "full-nat"):
        with lab(clients=3, servers=2) as bench:
            bench.start_servers(ServerOptions(connection={"version": 0}))
            balancer = start(bench, [service(bench.topology, mode)])
            clients = bench.start_clients(OPTIONS)
            clients.change(VERSION_1, {"version": 1})
            clients.change(OTHER_GROUP, {"proposals": ["aes128-sha256-ecp256-x25519"]})
            all_connected(clients.connect_all((VERSION_1, OTHER_GROUP, PLAIN)))
            equal(bench.ping_tunnels(), {VERSION_1, OTHER_GROUP, PLAIN}, "clients whose tunnels carry pings")
            for client, messages in ((VERSION_1, 1), (OTHER_GROUP, 2), (PLAIN, 1)):
                check_one(balancer.explain(client_address(client)), messages)
            counts = [backend["handshakes"] for backend in balancer.status()["services"][0]["backends"]]
            for stage in ("init_sent", "init_answered", "auth_answered", "established"):
                equal(sum(count[stage] for count in counts), 3, f"handshakes that came to {stage}")


def check_one(document: dict[str, Any], messages: int) -> None:
    """It tells of one handshake whose first message came so often, or more often if one was thrown away."""
    address = document["address"]
    equal(document["verdict"], "established", f"the verdict on {address}")
    equal(len(document["handshakes"]), 1, f"handshakes of {address}")
    shake = document["handshakes"][0]
    assert shake["init_count"] >= messages, f"{shake['init_count']} first messages of {address}"
    equal((shake["error"], shake["failovers"]), (None, 0), f"error and failovers of {address}")
