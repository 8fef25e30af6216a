"""`ikelb doctor` against real servers, with each fault of its checklist put in: every line's verdict and advice."""

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from support import equal, ikelb, lab, restart, start, stop
from variants import long
from vpnlab.balancer import binary, service
from vpnlab.bench import Bench
from vpnlab.net import Namespace
from vpnlab.servers import ServerOptions
from vpnlab.topology import VIP, server_address

DONE, NO = 0, 1
OK, UNTESTED, WARNING, FAILED = "ok", "not tested", "warning", "failed"

S1 = server_address(1)

# Of an address with which all is well. The way back is never tested.
ALL_WELL = {check: OK for check in (
    "udp-500", "udp-4500", "source-ports", "one-server", "new-handshakes", "ike-fragmentation", "ip-fragments",
    "path-mtu", "tcp-443", "vendor")} | {"path-mtu-back": UNTESTED}

# What cannot be known if nothing answers.
UNKNOWN = {check: UNTESTED for check in (
    "source-ports", "one-server", "new-handshakes", "ike-fragmentation", "ip-fragments", "path-mtu", "vendor")}

# Each scene begins several handshakes from one address; only those of the limits' own tests shall meet limits.
PATIENT = ServerOptions(settings={"dos_protection": "no"})

# Silence is waited for in most scenes, several times.
TIMEOUT = "1s"

# Before conntrack puts fragments together.
EARLY = -460


@dataclass(frozen=True)
class Fault:
    """Something wrong between the clients and the server s1, and what the doctor has to say of it.

    `rules` are nft statements for packets that ikelb's namespace forwards, `commands` and `undo` are `ip` commands
    there. `words` must be in the text or advice of a check. `verdict` is the worst of all checks.
    """

    wrong: Mapping[str, str]
    verdict: str
    rules: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    tcp: bool = True  # something listens on TCP 443


TO_500, TO_4500 = f"ip daddr {S1} udp dport 500", f"ip daddr {S1} udp dport 4500"
NARROW, WIDE = ("link set inside mtu 1300",), ("link set inside mtu 1500",)
NEEDS_BOTH = {"one-server": UNTESTED}
NEEDS_500 = {**NEEDS_BOTH, "source-ports": UNTESTED, "new-handshakes": UNTESTED}

FAULTS = {
    "nothing": Fault({}, OK, words={"path-mtu": "1500 bytes", "udp-500": "handshake accepted"}),
    "UDP 500 is blocked": Fault({**NEEDS_500, "udp-500": FAILED}, FAILED, (f"{TO_500} drop",),
                                words={"udp-500": "since UDP 4500 answers", "udp-4500": "handshake accepted"}),
    "UDP 4500 is blocked": Fault({**NEEDS_BOTH, "source-ports": UNTESTED, "udp-4500": FAILED}, FAILED,
                                 (f"{TO_4500} drop",),
                                 words={"udp-4500": "since UDP 500 answers", "one-server": "both ports have to"}),
    "answers from 4500 are blocked": Fault({**NEEDS_BOTH, "source-ports": UNTESTED, "udp-4500": FAILED}, FAILED,
                                           (f"ip saddr {S1} udp sport 4500 drop",),
                                           words={"udp-4500": "in both directions"}),
    "both are blocked": Fault({**UNKNOWN, "udp-500": FAILED, "udp-4500": FAILED}, FAILED,
                              (f"{TO_500} drop", f"{TO_4500} drop"),
                              words={"udp-500": "every firewall on the way", "udp-4500": "no answer"}),
    "both are rejected": Fault({**UNKNOWN, "udp-500": FAILED, "udp-4500": FAILED}, FAILED,
                               (f"{TO_500} reject", f"{TO_4500} reject"), words={"udp-500": "refused"}),
    "the host is unreachable": Fault({**UNKNOWN, "udp-500": FAILED, "udp-4500": FAILED, "tcp-443": WARNING}, FAILED,
                                     (f"ip daddr {S1} reject with icmp type host-unreachable",),
                                     words={"udp-500": "unreachable", "udp-4500": "the routes"}),
    "only port 500 may ask port 500": Fault({**NEEDS_BOTH, "udp-500": WARNING, "new-handshakes": UNTESTED}, WARNING,
                                            (f"{TO_500} udp sport != 500 drop",),
                                            words={"udp-500": "answers source port 500 only"}),
    "port 500 may not ask": Fault({"source-ports": FAILED}, FAILED, (f"{TO_500} udp sport 500 drop",),
                                  words={"source-ports": "IPsec passthrough"}),
    "TCP 443 is closed": Fault({"tcp-443": WARNING}, WARNING, tcp=False, words={"tcp-443": "refused"}),
    "TCP 443 is filtered": Fault({"tcp-443": WARNING}, WARNING, (f"ip daddr {S1} tcp dport 443 drop",),
                                 words={"tcp-443": "filtered"}),
    "IP fragments are dropped": Fault({"ip-fragments": WARNING}, WARNING, ("ip frag-off & 0x3fff != 0 drop",),
                                      words={"ip-fragments": "UDP 500 and 4500"}),
    "the path is narrow": Fault({}, OK, commands=NARROW, undo=WIDE,
                                words={"path-mtu": "1300 bytes; a router says so"}),
    "the path is a black hole": Fault({"path-mtu": WARNING}, WARNING,
                                      ("ip frag-off & 0x4000 != 0 meta length > 1333 drop",),
                                      words={"path-mtu": "1333 bytes; larger packets vanish"}),
}


