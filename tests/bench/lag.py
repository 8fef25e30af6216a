"""The loop's lag: how long ikelb's one loop takes for a turn while everything comes at once.

Full load in both directions with many clients, each of which is looked at by sweeps; probes by ICMP, and by IKE of one
server that answers and of one that refuses; and a scrape of /metrics every 0.2 s.
"""

import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ikelb import Ikelb, loop_lag, service
from load import Load
from network import site
from quiet import measured
from results import Lag
from rounds import progress
from stats import bound
from vpnlab.net import Namespace

SCRAPE_S = 0.2
PROBE = {"interval": "500ms", "timeout": "400ms"}
OTHER_VIP = "203.0.113.11"
ANSWERING, REFUSING = "10.0.0.12", "10.0.0.13"

HEADER = struct.Struct("!8s8sBBBBII")  # RFC 7296 section 3.1
NOTIFY, VERSION, IKE_SA_INIT, RESPONSE = 41, 0x20, 34, 0x20
NO_PROPOSAL_CHOSEN = struct.pack("!BBHBBH", 0, 0, 8, 0, 0, 14)
MARKER = bytes(4)  # before IKE on port 4500: RFC 3948 section 2.2


def services() -> list[dict[str, Any]]:
    backends = [{"name": "answers", "address": ANSWERING}, {"name": "refuses", "address": REFUSING}]
    return [
        service(health={"probe": "icmp", **PROBE}),
        {"name": "probed", "vip": OTHER_VIP, "health": {"probe": "ike", **PROBE}, "backends": backends},
    ]


def measure_lag(kinds: Sequence[type[Ikelb]], clients: int, seconds: float) -> dict[str, Lag]:
    found = {}
    for kind in kinds:
        with site(kind.key) as place, ike_server(place.network.servers[1]):
            forwarder = kind(place, clients, services())
            try:
                forwarder.start()
                forwarder.open()
                forwarder.ikelb.wait_status(_as_it_should_be, "judged: two servers up, one down", 10)
                found[kind.key] = _under_load(forwarder, seconds)
            finally:
                forwarder.stop()
        progress(f"  loop lag: {forwarder.name}, {clients} clients")
    return found


def _under_load(forwarder: Ikelb, seconds: float) -> Lag:
    load = Load(forwarder.clients, seconds=1.0)
    rates, others = [], []
    assert forwarder.process is not None
    pid, begin = forwarder.process.pid, time.monotonic()
    with scraping(forwarder) as scrapes:
        before = loop_lag(forwarder.ikelb)
        while time.monotonic() < begin + seconds:
            for direction in ("in", "out"):
                outcome, share = measured(lambda: forwarder.measure(direction, load), pid, True)
                rates.append(outcome.rate)
                others.append(share)
        after = loop_lag(forwarder.ikelb)
    counts = {limit: after[limit] - before[limit] for limit in after}
    return Lag(forwarder.clients, sum(rates) / len(rates), bound(counts, 0.999), bound(counts, 1.0),
               int(counts[float("inf")]), len(scrapes), sum(others) / len(others))


def _as_it_should_be(status: dict[str, Any]) -> bool:
    health = {backend["name"]: backend["health"] for entry in status["services"] for backend in entry["backends"]}
    return health == {"s1": "up", "answers": "up", "refuses": "down"}


@contextmanager
def scraping(forwarder: Ikelb) -> Iterator[list[int]]:
    """Reads /metrics again and again; yields the growing list of the sizes read."""
    ending = threading.Event()
    sizes: list[int] = []

    def run() -> None:
        while not ending.wait(SCRAPE_S):
            sizes.append(len(forwarder.metrics()))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield sizes
    finally:
        ending.set()
        thread.join()


@contextmanager
def ike_server(namespace: Namespace) -> Iterator[None]:
    """A server that refuses each IKE_SA_INIT in due form; and an address beside it where nobody listens."""
    namespace.ip_batch([f"addr add {address}/24 dev eth0" for address in (ANSWERING, REFUSING)])
    ending = threading.Event()
    threads = []
    for port, marker in ((500, b""), (4500, MARKER)):
        sock = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((ANSWERING, port))
        sock.settimeout(SCRAPE_S)
        threads.append(threading.Thread(target=_answer, args=(sock, marker, ending), daemon=True))
        threads[-1].start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def _answer(sock: socket.socket, marker: bytes, ending: threading.Event) -> None:
    with sock:
        while not ending.is_set():
            try:
                data, sender = sock.recvfrom(4096)
            except TimeoutError:
                continue
            sock.sendto(marker + _refusal(data.removeprefix(marker)), sender)


def _refusal(request: bytes) -> bytes:
    length = HEADER.size + len(NO_PROPOSAL_CHOSEN)
    return HEADER.pack(request[:8], bytes(8), NOTIFY, VERSION, IKE_SA_INIT, RESPONSE, 0, length) + NO_PROPOSAL_CHOSEN
