"""The state file: restores, saves and lists a crowd of clients, on the disk that the build is on."""

import os
import re
import subprocess
import threading
import time

from forwarders import wait_for
from ikelb import loop_lag, service
from load import CORE
from network import ROOT, SERVER, site
from results import State
from rounds import progress
from stats import bound
from vpnlab.balancer import Balancer
from vpnlab.topology import VIP

CROWD = ROOT / "build/release/tests/crowd"
FILE = ROOT / "build/bench/state"
IDLE_S = 3.0

Counts = dict[float, float]


def measure_state(clients: int, rounds: int) -> State:
    try:
        with site("state") as place:
            subprocess.run([str(CROWD), str(FILE), str(clients), VIP[4], SERVER], check=True)
            begin = time.monotonic()
            configuration = {"services": [service()], "dataplane": {"max_clients": clients},
                             "state": {"file": str(FILE)}}
            balancer = Balancer(place.workspace, place.network, configuration, place.directory / "ikelb.log")
            os.sched_setaffinity(balancer.process.pid, {int(CORE)})
            balancer.wait_status(lambda _: True, "answering", 60)
            started = time.monotonic() - begin
            assert balancer.backend("s1")["clients"] == clients
            found = _measure(balancer, clients, rounds, started)
            begin = time.monotonic()
            balancer.stop()
            found.end_s = time.monotonic() - begin
            return found
    finally:
        FILE.unlink(missing_ok=True)


def _measure(balancer: Balancer, clients: int, rounds: int, started: float) -> State:
    seconds, before = [_save_again(balancer)], loop_lag(balancer)
    time.sleep(IDLE_S)
    idle = _lag_between(before, after := loop_lag(balancer))
    seconds += [_save_again(balancer) for _ in range(rounds)]
    saving = _lag_between(after, after := loop_lag(balancer))
    progress(f"  state file: saved {rounds + 1} times")
    for _ in range(rounds):
        thread = threading.Thread(target=balancer.clients)
        thread.start()
        seconds.append(_save_again(balancer))
        thread.join()
    listing = _lag_between(after, loop_lag(balancer))
    size = int(_state_metrics(balancer)["bytes"])
    return State(clients, size, started, seconds, 0.0, idle, saving, listing)


def _save_again(balancer: Balancer) -> float:
    """Changes something, so that a saving is due, and waits until it is over; how long the saving took."""
    state = "drain" if balancer.backend("s1")["state"] == "enabled" else "enable"
    assert balancer.request("POST", f"/api/v1/backends/bench/s1/{state}")[0] == 200
    now = time.time()
    wait_for(lambda: _state_metrics(balancer)["saved_timestamp_seconds"] > now, "the state file is saved", 30)
    return _state_metrics(balancer)["save_seconds"]


def _state_metrics(balancer: Balancer) -> dict[str, float]:
    text = balancer.request("GET", "/metrics")[1].decode()
    return {name: float(value) for name, value in re.findall(r"^ikelb_state_(\w+) (\S+)$", text, re.MULTILINE)}


def _lag_between(before: Counts, after: Counts) -> float:
    """The bound that 99.9 % of the turns in between did not exceed."""
    return bound({limit: after[limit] - before[limit] for limit in after}, 0.999)
