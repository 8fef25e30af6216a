"""The state file: what a restart, a crash, and a file that is not good mean to clients."""

import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import messages
from peers import Datagram, FakeServers, client_ports, fake_service, handshake
from support import (all_connected, equal, lab, listed_client, log_lines, same_backends, start, stop, wait_for, wait_log,
                     wait_running)
from variants import long
from vpnlab.balancer import Balancer, service
from vpnlab.bench import Bench
from vpnlab.servers import ServerOptions
from vpnlab.topology import VIP, client_address, server_of

# The longest that a crash may cost: clients that are older are remembered.
PROMISE_S = 10.0

CROWD = range(1, 31)
TUNNELS = range(1, 51)
ELSEWHERE = 100  # Client n moves to the address of client 100 + n.

# With full NAT all clients have one address; what its limits do is another test's matter.
UNLIMITED = ServerOptions(settings={"dos_protection": "no"})


@dataclass
class Peer:
    """A client that has a session and a tunnel: its server, and how that saw it."""

    number: int
    server: int
    seen: Datagram
    spi_i: bytes
    spi_r: bytes


class Peers:
    """Fake servers and fake clients, whose sockets stay while ikelb goes and comes."""

    def __init__(self, bench: Bench) -> None:
        self.servers = FakeServers(bench)
        self.client = client_ports(bench)

    def connect(self, numbers: Sequence[int]) -> list[Peer]:
        found = []
        for number in numbers:
            server, got = handshake(self.client, self.servers, client_address(number), VIP[4])
            marker = len(messages.MARKER)
            peer = Peer(number, server, got, got.data[marker : marker + 8], got.data[marker + 8 : marker + 16])
            self.exchange(peer)
            found.append(peer)
        return found

    def exchange(self, peer: Peer) -> None:
        """ESP passes both ways, between this client and its server, which sees what it has always seen."""
        self.client[4500].send(messages.esp(b"in", esp_spi=peer.number), (VIP[4], 4500), source=client_address(peer.number))
        server, got = self.servers.receive(4500)
        equal((server, got.source), (peer.server, peer.seen.source), f"server and source of client {peer.number}")
        self.servers.port(server, 4500).reply(peer.seen, messages.esp(b"out"))
        back = self.client[4500].receive()
        equal((back.source, back.destination), ((VIP[4], 4500), client_address(peer.number)), "what comes back")

    def speak_first(self, peer: Peer) -> None:
        """The server sends something to where it knows the client to be, before the client has said a word."""
        self.servers.port(peer.server, 4500).reply(peer.seen, messages.esp(b"are you there?"))
        equal(self.client[4500].receive().destination, client_address(peer.number), "whom the server reaches")

    def begin_anew(self, peer: Peer) -> None:
        """The client's next handshake goes to its server."""
        self.client[500].send(messages.init(messages.spi()), (VIP[4], 500), source=client_address(peer.number))
        equal(self.servers.receive(500)[0], peer.server, f"the server of client {peer.number}'s next handshake")

    def move(self, peer: Peer) -> None:
        """The client goes on from another address: its session is still known."""
        data = messages.MARKER + messages.ike(messages.INFORMATIONAL, peer.spi_i, peer.spi_r, message_id=2, body=bytes(48))
        self.client[4500].send(data, (VIP[4], 4500), source=client_address(ELSEWHERE + peer.number))
        equal(self.servers.receive(4500)[0], peer.server, f"the server of client {peer.number} from another address")


def state_file(bench: Bench) -> Path:
    return bench.workspace.directory / "saved" / "state"


def start_saving(bench: Bench, mode: str, **extra: Any) -> Balancer:
    """ikelb before fake servers, with a state file in a folder that is not there yet."""
    return start(bench, [fake_service(bench, mode, **extra)], ready=False, state={"file": str(state_file(bench))})


def metric(balancer: Balancer, name: str) -> float:
    """A metric without labels."""
    status, body = balancer.request("GET", "/metrics")
    equal(status, 200, "GET /metrics")
    found = re.search(rf"^{name} (\S+)$", body.decode(), re.MULTILINE)
    assert found, f"no {name}"
    return float(found[1])


def wait_saved(bench: Bench, clients: Iterable[int]) -> None:
    """Waits until the file has the pin and a flow of each of these clients, which must not take longer than promised."""
    wanted = [bytes((4,)) + ip_address(client_address(number)).packed for number in clients]

    def has_all() -> bool:
        content = state_file(bench).read_bytes() if state_file(bench).exists() else b""
        return all(content.count(address) >= 2 for address in wanted)

    wait_for(has_all, "a saving", PROMISE_S)


