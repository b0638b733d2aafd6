"""The moving line of a benchmark that runs: how far it is, how fast, and about how long it will still take."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from devstral_fleet.bench import live, progress
from devstral_fleet.bench.live import EngineNumbers, Place
from devstral_fleet.errors import FleetError
from devstral_fleet.job import JobState
from devstral_fleet.probes import metrics
from devstral_fleet.workflows.host import Host

ASK_EVERY_S = 5.0
"""The engine is asked this seldom: what looks at it takes nothing from it."""


@dataclass
class LiveView:
    """Of one repeat. `clock` is monotonic, in seconds; `began_s` is when the whole benchmark began, by it."""

    host: Host
    place: Place
    began_s: float
    clock: Callable[[], float]
    now: EngineNumbers | None = None
    before: EngineNumbers | None = None
    asked_s: float | None = None

    def show(self, state: JobState) -> None:
        """Say where the benchmark is, after one look at its job."""
        seen = progress.parse(state.stdout_tail + state.stderr_tail)
        due = self.asked_s is None or self.clock() - self.asked_s >= ASK_EVERY_S
        if due and seen.stage in ("warming-up", "running"):
            self._ask(running=seen.stage == "running")
        before, elapsed_s = self.before or EngineNumbers(), self.clock() - self.began_s
        self.host.record.console.step(live.words(self.place, seen, self.now, before, elapsed_s))

    def _ask(self, *, running: bool) -> None:
        self.asked_s = self.clock()
        with suppress(FleetError):
            self.now = metrics.read(self.host.shell, self.host.plan.base_url)
        if self.before is None or not running:
            self.before = self.now
