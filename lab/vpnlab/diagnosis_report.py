"""The findings of the lab's second part in words: which client is in which situation, and what ikelb says of it."""

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from .diagnosis import Finding, wrong
from .report import BOLD, GREEN, RED, paint

HEADS = ("situation", "verdict", "what ikelb says of the client")
SITUATION_WIDTH = 26
NARROWEST, WIDEST = 72, 160

INTRODUCTION = (
    "Real clients in trouble, in transparent mode: each is in another situation, and ikelb, which can decrypt "
    "nothing, is asked by `ikelb explain ADDRESS --json` what is the matter with it."
)


def introduction(width: int) -> str:
    return textwrap.fill(INTRODUCTION, _between(width), break_on_hyphens=False)


def table(findings: Sequence[Finding], width: int, colour: bool) -> str:
    """The findings, wrapped to a terminal's width, and how many are right."""
    cells = [(finding.situation.title, _verdict(finding), _words(finding)) for finding in findings]
    verdict_width = max(len(word) for row in (HEADS, *cells) for word in row[1].split())
    widths = (SITUATION_WIDTH, verdict_width, _between(width) - SITUATION_WIDTH - verdict_width - 4)
    lines = [paint(line, BOLD, colour) for line in (*_row(HEADS, widths), "-" * _between(width))]
    for finding, row in zip(findings, cells):
        lines += [paint(line, GREEN if finding.right else RED, colour) for line in _row(row, widths)]
    return "\n".join(lines) + f"\n\n{_score(findings)}"


def _verdict(finding: Finding) -> str:
    """A wrong one must show without colour too."""
    if finding.right:
        return finding.verdict
    if finding.verdict != finding.situation.verdict:
        return f"{finding.verdict} (wrong: {finding.situation.verdict} expected)"
    return f"{finding.verdict} (wrong advice)"


def _words(finding: Finding) -> str:
    return f"{finding.summary} {finding.telling_advice()}".rstrip()


def _score(findings: Sequence[Finding]) -> str:
    return f"{len(findings) - len(wrong(findings))} of {len(findings)} verdicts are right."


def _row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The lines of one row. What goes on in the first column is indented, so that rows are told apart."""
    first = textwrap.wrap(cells[0], widths[0], subsequent_indent="  ", break_on_hyphens=False)
    others = [textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(cells[1:], widths[1:])]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
        for line in zip_longest(first, *others, fillvalue="")
    ]


def _between(width: int) -> int:
    return min(max(width, NARROWEST), WIDEST)
