"""Takes entries out of a namespace's connection tracking, by netlink: Linux's linux/netfilter/nfnetlink_conntrack.h."""

import errno
import os
import socket
import struct

from .net import Namespace
from .shell import LabError

NETLINK_NETFILTER = 12
NLMSG_ERROR = 2
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE = 1, 2

NESTED = 0x8000
CTA_TUPLE_ORIG, CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 1, 2
CTA_IP_V4_SRC, CTA_IP_V4_DST = 1, 2
CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT = 1, 2, 3

HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
GENERIC = struct.Struct("!BBH")  # struct nfgenmsg

Address = tuple[str, int]


def forget(namespace: Namespace, source: Address, destination: Address) -> bool:
    """Removes the entry of a UDP flow over IPv4, as its first packet came in. False if there was none."""
    addresses = _attribute(CTA_IP_V4_SRC, socket.inet_aton(source[0]))
    addresses += _attribute(CTA_IP_V4_DST, socket.inet_aton(destination[0]))
    ports = _attribute(CTA_PROTO_NUM, bytes([socket.IPPROTO_UDP]))
    ports += _attribute(CTA_PROTO_SRC_PORT, struct.pack("!H", source[1]))
    ports += _attribute(CTA_PROTO_DST_PORT, struct.pack("!H", destination[1]))
    flow = _attribute(CTA_TUPLE_IP | NESTED, addresses) + _attribute(CTA_TUPLE_PROTO | NESTED, ports)
    body = GENERIC.pack(socket.AF_INET, 0, 0) + _attribute(CTA_TUPLE_ORIG | NESTED, flow)
    error = _ask(namespace, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE, body)
    if error not in (0, errno.ENOENT):
        raise LabError(f"conntrack in {namespace.name}: {os.strerror(error)}")
    return error == 0


def _ask(namespace: Namespace, kind: int, body: bytes) -> int:
    """Sends a request and returns the error number of its acknowledgement."""
    with namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
        netlink.settimeout(5.0)
        netlink.send(HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
        answer = netlink.recv(4096)
    _, answered, _, _, _ = HEADER.unpack_from(answer)
    if answered != NLMSG_ERROR:
        raise LabError(f"conntrack in {namespace.name}: unexpected answer of type {answered}")
    return -int(struct.unpack_from("=i", answer, HEADER.size)[0])


def _attribute(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + bytes(-length % 4)
