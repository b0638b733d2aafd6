"""What a GPU gives against what a user gets, a mark for each measured point; up and to the right is better."""

from collections.abc import Sequence

from devstral_fleet.report import chart, speed
from devstral_fleet.report import format as fmt
from devstral_fleet.report.chart import Chart, Scale
from devstral_fleet.report.model import HostReport
from devstral_fleet.report.speed import SpeedPoint

LEFT, RIGHT, TOP, BOTTOM = 50, chart.WIDE - 16, 24, 286


def pareto(host: HostReport) -> Chart | None:
    """Draw it; None where no point has both speeds."""
    points = speed.measured(host)
    if not points:
        return None
    before, others = speed.baseline(host), speed.references(host)
    every = (*points, *before, *others)
    across = chart.ticks(max(point.user for point in every) * 1.05)
    up = chart.ticks(max(point.device for point in every) * 1.05)
    x, y = Scale(0, across[-1], LEFT, RIGHT), Scale(0, up[-1], BOTTOM, TOP)
    device = f"output tok/s for each {speed.device_word(host)}"
    legend, height = chart.legend(_entries(points, before, others), chart.WIDE, BOTTOM + 54)
    body = (
        _good(host, x)
        + chart.horizontal(y, up, LEFT, RIGHT)
        + chart.vertical(x, across, TOP, BOTTOM)
        + chart.text(LEFT - 40, 12, f"↑ {device}")
        + chart.text(RIGHT, BOTTOM + 32, "tok/s for a user →", "e")
        + _quiet(others, x, y, "other")
        + _quiet(before, x, y, "before")
        + _measured(points, x, y)
        + legend
    )
    title = f"Throughput against speed for a user, {host.host}"
    return Chart(title, _description(host, points, before), chart.WIDE, round(height), body)


def _measured(points: Sequence[SpeedPoint], x: Scale, y: Scale) -> str:
    drawn, labels = "", ""
    for index, (_, members) in enumerate(_series(points)):
        places = [(x(point.user), y(point.device)) for point in members]
        marks = "".join(chart.shape(index, *place) for place in places)
        drawn += chart.path(chart.line(places), f"line {_hue(index)}") + chart.path(marks, f"mark {_hue(index)}")
        for point, (at, height) in zip(members, places, strict=True):
            beside = "e" if at > RIGHT - 30 else ""
            labels += chart.text(at + (-8 if beside else 7), height - 6, str(point.concurrency), beside)
    return drawn + labels


def _quiet(points: Sequence[SpeedPoint], x: Scale, y: Scale, kind: str) -> str:
    drawn = ""
    for _, members in _series(points):
        for _, line in chart.grouped((point.workload, x(point.user), y(point.device)) for point in members):
            crosses = "".join(_cross(*place) for place in line)
            drawn += chart.path(chart.line(line), f"line {kind}") + chart.path(crosses, f"line {kind} solid")
    return drawn


def _good(host: HostReport, x: Scale) -> str:
    """Shade where a token comes in time; workloads with one objective share its shade."""
    limits: dict[float, list[str]] = {}
    for workload, objective in speed.objectives(host):
        limits.setdefault(speed.user_speed(objective.tpot_ms), []).append(workload)
    drawn = ""
    for row, (limit, workloads) in enumerate(sorted(limits.items())):
        if limit >= x.high:
            continue
        left = x(limit)
        words = "meets the objective" if len(limits) == 1 else f"meets that of {', '.join(workloads)}"
        drawn += chart.rect(left, TOP, RIGHT - left, BOTTOM - TOP, "good")
        drawn += chart.path(f"M{chart.n(left)} {TOP}V{BOTTOM}", "limit")
        drawn += chart.text(RIGHT - 4, TOP + 14 + 14 * row, f"{words} →", "e q")
    return drawn


def _entries(
    points: Sequence[SpeedPoint], before: Sequence[SpeedPoint], others: Sequence[SpeedPoint]
) -> list[tuple[str, str]]:
    """Say what each line is."""
    entries = [
        (
            chart.path("M-12 0H12", f"line {_hue(index)}")
            + chart.path(chart.shape(index, 0, 0), f"mark {_hue(index)}"),
            name,
        )
        for index, (name, _) in enumerate(_series(points))
    ]
    for kind, quiet in (("before", before), ("other", others)):
        sign = chart.path("M-12 0H12", f"line {kind}") + chart.path(_cross(0, 0), f"line {kind} solid")
        word = "baseline" if kind == "before" else "reference"
        entries += [(sign, f"{word} {name}") for name in dict.fromkeys(point.series for point in quiet)]
    return entries


def _description(host: HostReport, points: Sequence[SpeedPoint], before: Sequence[SpeedPoint]) -> str:
    best, fastest = max(points, key=lambda point: point.device), max(points, key=lambda point: point.user)
    device = speed.device_word(host)
    limits = {name: fmt.milliseconds(goal.tpot_ms) for name, goal in speed.objectives(host)}
    same = len(set(limits.values())) == 1
    goals = next(iter(limits.values())) if same else ", ".join(f"{name} {limit}" for name, limit in limits.items())
    return chart.joined(
        (
            f"{_points(len(points))} measured, each labelled with its requests in flight.",
            f"Most for each {device}: {fmt.throughput(best.device)} at {best.concurrency} ({best.workload}).",
            f"Most for a user: {fmt.throughput(fastest.user)} at {fastest.concurrency} ({fastest.workload}).",
            f"Shaded: median TPOT within the objective ({goals})." if goals else "",
            f"The baseline has {_points(len(before))} behind them." if before else "",
            "All numbers are in the table below.",
        )
    )


def _series(points: Sequence[SpeedPoint]) -> list[tuple[str, list[SpeedPoint]]]:
    """Gather points by series, each in the order of its concurrency."""
    names = dict.fromkeys(point.series for point in points)
    ordered = sorted(points, key=lambda point: point.concurrency)
    return [(name, [point for point in ordered if point.series == name]) for name in names]


def _cross(x: float, y: float) -> str:
    return f"M{chart.n(x)} {chart.n(y)}m-3-3l6 6m0-6l-6 6"


def _hue(index: int) -> str:
    return f"s{index % 5}"


def _points(count: int) -> str:
    return "1 point" if count == 1 else f"{count} points"
