"""A start's stages on one line, the starts before it, and whether it was slow."""

from datetime import UTC, datetime

import pytest

from devstral_fleet import catalog, startup
from devstral_fleet.facts import ServiceFacts
from devstral_fleet.findings import Finding
from devstral_fleet.playbook_events import HostCounts, PlaybookOutcome, TaskFinished, TaskState
from devstral_fleet.probes import engine_start
from devstral_fleet.probes.engine_start import EngineStart
from devstral_fleet.report.model import PhaseReport
from devstral_fleet.startup import EngineLog, PastStart, Span, Stage, Startup
from devstral_fleet.workflows import starting
from devstral_fleet.workflows.host import Host
from tests.support.hosts import host_of, quiet, target
from tests.unit.bench_samples import plan

RULES = catalog.load().starts
LOG = EngineLog(
    spans=(
        Span(name="load", ended=21.0, seconds=21.37),
        Span(name="kv-cache", ended=22.0, seconds=1.0),
        Span(name="graphs", ended=41.0, seconds=18.77),
    ),
    ready=47.0,
)
READY_S = 60.0


def lines(stages: tuple[Stage, ...]) -> list[tuple[str, float, float]]:
    return [(stage.name, round(stage.offset_s, 2), round(stage.seconds, 2)) for stage in stages]


def took(ready_s: float, **difference: str) -> PastStart:
    start = Startup(release="r", started="2026-01-01T00:00:00Z", stages=(), ready_s=ready_s)
    return PastStart.of(start, plan()).model_copy(update=difference)


def test_the_engines_stages_end_where_it_was_healthy() -> None:
    placed = startup.engine_stages(LOG, READY_S, {})
    assert lines(placed) == [
        ("process", 0, 12.63),
        ("load", 12.63, 21.37),
        ("kv-cache", 34, 1),
        ("graphs", 36 - 0.77, 18.77),
        ("warm-up", 54, 6),
    ]
    assert {stage.source for stage in placed} == {"engine"}


def test_stages_follow_each_other_as_they_ended_however_coarse_the_stamps_are() -> None:
    """An H100's: the pool was there and the graphs begun in the same second."""
    spans = (
        Span(name="load", ended=7.0, seconds=6.54),
        Span(name="kv-cache", ended=17.0, seconds=0.04),
        Span(name="graphs", ended=88.0, seconds=71.67),
    )
    placed = startup.engine_stages(EngineLog(spans=spans, ready=112.0), 163.0, {})
    assert [stage.name for stage in placed] == ["process", "load", "kv-cache", "graphs", "warm-up"]
    assert placed[3].offset_s == pytest.approx(placed[2].offset_s + placed[2].seconds)


def test_what_the_engine_measured_itself_is_better_than_stamps() -> None:
    info = {
        "startup_time": {"load_weight": 21.37, "kv_cache_allocation": 0.45, "cuda_graph": {"decode": 6.0, "x": 0.5}}
    }
    known = startup.measured(info)
    assert known == {"load": 21.37, "kv-cache": 0.45, "graphs": 6.5}
    assert lines(startup.engine_stages(LOG, READY_S, known))[2:4] == [("kv-cache", 34.55, 0.45), ("graphs", 47.5, 6.5)]


@pytest.mark.parametrize("info", [{}, {"startup_time": None}, {"startup_time": {"cuda_graph": 1, "load_weight": "x"}}])
def test_an_engine_that_measures_nothing(info: dict[str, object]) -> None:
    assert startup.measured(info) == {}


def test_stages_that_overlap_by_less_than_a_stamp_follow_each_other() -> None:
    log = EngineLog(
        spans=(Span(name="load", ended=4.0, seconds=4.64), Span(name="kv-cache", ended=4.0, seconds=0.45)), ready=6.0
    )
    assert lines(startup.engine_stages(log, 18.0, {})) == [
        ("process", 0, 11.36),
        ("load", 11.36, 4.64),
        ("kv-cache", 16, 0.45),
        ("warm-up", 16.45, 1.55),
    ]


def test_what_really_overlaps_stays_so() -> None:
    log = EngineLog(
        spans=(Span(name="graphs", ended=6.0, seconds=3.4), Span(name="load", ended=11.0, seconds=11.0)), ready=12.0
    )
    assert lines(startup.engine_stages(log, 20.0, {})) == [
        ("process", 0, 8),
        ("load", 8, 11),
        ("graphs", 10.6, 3.4),
        ("warm-up", 19, 1),
    ]


@pytest.mark.parametrize("log", [EngineLog(), EngineLog(spans=LOG.spans), EngineLog(ready=47.0)])
def test_what_cannot_be_placed_is_absent(log: EngineLog) -> None:
    assert startup.engine_stages(log, READY_S, {"load": 21.0}) == ()


def test_a_log_without_the_load_says_nothing_of_the_process() -> None:
    log = EngineLog(spans=LOG.spans[1:], ready=47.0)
    assert [name for name, _, _ in lines(startup.engine_stages(log, READY_S, {}))] == ["kv-cache", "graphs", "warm-up"]


