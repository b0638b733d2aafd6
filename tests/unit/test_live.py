"""The moving line of a benchmark, from recorded metrics and what bench_serving has printed."""

import json
import re
from itertools import pairwise

import pytest

from devstral_fleet.bench import live
from devstral_fleet.bench.live import EngineNumbers, Place, places, words
from devstral_fleet.bench.progress import Progress
from devstral_fleet.bench.selection import Chosen
from devstral_fleet.job import JobState
from devstral_fleet.probes import metrics
from devstral_fleet.workflows.live import LiveView
from tests.support.hosts import host_of, quiet, target
from tests.support.tree import ROOT
from tests.unit.bench_samples import CHAT

ANSWERS = ROOT / "tests" / "support" / "engine" / "recorded" / "answers.json"
POINTS = tuple(Chosen(CHAT, point) for point in CHAT.points)
RUNNING = Progress(stage="running", done=40, total=80)


def recorded() -> str:
    exchanges = json.loads(ANSWERS.read_text())["exchanges"]
    return str(next(one["response"]["body"] for one in exchanges if one["request"]["path"] == "/metrics"))


def test_numbers_of_the_recorded_metrics() -> None:
    found = live.numbers(recorded())
    assert found.output_tokens_per_s == 0.0
    assert found.ttft_count == 7.0  # five whole, two streamed
    assert found.ttft_sum_s == pytest.approx(1.931886, abs=1e-6)


def test_every_series_stands_in_the_record() -> None:
    for name in live.SERIES:
        assert re.search(rf"^{name}\{{", recorded(), re.MULTILINE), name


def test_metrics_that_are_not_there_count_nothing() -> None:
    assert live.numbers("<html>404</html>") == EngineNumbers()


def test_the_first_tokens_of_this_run_alone() -> None:
    before = EngineNumbers(ttft_sum_s=100.0, ttft_count=10)
    now = EngineNumbers(ttft_sum_s=101.0, ttft_count=20)
    assert now.mean_ttft_ms(before) == pytest.approx(100.0)
    assert before.mean_ttft_ms(before) is None
    assert EngineNumbers().mean_ttft_ms(before) is None  # the engine was started anew


def test_the_places_share_the_work() -> None:
    every = places(POINTS, 3)
    assert [len(point) for point in every] == [3, 3]
    flat = [place for point in every for place in point]
    assert flat[0].before == 0.0
    for one, following in pairwise(flat):
        assert following.before == pytest.approx(one.before + one.share)
    assert flat[-1].before + flat[-1].share == pytest.approx(1.0)
    assert flat[0].share / flat[3].share == pytest.approx(4220 / (40805 / 16))


def test_what_is_left_follows_from_what_is_done() -> None:
    place = Place("chat at 16", 2, 2, 1, 1, before=0.5, share=0.5)
    assert place.left_s(RUNNING, elapsed_s=75.0) == pytest.approx(25.0)
    first = Place("chat at 1", 1, 2, 1, 1, before=0.0, share=0.5)
    assert first.left_s(Progress(stage="starting"), elapsed_s=9.0) is None


def test_the_whole_line() -> None:
    place = Place("chat at 16", 2, 9, 1, 3, before=0.5, share=0.5)
    before = EngineNumbers(ttft_sum_s=1.0, ttft_count=10)
    now = EngineNumbers(output_tokens_per_s=811.6, ttft_sum_s=4.6, ttft_count=50)
    assert words(place, RUNNING, now, before, 450.0) == (
        "chat at 16 (2 of 9), repeat 1 of 3: 40/80 requests, 812 tok/s, TTFT 90 ms, about 2 min 30 s left"
    )


def test_what_is_not_known_is_not_said() -> None:
    place = Place("chat at 16", 1, 1, 1, 1, before=0.0, share=1.0)
    assert words(place, Progress(stage="warming-up"), None, EngineNumbers(), 3.0) == "chat at 16: warming up"
    resting = EngineNumbers(ttft_count=5, ttft_sum_s=1)
    assert (
        words(place, Progress(stage="running", done=0, total=80), resting, resting, 3.0) == "chat at 16: 0/80 requests"
    )


def test_the_engine_is_asked_seldom_and_counts_from_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    console, _ = quiet()
    said: list[str] = []
    monkeypatch.setattr(console, "step", said.append)
    asked = iter(
        [
            EngineNumbers(ttft_sum_s=10.0, ttft_count=16),
            EngineNumbers(output_tokens_per_s=800.0, ttft_sum_s=11.0, ttft_count=26),
        ]
    )
    monkeypatch.setattr(metrics, "read", lambda *_: next(asked))
    clock = iter(float(second) for second in range(0, 1000, 3))
    view = LiveView(host_of(target(), console), Place("chat at 16", 1, 1, 1, 1, 0.0, 1.0), 0.0, lambda: next(clock))
    for text in ("Starting warmup", " 10%|#| 8/80 [00:01"):
        view.show(JobState(running=True, exit_status=None, stdout_tail=text, stderr_tail=""))
    assert said[0] == "chat at 16: warming up"
    assert said[1].startswith("chat at 16: 8/80 requests, 800 tok/s, TTFT 100 ms, about ")
