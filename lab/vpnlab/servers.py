"""The pool of VPN servers: strongSwan responders with their default limits, and what their logs tell."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import charon, pki
from .topology import TUNNEL_TARGET, Topology, server_pool
from .vici import Message, section, text, texts
from .workspace import Workspace

PSK = "lab"

_REFUSED = re.compile(r"ignoring IKE_SA setup from (\S+), per-IP half-open IKE_SA limit")
_INITIATING = re.compile(r"\b(\S+) is initiating an IKE_SA")
_RECEIVED = re.compile(r"received packet: from \S+ to \S+ \((\d+) bytes\)")


@dataclass(frozen=True)
class ServerOptions:
    """How the servers are set up.

    `cookies` off keeps servers from asking newcomers for a cookie, which strongSwan 5.9.8 does not do reliably in the
    first seconds of a machine; its limit of 5 half-open handshakes per client address (block_threshold) is left alone.
    `settings` are further settings of strongswan.conf, `connection` further keys of the VICI connection.
    """

    auth: str = "psk"  # or "chain": RSA-4096 certificates
    fragmentation: str = "yes"  # RFC 7383: yes, no, accept, force
    auth_delay_ms: int = 0  # each IKE_AUTH waits this long, as it does for RADIUS or OCSP
    cookies: bool = False
    settings: Mapping[str, str | int] = field(default_factory=dict)
    connection: Message = field(default_factory=dict)


class Server(charon.Charon):
    """One responder. What it did is read from its own log and its own statistics."""

    def __init__(
        self, workspace: Workspace, topology: Topology, number: int, options: ServerOptions, log: Path
    ) -> None:
        super().__init__(workspace, topology.servers[number], f"s{number}", _settings(options), log)
        self.number = number
        self._options = options
        self._first_line = 0

    def load(self, identity: pki.Identity | None) -> None:
        """Loads the connection and its secrets. `identity` is for auth = chain."""
        local: Message = {"auth": "psk", "id": pki.SERVER_ID}
        remote: Message = {"auth": "psk"}
        if identity:
            self.load_identity(identity)
            local = {"auth": "pubkey", "id": pki.SERVER_ID, "certs": [identity.certificate]}
            remote = {"auth": "pubkey", "cacerts": [identity.root]}
        else:
            self.vici.command("load-shared", {"type": "IKE", "data": PSK, "owners": [pki.SERVER_ID]})
        pool: Message = {"addrs": server_pool(self.number)}
        self.vici.command("load-pool", {"tunnel": pool})
        connection: Message = {
            "version": 2,
            "pools": ["tunnel"],
            "proposals": charon.IKE_PROPOSALS,
            "fragmentation": self._options.fragmentation,
            "send_cert": "always",
            "unique": "never",
            "local": local,
            "remote": remote,
            "children": {"net": {"local_ts": [f"{TUNNEL_TARGET}/32"], "esp_proposals": charon.ESP_PROPOSALS}},
            **self._options.connection,
        }
        self.vici.command("load-conn", {"vpn": connection})

    def clients(self) -> dict[str, str]:
        """The virtual addresses of the clients with a tunnel here, and the address each comes from as seen here."""
        found = {}
        for _, sa in self.established():
            for virtual in texts(sa.get("remote-vips")):
                found[virtual] = text(sa.get("remote-host"))
        return found

    def half_open(self) -> int:
        """Handshakes that were answered and never finished."""
        return int(text(section(self.vici.command("stats").get("ikesas")).get("half-open")))

    def count_from_here(self) -> None:
        """The counts below, which are read from the log, leave out what is in it now."""
        self._first_line = len(self.lines())

    def refused(self) -> list[str]:
        """The source address of each IKE_SA_INIT it ignored for its limit of half-open handshakes per address."""
        return [match[1] for match in self._found(_REFUSED)]

    def initiators(self) -> list[str]:
        """The source address of each handshake it took up."""
        return [match[1] for match in self._found(_INITIATING)]

    def largest_message_bytes(self) -> int:
        """The size of the largest IKE message it received."""
        return max((int(match[1]) for match in self._found(_RECEIVED)), default=0)

    def _found(self, pattern: re.Pattern[str]) -> list[re.Match[str]]:
        return [match for line in self.lines()[self._first_line :] if (match := pattern.search(line))]


def _settings(options: ServerOptions) -> dict[str, str | int]:
    settings: dict[str, str | int] = {}
    if not options.cookies:
        settings |= {"cookie_threshold": 0, "cookie_threshold_ip": 0}
    if options.auth_delay_ms:
        ike_auth = 35  # RFC 7296 section 3.1
        settings |= {
            "receive_delay": options.auth_delay_ms,
            "receive_delay_type": ike_auth,
            "receive_delay_request": "yes",
            "receive_delay_response": "no",
        }
    return settings | dict(options.settings)
