"""Floods of IP fragments: what the kernel cannot put together any more is counted, and an alarm says what to do."""

import socket
import struct
import time
from collections.abc import Callable
from ipaddress import IPv6Address

import messages
from peers import FakeServers, Port, client_ports, two_services
from raw import MORE_FRAGMENTS, RawSocket, UdpHeader
from support import drops, equal, lab, start, wait_for, wait_log
from vpnlab.balancer import Balancer
from vpnlab.bench import Bench
from vpnlab.topology import VIP, client_address

# The kernel's 4 MiB for reassembly take less than 2,000 fragments of this size, whose memory counts with its overhead.
FORGED = 3000
FORGED_BYTES = 1384
CLAIMED_BYTES = 3000  # the datagram that never becomes complete

LARGE_BYTES = 4900  # an IKE_AUTH with a chain of RSA-4096 certificates

ALARM = "IP fragments do not come together"
LOOK_S = 1.2  # ikelb looks once a second
ALARM_S = 5.0
PER_SECOND = 50  # lb/alarms.h

# What the alarm advises. All IPv6 fragments are netfilter's business, since ikelb's rules contain TPROXY.
MORE_ROOM = {4: "net.ipv4.ipfrag_high_thresh", 6: "net.netfilter.nf_conntrack_frag6_high_thresh"}
ROOM_BYTES = 64 << 20

IPV6_FRAGMENT = 44  # IPPROTO_FRAGMENT, RFC 8200 section 4.5


def test_lost_fragments() -> None:
    """Forged first fragments fill the kernel's memory for reassembly, so that large IKE_AUTH messages are lost: that is
    counted, all services raise an alarm, and its advice is a cure. IPv4."""
    with lab(clients=2, servers=1) as bench:
        balancer = start(bench, two_services(bench, (4,)), ready=False)
        pass_before_and_after(bench, balancer, 4, lambda: flood_v4(bench))
        wait_alarm(balancer)
        wait_log(balancer, f"service nat: ALARM: {ALARM}")


def test_lost_fragments_v6() -> None:
    """The same with IPv6. The kernel does not count what it has no room for, but what has come too late for the rest of
    its datagram, which takes 60 s if one does not shorten it."""
    with lab(clients=2, servers=1) as bench:
        balancer = start(bench, two_services(bench, (6,)), ready=False)
        bench.topology.lb.sysctl({"net.netfilter.nf_conntrack_frag6_timeout": 2})
        pass_before_and_after(bench, balancer, 6, lambda: flood_v6(bench))
        wait_alarm(balancer)


def pass_before_and_after(bench: Bench, balancer: Balancer, family: int, flood: Callable[[], None]) -> None:
    """A large datagram passes before the flood, is lost in it, and passes when there is more room."""
    servers, client = FakeServers(bench, (family,)), client_ports(bench, family)[4500]
    send_large(client)
    servers.receive(4500, family)
    time.sleep(LOOK_S)
    equal(drops(balancer)["reassembly_failed"], 0, "lost fragments before the flood")
    equal(alarms(balancer), [[], []], "alarms before the flood")
    flood()
    send_large(client)
    servers.port(1, 4500, family).silent()
    bench.topology.lb.sysctl({MORE_ROOM[family]: ROOM_BYTES})
    send_large(client)
    servers.receive(4500, family)


def send_large(client: Port) -> None:
    message = messages.auth(messages.spi(), messages.spi(), body=messages.pattern(LARGE_BYTES))
    client.send(message, (VIP[client.family], 4500), source=client_address(1, client.family))


def flood_v4(bench: Bench) -> None:
    header = UdpHeader(client_address(2), 4000, VIP[4], 4500, length=CLAIMED_BYTES)
    with RawSocket(bench.topology.clients) as raw:
        for identification in range(1, FORGED + 1):
            raw.udp(header, bytes(FORGED_BYTES), fragment=MORE_FRAGMENTS, identification=identification)


def flood_v6(bench: Bench) -> None:
    udp = struct.pack("!HHHH", 4000, 4500, CLAIMED_BYTES, 0) + bytes(FORGED_BYTES)
    addresses = IPv6Address(client_address(2, 6)).packed + IPv6Address(VIP[6]).packed
    with bench.topology.clients.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for identification in range(1, FORGED + 1):
            fragment = struct.pack("!BBHI", socket.IPPROTO_UDP, 0, 1, identification) + udp  # the 1: more follow
            head = struct.pack("!IHBB", 6 << 28, len(fragment), IPV6_FRAGMENT, 64)
            raw.sendto(head + addresses + fragment, (VIP[6], 0))


def wait_alarm(balancer: Balancer) -> None:
    """Waits until the loss is counted and both services show the alarm."""
    wait_for(lambda: drops(balancer)["reassembly_failed"] >= PER_SECOND, "lost fragments counted", ALARM_S)
    wait_for(lambda: all(any(ALARM in each for each in on) for on in alarms(balancer)), "the alarm", ALARM_S)
    print(f"{drops(balancer)['reassembly_failed']} lost fragments counted")


def alarms(balancer: Balancer) -> list[list[str]]:
    """The alarms of each service."""
    return [service["alarms"] for service in balancer.status()["services"]]
