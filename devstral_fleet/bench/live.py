"""What a benchmark says of itself while it runs (pure). Times are seconds unless the name says otherwise."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from devstral_fleet.bench.progress import Progress
from devstral_fleet.bench.selection import Chosen
from devstral_fleet.events import duration
from devstral_fleet.model import Value

RATE = "sglang:gen_throughput"
TTFT = "sglang:time_to_first_token_seconds"
SERIES = (RATE, f"{TTFT}_sum", f"{TTFT}_count")
"""What of the engine's /metrics is read; SGLang 0.5.10 to 0.5.23 have them."""
_SAMPLE = re.compile(r"^([\w:]+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class EngineNumbers(Value):
    """One look at the engine's own counters."""

    output_tokens_per_s: float = 0.0
    """Of the last moments; 0 of an engine that rests."""
    ttft_sum_s: float = 0.0
    ttft_count: float = 0.0

    def mean_ttft_ms(self, before: "EngineNumbers") -> float | None:
        """Of the requests since an earlier look; None where there were none."""
        count = self.ttft_count - before.ttft_count
        return (self.ttft_sum_s - before.ttft_sum_s) / count * 1000 if count > 0 else None


def numbers(text: str) -> EngineNumbers:
    """Read Prometheus' text form; a series that is not there counts nothing."""
    totals = dict.fromkeys(SERIES, 0.0)
    for name, value in _SAMPLE.findall(text):
        if name in totals:
            totals[name] += float(value)
    rate, ttft_sum, ttft_count = totals.values()
    return EngineNumbers(output_tokens_per_s=rate, ttft_sum_s=ttft_sum, ttft_count=ttft_count)


class Place(NamedTuple):
    """Where in the whole benchmark one repeat of a point stands."""

    name: str
    number: int
    """Of the point, from 1."""
    points: int
    repeat: int
    repeats: int
    before: float
    """Share of the whole work that was done when it began, 0 to 1; work is the tokens that come one after the other."""
    share: float

    def left_s(self, progress: Progress, elapsed_s: float) -> float | None:
        """About how long the whole benchmark will still take, None before anything is done."""
        part = progress.done / progress.total if progress.total else 0.0
        done = self.before + self.share * part
        return elapsed_s * (1 - done) / done if done else None


def places(points: Sequence[Chosen], repeats: int) -> tuple[tuple[Place, ...], ...]:
    """Return where every repeat of every point stands."""
    works = [one.point.total_output_tokens / one.point.concurrency for one in points]
    whole = sum(works) * repeats
    return tuple(
        tuple(
            Place(
                *(chosen.name, index + 1, len(points), repeat + 1, repeats),
                before=(sum(works[:index]) * repeats + works[index] * repeat) / whole,
                share=works[index] / whole,
            )
            for repeat in range(repeats)
        )
        for index, chosen in enumerate(points)
    )


def words(place: Place, progress: Progress, now: EngineNumbers | None, before: EngineNumbers, elapsed_s: float) -> str:
    """Write the moving line: 'chat at 16 (2 of 9), repeat 1 of 3: 34/80 requests, 812 tok/s, TTFT 90 ms, ...'.

    Args:
        now: the engine's numbers, None where they are not known. before: those that its requests began with.
    """
    where = place.name
    where += f" ({place.number} of {place.points})" if place.points > 1 else ""
    where += f", repeat {place.repeat} of {place.repeats}" if place.repeats > 1 else ""
    said = [progress.text]
    if now and progress.stage == "running":
        ttft_ms = now.mean_ttft_ms(before)
        said += [f"{now.output_tokens_per_s:.0f} tok/s"] if now.output_tokens_per_s else []
        said += [f"TTFT {ttft_ms:.0f} ms"] if ttft_ms is not None else []
    left_s = place.left_s(progress, elapsed_s)
    said += [f"about {duration(left_s)} left"] if left_s is not None else []
    return f"{where}: {', '.join(said)}"
