"""All hosts on a strip for each point: a dot a host, the median marked, hosts beyond the tolerance named."""

from collections.abc import Sequence

from devstral_fleet.report import chart
from devstral_fleet.report import format as fmt
from devstral_fleet.report.chart import Chart, Scale
from devstral_fleet.report.comparison import Difference
from devstral_fleet.report.tables_fleet import Strip

LEFT, RIGHT, TOP, BAND, STEP, LINE = 8, chart.WIDE - 8, 6, 22, 52, 15
LANES = 4
"""Heights at which dots lie, so that hosts of one speed are seen one by one."""
NAMED = 4
"""Hosts that are named under a strip; the table names them all."""


def strip_plot(strips: Sequence[Strip]) -> Chart | None:
    """Draw it; None where hosts cannot be compared."""
    if not strips:
        return None
    widest = max(max(strip.tolerance_percent * 1.2, *_distances(strip)) for strip in strips)
    half = chart.ticks(widest, 2)
    x = Scale(-half[-1], half[-1], LEFT + 22, RIGHT - 22)
    body, top = "", float(TOP)
    for strip in strips:
        body += _strip(strip, x, top)
        top += STEP + (LINE if strip.beyond else 0)
    places = (*(-value for value in reversed(half[1:])), *half)
    body += "".join(chart.text(x(each), top + 10, f"{each:+g} %" if each else "median", "m q") for each in places)
    return Chart(
        "Output throughput of all hosts, point by point", _description(strips), chart.WIDE, round(top + 18), body
    )


def _strip(strip: Strip, x: Scale, top: float) -> str:
    inside = x(-strip.tolerance_percent), x(strip.tolerance_percent)
    high = top + LINE
    outside = {each.host: each for each in strip.beyond}
    dots = "".join(
        f"M{chart.n(x(strip.percent(value)))} {chart.n(_lane(high, index))}h0"
        for index, (host, value) in enumerate(strip.hosts)
        if host not in outside
    )
    apart = "".join(
        chart.shape(2 if each.state == "worse" else 3, x(each.change_percent), high + BAND / 2) for each in strip.beyond
    )
    return (
        chart.text(LEFT, top + 10, f"{strip.name}, {strip.kind}", "b")
        + chart.text(RIGHT, top + 10, f"median {fmt.throughput(strip.middle)}", "e q")
        + chart.rect(LEFT, high, RIGHT - LEFT, BAND, "lane")
        + chart.rect(inside[0], high, inside[1] - inside[0], BAND, "good")
        + chart.path(f"M{chart.n(x(0))} {chart.n(high - 2)}v{BAND + 4}", "limit solid")
        + (chart.path(dots, "dots") if dots else "")
        + (chart.path(apart, "mark apart") if apart else "")
        + _names(strip, high + BAND + 12)
    )


def _names(strip: Strip, y: float) -> str:
    if not strip.beyond:
        return ""
    told = [f"{each.host} {fmt.change(each.change_percent)}" for each in strip.beyond[:NAMED]]
    more = len(strip.beyond) - NAMED
    words = ", ".join(told) + (f" and {more} more" if more > 0 else "")
    return chart.text(LEFT, y, f"beyond the tolerance: {words}", "w")


def _lane(top: float, index: int) -> float:
    return top + BAND * (index % LANES + 0.5) / LANES


def _distances(strip: Strip) -> list[float]:
    return [abs(strip.percent(value)) for _, value in strip.hosts]


def _description(strips: Sequence[Strip]) -> str:
    hosts = {host for strip in strips for host, _ in strip.hosts}
    apart = [each for strip in strips for each in strip.beyond]
    return chart.joined(
        (
            f"{len(strips)} points on {len(hosts)} hosts, a dot a host, in percent of the hosts' median.",
            "Shaded: the tolerance.",
            *(_told(host, [each for each in apart if each.host == host]) for host in _names_of(apart)),
            f"{_more(apart)} more hosts are beyond it." if _more(apart) else "",
            "" if apart else "No host is beyond it.",
            "All numbers are in the table below.",
        )
    )


def _names_of(apart: Sequence[Difference]) -> list[str]:
    """Return the hosts to name, the ones farthest from the median first."""
    far = sorted(apart, key=lambda each: -abs(each.change_percent))
    return list(dict.fromkeys(each.host for each in far))[:NAMED]


def _more(apart: Sequence[Difference]) -> int:
    return max(0, len({each.host for each in apart}) - NAMED)


def _told(host: str, apart: Sequence[Difference]) -> str:
    far = max(apart, key=lambda each: abs(each.change_percent))
    points = f"at {len(apart)} points" if len(apart) > 1 else "at one point"
    return f"{host} is beyond it {points}, by {fmt.change(far.change_percent)} at {far.workload} {far.concurrency}."