def start_again(bench: Bench) -> Balancer:
    """Starts ikelb after its end, with the file as it is."""
    bench.balancer.restart()
    wait_running(bench.balancer)
    return bench.balancer


def listed(balancer: Balancer) -> dict[str, dict[str, Any]]:
    """The confirmed clients by address, without what passes with time, as flows of port 500 do that carried nothing but
    the first messages."""
    fleeting = ("age_s", "idle_s", "flows")
    return {client["address"]: {key: value for key, value in client.items() if key not in fleeting}
            for client in balancer.clients() if client["confirmed"]}


@contextmanager
def lab_of_peers(mode: str, schedule: str) -> Iterator[tuple[Bench, Peers]]:
    with lab(clients=ELSEWHERE + len(CROWD), servers=3) as bench:
        start_saving(bench, mode, schedule=schedule)
        yield bench, Peers(bench)


def check_restart(mode: str, schedule: str, *, kill: bool) -> None:
    with lab_of_peers(mode, schedule) as (bench, peers):
        if kill:
            wait_for(state_file(bench).exists, "the first saving")  # So that it takes another one.
        known = peers.connect(CROWD)
        assert len({peer.server for peer in known}) > 1, "all clients are at one server: the test shows little"
        before = listed(bench.balancer)
        if kill:
            wait_saved(bench, CROWD)
            bench.balancer.kill()
        else:
            stop(bench)
        equal(state_file(bench).stat().st_mode & 0o777, 0o600, "who may read the state file")
        balancer = start_again(bench)
        after = listed(balancer)
        equal(after.keys(), before.keys(), "the clients")
        for address, client in before.items():
            equal(after[address], client, f"client {address}")
        backends = balancer.status()["services"][0]["backends"]
        equal(sum(backend["clients"] for backend in backends), len(CROWD), "clients counted")
        equal(sum(backend["new_clients_total"] for backend in backends), 0, "clients counted as new")
        for peer in known:
            if peer.number % 2:
                peers.speak_first(peer)
            peers.exchange(peer)
            peers.begin_anew(peer)
        equal(balancer.status()["drops"], {reason: 0 for reason in balancer.status()["drops"]}, "drops")
        for peer in known:
            peers.move(peer)


def test_state_restart_transparent() -> None:
    """SIGTERM and a new start: every client is listed as before, its tunnel goes on with its server whoever speaks
    first, its next handshake goes there, and its session is followed to another address."""
    check_restart("transparent", "round-robin", kill=False)


def test_state_restart_full_nat() -> None:
    """The same with full NAT: the servers see every client come from the same port as before."""
    check_restart("full-nat", "bounded-hash", kill=False)


def test_state_killed_transparent() -> None:
    """kill -9, ten seconds at most after the last client has come: none is lost."""
    check_restart("transparent", "least-clients", kill=True)


def test_state_killed_full_nat() -> None:
    """The same with full NAT."""
    check_restart("full-nat", "round-robin", kill=True)


def test_state_expires() -> None:
    """Who would have been forgotten while ikelb was away is not remembered, by the wall clock."""
    with lab(clients=4, servers=2) as bench:
        start_saving(bench, "transparent", persistence={"idle_timeout": "4s", "half_open_timeout": "1s"})
        peers = Peers(bench)
        silent = peers.connect([1, 2])
        stop(bench)
        ended = time.monotonic()
        begin_s = 2.0
        wait_for(lambda: time.monotonic() - ended > begin_s, "half of the idle timeout", begin_s + 1)
        balancer = start_again(bench)
        equal(set(listed(balancer)), {client_address(1), client_address(2)}, "clients before the timeout")
        peers.exchange(silent[0])
        stop(bench)
        ended = time.monotonic()
        wait_for(lambda: time.monotonic() - ended > 2.5, "the rest of it for one of them", 4.0)
        balancer = start_again(bench)
        equal(set(listed(balancer)), {client_address(1)}, "clients after the timeout")
        wait_log(balancer, "1 client expired meanwhile")
        wait_log(balancer, "1 client remembered, with 1 session and ")


