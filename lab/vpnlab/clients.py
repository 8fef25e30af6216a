"""Many VPN clients in one strongSwan process, each with a connection, an address and an identity of its own."""

import os
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from . import charon, pki, traffic
from .pinger import Pinger
from .servers import PSK
from .sites import Site, default_site
from .topology import TUNNEL_TARGET, VIP, Topology
from .vici import Message, Vici, section, text, texts
from .workspace import Workspace

POLL_S = 0.1
# So long an attempt may wait in charon's queue on a machine that is drowned by a flood.
QUEUE_S = 10.0

_INITIATING = re.compile(r"\binitiating IKE_SA (\S+)\[\d+\]")


@dataclass(frozen=True)
class ClientOptions:
    """How the clients are set up.

    A message is sent once and, `retransmissions` times, again; the first answer is awaited for `patience_s`, each
    further one twice as long. Without retransmissions each refusal is one failed client, which makes figures plain.
    """

    family: int = 4
    vip: str = ""  # default: the lab's VIP of the family
    auth: str = "psk"
    fragmentation: str = "yes"
    mobike: bool = False
    patience_s: float = 3.0
    retransmissions: int = 0
    settings: Mapping[str, str | int] = field(default_factory=dict)
    connection: Message = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of one client's attempt to connect."""

    client: int
    connected: bool
    seconds: float  # from the start of the attempt to the tunnel being up, or to the end of the wait
    virtual_address: str = ""


