"""Why a client does or doesn't connect: a situation for each verdict of `ikelb explain`, and what brings it about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from .vici import Message


class Place(Enum):
    """Where packets get lost: in which namespaces, by which hook of nft."""

    CLIENT = "type filter hook output priority filter"
    # The last hop before ikelb. Later than this, connection tracking would have put the fragments together.
    WAY = "type filter hook prerouting priority -450"
    SERVERS = "type filter hook input priority filter"


@dataclass(frozen=True)
class Situation:
    """One client, and the verdict on it. `lost` matches, in nft's words, those of its packets that `place` drops.

    `advice` is part of what ikelb must advise too, where the verdict alone does not tell two situations apart.
    `connection` are keys of its VICI connection that differ from the other clients'. A client that `pings` does so
    when it is connected; beside one that is `noisy` something else at its address begins handshakes all the time.
    """

    title: str
    verdict: str
    place: Place | None = None
    lost: str = ""
    advice: str = ""
    connection: Message = field(default_factory=dict)
    pings: bool = False
    noisy: bool = False


IKE = "udp dport { 500, 4500 }"
NAT_TRAVERSAL = "udp dport 4500"
FRAGMENTS = "ip frag-off & 0x3fff != 0"

# Who the servers do not know: they want certificates.
GUEST_ID = "guest.lab.example"
GUEST: Message = {"auth": "psk", "id": GUEST_ID}

# In the order of a handshake. Client 1, 2, 3, ... is in the first, second, third, ... of them.
SITUATIONS = (
    Situation("its packets do not come as far as ikelb", "nothing-seen", Place.CLIENT, IKE),
    Situation("no server gets its packets", "init-unanswered", Place.SERVERS, IKE),
    Situation(
        "it proposes algorithms that the servers refuse",
        "init-rejected",
        connection={"proposals": ["aes128-sha1-modp1024"]},
    ),
    Situation(
        "UDP 4500 is blocked on the client's side",
        "answered-no-auth",
        Place.CLIENT,
        NAT_TRAVERSAL,
        advice="large certificates are most likely not the cause",
    ),
    Situation(
        "large certificates, and IP fragments get lost",
        "answered-no-auth",
        Place.WAY,
        FRAGMENTS,
        advice="The client does not announce IKE fragmentation.",
        connection={"fragmentation": "no"},
    ),
    Situation("UDP 4500 is blocked at the servers", "auth-unanswered", Place.SERVERS, NAT_TRAVERSAL),
    Situation("too many handshakes come from its address", "refused", noisy=True),
    Situation("the server does not accept its credentials", "auth-answered", connection={"local": GUEST}),
    Situation("connected, and nothing sent yet", "auth-answered"),
    Situation("connected", "established", pings=True),
)

# What happens to clients that are connected.
MOVED = Situation("its address has changed (MOBIKE)", "moved")
ARRIVED = Situation("the same client, asked for by its new address", "established")
IDLE = Situation("connected and idle, since before ikelb was restarted", "tunnel-known")
FORGOTTEN = Situation("connected before that, and its server is silent now", "tunnel-unanswered", Place.SERVERS, IKE)


def rules(place: Place, situations: Mapping[str, Situation]) -> str:
    """The nft table that loses packets at a place, of all situations there. Those are given by client address."""
    drops = [
        f"ip saddr {address} {situation.lost} counter drop"
        for address, situation in situations.items()
        if situation.place is place
    ]
    table = f"table inet lost-{place.name.lower()}"
    lines = [
        table,
        f"delete {table}",  # Made before, as it may not have been there yet.
        f"{table} {{",
        "    chain lost {",
        *(f"        {line}" for line in (place.value, *drops)),
        "    }",
        "}",
    ]
    return "".join(f"{line}\n" for line in lines)
