"""The lab in words: what it compares, the table of results, and why the results differ."""

import textwrap
from collections.abc import Sequence

from .scenarios import SERVER_LIMIT, Result

BOLD, RED, GREEN, PLAIN = "\033[1m", "\033[31m", "\033[32m", "\033[0m"

HEADS = (
    ("", "scenario"),
    ("", "mode"),
    ("clients", "connected"),
    ("refused by", "the servers"),
    ("sources the", "servers saw"),
    ("time to connect", "median"),
    ("", "99th pct"),
    ("tunnels with", "traffic"),
    ("tunnels on", "each server"),
)
LEFT = (0, 1)
TEXT_WIDTH = 116
MTU = 1500


def introduction(clients: int, servers: int, retransmissions: int) -> str:
    """What will be seen, for somebody who reads nothing else."""
    compared = _wrap(
        f"""{clients} VPN clients connect to {servers} VPN servers (all real strongSwan) through ikelb, first in
        full-NAT mode, then in transparent mode. Nothing else differs between the two:"""
    )
    modes = """\
  full-nat      ikelb puts its own address in place of the client's, as most balancers do: all look like one.
  transparent   ikelb rewrites the destination only: the servers see each client's own address."""
    conditions = _wrap(
        f"""The servers keep their default limit: {SERVER_LIMIT} half-open handshakes per source address; more are
        ignored. Only their cookies, a milder defence that comes before it, are off: strongSwan 5.9.8 may refuse its
        own cookies on a machine booted recently. {_patience(retransmissions)}"""
    )
    return f"{compared}\n{modes}\n{conditions}"


def _patience(retransmissions: int) -> str:
    if retransmissions == 0:
        return """A client sends each message once and waits 3 s for the answer, so that each refusal is one client
        without a connection (lab/run --retransmissions 2 lets the clients try again)."""
    return f"A client repeats an unanswered message up to {retransmissions} times: after 3 s, then 6 s, and so on."


def table(results: Sequence[Result], colour: bool) -> str:
    """The results, scenario by scenario, full NAT above transparent."""
    order = {result.scenario.name: number for number, result in reversed(list(enumerate(results)))}
    rows: list[tuple[Result, list[str]]] = [
        (result, _cells(result)) for result in sorted(results, key=lambda result: order[result.scenario.name])
    ]
    widths = [max(len(text) for text in column) for column in zip(*(cells for _, cells in rows), *zip(*HEADS))]
    # The word over two columns may be as wide as both.
    widths[5] = max(len(HEADS[5][1]), *(len(cells[5]) for _, cells in rows), len(HEADS[5][0]) - widths[6] - 2)
    lines = [paint(line, BOLD, colour) for line in _head(widths)]
    previous = ""
    for result, cells in rows:
        if result.scenario.name == previous:
            cells[0] = ""
        elif previous:
            lines.append("")
        previous = result.scenario.name
        if result.failure:
            lines.append(paint(f"{_line(cells[:2], widths)}  failed: {result.failure.splitlines()[0]}", RED, colour))
        else:
            lines.append(paint(_line(cells, widths), GREEN if result.everybody else RED, colour))
    return "\n".join(lines)


def explanation(results: Sequence[Result]) -> str:
    """Why the rows differ, in the order of the table, with the figures that were seen."""
    found = {(result.scenario.name, result.mode): result for result in results if not result.failure}
    burst, slow, dead = (found.get((name, "full-nat")) for name in ("burst", "slow", "dead"))
    largest_bytes = max(found[key].largest_message_bytes for key in found) if found else 0
    paragraphs = []
    if burst and burst.refused:
        paragraphs.append(
            f"""all at once: with full NAT a server refuses whoever comes while {SERVER_LIMIT} other handshakes are half
            open. How many that are is chance, and differs from run to run."""
        )
    if slow and slow.refused:
        paragraphs.append(
            f"""slow authentication: while a handshake waits it is half open. With full NAT all come from one address:
            each server takes {SERVER_LIMIT} and ignores the others ({slow.refused} handshakes here) without any answer,
            which Windows shows as error 809. In transparent mode each address has one half-open handshake, far from
            the limit."""
        )
    if dead and dead.refused:
        paragraphs.append(
            """dead clients first: handshakes that never end stay half open for 30 s. With full NAT a few of them use up
            the one address, and new clients get no answer although the servers have nothing to do. In transparent mode
            the limit counts them where they come from, and others do not notice."""
        )
    if largest_bytes > MTU:
        paragraphs.append(
            f"""large certificate chain: the largest message had {largest_bytes} bytes, and a packet has {MTU} at most;
            its IP fragments crossed ikelb in both directions. A balancer that drops fragments stalls every such client
            after IKE_SA_INIT."""
        )
    return "".join(_wrap(paragraph, "  ") + "\n" for paragraph in paragraphs)


def _cells(result: Result) -> list[str]:
    return [
        result.scenario.title,
        result.mode,
        f"{result.connected} of {result.clients}",
        str(result.refused),
        str(result.sources),
        _time(result.median_s()),
        _time(result.percentile_99_s()),
        str(result.with_traffic),
        _spread(result.per_server),
    ]


def _wrap(words: str, inwards: str = "") -> str:
    """A paragraph in lines as wide as the table; `inwards` stands before all but the first."""
    plain = " ".join(words.split())
    return textwrap.fill(plain, TEXT_WIDTH, subsequent_indent=inwards, break_on_hyphens=False)


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"


def _spread(per_server: Sequence[int]) -> str:
    if len(per_server) <= 6:
        return "/".join(map(str, per_server))
    return f"{min(per_server)} to {max(per_server)}"


def _head(widths: Sequence[int]) -> list[str]:
    upper, lower = ([head[row] for head in HEADS] for row in (0, 1))
    both = widths[5] + 2 + widths[6]
    first = f"{_line(upper[:5], widths)}  {upper[5].center(both)}  {_line(upper[7:], widths[7:], left=())}"
    return [first.rstrip(), _line(lower, widths), "-" * (sum(widths) + 2 * (len(widths) - 1))]


def _line(cells: Sequence[str], widths: Sequence[int], left: Sequence[int] = LEFT) -> str:
    pairs = enumerate(zip(cells, widths))
    return "  ".join(cell.ljust(width) if at in left else cell.rjust(width) for at, (cell, width) in pairs)


def paint(line: str, ink: str, colour: bool) -> str:
    """The line in one of the inks above, if there is to be colour."""
    return f"{ink}{line}{PLAIN}" if colour else line