class Clients(charon.Charon):
    """The clients' charon. Client n has the address that the site gives it and the connection c<n>.

    The default site is the lab's own: client n has the address topology.client_address(n).
    """

    def __init__(
        self, workspace: Workspace, topology: Topology, options: ClientOptions, log: Path, site: Site | None = None
    ) -> None:
        self._site = site or default_site(topology)
        settings: dict[str, str | int] = {
            "retransmit_timeout": str(options.patience_s),
            "retransmit_tries": options.retransmissions,
            "retransmit_base": 2,
            **options.settings,
        }
        super().__init__(workspace, self._site.namespace, self._site.name, settings, log)
        self._options = options
        self._identity: pki.Identity | None = None

    def load(self, clients: Iterable[int], identity: pki.Identity | None) -> None:
        """Loads the connections of these clients. `identity` is for auth = chain; all clients share it."""
        self._identity = identity
        if identity:
            self.load_identity(identity)
        else:
            self.vici.command("load-shared", {"type": "IKE", "data": PSK, "owners": [pki.SERVER_ID]})
        for client in clients:
            self.vici.command("load-conn", {f"c{client}": self._connection(client)})

    def change(self, client: int, connection: Message) -> None:
        """Gives the connection of one client, which is loaded already, other keys."""
        self.vici.command("load-conn", {f"c{client}": {**self._connection(client), **connection}})

    def connect_all(self, clients: Iterable[int], timeout_s: float = 30.0) -> list[Outcome]:
        """Lets the clients connect, all at once, and waits until each is connected or has given up."""
        wanted = list(clients)
        watch = _Watch(self.connect())
        started: dict[str, float] = {}
        try:
            with self.log.open(errors="replace") as log:
                log.seek(0, os.SEEK_END)
                self._initiate(wanted, started)
                self._await(started, watch, log, time.monotonic() + timeout_s)
        finally:
            watch.close()
        now = time.monotonic()
        outcomes = []
        for client in wanted:
            up = watch.up.get(f"c{client}")
            seconds = (up[0] if up else now) - started[f"c{client}"]
            outcomes.append(Outcome(client, up is not None, seconds, up[1] if up else ""))
        return outcomes

    def start_only(self, clients: Iterable[int]) -> None:
        """Lets the clients begin to connect and does not wait for anything."""
        self._initiate(clients, {})

    def tunnels(self) -> dict[int, str]:
        """The clients that have a tunnel now, with their virtual addresses."""
        found = {}
        for name, sa in self.established():
            virtual = texts(sa.get("local-vips"))
            if virtual and section(sa.get("child-sas")):
                found[int(name[1:])] = virtual[0]
        return found

    def ping(self, clients: Iterable[int] | None = None, **how: Any) -> set[int]:
        """Pings through the tunnels of these clients (default: all that are up); returns those that got an answer."""
        wanted = self._tunnels_of(clients)
        answered = traffic.ping(self.namespace, wanted.values(), TUNNEL_TARGET, **how)
        return {client for client, address in wanted.items() if address in answered}

    def pinger(self, clients: Iterable[int] | None = None, interval_s: float = 0.1) -> Pinger:
        """Pings that go on through the tunnels of these clients (default: all that are up)."""
        return Pinger(self.namespace, self._tunnels_of(clients).values(), TUNNEL_TARGET, interval_s)

    def terminate(self, clients: Iterable[int]) -> None:
        """Ends the clients' tunnels by a DELETE to their servers, and waits for the answers."""
        for client in clients:
            self.vici.command("terminate", {"ike": f"c{client}", "timeout": 5000, "loglevel": -1})

    def rekey(self, client: int) -> None:
        """Lets a client ask its server for new keys of their IKE SA; does not wait for them."""
        self.vici.command("rekey", {"ike": f"c{client}"})

    def rekey_child(self, client: int) -> None:
        """The same for the keys of their tunnel, which brings new ESP SPIs."""
        self.vici.command("rekey", {"ike": f"c{client}", "child": "net"})

    def _tunnels_of(self, clients: Iterable[int] | None) -> dict[int, str]:
        chosen = None if clients is None else set(clients)
        return {client: address for client, address in self.tunnels().items() if chosen is None or client in chosen}

    def _initiate(self, clients: Iterable[int], started: dict[str, float]) -> None:
        for client in clients:
            started[f"c{client}"] = time.monotonic()
            # A timeout of -1 returns at once; the tunnel's fate comes as an event.
            self.vici.command("initiate", {"child": "net", "ike": f"c{client}", "timeout": -1, "loglevel": -1})

    def _await(self, started: Mapping[str, float], watch: "_Watch", log: TextIO, deadline: float) -> None:
        """Waits for the events of all attempts. A failed attempt has no event: its IKE SA just vanishes.

        `log` is charon's, read up to where the attempts began. One that fails at once may never be seen pending.
        """
        seen: set[str] = set()
        while (now := time.monotonic()) < deadline:
            seen |= begun(log.read())  # Before the pending ones are asked for: what begins in between is not over.
            missing = started.keys() - watch.up.keys()
            pending = self.pending() if missing else set()
            seen |= pending
            # An attempt is still in charon's queue before its IKE SA appears.
            queued = {name for name in missing - seen if now - started[name] < QUEUE_S}
            if not missing & pending and not queued:
                return
            time.sleep(POLL_S)

    def _connection(self, client: int) -> Message:
        options = self._options
        local: Message = {"auth": "psk", "id": f"c{client}.lab.example"}
        remote: Message = {"auth": "psk", "id": pki.SERVER_ID}
        if self._identity:
            local = {"auth": "pubkey", "id": pki.CLIENT_ID, "certs": [self._identity.certificate]}
            remote = {"auth": "pubkey", "id": pki.SERVER_ID, "cacerts": [self._identity.root]}
        return {
            "version": 2,
            "local_addrs": [self._site.address(client, options.family)],
            "remote_addrs": [options.vip or VIP[options.family]],
            "vips": ["0.0.0.0"],
            "proposals": charon.IKE_PROPOSALS,
            "fragmentation": options.fragmentation,
            "mobike": "yes" if options.mobike else "no",
            "send_cert": "always",
            "unique": "never",
            "keyingtries": 1,
            "local": local,
            "remote": remote,
            "children": {"net": {"remote_ts": [f"{TUNNEL_TARGET}/32"], "esp_proposals": charon.ESP_PROPOSALS}},
            **options.connection,
        }


def begun(log: str) -> set[str]:
    """The connections of which this part of a charon's log says that it begins to make them."""
    return set(_INITIATING.findall(log))


class _Watch:
    """Notes when each tunnel comes up, in a thread: the time must not wait for the starting of other clients."""

    def __init__(self, vici: Vici) -> None:
        self.up: dict[str, tuple[float, str]] = {}
        self._vici = vici
        self._vici.subscribe("child-updown")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._vici.close()
        self._thread.join()

    def _read(self) -> None:
        for _, message in self._vici.events():
            now = time.monotonic()
            if text(message.get("up")) != "yes":
                continue
            for name, sa in message.items():
                virtual = texts(section(sa).get("local-vips"))
                if isinstance(sa, dict) and virtual:
                    self.up.setdefault(name, (now, virtual[0]))