def test_state_unfit_files() -> None:
    """A damaged, truncated, older, newer, foreign or empty file is named in the log, not used, and kept as FILE.bad; so
    with a thing that is no file. ikelb serves on."""
    with lab(clients=20, servers=2) as bench:
        start_saving(bench, "transparent")
        peers = Peers(bench)
        peers.connect(range(1, 11))
        stop(bench)
        file = state_file(bench)
        good, bad = file.read_bytes(), file.with_name("state.bad")

        def spoilt(at: int, value: int) -> bytes:
            return good[:at] + bytes([value]) + good[at + 1 :]

        cases = {
            "is damaged: the checksum of the block at byte 44 is wrong": spoilt(len(good) // 2, good[len(good) // 2] ^ 1),
            "is truncated: it ends after 1000 bytes": good[:1000],
            "is of an older version of ikelb (format 0": spoilt(11, 0),
            "is of a newer version of ikelb (format 2": spoilt(11, 2),
            "is no state file of ikelb": b"services: []\n",
            "is empty": b"",
        }
        for number, (words, content) in enumerate(cases.items()):
            bad.unlink(missing_ok=True)
            file.write_bytes(content)
            balancer = start_again(bench)
            line = wait_log(balancer, f"{file} {words}")
            assert "WARN" in line.upper() and "without remembered clients" in line, line
            equal(bad.read_bytes(), content, f"what is kept of a file that {words}")
            equal(listed(balancer), {}, "clients remembered")
            peers.connect([11 + number])
            stop(bench)
        file.unlink()
        file.mkdir()
        balancer = start_again(bench)
        wait_log(balancer, f"{file} cannot be read: it is no regular file")
        wait_log(balancer, f"cannot save to {file}: Is a directory")
        peers.connect([20])
        stop(bench)
        file.rmdir()
        file.write_bytes(good)
        equal(len(listed(start_again(bench))), 10, "clients of the good file")


def test_state_operator_states() -> None:
    """What an operator has set by command holds after a restart, and after a crash, until the file says something new."""
    with lab(clients=1, servers=3) as bench:
        balancer = start_saving(bench, "transparent", name="vpn")

        def states() -> list[str]:
            return [backend["state"] for backend in balancer.status()["services"][0]["backends"]]

        equal(balancer.request("POST", "/api/v1/backends/vpn/s1/drain")[0], 200, "drain")
        equal(balancer.request("POST", "/api/v1/backends/vpn/s2/disable")[0], 200, "disable")
        stop(bench)
        start_again(bench)
        equal(states(), ["drain", "disabled", "enabled"], "states after a restart")
        wait_log(balancer, "2 backends in the state that an operator had given")

        wait_for(lambda: metric(balancer, "ikelb_state_saved_timestamp_seconds") > 0, "the first saving")
        equal(balancer.request("POST", "/api/v1/backends/vpn/s1/enable")[0], 200, "enable")
        then = time.time()
        wait_for(lambda: metric(balancer, "ikelb_state_saved_timestamp_seconds") > then, "a saving", PROMISE_S)
        balancer.kill()
        start_again(bench)
        equal(states(), ["enabled", "disabled", "enabled"], "states after a crash")

        stop(bench)
        changed = fake_service(bench, "transparent", name="vpn", states={2: "drain"})
        balancer.configure({"services": [changed], "state": {"file": str(state_file(bench))}})
        start_again(bench)
        equal(states(), ["enabled", "drain", "enabled"], "states after the file was edited")


def test_state_configuration_changes() -> None:
    """Between end and start the file loses a server, and the rest gets other names and another order: the clients of
    that server are forgotten, which is said, and the others stay."""
    with lab(clients=30, servers=3) as bench:
        balancer = start_saving(bench, "transparent", schedule="round-robin")
        peers = Peers(bench)
        known = peers.connect(CROWD)
        stop(bench)
        made = fake_service(bench, "transparent", name="renamed", schedule="round-robin")
        made["backends"] = [{**backend, "name": f"new-{backend['name']}"} for backend in reversed(made["backends"])
                            if backend["name"] != "s2"]
        balancer.configure({"services": [made], "state": {"file": str(state_file(bench))}})
        start_again(bench)
        staying = [peer for peer in known if peer.server != 2]
        equal(set(listed(balancer)), {client_address(peer.number) for peer in staying}, "clients remembered")
        wait_log(balancer, f"{len(known) - len(staying)} clients forgotten: the configuration has the service, VIP or")
        for peer in staying:
            peers.exchange(peer)


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    """A file system in memory that holds next to nothing."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "ikelb-test", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@long
def test_state_full_disk() -> None:
    """The disk is full: one line in the log says so, with the remedy, and a counter goes up; the last good file stays,
    ikelb serves on, and when there is room again it saves, and says that, too."""
    with lab(clients=ELSEWHERE, servers=2) as bench, small_disk(state_file(bench).parent, "8k"):
        balancer = start_saving(bench, "transparent")
        wait_for(state_file(bench).exists, "a first saving")  # Without a client that is next to nothing.
        old = state_file(bench).read_bytes()
        peers = Peers(bench)
        known = peers.connect(range(1, 81))
        wait_for(lambda: metric(balancer, "ikelb_state_errors_total") >= 2, "two savings that failed", 20.0)
        complaints = [line for line in log_lines(balancer) if "state.file" in line and "No space left" in line]
        equal(len(complaints), 1, "complaints")
        assert "ERROR" in complaints[0].upper() and "make room there" in complaints[0], complaints[0]
        equal(state_file(bench).read_bytes()[:12], old[:12], "the begin of the old file")
        equal([path.name for path in state_file(bench).parent.iterdir()], ["state"], "what is in the folder")
        for peer in known:
            peers.exchange(peer)
        subprocess.run(["mount", "-o", "remount,size=10m", str(state_file(bench).parent)], check=True)
        wait_log(balancer, "saved to", 15.0)
        balancer.kill()
        equal(len(listed(start_again(bench))), len(known), "clients remembered")
        stop(bench)


def test_state_nowhere() -> None:
    """A place where nothing can be written is named at once, with the remedy; ikelb serves on, and ends well."""
    with lab(clients=2, servers=1) as bench:
        balancer = start(bench, [fake_service(bench, "transparent")], ready=False,
                         state={"file": "/proc/ikelb/state"})
        line = wait_log(balancer, "cannot save to /proc/ikelb/state: No such file or directory")
        assert "make its folder, or have state.file elsewhere" in line, line
        Peers(bench).connect([1])


def established(bench: Bench) -> set[tuple[bytes, bytes]]:
    """The SPIs of every IKE SA that the clients have."""
    return {(sa["initiator-spi"], sa["responder-spi"]) for _, sa in bench.clients.established()}


def check_tunnels(mode: str, *, kill: bool) -> None:
    with lab(clients=len(TUNNELS), servers=3) as bench:
        bench.start_servers(UNLIMITED)
        balancer = start(bench, [service(bench.topology, mode, schedule="bounded-hash")],
                         state={"file": str(state_file(bench))})
        clients = bench.start_clients()
        all_connected(clients.connect_all(TUNNELS))
        tunnels, associations, before = clients.tunnels(), established(bench), listed(balancer)
        equal(len({server_of(tunnel) for tunnel in tunnels.values()}), 3, "servers with clients")
        with clients.pinger() as pinger:
            for tunnel in tunnels.values():
                pinger.interruption(tunnel, time.monotonic(), steady=1)
            if kill:
                wait_saved(bench, TUNNELS)
            moment = time.monotonic()
            balancer.kill() if kill else stop(bench)
            start_again(bench)
            up_s = time.monotonic() - moment
            seen = [pinger.interruption(tunnel, moment) for tunnel in tunnels.values()]
        print(f"restart under {len(tunnels)} tunnels, {mode}, {'kill -9' if kill else 'SIGTERM'}: ikelb away for {up_s:.2f} s, "
              f"{max(one.lost for one in seen)} pings lost at most, all resumed after {max(one.resumed_s for one in seen):.2f} s")
        equal(clients.tunnels(), tunnels, "the tunnels")
        equal(established(bench), associations, "the IKE SAs")
        now = listed(balancer)
        same_backends({address: int(client["backend"][1:]) for address, client in before.items()},
                      {address: int(client["backend"][1:]) for address, client in now.items()}, "clients that moved")
        for number, server in bench.servers.items():
            wanted = sum(server_of(tunnel) == number for tunnel in tunnels.values())
            equal(len(server.established()), wanted, f"IKE SAs at server {number}")
        equal(listed_client(balancer, next(iter(before))) is None, False, "a client that is asked for")


def test_state_tunnels_transparent() -> None:
    """Fifty live strongSwan tunnels, and ikelb is restarted by SIGTERM: each goes on, with the same IKE SA at the same
    server."""
    check_tunnels("transparent", kill=False)


def test_state_tunnels_full_nat() -> None:
    """The same with full NAT, where each needs its port back."""
    check_tunnels("full-nat", kill=False)


def test_state_tunnels_killed_transparent() -> None:
    """The same after kill -9."""
    check_tunnels("transparent", kill=True)


def test_state_tunnels_killed_full_nat() -> None:
    """The same after kill -9, with full NAT."""
    check_tunnels("full-nat", kill=True)
