"""How latencies grow with the requests in flight: a panel each of TTFT, TPOT and end-to-end, for each workload."""

from collections.abc import Iterator, Sequence

from devstral_fleet.report import chart, speed
from devstral_fleet.report import format as fmt
from devstral_fleet.report.chart import Chart, Scale
from devstral_fleet.report.model import BenchRow, HostReport
from devstral_fleet.report.tables_bench import LATENCIES, STATISTICS

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 46, chart.PANEL - 38, 36, 150, 188
SPAN = 12
"""Largest over smallest number from which an axis goes by powers of ten."""
NAMES = {"ttft": "TTFT", "tpot": "TPOT", "e2e_latency": "end-to-end latency"}
LINES = {"median": "p50", "p90": "p90", "p99": "p99"}


def latencies(host: HostReport) -> Iterator[Chart]:
    """Draw every panel whose metric was measured."""
    objectives = dict(speed.objectives(host))
    for workload in dict.fromkeys(row.workload for row in host.bench):
        rows = sorted((row for row in host.bench if row.workload == workload), key=lambda row: row.concurrency)
        goal = objectives.get(workload)
        limits = {"ttft": goal.ttft_ms, "tpot": goal.tpot_ms} if goal else {}
        for name in LATENCIES:
            if any(f"{statistic}_{name}_ms" in row.medians for row in rows for statistic in STATISTICS):
                yield _panel(host.host, workload, name, rows, limits.get(name))


def _panel(host: str, workload: str, name: str, rows: Sequence[BenchRow], limit_ms: float | None) -> Chart:
    lines = {
        statistic: [(row.concurrency, row.medians[key]) for row in rows if key in row.medians]
        for statistic in STATISTICS
        for key in (f"{statistic}_{name}_ms",)
    }
    numbers = [value for found in lines.values() for _, value in found if value > 0]
    y, marks = _axis(numbers or [1.0])
    levels = [row.concurrency for row in rows]
    places = {level: _place(index, len(levels)) for index, level in enumerate(levels)}
    body = (
        chart.text(4, 12, f"{workload}: {NAMES[name]}", "b")
        + chart.text(4, 26, f"ms{', by powers of ten' if y.log else ''}", "q")
        + chart.horizontal(y, marks, LEFT, RIGHT)
        + "".join(chart.text(x, BOTTOM + 15, str(level), "m q") for level, x in places.items())
        + chart.text((LEFT + RIGHT) / 2, BOTTOM + 31, "requests in flight", "m q")
        + _limit(y, limit_ms)
        + _lines({key: [(places[level], y(value)) for level, value in found] for key, found in lines.items()})
    )
    title = f"{NAMES[name]} against requests in flight, {workload}, {host}"
    return Chart(title, _description(lines), chart.PANEL, HEIGHT, body)


def _axis(numbers: Sequence[float]) -> tuple[Scale, tuple[float, ...]]:
    low, high = min(numbers), max(numbers)
    if high / low < SPAN:
        marks = chart.ticks(high, 4)
        return Scale(0, marks[-1], BOTTOM, TOP), marks
    marks = chart.decades(low, high)
    return Scale(marks[0], marks[-1], BOTTOM, TOP, log=True), marks


def _place(index: int, count: int) -> float:
    """Levels stand at equal distances: they are usually powers of something."""
    return LEFT + (RIGHT - LEFT) * (index + 0.5) / count


def _lines(drawn: dict[str, list[tuple[float, float]]]) -> str:
    text = ""
    ends = {key: places[-1] for key, places in drawn.items() if places}
    heights = chart.apart([y for _, y in ends.values()], 11)
    for index, (key, places) in enumerate(drawn.items()):
        if places:
            marks = "".join(chart.shape(index, *place, 3) for place in places)
            text += chart.path(chart.line(places), f"line {key}") + chart.path(marks, f"mark {key}")
    for (key, (x, _)), height in zip(ends.items(), heights, strict=True):
        text += chart.text(x + 7, height + 4, LINES[key])
    return text


def _limit(y: Scale, limit_ms: float | None) -> str:
    """Draw the objective where it is on the axis."""
    if limit_ms is None or not y.low <= limit_ms <= y.high:
        return ""
    at = y(limit_ms)
    return chart.path(f"M{LEFT} {chart.n(at)}H{RIGHT}", "limit") + chart.text(LEFT + 3, at - 3, "objective", "q")


def _description(lines: dict[str, list[tuple[int, float]]]) -> str:
    told = (
        f"{LINES[key]} from {fmt.milliseconds(found[0][1])} at {found[0][0]}"
        f" to {fmt.milliseconds(found[-1][1])} at {found[-1][0]}."
        for key, found in lines.items()
        if found
    )
    return chart.joined((*told, "All numbers are in the table below."))
