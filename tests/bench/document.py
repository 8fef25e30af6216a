"""Writes what was measured into docs/benchmarks.md, between two marks, and draws its chart."""

from pathlib import Path

from chart import draw
from results import Results
from tables import everything

BEGIN, END = "<!-- written by tests/bench/run -->\n", "<!-- the end of what it writes -->\n"
DOCUMENT, CHART = "docs/benchmarks.md", "docs/images/benchmarks.svg"


def machine_lines(results: Results) -> str:
    return "\n".join(f"- {what}: {words}" for what, words in results.machine.items() if words)


def generated(results: Results) -> str:
    """The part between the marks."""
    tables = "\n\n\n".join(everything(results))
    notes = "".join(f"- {note}\n" for note in results.notes)
    return (f"![Packets a second by forwarder, and by number of clients](images/benchmarks.svg)\n\n"
            f"{machine_lines(results)}\n- rounds: {results.rounds}; figures are medians\n\n```\n{tables}\n```\n"
            + (f"\n{notes}" if notes else ""))


def replaced(text: str, part: str) -> str:
    """The document with its generated part renewed."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT}: its marks are missing")
    return f"{before}{BEGIN}\n{part}\n{END}{after}"


def write(results: Results, root: Path) -> None:
    document = root / DOCUMENT
    document.write_text(replaced(document.read_text(), generated(results)))
    (root / CHART).write_text(draw(results))