@long
def test_doctor_faults() -> None:
    """Blocked, rejected and unreachable ports, TCP 443, source ports, IP fragments, path MTU with and without ICMP:
    each fault between client and server gets its verdict, and what is well stays well."""
    with lab(clients=1, servers=1) as bench:
        talk(bench)
        bench.start_servers(PATIENT)
        for name, fault in FAULTS.items():
            # Nothing of the scene before remains: neither what a router said, nor a state of it.
            bench.topology.clients.ip("route", "flush", "cache")
            with faulty(bench, fault), listening(bench.topology.servers[1], S1, fault.tcp):
                report = examine(bench, S1, fault.verdict)
            check(name, report, fault.wrong, fault.words)


def test_doctor_servers() -> None:
    """Faults of servers and balancers: no IKE fragmentation, nothing that listens, ports that lead to two servers, a
    server for each source port, cookies, and the limit of handshakes of one address."""
    with lab(clients=1, servers=2) as bench, listening(bench.topology.servers[1], S1):
        talk(bench)
        without = ServerOptions(fragmentation="no", settings=PATIENT.settings)
        bench.start_servers(without, [1])
        check("no fragmentation", examine(bench, S1, WARNING), {"ike-fragmentation": WARNING},
              {"ike-fragmentation": "EnableServerFragmentation = 1"})
        with faulty(bench, Fault({}, FAILED, ("ip frag-off & 0x3fff != 0 drop",))):
            check("no fragments at all", examine(bench, S1, FAILED),
                  {"ike-fragmentation": WARNING, "ip-fragments": FAILED}, {"ip-fragments": "error 809"})
        bench.stop_servers()
        check("nothing listens", examine(bench, S1, FAILED), {**UNKNOWN, "udp-500": FAILED, "udp-4500": FAILED},
              {"udp-500": "no IKE service listens"})

        bench.start_servers(PATIENT)
        nat(bench, f"udp dport 500 dnat to {S1}", f"udp dport 4500 dnat to {server_address(2)}",
            f"tcp dport 443 dnat to {S1}")
        check("two servers", examine(bench, VIP[4], FAILED), {"one-server": FAILED}, {"one-server": "different"})
        nat(bench, f"udp dport {{ 500, 4500 }} dnat to {S1}", f"tcp dport 443 dnat to {S1}")
        check("one server behind NAT", examine(bench, VIP[4], OK), {}, {"one-server": "the same one"})
        nat(bench, f"udp dport {{ 500, 4500 }} dnat to numgen inc mod 2 map {{ 0 : {S1}, 1 : {server_address(2)} }}",
            f"tcp dport 443 dnat to {S1}")
        check("a server for each source port", examine(bench, VIP[4], WARNING), {"one-server": WARNING},
              {"one-server": "by source address"})


