"""What a run says while it goes on, as values (pure): the console shows them, a host's process sends them to the run's.

Times are seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from devstral_fleet.findings import Finding
from devstral_fleet.model import Value
from devstral_fleet.report.model import ErrorReport

EventKind = Literal["line", "phase", "step", "result", "beat", "done", "broken", "finding", "error", "ended"]
SHORT_S = 1.0
"""A phase below this is `ok`, not `0.3 s`."""


class Event(Value):
    """One thing that was said.

    `line`: `text` is a sentence. `phase`: the phase `text` begins, `done` and `broken` end it, `beat`: it still runs.
    `step`: what the running phase does now. `result`: what came of it, in two words. `ended`: the host is finished,
    `text` is its outcome.
    """

    kind: EventKind
    host: str = ""
    text: str = ""
    detail: str = ""
    """Of a beat: the step."""
    seconds: float | None = None
    finding: Finding | None = None
    error: ErrorReport | None = None


@dataclass
class HostProgress:
    """One host's line on the live screen, as its events make it."""

    host: str
    phases: list[str] = field(default_factory=list)
    running: str = ""
    begun_s: float = 0.0
    step: str = ""
    result: str = ""
    outcome: str = ""

    def take(self, event: Event, now_s: float) -> None:
        """Change by one event. `now_s` is the screen's own monotonic clock."""
        if event.kind == "phase":
            self.running, self.begun_s, self.step, self.result = event.text, now_s, "", ""
        elif event.kind == "step":
            self.step = event.text
        elif event.kind == "result":
            self.result = event.text
        elif event.kind in ("done", "broken"):
            took = event.seconds or 0.0
            good = self.result or (duration(took) if took >= SHORT_S else "ok")
            self.phases.append(f"{event.text.partition(' ')[0]} {good if event.kind == 'done' else 'FAILED'}")
            self.running = ""
        elif event.kind == "ended":
            self.outcome = event.text

    @property
    def waiting(self) -> bool:
        """Nothing was said of the host yet."""
        return not (self.phases or self.running or self.outcome)

    def line(self, now_s: float) -> str:
        """Write the line: finished phases, the running one with its time and step, the outcome."""
        words = list(self.phases)
        if self.running:
            step = f": {self.step}" if self.step and self.step != self.running else ""
            words.append(f"{self.running} {duration(now_s - self.begun_s)}{step}")
        if self.outcome:
            words.append(self.outcome)
        return " · ".join(words) or "waiting"


def screen(hosts: Sequence[HostProgress], rows: int, now_s: float) -> list[str]:
    """Write a line a host; where they are more than `rows`, those at work first and a count of the rest."""
    shown = list(hosts)
    left = ""
    if len(shown) > rows:
        shown = sorted(shown, key=lambda one: (not one.running, one.waiting))
        shown, rest = shown[: max(1, rows - 1)], shown[max(1, rows - 1) :]
        waiting = sum(one.waiting for one in rest)
        left = f"and {len(rest)} more: {waiting} waiting, {len(rest) - waiting} begun or ended"
    width = max((len(one.host) for one in shown), default=0)
    lines = [f"{one.host.ljust(width)}  {one.line(now_s)}" for one in shown]
    return [*lines, left] if left else lines


def duration(seconds: float) -> str:
    """Write whole seconds, with minutes from two of them on."""
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60:02d} s"


def told(event: Event, time_utc: datetime) -> dict[str, object]:
    """Return an event as a line of events.jsonl: with the time of day, without what it does not say."""
    said = event.model_dump(mode="json", exclude_none=True)
    return {
        "time": time_utc.isoformat(timespec="milliseconds"),
        **{name: value for name, value in said.items() if value != ""},
    }
