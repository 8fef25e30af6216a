"""New sessions: how many first packets a second of clients that were never seen a forwarder takes.

For ikelb each is an IKE_SA_INIT on port 500 and makes a pin, a session and a flow; for the others it is the first
packet of a flow. Nothing is answered: that is what a flood is like, and the same for all. In each round come other
clients, so few in all that neither ikelb's share of unconfirmed clients nor the others' limits are reached.
"""

from collections.abc import Sequence
from contextlib import ExitStack

from forwarders import Forwarder
from ikelb import Ikelb
from load import Load, Route, send
from network import site
from results import NewFlows
from rounds import progress
from vpnlab.shell import LabError

SECONDS_MAX = 20.0
MAX_CLIENTS = 500_000  # so ikelb's tables have room for 156,000 handshakes under way: a quarter of all (ikelb.ROOM)


def measure_new_flows(kinds: Sequence[type[Forwarder]], rounds: int, clients: int) -> dict[str, NewFlows]:
    found: dict[str, NewFlows] = {}
    with ExitStack() as stack:
        forwarders = []
        for kind in kinds:
            forwarder = kind(stack.enter_context(site(kind.key)), MAX_CLIENTS)
            stack.callback(forwarder.stop)
            forwarder.start()
            forwarder.freeze()
            forwarders.append(forwarder)
            found[kind.key] = NewFlows(min(clients, forwarder.clients // rounds))
        for number in range(rounds):
            for forwarder in forwarders:
                flows = found[forwarder.key]
                forwarder.thaw()
                flows.rates.append(_begin(forwarder, number * flows.clients, flows.clients))
                forwarder.freeze()
            progress(f"  new flows: round {number + 1} of {rounds}")
        for forwarder in forwarders:
            forwarder.thaw()
            _check(forwarder, rounds * found[forwarder.key].clients)
    return found


def _check(forwarder: Forwarder, clients: int) -> None:
    if isinstance(forwarder, Ikelb) and forwarder.entries()["sessions"] < clients:
        raise LabError(f"{forwarder.name}: of {clients} handshakes it knows {forwarder.entries()}")


def _begin(forwarder: Forwarder, first: int, count: int) -> float:
    ike = isinstance(forwarder, Ikelb)
    route: Route = forwarder.route("in", 500 if ike else 4500)
    outcome = send(route, Load(count, first=first, kind="ike" if ike else "esp", each_once=True, seconds=SECONDS_MAX,
                               window=forwarder.window))
    if outcome.arrived < 0.99 * count:
        raise LabError(f"{forwarder.name}: of {count} first packets {outcome.arrived} arrived")
    return outcome.rate
