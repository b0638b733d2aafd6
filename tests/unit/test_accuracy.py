"""An accuracy and its verdict: pure."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstral_fleet import catalog as catalogs
from devstral_fleet.bench import accuracy, asking, baselines, questions
from devstral_fleet.bench.accuracy import AccuracyResult, Answers
from devstral_fleet.bench.questions import QuestionFile
from devstral_fleet.catalog.accuracy import AccuracyBaseline
from devstral_fleet.errors import CatalogError, ConfigurationError, ExitCode, PerformanceError, VerificationError
from devstral_fleet.report.summary import summary
from tests.support.intents import gpu_host, planned
from tests.unit.bench_samples import baseline, plan
from tests.unit.report_samples import checked

GSM8K = catalogs.load().accuracy["gsm8k"]
(COOKBOOK,) = catalogs.load().accuracy_baselines
BIG = plan().model_copy(update={"model": "devstral-2"})
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def answers(correct: int, asked: int = 1316, invalid: int = 0) -> Answers:
    """So many right answers."""
    return Answers(
        questions=asked, accuracy=correct / asked, invalid=invalid / asked, latency=35.8, output_throughput=4507.7
    )


def judged(correct: int, asked: int = 1316, **changes: Any) -> AccuracyResult:
    """The 123B's verdict by the cookbook's row, or as `changes` say."""
    words: dict[str, Any] = {
        **{"plan": BIG, "benchmark": GSM8K, "answers": answers(correct, asked), "data_sha256": GSM8K.sha256},
        "baseline": COOKBOOK,
    }
    return accuracy.judge(**{**words, **changes})


def test_two_standard_errors_below_the_baseline() -> None:
    assert accuracy.standard_error(0.922, 1316) == pytest.approx(0.00739, abs=1e-5)
    least = 0.922 - 2 * accuracy.standard_error(0.922, 1316)
    last_right = int(least * 1316) + 1
    assert [judged(correct).state for correct in (1316, 1213, last_right, last_right - 1, 1119, 0)] == [
        *("pass", "pass", "pass", "fail", "fail", "fail")
    ]


def test_fewer_questions_allow_more() -> None:
    assert judged(180, 200).state == "pass"
    assert judged(round(0.9 * 1316)).state == "fail"
    assert judged(180, 200).standard_error == pytest.approx(0.01896, abs=1e-5)


@given(st.integers(1, 2000).flatmap(lambda asked: st.tuples(st.integers(0, asked), st.just(asked))))
def test_every_result_has_one_state_and_says_why(counts: tuple[int, int]) -> None:
    found = judged(*counts)
    assert (found.correct, found.num_questions) == counts
    assert (found.state == "not-comparable") == (counts[1] < 200)
    assert bool(found.reason) == (found.state != "pass")


@pytest.mark.parametrize(
    ("correct", "asked", "changes", "state", "reason"),
    [
        (199, 199, {}, "not-comparable", "too few to judge: 199 questions, at least 200 are needed"),
        (200, 200, {}, "pass", ""),
        (1316, 1316, {"data_sha256": "ab" * 32}, "not-comparable", "another data file than GSM8K's (SHA-256 abababab"),
        (1316, 1316, {"baseline": None}, "no-baseline", "no accuracy of devstral-2 is recorded for GSM8K"),
        (0, 1316, {"baseline": None}, "no-baseline", "no accuracy"),
        (
            *(0, 1316, {"baseline": COOKBOOK.model_copy(update={"num_shots": 5})}),
            *("not-comparable", "8 shots, the baseline's are 5"),
        ),
        (0, 5, {"baseline": None}, "not-comparable", "too few"),
    ],
)
def test_what_is_not_judged_says_why(
    correct: int, asked: int, changes: dict[str, Any], state: str, reason: str
) -> None:
    found = judged(correct, asked, **changes)
    assert found.state == state
    assert found.reason.startswith(reason)
    accuracy.require("gpu01", found)


def test_a_low_accuracy_is_exit_code_6() -> None:
    with pytest.raises(PerformanceError, match=r"gpu01: answers worse .* 0\.850, .* 0\.922 allows 0\.907") as caught:
        accuracy.require("gpu01", judged(1119))
    assert caught.value.code is ExitCode.PERFORMANCE
    assert "invoke accuracy --host gpu01 --save-baseline" in caught.value.fix


def test_the_hosts_own_row_comes_before_the_catalogs_and_any_hardware_serves() -> None:
    own = COOKBOOK.model_copy(update={"name": "gpu01-devstral-2"})
    five = own.model_copy(update={"num_shots": 5})
    catalog = (COOKBOOK,)
    assert accuracy.choose(BIG, GSM8K, (own,), catalog) == own
    assert accuracy.choose(BIG, GSM8K, (), catalog) == COOKBOOK
    assert accuracy.choose(BIG, GSM8K, (five,), catalog) == COOKBOOK
    assert accuracy.choose(BIG, GSM8K, (five,), ()) == five
    assert accuracy.choose(plan(), GSM8K, (own,), catalog) is None
    assert accuracy.choose(BIG, GSM8K, (own.model_copy(update={"benchmark": "mmlu"}),), ()) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ('{"questions": 1316, "accuracy": 0.9', "cannot be read"),
        ('{"questions": 1316, "accuracy": NaN, "invalid": 0, "latency": 1, "output_throughput": 1}', "cannot be read"),
        ('{"questions": 1316, "accuracy": 1.2, "invalid": 0, "latency": 1, "output_throughput": 1}', "cannot be read"),
        ('{"questions": 1316, "accuracy": 1, "invalid": 0, "latency": 1}', "cannot be read"),
        (
            '{"questions": 99, "accuracy": 1, "invalid": 0, "latency": 1, "output_throughput": 1}',
            "99 of 1316 questions",
        ),
    ],
)
def test_a_result_that_cannot_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(VerificationError, match=said):
        accuracy.parse(text, questions=1316)


def test_a_result_is_read() -> None:
    text = '{"questions": 1316, "accuracy": 0.5, "invalid": 0.25, "latency": 2, "output_throughput": 0}'
    found = judged(0, answers=accuracy.parse(text, questions=1316))
    assert (found.correct, found.invalid, found.seconds) == (658, 329, 2.0)


def test_what_is_recorded_judges_the_next_run_and_other_rows_stay(tmp_path: Path) -> None:
    small = plan()
    first = accuracy.record("gpu01", small, judged(1000, plan=small, baseline=None), now=NOW)
    baselines.save(tmp_path, "gpu01", [baseline()])
    file = baselines.save_accuracy(tmp_path, "gpu01", COOKBOOK)
    assert baselines.save_accuracy(tmp_path, "gpu01", first) == file
    second = first.model_copy(update={"accuracy": 0.8})
    baselines.save_accuracy(tmp_path, "gpu01", second)
    assert baselines.load(tmp_path, "gpu01") == (baseline(),)
    assert baselines.load_accuracy(tmp_path, "gpu01") == (COOKBOOK, second)
    assert (second.name, second.recorded, second.hardware) == ("gpu01-devstral-small-2", "2026-11-28", "h100")
    chosen = accuracy.choose(small, GSM8K, baselines.load_accuracy(tmp_path, "gpu01"), ())
    assert judged(1000, plan=small, baseline=chosen).state == "fail"
    assert judged(1052, plan=small, baseline=chosen).state == "pass"


def test_a_bad_row_is_named_with_line_and_key(tmp_path: Path) -> None:
    file = baselines.save_accuracy(tmp_path, "gpu01", COOKBOOK)
    document = json.loads(file.read_text())
    document["accuracy"][0]["accuracy"] = 92.2
    file.write_text(json.dumps(document, indent=2))
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "92.2" in text)
    with pytest.raises(CatalogError, match=rf"gpu01\.json:{line}: accuracy\.0\.accuracy: .* less than or equal to 1"):
        baselines.load_accuracy(tmp_path, "gpu01")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"f:1: the line: Invalid JSON"),
        ('{"question": "q", "answer": "1"}\n\n{"question": "q", "answer": "1"}\n', "f:2: the line: Invalid JSON"),
        ('{"question": "q", "answer": "1"}\n{"question": "q"}\n', "f:2: answer: Field required"),
        ('{"question": "q", "answer": 18}\n', "f:1: answer: Input should be a valid string"),
        ('{"question": "", "answer": "18"}\n', "f:1: question: String should have at least 1 character"),
        ('{"question": "q", "answer": "none"}\n', "f:1: answer: there is no number in it"),
    ],
)
def test_a_file_of_other_things_is_refused_by_line(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        questions.rows(text, "f")
    assert "each line is a question" in caught.value.fix


@pytest.mark.parametrize(
    ("wanted", "rows", "asked"), [(0, 1319, 1316), (0, 40, 40), (5, 1319, 5), (1319, 1319, 1319), (0, 8, 8)]
)
def test_how_many_are_asked(wanted: int, rows: int, asked: int) -> None:
    file = QuestionFile(text="", sha256="", rows=rows)
    assert questions.asked(wanted, 1316, file, 8) == asked


@pytest.mark.parametrize(
    ("wanted", "rows", "said"),
    [(1320, 1319, "1320 questions were asked for, the file has 1319"), (0, 7, "8 are shown in each prompt")],
)
def test_more_than_there_are_is_refused(wanted: int, rows: int, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        questions.asked(wanted, 1316, QuestionFile(text="", sha256="", rows=rows), 8)


def test_the_command_holds_the_protocol_and_no_key() -> None:
    words = asking.argv(plan(), GSM8K, 1316, python=("python",), directory="/srv/jobs/run-1")
    assert words[:2] == ("python", "-c")
    assert words[3:5] == ("/srv/jobs/run-1/data.jsonl", "/srv/jobs/run-1/result.json")
    assert words[5:] == ("127.0.0.1", "30000", "8", "1316", "512", "1316")
    assert asking.environment(plan())["PYTHONUTF8"] == "1"
    assert "OPENAI_API_KEY" not in asking.environment(plan())


def test_the_screen_says_it() -> None:
    host = checked().model_copy(update={"outcome": "measured", "accuracy": (judged(1316, baseline=None),)})
    assert summary(host).lines == (
        ("gpu03", "measured, no baseline to judge its answers by"),
        (
            "accuracy gsm8k",
            "1316 of 1316 right (1.000); no-baseline: no accuracy of devstral-2 is recorded for GSM8K",
        ),
    )
    assert host.state == "warn"
    passed = host.model_copy(update={"accuracy": (judged(1316),)})
    assert summary(passed).lines[0][1] == "measured, answers as well as its baseline"
    assert passed.state == "ok"


def test_the_catalogs_row_is_of_the_protocol_that_is_asked() -> None:
    assert isinstance(COOKBOOK, AccuracyBaseline)
    asked = (COOKBOOK.benchmark, COOKBOOK.num_shots, COOKBOOK.num_questions)
    assert asked == (GSM8K.name, GSM8K.num_shots, GSM8K.num_questions)


def test_in_a_container_the_engine_listens_on_its_own_loopback() -> None:
    contained = planned(gpu_host(listen="192.0.2.1"))
    words = asking.argv(contained, GSM8K, 200, python=("docker", "exec", "c", "python3"), directory="/srv/jobs/run-1")
    assert (words[:4], words[8]) == (("docker", "exec", "c", "python3"), "127.0.0.1")
