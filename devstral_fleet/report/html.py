"""The report as one HTML page that opens from disk: no script, no font, no image, nothing is asked of a network."""

import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import NamedTuple

import jinja2

from devstral_fleet import catalog
from devstral_fleet.report import format as fmt
from devstral_fleet.report.chart import Chart
from devstral_fleet.report.chart_fleet import strip_plot
from devstral_fleet.report.charts import host_charts
from devstral_fleet.report.model import HostReport, RunReport
from devstral_fleet.report.page import Part, Shared, Told
from devstral_fleet.report.summary import attention, sentence
from devstral_fleet.report.table import Table
from devstral_fleet.report.tables import headline, host_tables
from devstral_fleet.report.tables_bench import VERDICT_STATES
from devstral_fleet.report.tables_fleet import fleet, strips

STATE_WORDS = {"ok": "pass", "warn": "warn", "fail": "fail"}
OPEN_HOSTS = 8
"""A page of more hosts has each one folded, and says only once what they have in common."""
DRAWN_HOSTS = 5
"""So many hosts of such a page have charts, the ones that are not as they should be first; all have their numbers."""


class Bar(NamedTuple):
    """One phase on the time line, in percent of the host's whole time."""

    name: str
    took: str
    start_percent: float
    width_percent: float


class Section(NamedTuple):
    """One host of the page."""

    number: int
    host: HostReport
    parts: tuple[Part, ...]
    told: Told
    """The engine's resolved arguments."""


def html(report: RunReport) -> str:
    """Write the whole page. Every text is escaped; the same tables and numbers as in Markdown."""
    package = files(__package__)
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.from_string((package / "template.html.j2").read_text())
    return template.render(
        report=report,
        style=(package / "style.css").read_text(),
        many=len(report.hosts) > OPEN_HOSTS,
        drawn_hosts=DRAWN_HOSTS,
        fleet=_fleet(report),
        sections=_sections(report),
        sentence=sentence,
        attention=attention,
        headline=headline,
        bars=bars,
        state_words=STATE_WORDS,
        verdict_states=VERDICT_STATES,
        dump=lambda value: json.dumps(value, indent=2),
    )


def bars(host: HostReport) -> list[Bar]:
    """Place the phases on one line of time; a short phase keeps a visible width."""
    whole = host.seconds
    if whole <= 0:
        return []
    first = host.phases[0].offset_s
    return [
        Bar(
            phase.name,
            fmt.duration(phase.seconds),
            round((phase.offset_s - first) / whole * 100, 2),
            max(0.4, round(phase.seconds / whole * 100, 2)),
        )
        for phase in host.phases
    ]


def _fleet(report: RunReport) -> Part | None:
    found = strips(report, catalog.load().tolerances)
    drawn = strip_plot(found)
    return _part("fleet", fleet(found), (drawn,) if drawn else ()) if found else None


def _sections(report: RunReport) -> Iterable[Section]:
    """Give the hosts one after the other: what was said of an earlier one need not be said again."""
    shared = Shared(active=len(report.hosts) > OPEN_HOSTS)
    worst = sorted(report.hosts, key=lambda host: ("fail", "warn", "ok").index(host.state))
    drawn = {host.host for host in (worst[:DRAWN_HOSTS] if shared.active else worst)}
    for number, host in enumerate(report.hosts, start=1):
        charts = host_charts(host) if host.host in drawn else {}
        parts = tuple(
            shared.part(host.host, _part(f"c{number}-{place}-", table, charts.get(table.caption, ())))
            for place, table in enumerate(host_tables(report, host))
        )
        yield Section(number, host, parts, shared.told(host.host, host.server_info))


def _part(name: str, table: Table, charts: Sequence[Chart]) -> Part:
    drawn = tuple(chart.svg(f"{name}{index}") for index, chart in enumerate(charts))
    return Part(table, drawn, gist=charts[0].description if len(charts) == 1 else "")