def test_no_stage_is_longer_than_the_start() -> None:
    placed = startup.engine_stages(LOG, 2.0, {})
    assert max(stage.offset_s + stage.seconds for stage in placed) == 2.0
    assert min(stage.offset_s for stage in placed) == 0.0


def test_history_is_newest_first_and_passes_over_what_it_cannot_read() -> None:
    events: list[dict[str, object]] = [
        {"event": "deploy", "start": took(1).model_dump(mode="json")},
        {"event": "deploy"},
        {"unreadable": "x"},
        {"event": "deploy", "start": {"startup": {}}},
        {"event": "deploy", "start": None},
        {"event": "deploy", "start": took(2).model_dump(mode="json")},
    ]
    assert [start.startup.ready_s for start in startup.history(events)] == [2, 1]
    assert len(startup.history(events * startup.EARLIER)) == startup.EARLIER
    assert startup.history([]) == ()


def found(ready_s: float, *earlier: PastStart) -> list[Finding]:
    return list(startup.slow(took(ready_s), earlier, RULES))


def test_a_start_is_slow_beside_the_median_of_its_kind() -> None:
    earlier = (took(10), took(12), took(90), took(1, model="another"), took(1, runtime="docker"), took(1, hardware="x"))
    assert [one.state for one in found(18.0, *earlier)] == ["ok"]
    (slow,) = found(18.1, *earlier)
    assert (slow.check, slow.state) == ("start-slow", "warn")
    assert slow.summary == "ready after 18.1 s; 12.0 s is the median of 3 earlier starts"
    assert slow.evidence == ("earlier starts, newest first: 10.0 s, 12.0 s, 90.0 s",)
    assert slow.fix


def test_two_earlier_starts_judge_nothing() -> None:
    assert found(500.0, took(10), took(12), took(1, model="another")) == []


class Deployed:
    """A host in a run that has installed, started and asked an engine; the clock stands at 20 s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, age_s: float | None, changed: int = 1) -> None:
        self.host: Host = host_of(target("/nonexistent"), quiet()[0])
        record = self.host.record
        record.begun, record.clock = 0.0, lambda: 20.0
        phases = (("build", 0.0, 1.5), ("install", 2.0, 6.0), ("start", 8.0, 10.0), ("smoke", 18.0, 1.5))
        record.phases = [PhaseReport(name=name, offset_s=offset, seconds=seconds) for name, offset, seconds in phases]
        checks = (("model-served", 100.0), ("chat", 300.0), ("chat-streamed", 200.0))
        record.known["release"] = "new"
        record.known["smoke"] = tuple(
            Finding(check=name, state="ok", summary="", duration_ms=duration) for name, duration in checks
        )
        running = ServiceFacts(manager="supervisor", state="running", pid=7, detail="")
        monkeypatch.setattr(self.host, "service", lambda: running)
        monkeypatch.setattr(engine_start, "read", lambda *_: EngineStart(age_s=age_s, log=LOG))
        monkeypatch.setattr("devstral_fleet.workflows.starting.time.time", lambda: 1020.0)
        tasks = tuple(self.task(*words) for words in TASKS)
        starting.remember(self.host, PlaybookOutcome("deploy.yml", 0, {"h": HostCounts(9, changed, 0, 0)}, tasks))

    @staticmethod
    def task(role: str, state: TaskState, began_s: float, seconds: float) -> TaskFinished:
        return TaskFinished(host="h", role=role, task="t", state=state, duration_s=seconds, began_s=1000 + began_s)


TASKS: tuple[tuple[str, TaskState, float, float], ...] = (
    ("engine_environment", "ok", 2.0, 0.5),
    ("engine_environment", "changed", 2.5, 3.0),
    ("image", "changed", 5.5, 1.0),
    ("model_files", "ok", 6.5, 0.1),
    ("service", "changed", 7.0, 1.0),
)


def test_a_deploys_start_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    deployed = Deployed(monkeypatch, age_s=12.5)
    report = deployed.host.record.report()
    assert report.startup is not None
    assert (report.startup.release, report.startup.ready_s) == ("new", 10.5)
    by_us = tuple(stage for stage in report.startup.stages if stage.source == "toolkit")
    assert lines(by_us) == [("image", 0, 6.5), ("install", 2, 3.5), ("first token", 19, 0.3)]
    assert next(stage.name for stage in report.startup.stages if stage.source == "engine") == "process"
    assert datetime.fromisoformat(report.startup.started).tzinfo == UTC
    assert report.earlier_startups == ()
    entry = starting.entry(deployed.host)
    assert startup.history([entry])[0].startup == report.startup


@pytest.mark.parametrize(
    ("age_s", "changed"),
    [(20.5, 1), (1.0, 1), (None, 1), (12.5, 0)],
    ids=["older than the run", "younger than the health", "unknown", "nothing was changed"],
)
def test_no_start_of_this_run(monkeypatch: pytest.MonkeyPatch, age_s: float | None, changed: int) -> None:
    deployed = Deployed(monkeypatch, age_s, changed)
    assert deployed.host.record.report().startup is None
    assert starting.entry(deployed.host) == {}
