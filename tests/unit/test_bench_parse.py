import json
from pathlib import Path

import pytest

from devstral_fleet.bench import progress
from devstral_fleet.bench.parse import BenchResult, parse
from devstral_fleet.errors import ExitCode, VerificationError

CASES = Path(__file__).parent / "cases" / "bench"
KEY = "not-a-real-key-0123456789"
REQUIRED = [name for name, field in BenchResult.model_fields.items() if field.is_required() and name != "num_prompts"]


def recorded(name: str) -> dict[str, object]:
    record = json.loads((CASES / name).read_text())
    assert isinstance(record, dict)
    return record


@pytest.mark.parametrize(
    ("name", "prompts"),
    [
        ("result-h100-chat-c1.jsonl", 10),
        ("result-h100-chat-c16.jsonl", 80),
        ("result-h100-chat-c100.jsonl", 500),
        ("result-cpu-c4.jsonl", 8),
    ],
)
def test_every_key_of_a_recorded_result_is_kept(name: str, prompts: int) -> None:
    result = parse((CASES / name).read_text(), num_prompts=prompts)
    assert result.extra == {}
    assert result.failures == 0
    for key, value in recorded(name).items():
        if key not in {"server_info", "request_rate"}:
            assert getattr(result, key) == value, key
    assert result.request_rate is None  # the JSONL's Infinity


def test_numbers_are_those_of_the_printed_table() -> None:
    table = (CASES / "result-h100-chat-c100.txt").read_text()
    result = parse((CASES / "result-h100-chat-c100.jsonl").read_text(), num_prompts=500)
    assert f"{result.output_throughput:.2f}" in table
    assert f"{result.p99_itl_ms:.2f}" in table


def test_the_api_key_that_sglang_stores_is_gone() -> None:
    text = (CASES / "result-cpu-c4.jsonl").read_text()
    assert text.count(KEY) == 3
    result = parse(text, num_prompts=8, secrets=[KEY])
    assert KEY not in result.model_dump_json()
    assert KEY not in parse(text, num_prompts=8).model_dump_json()
    assert result.server_info["max_total_tokens"] == 65536


def test_it_survives_a_file() -> None:
    result = parse((CASES / "result-cpu-c4.jsonl").read_text(), num_prompts=8)
    assert BenchResult.model_validate_json(result.model_dump_json()) == result


def test_an_unknown_key_is_kept_and_is_no_error() -> None:
    record = {**recorded("result-h100-chat-c1.jsonl"), "p42_ttft_ms": 7.5}
    result = parse(json.dumps(record), num_prompts=10)
    assert result.extra == {"p42_ttft_ms": 7.5}
    assert result.number("p42_ttft_ms") == 7.5
    assert result.number("never_heard_of") is None


def test_requests_without_an_answer_are_counted() -> None:
    record = {**recorded("result-h100-chat-c1.jsonl"), "completed": 7}
    assert parse(json.dumps(record), num_prompts=10).failures == 3


def test_the_last_line_of_an_appended_file_counts() -> None:
    text = (CASES / "result-cpu-c4.jsonl").read_text() + (CASES / "result-cpu-c4-second.jsonl").read_text()
    second = recorded("result-cpu-c4-second.jsonl")
    assert parse(text, num_prompts=8).duration == second["duration"]


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named(key: str) -> None:
    record = {name: value for name, value in recorded("result-h100-chat-c1.jsonl").items() if name != key}
    with pytest.raises(VerificationError, match=f"no key '{key}'"):
        parse(json.dumps(record), num_prompts=10)


@pytest.mark.parametrize(
    ("text", "message", "evidence"),
    [
        ("", "empty result file", "found: nothing"),
        ("\n \n", "empty result file", "found: nothing"),
        ('{"backend": "sglang", "dura', "cut off at character", 'found: {"backend": "sglang", "dura'),
        ("[1, 2]", "no JSON object", "found: [1, 2]"),
    ],
)
def test_what_is_no_result_says_what_was_found(text: str, message: str, evidence: str) -> None:
    with pytest.raises(VerificationError, match=message) as caught:
        parse(text, num_prompts=10)
    assert caught.value.evidence == (evidence,)
    assert caught.value.code is ExitCode.VERIFICATION
    assert caught.value.fix


def test_a_metric_that_is_no_number_is_named() -> None:
    record = {**recorded("result-h100-chat-c1.jsonl"), "median_ttft_ms": float("nan")}
    with pytest.raises(VerificationError, match="bad 'median_ttft_ms'"):
        parse(json.dumps(record), num_prompts=10)


def test_evidence_of_a_cut_result_holds_no_key() -> None:
    with pytest.raises(VerificationError) as caught:
        parse('{"server_info": {"api_key": "not-a-real-key-0123456789", "po', num_prompts=10)
    assert KEY not in " ".join(caught.value.evidence)


def test_progress_of_a_real_run_step_by_step() -> None:
    out, err = ((CASES / f"result-cpu-c4.{name}").read_bytes().decode() for name in ("stdout", "stderr"))
    assert progress.parse("") == progress.Progress(stage="starting")
    warming = out[: out.index("Warmup completed")]
    assert progress.parse(warming).stage == "warming-up"
    half = err[: err.index(" 5/8") if " 5/8" in err else err.index(" 7/8")]
    assert progress.parse(warming + half) == progress.Progress(stage="running", done=4, total=8)
    assert progress.parse(warming + half).text == "4/8 requests"
    whole = progress.parse(out + err)
    assert (whole.stage, whole.done, whole.total, whole.output_tokens_per_s) == ("finished", 8, 8, 31.35)
