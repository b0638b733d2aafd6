"""Power, clock and temperature while a point was measured: a line over all its GPUs, with their range behind it."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from devstral_fleet.bench.usage import GpuUsage
from devstral_fleet.report import chart
from devstral_fleet.report import format as fmt
from devstral_fleet.report.chart import Chart, Scale
from devstral_fleet.report.model import BenchRow, HostReport
from devstral_fleet.report.tables_bench import held, throttled

LEFT, RIGHT, TOP, STRIP, GAP = 46, chart.PANEL - 8, 36, 30, 22
LABELS = 16
"""Two labels nearer than this would lie on each other: the larger number stands then."""
BINS = 32
"""Places of a line: more would not be seen."""
CALM = 5
"""A strip is at least a fifth of its largest number high: what only trembles looks calm."""
METRICS = (("power_w", "power", "W"), ("sm_clock_mhz", "SM clock", "MHz"), ("temperature_c", "temperature", "°C"))


class Span(NamedTuple):
    """What all GPUs showed during one part of the time."""

    offset_s: float
    least: float
    middle: float
    most: float


def usages(host: HostReport) -> Iterator[Chart]:
    """Draw a panel for each point whose GPUs were looked at."""
    yield from (_panel(host.host, row) for row in host.bench if any(gpu.samples for gpu in row.usage))


def _panel(host: str, row: BenchRow) -> Chart:
    point = f"{row.workload} at {row.concurrency}"
    end_s = max(sample.offset_s for gpu in row.usage for sample in gpu.samples) or 1.0
    x = Scale(0, end_s, LEFT, RIGHT)
    body, y, told = chart.text(4, 12, f"{point}, {_gpus(row.usage)}", "b"), TOP, []
    for name, words, unit in METRICS:
        spans = spread(row.usage, name, end_s)
        if spans:
            body += _strip(spans, x, y, f"{words}, {unit}")
            told.append(f"{words} {_range(spans, unit)}.")
            y += STRIP + GAP
    body += chart.text(LEFT, y - 8, "0 s", "q") + chart.text(RIGHT, y - 8, fmt.duration(end_s), "e q")
    lines = _wrapped(f"held back by {held(row.usage)}")
    body += "".join(
        chart.text(4, y + 8 + 13 * index, each, "w" if throttled(row.usage) else "q")
        for index, each in enumerate(lines)
    )
    description = chart.joined((*told, f"Held back by {held(row.usage)}.", "The table below says it in numbers."))
    title = f"Power, clock and temperature, {point}, {host}"
    return Chart(title, description, chart.PANEL, y + 13 * len(lines), body)


def spread(gpus: Sequence[GpuUsage], name: str, end_s: float) -> list[Span]:
    """Gather all samples of a metric into at most BINS parts of the time; a part without any is left out."""
    found: dict[int, list[float]] = {}
    for gpu in gpus:
        for sample in gpu.samples:
            value = getattr(sample, name)
            if value is not None:
                found.setdefault(min(BINS - 1, int(sample.offset_s / end_s * BINS)), []).append(value)
    width_s = end_s / BINS
    return [
        Span((index + 0.5) * width_s, min(values), median(values), max(values))
        for index, values in sorted(found.items())
    ]


def _strip(spans: Sequence[Span], x: Scale, top: float, words: str) -> str:
    low, high = min(span.least for span in spans), max(span.most for span in spans)
    room = max(high - low, high / CALM, 1.0)
    y = Scale(high - room * 1.1, high + room * 0.1, top + STRIP, top)
    over = [(x(span.offset_s), y(span.most)) for span in spans]
    under = [(x(span.offset_s), y(span.least)) for span in reversed(spans)]
    return (
        chart.path(f"M{LEFT} {chart.n(top)}H{RIGHT}M{LEFT} {chart.n(top + STRIP)}H{RIGHT}", "grid")
        + chart.text(LEFT, top - 5, words, "q")
        + chart.text(LEFT - 5, y(high) + 6, f"{high:,.0f}", "e q")
        + (chart.text(LEFT - 5, y(low) + 2, f"{low:,.0f}", "e q") if y(low) - y(high) >= LABELS else "")
        + (chart.path(f"{chart.line([*over, *under])}z", "band") if over != under[::-1] else "")
        + chart.path(chart.line((x(span.offset_s), y(span.middle)) for span in spans), "line s0")
    )


def _range(spans: Sequence[Span], unit: str) -> str:
    low, high = min(span.least for span in spans), max(span.most for span in spans)
    return f"{fmt.quantity(low, unit)} to {fmt.quantity(high, unit)}"


def _gpus(gpus: Sequence[GpuUsage]) -> str:
    return f"{len(gpus)} GPUs" if len(gpus) > 1 else f"GPU {gpus[0].gpu}"


def _wrapped(words: str) -> list[str]:
    """Break a sentence into lines that a panel has room for."""
    room = int(chart.PANEL / chart.ABOUT_LETTER)
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + len(word) >= room:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
