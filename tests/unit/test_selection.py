"""Which points are measured, in which order, and how long the next one will take."""

import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet import job
from devstral_fleet.bench import lengths, selection
from devstral_fleet.bench.goodput import Goodput, Objective
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.selection import Chosen
from devstral_fleet.bench.usage import GpuLook, UsageSample, usage
from devstral_fleet.catalog.schema import Workload
from devstral_fleet.errors import ConfigurationError, UnreachableError
from devstral_fleet.report.model import BenchRow
from devstral_fleet.workflows import bench, measuring, point, sampling
from devstral_fleet.workflows.planning import Target
from tests.support.hosts import host_of, quiet
from tests.support.intents import gpu_host, planned
from tests.support.values import PLAN
from tests.unit.bench_samples import CHAT, h100_result, plan
from tests.unit.report_samples import report as sample

CATALOG = catalogs.load()
H100 = plan()


def names(found: tuple[Chosen, ...]) -> list[str]:
    return [one.name for one in found]


def test_the_seeds_matrix_is_all_of_a_gpus_and_the_longest_come_last() -> None:
    found = selection.choose(CATALOG, H100, workload="all")
    assert len(found) == 9
    assert {one.workload.name for one in found} == {"chat", "reasoning", "summarization"}
    assert {one.point.concurrency for one in found} == {1, 16, 100}
    assert names(found)[-1] == "reasoning at 1"
    tokens = [one.point.total_output_tokens / one.point.concurrency for one in found]
    assert tokens == sorted(tokens)


def test_a_processor_has_workloads_of_its_own() -> None:
    found = selection.choose(CATALOG, PLAN, workload="all")
    assert {one.workload.name for one in found} == {"chat-smoke", "reasoning-smoke", "summarization-smoke"}
    assert len(found) == 6


def test_without_a_word_it_is_the_deploys_own_point() -> None:
    assert names(selection.choose(CATALOG, PLAN.model_copy(update={"smoke_workload": "chat-smoke"}))) == [
        "chat-smoke at 4"
    ]
    assert set(names(selection.choose(CATALOG, H100, workload="chat"))) == {"chat at 1", "chat at 16", "chat at 100"}


def test_another_level_has_the_totals_that_its_seed_gives() -> None:
    (one,) = selection.choose(CATALOG, H100, workload="chat", concurrency=(32,))
    assert (one.point.concurrency, one.point.num_prompts) == (32, 160)
    chat = CATALOG.workload("chat")
    assert (one.point.total_input_tokens, one.point.total_output_tokens) == lengths.totals(chat, 160)
    (known,) = selection.choose(CATALOG, H100, workload="chat", concurrency=(16,))
    assert known.point in chat.points


def test_fixed_lengths_draw_nothing() -> None:
    fixed = CATALOG.workload("chat").model_copy(update={"range_ratio": 1.0})
    assert lengths.totals(fixed, 7) == (7000, 7000)


def test_what_does_not_fit_the_context_is_left_out_or_refused() -> None:
    short = H100.model_copy(update={"context_length": 4096})
    assert {one.workload.name for one in selection.choose(CATALOG, short, workload="all")} == {"chat"}
    with pytest.raises(ConfigurationError, match="9000 tokens does not fit its context of 4096"):
        selection.choose(CATALOG, short, workload="reasoning")


@pytest.mark.parametrize(("text", "expected"), [("", ()), ("16", (16,)), ("1, 16,16,100", (1, 16, 100))])
def test_levels(text: str, expected: tuple[int, ...]) -> None:
    assert bench.levels(text) == expected