def test_doctor_limits() -> None:
    """A server that demands cookies, one that reaches its limit while the doctor asks, and one that has reached it."""
    with lab(clients=1, servers=1) as bench, listening(bench.topology.servers[1], S1):
        bench.start_servers(ServerOptions(cookies=True, settings={"cookie_threshold_ip": 1}))
        time.sleep(1.2)  # strongSwan 5.9.8 refuses its own cookies in the first second.
        check("cookies", examine(bench, S1, WARNING), {"new-handshakes": WARNING}, {"new-handshakes": "cookie"})
        bench.stop_servers()

        bench.start_servers(ServerOptions(settings={"block_threshold": 2}))
        # strongSwan applies it to repeated messages, too.
        check("a limit of two", examine(bench, S1, WARNING), {"new-handshakes": WARNING, "one-server": UNTESTED},
              {"new-handshakes": "third in a row is ignored"})
        equal(bench.servers[1].half_open(), 2, "half-open handshakes")
        refused = {check: UNTESTED for check in UNKNOWN if check != "vendor"}
        check("the limit is reached", examine(bench, S1, FAILED),
              {**refused, "udp-500": FAILED, "udp-4500": FAILED}, {"udp-500": "ignores new handshakes"})
        bench.stop_servers()

        bench.start_servers()
        examine(bench, S1, OK)
        equal(bench.servers[1].half_open(), 3, "half-open handshakes that the doctor leaves")


def test_doctor_names() -> None:
    """A name without an address, with one of each family, with two of different servers of which one is dead, and with
    one that there is no route to. And without root."""
    with lab(clients=1, servers=2) as bench, listening(bench.topology.servers[1], S1):
        bench.start_servers(PATIENT, [1])
        hosts = bench.workspace.directory / "hosts"
        switch = bench.workspace.directory / "nsswitch.conf"
        switch.write_text("hosts: files\n")
        hosts.write_text(f"{S1} one.test two.test far.test\n{server_address(2)} two.test\n2001:db8:9::1 far.test\n"
                         f"{server_address(1, 6)} both.test\n{S1} both.test\n")

        def ask(name: str, *before: str) -> tuple[int, dict[str, Any]]:
            mounts = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"'
            argv = ["unshare", "-m", "sh", "-ec", mounts, "sh", str(hosts), str(switch), *before, str(binary()),
                    "doctor", "--json", name]
            output = bench.topology.clients.run(*argv, statuses=(DONE, NO))
            report = json.loads(output)
            return (NO if report["verdict"] == FAILED else DONE), report

        _, report = ask("none.test")
        equal((report["verdict"], report["name"]["status"], report["addresses"]), (FAILED, FAILED, []), "no such name")
        assert "none.test has no address" in report["name"]["text"], report["name"]

        _, report = ask("one.test")
        equal((report["verdict"], report["name"]["text"]), (OK, S1), "a name of one address")
        check("one address", report, {}, {})

        with listening(bench.topology.servers[1], server_address(1, 6)):
            _, report = ask("both.test")
        equal((report["verdict"], report["name"]["status"]), (OK, OK), "a name of both families")
        equal({a["address"] for a in report["addresses"]}, {S1, server_address(1, 6)}, "addresses of both families")

        _, report = ask("two.test")
        equal((report["verdict"], report["name"]["status"]), (FAILED, WARNING), "a name of two servers, one dead")
        assert server_address(2) in report["text"], report["text"]
        statuses = {a["address"]: statuses_of(a) for a in report["addresses"]}
        equal((statuses[S1]["udp-500"], statuses[server_address(2)]["udp-500"]), (OK, FAILED), "the two servers")

        bench.topology.clients.ip("-6", "route", "flush", "dev", "eth0")
        bench.topology.clients.ip("-6", "address", "flush", "dev", "eth0")
        _, report = ask("far.test")
        equal(report["verdict"], OK, "a name with an address that cannot be asked from here")
        far = next(a for a in report["addresses"] if a["address"] == "2001:db8:9::1")
        equal(statuses_of(far), {"route": UNTESTED}, "the address without a route")

        _, report = ask("one.test", "setpriv", "--bounding-set=-all", "--inh-caps=-all")
        check("without root", report, {"source-ports": UNTESTED}, {"source-ports": "as root"})


