"""Pytest plug-in of `make test`: what each layer of tests cost, and what the run does not prove."""

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.soak_record import soak_files, staleness

ROOT = Path(__file__).parents[2]


LIMIT_S = 50 * 60
"""A run of `make test` may take 40 minutes; above 50 it fails."""


def layer_of(node_id: str) -> str:
    """Return the directory under tests/ that a test stands in: 'tests/unit/test_x.py::test_y' is of layer 'unit'."""
    return Path(node_id.partition("::")[0]).parts[1]


class LayerTimes:
    """Sums the seconds of setup, call and teardown of each test by layer."""

    def __init__(self, started_s: float) -> None:
        self.started_s = started_s
        self.pytest_started_s = time.time()
        self.seconds: Counter[str] = Counter()
        self.tests: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        layer = layer_of(report.nodeid)
        self.seconds[layer] += report.duration  # type: ignore[assignment]
        self.tests[layer] += report.when == "call"

    def lines(self, now_s: float) -> list[str]:
        """One line a layer, slowest first, then the whole with the time before pytest started."""
        total = sum(self.seconds.values()) or 1.0
        rows = [
            f"{layer:<10}{self.tests[layer]:>6} tests {seconds:>8.1f} s {100 * seconds / total:>5.0f} %"
            for layer, seconds in self.seconds.most_common()
        ]
        setup_s = max(0.0, self.pytest_started_s - self.started_s)
        return [*rows, f"total {now_s - self.started_s:.0f} s, of it {setup_s:.0f} s before the first test"]

    def too_long(self, now_s: float) -> bool:
        """Whether the run has taken more than its budget, set-up included."""
        return now_s - self.started_s > LIMIT_S

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that was too long, whatever its tests said: CI would end it half-way before long."""
        if self.too_long(time.time()) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("layers")
        for line in self.lines(time.time()):
            terminalreporter.write_line(line)
        if self.too_long(time.time()):
            terminalreporter.write_line(f"FAILED: the run took longer than {LIMIT_S / 60:.0f} minutes", red=True)
        for warning in staleness(ROOT, soak_files(ROOT)):
            terminalreporter.write_line(f"warning: {warning}", yellow=True)


def pytest_configure(config: pytest.Config) -> None:
    """Register the plug-in; FLEET_STARTED (epoch seconds) counts the set-up too."""
    config.pluginmanager.register(LayerTimes(float(os.environ.get("FLEET_STARTED", time.time()))), "layer-times")
