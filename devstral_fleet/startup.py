"""A start from nothing to the first token, stage by stage, as values; where its stages lie, and what it compares with.

Two clocks time one start. Ours, on the controller, times playbook tasks and phases. The engine's log has its host's,
and stamps of whole seconds; only differences between its stamps mean something here. Both meet in one moment: when the
engine said that it is ready, we saw it healthy. What the log says is placed from there, and is as exact as its stamps
(a second) and our look at the health (half a second) allow; durations that the engine measured itself are kept whole.
"""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import ValidationError

from devstral_fleet.catalog.starts import StartRules
from devstral_fleet.findings import Finding, finding
from devstral_fleet.model import Value
from devstral_fleet.plan import DeploymentPlan

Source = Literal["toolkit", "engine"]
"""Who timed a stage: our own clock on the controller, or the engine's log on its host."""

EARLIER = 10
"""Starts that a report keeps beside its own."""
ENTRY = "start"
"""Key of a start in a line of the host's audit log."""
RESOLUTION_S = 1.0
"""Of the stamps in the engine's log."""
_DIGITS = 2
"""Hundredths of a second: nothing here is known better."""


class Stage(Value):
    """One stage: 'install', 'image', 'weights', 'process', 'load', 'kv-cache', 'graphs', 'warm-up', 'first token'.

    `process` lasts until the weights begin to load; `warm-up` is what follows the graphs until the engine answers, its
    HTTP server and a first request of its own. `first token` is the first whole answer to a client: its upper bound.
    """

    name: str
    offset_s: float
    """Seconds since the first stage began."""
    seconds: float
    source: Source


class Startup(Value):
    """One start of a release."""

    release: str
    started: str
    """UTC, ISO 8601."""
    stages: tuple[Stage, ...]
    """In the order in which they began."""
    ready_s: float
    """From the start of the process until the engine answered its health check."""


class Span(Value):
    """What the engine's log says of a stage. Times are seconds since the first line of the start that is known."""

    name: str
    ended: float
    seconds: float
    """As the engine says; where it says nothing, the difference of two stamps, each of a whole second."""


class EngineLog(Value):
    """One start in the engine's log, as far as the log has it."""

    spans: tuple[Span, ...] = ()
    """'load', 'kv-cache' and 'graphs', as they ended; without those of which the log says nothing."""
    ready: float | None = None
    """When it said that it is ready, on the clock of the spans."""


class PastStart(Value):
    """A start and what it is compared by; a line of the host's audit log has one."""

    startup: Startup
    model: str
    runtime: str
    hardware: str
    tp: int

    @classmethod
    def of(cls, startup: Startup, plan: DeploymentPlan) -> "PastStart":
        return cls(startup=startup, model=plan.model, runtime=plan.runtime, hardware=plan.hardware, tp=plan.tp)

    @property
    def kind(self) -> tuple[str, str, str, int]:
        """What two starts must have in common to be compared."""
        return self.model, self.runtime, self.hardware, self.tp


def measured(server_info: Mapping[str, object]) -> dict[str, float]:
    """Return the seconds of the stages that the engine measured itself, by their names; {} where it says none.

    Source: `startup_time` of /server_info, the longest of all ranks; 0.5.17 has it, 0.5.10 not. A stage that did not
    happen is 0 there and left out.
    """
    said = server_info.get("startup_time")
    if not isinstance(said, Mapping):
        return {}
    graphs = said.get("cuda_graph")
    found = {
        "load": _seconds(said.get("load_weight")),
        "kv-cache": _seconds(said.get("kv_cache_allocation")),
        "graphs": sum(map(_seconds, graphs.values())) if isinstance(graphs, Mapping) else 0.0,
    }
    return {name: seconds for name, seconds in found.items() if seconds}


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def engine_stages(log: EngineLog, ready_s: float, known: Mapping[str, float]) -> tuple[Stage, ...]:
    """Place the engine's stages; offsets are seconds since its process began. () where nothing can be placed.

    Args:
        ready_s: from the process's beginning until it was healthy. known: better durations than the log's (`measured`).
    """
    if log.ready is None or not log.spans:
        return ()
    began, stages, free = log.ready - ready_s, list[Stage](), 0.0
    better = [span.model_copy(update={"seconds": known.get(span.name, span.seconds)}) for span in log.spans]
    for span in sorted(better, key=lambda span: _begin(span, better)):
        offset = max(0.0, min(span.ended - began - span.seconds, ready_s))
        if offset < free <= offset + RESOLUTION_S:
            offset = free
        end = min(offset + span.seconds, ready_s)
        stages.append(_stage(span.name, offset, end - offset))
        free = max(free, end)
    if stages[0].name == "load":
        stages.insert(0, _stage("process", 0.0, stages[0].offset_s))
    return (*stages, _stage("warm-up", free, ready_s - free))


