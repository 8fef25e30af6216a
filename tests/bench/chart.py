"""The chart of the document: a picture of the main table and of the scaling, in SVG, for light and for dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from results import Rates, Results
from stats import spread
from tables import DIRECTIONS, FLOOR, KERNEL, kpps, ratio_text

WIDTH = 960
MARGIN = 32
NAMES = 190  # where the bars begin
BARS = 520  # how long the longest is
BAR, GAP, ROW = 12, 3, 40
LINES_HEIGHT = 230
LABEL_DISTANCE = 17

OURS = ("slow", "generic", "native")

STYLE = """
  .page { fill: #ffffff; stroke: #d8dee4; }
  text { font: 13px system-ui, 'Segoe UI', 'Liberation Sans', sans-serif; fill: #1f2328; }
  .head { font-size: 16px; font-weight: 600; }
  .soft { fill: #59636e; }
  .strong { font-weight: 600; }
  .grid { stroke: #d8dee4; stroke-width: 1; }
  .ours .in { fill: #0969da; } .ours .out { fill: #74b0f4; }
  .theirs .in { fill: #6e7781; } .theirs .out { fill: #b4bcc5; }
  .line { fill: none; stroke-width: 2.5; }
  .ours .line { stroke: #0969da; } .theirs .line { stroke: #6e7781; }
  .generic .line, .conntrack .line { stroke-dasharray: 7 4; }
  .slow .line { stroke-dasharray: 2 4; }
  .ours .dot { fill: #0969da; } .theirs .dot { fill: #6e7781; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d; }
    text { fill: #f0f6fc; } .soft { fill: #9198a1; } .grid { stroke: #3d444d; }
    .ours .in { fill: #4493f8; } .ours .out { fill: #1f5fae; }
    .theirs .in { fill: #9198a1; } .theirs .out { fill: #59636e; }
    .ours .line { stroke: #4493f8; } .theirs .line { stroke: #9198a1; }
    .ours .dot { fill: #4493f8; } .theirs .dot { fill: #9198a1; }
  }
"""


@dataclass(frozen=True)
class Part:
    """A piece of the picture and how much height it takes."""

    svg: str
    height: float


def draw(results: Results) -> str:
    """The whole picture. There must be a main table."""
    parts, top = [], float(MARGIN)
    for part in _parts(results):
        parts.append(f'<g transform="translate({MARGIN} {top:g})">\n{part.svg}\n</g>')
        top += part.height + MARGIN
    body = "\n".join(parts)
    size = f'width="{WIDTH}" height="{top:g}" viewBox="0 0 {WIDTH} {top:g}"'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n'
            f"<title>{escape(_title(results.main[0]))}</title>\n<style>{STYLE}</style>\n"
            f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{top - 1:g}" rx="8"/>\n{body}\n</svg>\n')


def _parts(results: Results) -> list[Part]:
    parts = [_bars(results.main[0], results.names)]
    if len(results.scaling) > 1:
        parts.append(_lines(results.scaling, results.names))
    return parts


def _title(rates: Rates) -> str:
    clients = max(rates.clients.values())
    return f"Thousand packets a second on one core: {rates.payload} bytes of payload, {clients:,} clients"


def _side(key: str) -> str:
    return "ours" if key in OURS else "theirs"


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def _bars(rates: Rates, names: dict[str, str]) -> Part:
    """Each forwarder with a bar for each direction, the rate, and its ratio to kernel forwarding."""
    keys = [key for key in names if key != FLOOR and key in rates.cells]
    longest = max(spread(rates.rates(key, direction)).median for key in keys for direction in DIRECTIONS
                  if rates.rates(key, direction))
    legend = f"Upper bars: {DIRECTIONS['in']}. Lower bars: {DIRECTIONS['out']}. (×: compared with kernel forwarding)"
    svg = [_text(0, 14, _title(rates), "head"), _text(0, 36, legend, "soft")]
    top = 52.0
    for key in keys:
        svg.append(f'<g class="{_side(key)}">')
        svg.append(_text(0, top + 19, names[key], "strong" if key in OURS else ""))
        for number, direction in enumerate(DIRECTIONS):
            y = top + number * (BAR + GAP)
            svg.append(_bar(rates, key, direction, y, longest))
        svg.append("</g>")
        top += ROW
    return Part("\n".join(svg), top - (ROW - 2 * BAR - GAP))


def _bar(rates: Rates, key: str, direction: str, y: float, longest: float) -> str:
    values = rates.rates(key, direction)
    if not values:
        return _text(NAMES, y + BAR - 1, "not measured", "soft")
    rate = spread(values).median
    length = max(rate / longest * BARS, 1)
    ratio = ratio_text(values, rates.rates(KERNEL, direction))
    words = kpps(rate) if key == KERNEL or ratio == "-" else f"{kpps(rate)} (×{ratio})"
    return (f'<rect class="{direction}" x="{NAMES}" y="{y:g}" width="{length:.1f}" height="{BAR}" rx="2"/>'
            + _text(NAMES + length + 8, y + BAR - 1, words))


def _lines(sections: Sequence[Rates], names: dict[str, str]) -> Part:
    """Rates from clients to the server by number of clients, for those who can have so many."""
    counts = [max(rates.clients.values()) for rates in sections]
    series = {}
    for key in names:
        values = [rates.rates(key, "in") for rates in sections]
        full = all(rates.clients.get(key) == count for rates, count in zip(sections, counts, strict=True))
        if full and all(values):
            series[key] = [spread(value).median for value in values]
    if not series:
        return Part("", 0)
    top, highest = 64.0, max(max(values) for values in series.values())
    bottom = top + LINES_HEIGHT
    xs = [NAMES + BARS * number / (len(counts) - 1) for number in range(len(counts))]
    legend = f"Thousand packets a second, {DIRECTIONS['in']}; the clients take turns in a pseudo-random order"
    svg = [_text(0, 14, "The same with more clients", "head"), _text(0, 36, legend, "soft")]
    for x, count in zip(xs, counts, strict=True):
        svg.append(f'<line class="grid" x1="{x:g}" y1="{top:g}" x2="{x:g}" y2="{bottom:g}"/>')
        svg.append(_text(x, bottom + 20, f"{count:,}", "soft", "middle"))
    svg.append(_text(0, bottom + 20, "clients", "soft"))
    ys = {key: [bottom - value / highest * LINES_HEIGHT for value in values] for key, values in series.items()}
    labels = apart({key: points[-1] for key, points in ys.items()}, LABEL_DISTANCE)
    firsts = apart({key: points[0] for key, points in ys.items()}, LABEL_DISTANCE)
    for key, points in ys.items():
        path = " ".join(f"{x:g},{y:.1f}" for x, y in zip(xs, points, strict=True))
        dots = "".join(f'<circle class="dot" cx="{x:g}" cy="{y:.1f}" r="4"/>' for x, y in zip(xs, points, strict=True))
        svg.append(f'<g class="{_side(key)} {key}"><polyline class="line" points="{path}"/>{dots}')
        svg.append(_text(xs[0] - 12, firsts[key] + 4, kpps(series[key][0]), "", "end"))
        svg.append(_text(xs[-1] + 12, labels[key] + 4, f"{kpps(series[key][-1])} {names[key]}",
                         "strong" if key in OURS else ""))
        svg.append("</g>")
    return Part("\n".join(svg), bottom + 24)


def apart(places: dict[str, float], distance: float) -> dict[str, float]:
    """The same places in the same order, moved so little as it takes that no two are nearer than `distance`."""
    order = sorted(places, key=lambda key: places[key])
    clusters: list[list[str]] = []

    def touch(before: list[str], after: list[str]) -> bool:
        return _start(after, places, distance) < _end(before, places, distance) + distance

    for key in order:
        clusters.append([key])
        while len(clusters) > 1 and touch(clusters[-2], clusters[-1]):
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    return {key: _start(cluster, places, distance) + number * distance
            for cluster in clusters for number, key in enumerate(cluster)}


def _start(cluster: Sequence[str], places: dict[str, float], distance: float) -> float:
    """Where the first of a cluster goes, so that its middle is the middle of where its members belong."""
    middle = sum(places[key] for key in cluster) / len(cluster)
    return middle - distance * (len(cluster) - 1) / 2


def _end(cluster: Sequence[str], places: dict[str, float], distance: float) -> float:
    return _start(cluster, places, distance) + distance * (len(cluster) - 1)