@pytest.mark.parametrize("text", ["0", "a", "1,,2", "1.5", "-1", "٣"])
def test_what_is_no_level(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no number from 1 up"):
        bench.levels(text)


def measured(concurrency: int, tpot_ms: float) -> Measurement:
    result = h100_result().model_copy(update={"median_tpot_ms": tpot_ms})
    point = CHAT.points[1].model_copy(update={"concurrency": concurrency})
    return Measurement.of(H100, CHAT, point, [result])


def test_an_estimate_goes_by_the_nearest_level() -> None:
    chosen = Chosen(CHAT, CHAT.points[1])
    assert selection.estimate_s([], chosen, 3, around_s=9) == 0
    known = [measured(1, 10.0), measured(20, 20.0), measured(100, 40.0)]
    expected = (40805 / 16 * 0.020 * selection.MARGIN + 9) * 3
    assert selection.estimate_s(known, chosen, 3, around_s=9) == pytest.approx(expected)


@dataclass
class Measuring:
    """Stands for the benchmark on a host: a point takes so many seconds of a clock of its own."""

    takes_s: float
    fails_at: str = ""
    now_s: float = 0.0
    asked: list[str] = field(default_factory=list)

    def point(self, host: Any, _run: str, chosen: Chosen, *_rest: object) -> Measurement:
        self.asked.append(chosen.name)
        self.now_s += self.takes_s
        if chosen.name == self.fails_at:
            raise UnreachableError("gone")
        return Measurement.of(host.plan, *chosen, [h100_result().model_copy(update={"median_tpot_ms": 10.0})])


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Any:
    console, said = quiet()
    intent = gpu_host()
    here = host_of(Target(intent, planned(intent)), console)
    here.said = said  # type: ignore[attr-defined]
    monkeypatch.setattr(job, "clear", lambda *_: None)
    monkeypatch.setattr(sampling, "unshared", nullcontext)
    monkeypatch.setattr(type(here), "service", lambda _: type("Service", (), {"pid": 7})())
    return here


def measure(host: Any, work: Measuring, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[str]:
    monkeypatch.setattr(point, "measure", work.point)
    points = selection.choose(CATALOG, host.plan, workload="chat")
    measuring.measure(host, "run-1", points, 1, clock=lambda: work.now_s, **options)
    return [f"{row.workload} at {row.concurrency}" for row in host.record.known["bench"]]


def test_a_limit_leaves_out_what_would_not_end_in_it(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Measuring(takes_s=30)
    rows = measure(host, work, monkeypatch, time_limit_s=70)
    assert rows == work.asked
    assert len(rows) < 3
    (left,) = host.record.known["findings_after"]
    assert left.check == "bench-left-out"
    assert "--resume run-1" in left.fix
    assert len(measure(host, Measuring(takes_s=30), monkeypatch)) == 3


def test_what_was_measured_is_kept_and_called_partial(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order = [one.name for one in selection.choose(CATALOG, host.plan, workload="chat")]
    with pytest.raises(UnreachableError):
        measure(host, Measuring(1, fails_at=order[1]), monkeypatch)
    assert [f"chat at {row.concurrency}" for row in host.record.known["bench"]] == order[:1]
    (partial,) = host.record.known["findings_after"]
    assert partial.summary == "1 of 3 points were measured before it ended"


def test_an_earlier_run_goes_on(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    chat: Workload = CATALOG.workload("chat")
    target = host.target
    goodput = Goodput(objective=Objective(ttft_ms=1, tpot_ms=1), good_percent=50.0, requests_per_s=2.0)
    gpus = usage([GpuLook(gpu=0, sample=UsageSample(offset_s=0.0, power_w=700.0))])
    row = BenchRow.of(Measurement.of(host.plan, chat, chat.points[1], [h100_result()], goodput=goodput, usage=gpus))
    known = sample().hosts[0].model_copy(update={"host": host.name, "plan": host.plan, "bench": (row,)})
    earlier = sample().model_copy(update={"hosts": (known,)})
    points = selection.choose(CATALOG, host.plan, workload="chat")

    already = bench._already(target, points, earlier)
    work = Measuring(1)
    rows = measure(host, work, monkeypatch, already=already)

    assert sorted(rows) == ["chat at 1", "chat at 100", "chat at 16"]
    assert "chat at 16" not in work.asked
    (kept,) = [one for one in host.record.known["bench"] if one.concurrency == chat.points[1].concurrency]
    assert (kept.goodput, kept.usage) == (goodput, gpus)
    assert bench._already(target, points, None) == ()
    assert bench._already(target, points, sample().model_copy(update={"hosts": ()})) == ()
    other = known.model_copy(update={"plan": host.plan.model_copy(update={"arguments": ("--other",)})})
    with pytest.raises(ConfigurationError, match="its plan is another one"):
        bench._already(target, points, sample().model_copy(update={"hosts": (other,)}))


def test_a_report_keeps_what_a_later_run_needs(host: Any) -> None:
    row = BenchRow.of(Measurement.of(host.plan, CHAT, CHAT.points[1], [h100_result()]))
    again = BenchRow.model_validate_json(json.dumps(row.model_dump(mode="json")))
    assert again == row


@pytest.mark.parametrize(
    ("workload", "levels", "command"),
    [
        ("", (), ".venv/bin/invoke bench --host gpu01 --save-baseline"),
        ("all", (), ".venv/bin/invoke bench --host gpu01 --workload all --save-baseline"),
        ("chat", (1, 16), ".venv/bin/invoke bench --host gpu01 --workload chat --concurrency 1,16 --save-baseline"),
        ("", (8,), ".venv/bin/invoke bench --host gpu01 --concurrency 8 --save-baseline"),
    ],
)
def test_a_baseline_is_recorded_of_what_was_asked_for(workload: str, levels: tuple[int, ...], command: str) -> None:
    wish = bench.Wish(workload, 1, False, levels)
    assert selection.baseline_command("gpu01", wish.words) == command


def test_an_objective_of_the_command_line_is_that_of_every_point(host: Any) -> None:
    objective = Objective(ttft_ms=1, tpot_ms=2)
    wish = bench.Wish("all", 1, False, objective=objective)
    work = bench._work(host.target, wish, None)
    assert {one.workload.objective for one in work.points} == {objective}
    assert {one.workload.objective for one in bench._work(host.target, bench.Wish("chat", 1, False), None).points} == {
        CATALOG.workload("chat").objective
    }
