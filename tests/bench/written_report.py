"""The report of many hosts with all that it can hold: how long it is written, how large its page is, how it opens.

A page has long tasks where the browser reads, styles and lays out too much at once: nothing else can happen meanwhile.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from devstral_fleet.report.json_writer import json_text
from devstral_fleet.report.write import write_all
from tests.support.browser import browser, longest_task_ms
from tests.unit.report_full_samples import LEVELS, WORKLOADS, full_report

HOSTS = 100
POINTS = len(LEVELS) * len(WORKLOADS)
DRAWN = (1, 8)
"""GPUs of each host; each has samples of its own in the JSON."""
PAGE_MB, TASK_MS = 3, 200
"""What a page may weigh (10^6 bytes), and its longest task may take."""


class Written(NamedTuple):
    """What was seen; times of the clock, but for the task, which is in processor time."""

    hosts: int
    written_s: float
    json_s: float
    page_mb: float
    longest_task_ms: float
    """0 without a browser."""


def written_report(gpus: int) -> Written:
    """Write it once into a temporary directory and open its page once."""
    report = full_report(HOSTS, gpus=gpus)
    with tempfile.TemporaryDirectory(prefix="fleet-speed-") as folder:
        start = time.perf_counter()
        page = write_all(report, Path(folder)).html
        written = time.perf_counter()
        json_text(report)
        json_s = time.perf_counter() - written
        return Written(HOSTS, written - start, json_s, page.stat().st_size / 1e6, _opened(page))


def _opened(page: Path) -> float:
    if not shutil.which("chromium"):
        return 0.0
    with browser() as running:
        return longest_task_ms(running, page)
