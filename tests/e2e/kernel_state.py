"""What a namespace's kernel holds of packet filters, rules, routes and XDP programs; and foreign things for ikelb to leave alone."""

import difflib
import json

from vpnlab.net import Namespace
from vpnlab.topology import CLIENTS_GATEWAY

COMMANDS = (
    ("nft", "--stateless", "list", "ruleset"),
    ("ip", "-4", "rule"),
    ("ip", "-6", "rule"),
    ("ip", "-4", "route", "show", "table", "all"),
    ("ip", "-6", "route", "show", "table", "all"),
)

XDP_MODES = {1: "native", 2: "generic"}  # linux/if_link.h: XDP_ATTACHED_DRV, XDP_ATTACHED_SKB

# In the way as far as can be: ikelb's names in other families, its priority, its mark, its routing table.
FOREIGN_NFT = """
    table ip ikelb {
        set backends4 {
            type ipv4_addr
            elements = { 192.0.2.77 }
        }
        chain replies {
            type filter hook prerouting priority mangle
            ip saddr @backends4 meta mark set 0x45000000
        }
    }
    table ip6 ikelb {
        chain untrack_in {
            type filter hook prerouting priority raw
            udp dport 501 notrack
        }
    }
    table inet foreign {
        chain input {
            type filter hook input priority filter
            ct state invalid drop
        }
    }
"""

# For `ip -4` and `ip -6` alike.
FOREIGN_RULES = (
    "rule add fwmark 0x1 priority 45 lookup 100",
    "rule add fwmark 0x45000000/0xff000000 priority 46 lookup 100",
    "rule add fwmark 0x45000000/0xff000000 priority 45 lookup 4501",
    "rule add fwmark 0x45000000 priority 45 lookup 4500",
    "rule add iif outside priority 45 dport 4501 ipproto 17 lookup 4500",
    "rule add priority 44 ipproto 17 sport 501 blackhole",
)
FOREIGN_ROUTES = {
    4: (
        f"route add 198.51.100.0/24 via {CLIENTS_GATEWAY[4]} table 4500",
        "route add blackhole 198.51.101.0/24 table 4500",
        "route add local 198.51.102.0/24 dev lo table 4500 proto 73",
        "route add local default dev lo table 4500 metric 9",
        "route add unreachable 198.51.103.0/24 table 4501",
        f"route add 198.51.100.0/24 via {CLIENTS_GATEWAY[4]}",
    ),
    6: (
        f"route add 2001:db8:51::/48 via {CLIENTS_GATEWAY[6]} table 4500",
        "route add blackhole 2001:db8:52::/48 table 4500",
        "route add local 2001:db8:53::/48 dev lo table 4500 proto 73",
        "route add local default dev lo table 4500 metric 9",
        "route add unreachable 2001:db8:54::/48 table 4501",
        f"route add 2001:db8:51::/48 via {CLIENTS_GATEWAY[6]}",
    ),
}


def add_foreign(namespace: Namespace) -> None:
    """Fills the kernel with what might be mistaken for ikelb's."""
    namespace.nft(FOREIGN_NFT)
    for family in (4, 6):
        for line in (*FOREIGN_RULES, *FOREIGN_ROUTES[family]):
            namespace.ip(f"-{family}", *line.split())


def snapshot(namespace: Namespace) -> str:
    """All of it as text."""
    parts = [f"# {' '.join(command)}\n{namespace.run(*command)}" for command in COMMANDS]
    return "".join([*parts, "# XDP\n", *(f"{device} {mode}\n" for device, mode in xdp_attached(namespace).items())])


def xdp_attached(namespace: Namespace) -> dict[str, str]:
    """The devices with an XDP program, and how it is attached."""
    links = json.loads(namespace.run("ip", "-json", "link"))
    return {link["ifname"]: XDP_MODES.get(link["xdp"]["mode"], "?") for link in links if "xdp" in link}


def difference(before: str, after: str) -> str:
    """The lines that came and went; empty if there are none."""
    changed = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=0)
    return "\n".join(changed)


def unchanged(before: str, after: str, when: str) -> None:
    assert before == after, f"{when}, the kernel's state has changed:\n{difference(before, after)}"


def own_parts(state: str) -> dict[str, int]:
    """How often each part of ikelb's own is there, both families together."""
    lines = [line.strip() for line in state.splitlines()]
    return {
        "table": lines.count("table inet ikelb {"),
        "rule": sum(line.startswith("45:") and "fwmark 0x45000000/0xff000000 lookup 4500" in line for line in lines),
        "route": sum(line.startswith("local default dev lo table 4500 proto 73") for line in lines),
    }
