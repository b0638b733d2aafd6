"""The way to the first token as a waterfall, above how long earlier starts took."""

from devstral_fleet.report import chart
from devstral_fleet.report import format as fmt
from devstral_fleet.report.chart import Chart, Scale
from devstral_fleet.report.model import HostReport
from devstral_fleet.report.proofs import told
from devstral_fleet.report.tables_proof import whole_s
from devstral_fleet.startup import Startup

LEFT, RIGHT, TOP, ROW, BAR = 108, chart.WIDE - 70, 8, 20, 12
HISTORY = 8
"""Earlier starts that are drawn; the table has them all."""


def waterfall(host: HostReport) -> Chart | None:
    """Draw it; None where no start is known."""
    proof, _ = told(host, "startup")
    start, earlier = proof.startup, proof.earlier_startups[:HISTORY]
    if start is None or not start.stages:
        return None
    marks = chart.ticks(max(whole_s(each) for each in (start, *earlier)), 4)
    x = Scale(0, marks[-1], LEFT, RIGHT)
    bottom = TOP + ROW * (len(start.stages) + bool(earlier) * (1 + len(earlier)))
    legend, height = chart.legend(_entries(start), chart.WIDE, bottom + 48)
    body = chart.vertical(x, marks, TOP, bottom) + _stages(start, x) + _history(start, earlier, x) + legend
    body += chart.text(RIGHT, bottom + 30, "seconds", "e q")
    title = f"Start-up, stage by stage, {host.host}"
    return Chart(title, _description(start, len(earlier)), chart.WIDE, round(height), body)


def _stages(start: Startup, x: Scale) -> str:
    return "".join(
        _bar(row, stage.name, x, stage.offset_s, stage.seconds, stage.source) for row, stage in enumerate(start.stages)
    )


def _history(start: Startup, earlier: tuple[Startup, ...], x: Scale) -> str:
    if not earlier:
        return ""
    first = len(start.stages) + 1
    heading = chart.text(0, TOP + ROW * first - 5, "earlier starts, whole", "b")
    return heading + "".join(
        _bar(first + row, each.started[5:16].replace("T", " "), x, 0, whole_s(each), "past")
        for row, each in enumerate(earlier)
    )


def _bar(row: int, name: str, x: Scale, offset_s: float, seconds: float, kind: str) -> str:
    top = TOP + ROW * row + (ROW - BAR) / 2
    left, width = x(offset_s), max(1.5, x(offset_s + seconds) - x(offset_s))
    words = chart.text(LEFT - 6, top + 10, name, "e") + chart.text(left + width + 5, top + 10, fmt.duration(seconds))
    return chart.rect(left, top, width, BAR, kind) + words


def _entries(start: Startup) -> list[tuple[str, str]]:
    named = {"toolkit": "timed by this toolkit", "engine": "timed by the engine's log"}
    return [
        (chart.rect(-10, -BAR / 2, 20, BAR, source), words)
        for source, words in named.items()
        if any(stage.source == source for stage in start.stages)
    ]


def _description(start: Startup, earlier: int) -> str:
    longest = max(start.stages, key=lambda stage: stage.seconds)
    return chart.joined(
        (
            f"{len(start.stages)} stages, {fmt.duration(whole_s(start))} in all;",
            f"the longest is {longest.name}, {fmt.duration(longest.seconds)}.",
            f"Below them {earlier} earlier starts." if earlier else "",
            "All numbers are in the table below.",
        )
    )
