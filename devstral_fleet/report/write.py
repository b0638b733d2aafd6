"""Write a run's report into its directory, in every form, after a last look for secrets."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from devstral_fleet.redact import scrub
from devstral_fleet.report.html import html
from devstral_fleet.report.json_writer import json_text
from devstral_fleet.report.markdown import markdown
from devstral_fleet.report.model import RunReport


@dataclass(frozen=True)
class ReportPaths:
    """Where the three forms lie."""

    json: Path
    markdown: Path
    html: Path


def write_all(report: RunReport, directory: Path, *, secrets: Iterable[str] = ()) -> ReportPaths:
    """Write report.json, report.md and report.html (0600 each), each whole or not at all.

    Args:
        directory: made if missing. secrets: values that must stand nowhere; names and shapes are looked for anyway.
    """
    clean = without_secrets(report, secrets)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return ReportPaths(
        json=_write(directory / "report.json", json_text(clean)),
        markdown=_write(directory / "report.md", markdown(clean)),
        html=_write(directory / "report.html", html(clean)),
    )


def without_secrets(report: RunReport, secrets: Iterable[str] = ()) -> RunReport:
    """Return the same report with anything that is or looks like a secret removed."""
    return scrub(report, tuple(secrets))


def _write(target: Path, text: str) -> Path:
    partial = target.with_name(f".{target.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return partial.replace(target)
