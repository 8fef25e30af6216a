"""The results as tables of text, for a terminal and for the document alike."""

from collections.abc import Sequence

from results import Rates, Results
from stats import Spread, cost_ns, percentile_ns, ratio, spread

DIRECTIONS = {"in": "clients to server", "out": "server to clients"}
FLOOR, KERNEL, NGINX = "floor", "kernel", "nginx"
EMPTY = "-"
LAG_AIM_S = 0.001

Row = list[str]


def table(head: Row, rows: Sequence[Row]) -> str:
    """Columns as wide as they need: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def kpps(rate: float) -> str:
    return f"{rate / 1e3:,.0f}"


def span(values: Spread) -> str:
    return f"{kpps(values.low)}..{kpps(values.high)}"


def ratio_text(values: Sequence[float], base: Sequence[float]) -> str:
    return f"{ratio(values, base).median:.2f}" if values and base else EMPTY


def rates_row(rates: Rates, key: str, name: str, direction: str) -> Row:
    values = rates.rates(key, direction)
    if not values:
        return [name, *[EMPTY] * 8]
    floor = rates.rates(FLOOR, direction)
    costs = [cost_ns(rate, other) for rate, other in zip(values, floor)]
    latency = rates.cells[key][direction].latency
    times = [f"{percentile_ns(latency, share) / 1e3:.1f}" if latency else EMPTY for share in (0.5, 0.99)]
    return [
        name,
        f"{rates.clients[key]:,}",
        kpps(spread(values).median),
        span(spread(values)),
        f"{spread(costs).median:,.0f}" if costs and key != FLOOR else EMPTY,
        ratio_text(values, rates.rates(KERNEL, direction)),
        ratio_text(values, rates.rates(NGINX, direction)),
        *times,
    ]


def rates_tables(rates: Rates, names: dict[str, str]) -> str:
    parts = []
    for direction, words in DIRECTIONS.items():
        rows = [rates_row(rates, key, name, direction) for key, name in names.items() if rates.rates(key, direction)]
        if rows:
            head = [words, "clients", "kpps", "lowest..highest", "ns/packet", "/kernel", "/nginx", "us", "us 99 %"]
            parts.append(table(head, rows))
    return f"{rates.title}\n\n" + "\n\n".join(parts)


def scaling_table(sections: Sequence[Rates], names: dict[str, str], reads: Sequence[float],
                  dense_reads: Sequence[float]) -> str:
    """Rates and ratios to kernel forwarding by number of clients; and how long a read of memory takes then."""
    head = ["with so many clients: kpps (/kernel)", *(f"{max(rates.clients.values()):,}" for rates in sections)]
    rows = []
    for direction, words in DIRECTIONS.items():
        for key, name in names.items():
            cells = [_scaling_cell(rates, key, direction) for rates in sections]
            if any(cell != EMPTY for cell in cells):
                rows.append([f"{name}, {words}", *cells])
    rows.append(["a read of memory, anywhere in a table for as many", *(f"{read:.0f} ns" for read in reads)])
    rows.append(["the same, with 16 bytes a client and no gap", *(f"{read:.0f} ns" for read in dense_reads)])
    return table(head, rows)


def _scaling_cell(rates: Rates, key: str, direction: str) -> str:
    values = rates.rates(key, direction)
    if not values:
        return EMPTY
    kernel = ratio_text(values, rates.rates(KERNEL, direction))
    few = rates.clients[key] < max(rates.clients.values())
    return f"{kpps(spread(values).median)} ({kernel}){f' with {rates.clients[key]:,}' if few else ''}"


def memory_table(results: Results) -> str:
    rows = []
    for key, memory in results.memory.items():
        kernel = f"{memory.kernel / memory.clients:,.0f} ({memory.kernel_what})" if memory.kernel else EMPTY
        rows.append([results.names[key], f"{memory.clients:,}", f"{memory.process / memory.clients:,.0f}", kernel])
    return table(["bytes a client", "clients", "process", "kernel"], rows)


def new_flows_table(results: Results) -> str:
    rows = []
    for key, flows in results.new_flows.items():
        values = spread(flows.rates)
        rows.append([results.names[key], f"{flows.clients:,}", kpps(values.median), span(values)])
    return table(["new clients, thousand a second", "each round", "median", "lowest..highest"], rows)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:g}"


def lag_table(results: Results) -> str:
    rows = []
    for key, lag in results.lag.items():
        verdict = "kept" if lag.bound_s <= LAG_AIM_S else "MISSED"
        rows.append([results.names[key], f"{lag.clients:,}", kpps(lag.rate), milliseconds(lag.bound_s),
                     milliseconds(lag.slowest_s), f"{lag.turns:,}", str(lag.scrapes), f"{lag.others:.1%}", verdict])
    return table(["loop lag in ms, at most", "clients", "kpps", "99.9 %", "all", "turns", "scrapes", "others", "aim: 1 ms"], rows)


def flood_table(results: Results) -> str:
    rows = []
    for key, flood in results.flood.items():
        rows.append([results.names[key], kpps(spread(flood.calm).median), kpps(spread(flood.flooded).median),
                     ratio_text(flood.flooded, flood.calm)])
    return table(["known clients in a flood of IKE_SA_INITs", "kpps, it goes elsewhere", "kpps", "ratio"], rows)


def state_text(results: Results) -> str:
    state = results.state
    assert state is not None
    saves = spread(state.save_s)
    return (
        f"State file with {state.clients:,} clients, a session and two flows each: {state.bytes / 1e6:.0f} MB;\n"
        f"started with it in {state.start_s:.1f} s, saved while running in {saves.median:.1f} s ({saves.low:.1f} to "
        f"{saves.high:.1f}), ended in {state.end_s:.1f} s.\nLoop lag, 99.9 %, in ms at most:\nidle {milliseconds(state.lag_idle_s)}, "
        f"while saving {milliseconds(state.lag_saving_s)}, while saving and listing all clients {milliseconds(state.lag_listing_s)}."
    )


def disturbance(results: Results) -> str:
    """How much of what was compared was measured while others were at work."""
    cells = [cell for rates in [*results.main, *results.own_core, *results.scaling]
             for row in rates.cells.values() for cell in row.values()]
    total, disturbed = sum(len(cell.rates) for cell in cells), sum(cell.disturbed for cell in cells)
    return f"Other processes disturbed {disturbed:,} of {total:,} rates in the tables of kpps."


def everything(results: Results) -> list[str]:
    """All tables there are results for, in order."""
    parts = [rates_tables(rates, results.names) for rates in [*results.main, *results.own_core]]
    if results.scaling:
        parts.append(scaling_table(results.scaling, results.names, results.reads, results.dense_reads))
    others = [(results.memory, memory_table), (results.new_flows, new_flows_table), (results.lag, lag_table),
              (results.flood, flood_table), (results.state, state_text)]
    for found, render in others:
        if found:
            parts.append(render(results))
    parts.append(disturbance(results))
    return parts