def _begin(span: Span, spans: Sequence[Span]) -> float:
    """When it began: after one that ended in the same second, for they follow each other and stamps are too coarse."""
    said = span.ended - span.seconds
    before = (one.ended for one in spans if one.ended < span.ended and said < one.ended <= said + RESOLUTION_S)
    return max(before, default=said)


def _stage(name: str, offset_s: float, seconds: float) -> Stage:
    return Stage(name=name, offset_s=offset_s, seconds=seconds, source="engine")


def startup(
    release: str, own: Iterable[Stage], engine: Iterable[Stage], *, began_s: float, ready_s: float, zero: datetime
) -> Startup:
    """Put our own stages and the engine's on one line that begins with the first of them.

    Args:
        own: their offsets count from `zero`. engine: theirs count from the process's beginning, `began_s` after `zero`.
    """
    moved = (stage.model_copy(update={"offset_s": stage.offset_s + began_s}) for stage in engine)
    stages = sorted((*own, *moved), key=lambda stage: stage.offset_s)
    first_s = min([began_s, *(stage.offset_s for stage in stages)])
    return Startup(
        release=release,
        started=(zero + timedelta(seconds=first_s)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        stages=tuple(_from(first_s, stage) for stage in stages),
        ready_s=round(ready_s, _DIGITS),
    )


def _from(first_s: float, stage: Stage) -> Stage:
    offset_s, seconds = round(stage.offset_s - first_s, _DIGITS), round(stage.seconds, _DIGITS)
    return stage.model_copy(update={"offset_s": offset_s, "seconds": seconds})


def history(events: Sequence[Mapping[str, object]]) -> tuple[PastStart, ...]:
    """Return the starts among the lines of a host's audit log (oldest first), newest first; at most `EARLIER`.

    They lie on the host and not in the controller's runs: those are removed when newer ones come, and a host may be
    deployed to from another controller. A line of another shape is passed over.
    """
    told = (json.dumps(event[ENTRY]) for event in reversed(events) if ENTRY in event)
    return tuple(start for start in map(_past, told) if start)[:EARLIER]


def _past(text: str) -> PastStart | None:
    try:
        return PastStart.model_validate_json(text)
    except ValidationError:
        return None


def slow(now: PastStart, earlier: Sequence[PastStart], rules: StartRules) -> tuple[Finding, ...]:
    """Compare a start with the median of those of its kind; () where there are too few of them."""
    alike = [start.startup.ready_s for start in earlier if start.kind == now.kind]
    if len(alike) < rules.minimum:
        return ()
    median, ready_s = statistics.median(alike), now.startup.ready_s
    summary = f"ready after {ready_s:.1f} s; {median:.1f} s is the median of {len(alike)} earlier starts"
    if ready_s <= median * rules.slow_factor:
        return (finding("start-slow", "ok", summary),)
    stages = (f"{stage.name}: {stage.seconds:.1f} s" for stage in now.startup.stages if stage.source == "engine")
    before = f"earlier starts, newest first: {', '.join(f'{seconds:.1f} s' for seconds in alike)}"
    fix = "look which stage took longer than before: .venv/bin/invoke report"
    return (finding("start-slow", "warn", summary, fix, before, *stages),)
