"""Figures from measurements: medians, spreads, ratios, percentiles of the sink's histogram."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

STEPS = 32  # As in meter.h: buckets are a 32nd of an octave wide.


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def ratio(values: Sequence[float], base: Sequence[float]) -> Spread:
    """How many times `base`: round by round, so that a machine whose speed drifts does not matter; then the median."""
    return spread([value / other for value, other in zip(values, base, strict=True)])


def cost_ns(rate: float, floor: float) -> float:
    """What a packet costs on one core, without what sending and counting it cost."""
    return 1e9 / rate - 1e9 / floor


def bucket_ns(bucket: int) -> float:
    """The middle of a bucket of the sink's histogram."""
    octave = max(bucket // STEPS - 1, 0)
    return ((bucket - octave * STEPS) + 0.5) * 2**octave


def merge(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    merged: dict[int, int] = {}
    for histogram in histograms:
        for bucket, count in histogram.items():
            merged[bucket] = merged.get(bucket, 0) + count
    return merged


def percentile_ns(histogram: Mapping[int, int], share: float) -> float:
    """Below which latency that share of the packets lies."""
    wanted = share * sum(histogram.values())
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= wanted:
            return bucket_ns(bucket)
    raise ValueError("an empty histogram")


def bound(counts: Mapping[float, float], share: float) -> float:
    """The bound of a Prometheus histogram (cumulative counts by bound) below which that share lies."""
    total = counts[float("inf")]
    return min(bound for bound, count in counts.items() if count >= share * total)
