"""From which load on more requests in flight bring no more tokens (pure)."""

import math
from collections.abc import Sequence
from itertools import pairwise

from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.catalog.schema import Limits
from devstral_fleet.findings import Finding, finding

LEAST_LEVELS = 3
Level = tuple[int, float]
"""Requests in flight, and output tokens a second."""


def saturated(levels: Sequence[Level], saturated_percent: float) -> int | None:
    """Return the lowest concurrency after which no step grows by that percent for each doubling, None where one does.

    Args:
        levels: in any order, throughputs above 0.
    """
    found = None
    for (low, slow), (high, fast) in reversed(list(pairwise(sorted(levels)))):
        if (fast / slow) ** (1 / math.log2(high / low)) - 1 >= saturated_percent / 100:
            break
        found = low
    return found


def findings(measured: Sequence[Measurement], limits: Limits) -> tuple[Finding, ...]:
    """Say of each workload that was measured at three levels or more where its throughput saturates."""
    names = dict.fromkeys(one.workload for one in measured)
    levels = {name: _levels([one for one in measured if one.workload == name]) for name in names}
    return tuple(
        finding("bench-saturation", "ok", _sentence(name, found, limits.saturated_percent))
        for name, found in levels.items()
        if len(found) >= LEAST_LEVELS
    )


def _levels(measured: Sequence[Measurement]) -> dict[int, float]:
    medians = {one.concurrency: one.median("output_throughput") for one in measured if not one.failures}
    return {level: speed for level, speed in medians.items() if speed}


def _sentence(workload: str, levels: dict[int, float], percent: float) -> str:
    found = saturated(list(levels.items()), percent)
    if found is None:
        return f"{workload}: the throughput still grows at {max(levels)} requests in flight"
    gain = f"more of them bring less than {percent:g} % for each doubling"
    return f"{workload}: {found} requests in flight saturate it, at {levels[found]:.0f} tok/s; {gain}"
