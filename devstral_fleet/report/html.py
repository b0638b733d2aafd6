"""The report as one HTML page that opens from disk: no script, no font, no image, nothing is asked of a network."""

import json
from importlib.resources import files
from typing import NamedTuple

import jinja2

from devstral_fleet.report import format as fmt
from devstral_fleet.report.model import HostReport, RunReport
from devstral_fleet.report.summary import attention, sentence
from devstral_fleet.report.tables import headline, host_tables

STATE_WORDS = {"ok": "pass", "warn": "warn", "fail": "fail"}


class Bar(NamedTuple):
    """One phase on the time line, in percent of the host's whole time."""

    name: str
    took: str
    start_percent: float
    width_percent: float


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
        tables=lambda host: host_tables(report, host),
        sentence=sentence,
        attention=attention,
        headline=headline,
        bars=bars,
        state_words=STATE_WORDS,
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
