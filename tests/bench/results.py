"""What was measured, as plain values that a JSON file keeps: tables, chart and document are made of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Cell:
    """One forwarder in one direction: a rate a round (packets a second), and latencies by the sink's buckets."""

    rates: list[float] = field(default_factory=list)
    lost: int = 0
    disturbed: int = 0  # of these rates: others took more of the machine than they should
    latency: dict[int, int] = field(default_factory=dict)


@dataclass
class Rates:
    """Forwarders beside each other: cells by forwarder's key and direction."""

    title: str
    payload: int
    clients: dict[str, int]  # by key: a forwarder may not be able to take as many as the others
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def cell(self, key: str, direction: str) -> Cell:
        return self.cells.setdefault(key, {}).setdefault(direction, Cell())

    def rates(self, key: str, direction: str) -> list[float]:
        """Empty if there is no such measurement."""
        cell = self.cells.get(key, {}).get(direction)
        return cell.rates if cell else []


@dataclass
class Memory:
    """Bytes that so many clients took, beside what the forwarder had before them."""

    clients: int
    process: int  # anonymous memory of the process
    kernel: int  # see kernel_what
    kernel_what: str


@dataclass
class NewFlows:
    """First packets of clients never seen before: how many in each round, and how many a second."""

    clients: int
    rates: list[float] = field(default_factory=list)


@dataclass
class Lag:
    """How long the loop's turns took under full load: a bound that 99.9 % did not exceed, and how many turns."""

    clients: int
    rate: float
    bound_s: float
    slowest_s: float
    turns: int
    scrapes: int
    others: float  # the share of the time that others took


@dataclass
class Flood:
    """Packets a second of known clients while a flood goes elsewhere, and while it comes here, round by round."""

    calm: list[float]
    flooded: list[float]


@dataclass
class State:
    """The state file with so many clients: times in seconds, and bounds of the loop's lag as Lag has them."""

    clients: int
    bytes: int
    start_s: float
    save_s: list[float]
    end_s: float
    lag_idle_s: float
    lag_saving_s: float
    lag_listing_s: float


@dataclass
class Results:
    machine: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # of the forwarders, by key, in order
    notes: list[str] = field(default_factory=list)
    rounds: int = 0
    main: list[Rates] = field(default_factory=list)  # by payload
    own_core: list[Rates] = field(default_factory=list)
    scaling: list[Rates] = field(default_factory=list)  # by clients
    reads: list[float] = field(default_factory=list)  # for each of `scaling`: memory_read_ns() in the fast path's table
    dense_reads: list[float] = field(default_factory=list)  # in a table of 16 bytes a client
    memory: dict[str, Memory] = field(default_factory=dict)
    new_flows: dict[str, NewFlows] = field(default_factory=dict)
    lag: dict[str, Lag] = field(default_factory=dict)
    flood: dict[str, Flood] = field(default_factory=dict)
    state: State | None = None


def save(results: Results, path: Path) -> None:
    path.write_text(json.dumps(asdict(results), indent=1) + "\n")


def load(path: Path) -> Results:
    raw = json.loads(path.read_text())
    for part in ("main", "own_core", "scaling"):
        raw[part] = [_rates(entry) for entry in raw[part]]
    raw["memory"] = {key: Memory(**value) for key, value in raw["memory"].items()}
    raw["new_flows"] = {key: NewFlows(**value) for key, value in raw["new_flows"].items()}
    raw["lag"] = {key: Lag(**value) for key, value in raw["lag"].items()}
    raw["flood"] = {key: Flood(**value) for key, value in raw["flood"].items()}
    raw["state"] = raw["state"] and State(**raw["state"])
    return Results(**raw)


def _rates(raw: Mapping) -> Rates:
    cells = {key: {direction: _cell(cell) for direction, cell in row.items()} for key, row in raw["cells"].items()}
    return Rates(**{**raw, "cells": cells})


def _cell(raw: Mapping) -> Cell:
    latency = {int(bucket): count for bucket, count in raw["latency"].items()}
    return Cell(**{**raw, "latency": latency})