def test_doctor_through_ikelb() -> None:
    """Before ikelb all is well, in both modes and families, and the pool is not disturbed; on ikelb's own machine the
    doctor says why it cannot be asked there."""
    with lab(clients=1, servers=3) as bench, listening(bench.topology.lb, VIP[4]), listening(
            bench.topology.lb, VIP[6]):
        bench.start_servers(PATIENT)
        balancer = start(bench, [service(bench.topology, "transparent")])
        check("transparent", examine(bench, VIP[4], OK), {}, {})
        equal([b["health"] for b in balancer.status()["services"][0]["backends"]], ["up"] * 3, "health of the pool")
        _, output, _ = ikelb(bench.topology.lb, "doctor", "--timeout", "300ms", VIP[4])
        assert "this machine's own" in output, f"the advice on ikelb's own machine:\n{output}"
        balancer = restart(bench, [service(bench.topology, "full-nat")])
        check("full NAT", examine(bench, VIP[4], OK), {}, {})
        restart(bench, [service(bench.topology, "transparent", family=6)])
        check("IPv6", examine(bench, VIP[6], OK), {}, {})
        stop(bench)


def test_doctor_screen() -> None:
    """What people see: a line each with its advice, no colours in a pipe, and in time."""
    with lab(clients=1, servers=1) as bench, listening(bench.topology.servers[1], S1):
        bench.start_servers(PATIENT)
        with faulty(bench, FAULTS["UDP 4500 is blocked"]):
            code, output, error = ikelb(bench.topology.clients, "doctor", "--timeout", "1s", S1)
        equal((code, error), (NO, ""), "doctor with UDP 4500 blocked")
        assert "\x1b" not in output, "doctor writes colours into a pipe"
        lines = output.splitlines()
        assert "  UDP 4500           failed      no answer on UDP 4500 within 1 s" in lines, output
        assert any(line.startswith("      The server is there, since UDP 500 answers") for line in lines), output
        equal(lines[-1], "failed: Clients fail here, Windows with error 809. To be mended first: UDP 4500.", "verdict")


def examine(bench: Bench, host: str, verdict: str) -> dict[str, Any]:
    """The doctor's report from where the clients are; it and the exit status must have this verdict."""
    code, output, error = ikelb(bench.topology.clients, "doctor", "--timeout", TIMEOUT, "--json", host)
    assert error == "", error
    report = json.loads(output)
    equal((report["verdict"], code), (verdict, NO if verdict == FAILED else DONE), f"the verdict in {output}")
    return report


def statuses_of(address: Mapping[str, Any]) -> dict[str, str]:
    return {check["check"]: check["status"] for check in address["checks"]}


def check(name: str, report: Mapping[str, Any], wrong: Mapping[str, str], words: Mapping[str, str]) -> None:
    """The first address has these statuses where something is wrong, and else those of an address that is well."""
    found = report["addresses"][0]
    equal(statuses_of(found), {**ALL_WELL, **wrong}, f"{name}: statuses, in {json.dumps(found, indent=1)}")
    for each in found["checks"]:
        said = f"{each['text']} {each['advice']}"
        if each["check"] in words:
            assert words[each["check"]] in said, f"{name}: {each['check']}: {said}"
        if each["status"] in (WARNING, FAILED):
            assert each["advice"], f"{name}: no advice about {each}"


def talk(bench: Bench) -> None:
    """Everybody may send ICMP errors as often as there is cause; Linux' default is one a second to one address."""
    for namespace in bench.topology.namespaces():
        namespace.sysctl({"net.ipv4.icmp_ratelimit": 0})


@contextmanager
def listening(namespace: Namespace, address: str, really: bool = True) -> Iterator[None]:
    """Something listens on TCP 443, or not `really`; the kernel alone takes its connections."""
    if not really:
        yield
        return
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with namespace.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, 443))
        listener.listen(64)
        yield


@contextmanager
def faulty(bench: Bench, fault: Fault) -> Iterator[None]:
    """Inside the block the fault is there."""
    lb = bench.topology.lb
    rules = "\n".join(fault.rules)
    lb.nft(f"table ip fault {{\n chain forward {{\n type filter hook forward priority {EARLY}\n{rules}\n}}\n}}\n")
    lb.ip_batch(fault.commands)
    try:
        yield
    finally:
        lb.ip_batch(fault.undo)
        lb.run("nft", "delete", "table", "ip", "fault")


def nat(bench: Bench, *rules: str) -> None:
    """A plain balancer at the VIP: nft rules for what comes to it, instead of those of the call before."""
    lb = bench.topology.lb
    chain = "\n".join(f"ip daddr {VIP[4]} {rule}" for rule in rules)
    lb.nft("table ip balancer {\n}\ndelete table ip balancer\n"
           f"table ip balancer {{\n chain c {{\n type nat hook prerouting priority -100\n{chain}\n}}\n}}\n")
