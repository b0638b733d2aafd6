"""The replay engine and the real SGLang keep one contract: the product's own smoke checks."""

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstral_fleet import smoke
from devstral_fleet.catalog import load
from devstral_fleet.findings import Finding
from devstral_fleet.smoke import conformance, tool_cases
from tests.support.engine.planned import plan_of
from tests.support.engine.record import flags_of
from tests.support.engine.wheel import RECORDED, versions
from tests.support.ports import free_port
from tests.support.real_engine import (
    EngineNotReadyError,
    EngineWish,
    RunningEngine,
    health_status,
    serve,
    start,
    stop,
    wait_for_health,
)

ALL = set(smoke.CHECKS)
CALLS = {"tool-call", "tool-call-streamed"}
TIMEOUT_S = 60.0


def smoked(engine: RunningEngine, timeout_s: float = TIMEOUT_S, **changes: object) -> dict[str, Finding]:
    plan = plan_of(engine, **changes)
    found = smoke.run(base_url=engine.base_url, api_key=engine.api_key, plan=plan, timeout_s=timeout_s)
    return {finding.check: finding for finding in found}


def failed(findings: dict[str, Finding]) -> set[str]:
    return {name for name, finding in findings.items() if finding.state == "fail"}


@pytest.fixture
def fault(replay_wish: EngineWish) -> Iterator[Path]:
    """The file whose content is the running replay engine's fault."""
    file = replay_wish.directory / "fault"
    yield file
    file.unlink(missing_ok=True)


def test_the_replay_engine_passes_the_smoke_checks(replay_engine: RunningEngine) -> None:
    findings = smoked(replay_engine)
    assert list(findings) == list(smoke.CHECKS)
    assert {finding.state for finding in findings.values()} == {"ok"}, findings


@pytest.mark.real_engine
def test_the_real_engine_passes_the_smoke_checks(real_engine: RunningEngine) -> None:
    findings = smoked(real_engine)
    assert {finding.state for finding in findings.values()} == {"ok"}, findings


@pytest.mark.soak
@pytest.mark.real_engine
def test_the_real_engine_conforms_but_for_what_is_known(real_engine: RunningEngine) -> None:
    plan = plan_of(real_engine)
    cases = conformance.checks(plan)
    found = smoke.run(
        base_url=real_engine.base_url, api_key=real_engine.api_key, plan=plan, timeout_s=TIMEOUT_S, asked=cases
    )
    known = {f"{conformance.PREFIX}{case.name}" for case in tool_cases.load().cases if case.known}
    assert {each.check: each.summary for each in found if each.state == "fail"} == {}
    assert {each.check for each in found if each.state == "warn"} == known
    assert len(found) == len(cases) >= 40


@pytest.mark.real_engine
def test_the_record_is_of_this_engine(real_environment: Path) -> None:
    """A new SGLang with other flags or versions needs a new record (tests/support/engine/record.py)."""
    recorded = json.loads((RECORDED / "flags.json").read_text())
    real = flags_of(real_environment / "bin" / "python")
    assert real["versions"] == recorded["versions"]
    assert real["server"] == recorded["server"]
    assert real["bench"] == recorded["bench"]


def test_the_record_is_of_the_catalogs_version() -> None:
    assert versions()["sglang"] == load().runtimes.sglang["cpu"]


@pytest.mark.parametrize(
    ("name", "failing", "says"),
    [
        ("wrong_model", {"model-served"}, "serves another-model"),
        ("wrong_context", {"model-served"}, "context length 16384, not 32768"),
        ("no_tool_calls", CALLS, "0 tool calls came"),
        ("leak_tool_calls", CALLS, "came as text"),
        ("cut_tool_calls", CALLS, "the arguments are no JSON"),
        ("refuse_tool_results", {"tool-result-turn"}, "HTTP 400"),
        ("cut_stream", {"chat-streamed", "tool-call-streamed"}, "broke before the answer's end"),
        ("one_piece_stream", {"chat-streamed"}, "in one piece"),
        ("empty_answers", {"chat", "chat-streamed", "tool-result-turn", "pictures"}, "the answer is empty"),
        ("error_500", ALL - {"model-served", "pictures"}, "HTTP 500"),
        ("accept_anything", {"wrong-request-refused"}, "accepted"),
    ],
)
def test_a_fault_fails_its_checks_and_no_other(
    replay_engine: RunningEngine, fault: Path, name: str, failing: set[str], says: str
) -> None:
    fault.write_text(name)
    findings = smoked(replay_engine)
    assert failed(findings) == failing
    first = next(finding for finding in findings.values() if finding.check in failing)
    assert says in first.summary
    assert first.evidence
    assert first.fix


def test_pictures_that_are_not_answered_are_a_warning(replay_engine: RunningEngine, fault: Path) -> None:
    fault.write_text("refuse_pictures")
    (found,) = (finding for finding in smoked(replay_engine).values() if finding.state != "ok")
    assert (found.check, found.state, found.summary) == ("pictures", "warn", "pictures are answered with HTTP 500")
    assert "not subscriptable" in found.evidence[1]
    assert "no pictures" in found.fix


def test_a_hanging_engine_ends_the_checks_after_two_of_them(replay_engine: RunningEngine, fault: Path) -> None:
    fault.write_text("hang_on_chat")
    findings = smoked(replay_engine, timeout_s=0.3)
    assert failed(findings) == ALL - {"model-served"}
    assert [name for name, finding in findings.items() if "in 0.3 s" in finding.summary] == ["chat", "chat-streamed"]
    assert findings["tool-call"].summary == "not tried: 2 checks in a row got no answer"


def test_a_closed_port_ends_the_checks_at_once(replay_engine: RunningEngine) -> None:
    found = smoke.run(
        base_url=f"http://127.0.0.1:{free_port()}", api_key="k", plan=plan_of(replay_engine), timeout_s=TIMEOUT_S
    )
    assert [finding.state for finding in found] == ["fail"] * len(ALL)
    assert found[0].summary == "nothing answers at the endpoint"
    assert {finding.summary for finding in found[1:]} == {"not tried: nothing answers at the endpoint"}


def test_another_key_fails_every_check_that_needs_one(replay_engine: RunningEngine) -> None:
    stranger = dataclasses.replace(replay_engine, api_key="another-key")
    findings = smoked(stranger)
    assert failed(findings) == ALL
    assert "HTTP 401" in findings["chat"].summary


def test_a_model_is_compared_by_the_list_not_by_an_answer(replay_engine: RunningEngine) -> None:
    findings = smoked(replay_engine, served_model_name="planned-model")
    assert failed(findings) == {"model-served"}


def test_what_was_not_recorded_is_refused(replay_engine: RunningEngine) -> None:
    from openai import InternalServerError, OpenAI

    client = OpenAI(base_url=f"{replay_engine.base_url}/v1", api_key=replay_engine.api_key, max_retries=0)
    with pytest.raises(InternalServerError, match="not recorded") as refusal:
        client.completions.create(model="devstral-tiny", prompt="hello")
    assert refusal.value.status_code == 501


@pytest.mark.parametrize(
    ("name", "exit_status", "last_words"),
    [("die_at_start", 1, "ValueError"), ("die_at_start_late", -9, "sigquit from a child process")],
)
def test_an_engine_that_dies_says_why(
    replay_wish: EngineWish, tmp_path: Path, name: str, exit_status: int, last_words: str
) -> None:
    doomed = started_with(replay_wish, tmp_path, name)
    with pytest.raises(EngineNotReadyError, match=last_words) as death, serve(doomed, deadline_s=20.0):
        pass
    assert f"ended with {exit_status}\n" in str(death.value)


@pytest.mark.parametrize("name", ["never_healthy", "slow_health:60"])
def test_an_engine_that_is_not_healthy_in_time(replay_wish: EngineWish, tmp_path: Path, name: str) -> None:
    wish = started_with(replay_wish, tmp_path, name)
    process = start(wish)
    try:
        wait_for_health(wish, process, deadline_s=20.0, wanted=503)
        with pytest.raises(EngineNotReadyError, match=r"/health is 503 after 0\.2 s"):
            wait_for_health(wish, process, deadline_s=0.2)
    finally:
        stop(process)


def test_an_unknown_fault_is_no_fault_in_silence(replay_wish: EngineWish, tmp_path: Path) -> None:
    wish = started_with(replay_wish, tmp_path, "die_sometimes")
    with pytest.raises(EngineNotReadyError, match="no 'die_sometimes'"), serve(wish, deadline_s=20.0):
        pass


def test_an_unknown_flag_is_a_usage_error(replay_wish: EngineWish, tmp_path: Path) -> None:
    wish = dataclasses.replace(
        started_with(replay_wish, tmp_path, ""), arguments=(*replay_wish.arguments, "--cuda-graph-max-bs", "8")
    )
    with pytest.raises(EngineNotReadyError, match="ambiguous option") as death, serve(wish, deadline_s=20.0):
        pass
    assert "ended with 2\n" in str(death.value)


def test_a_stopped_engine_drains_and_ends_well(replay_wish: EngineWish, tmp_path: Path) -> None:
    wish = started_with(replay_wish, tmp_path, "")
    process = start(wish)
    wait_for_health(wish, process, deadline_s=20.0)
    assert stop(process) == 0
    assert health_status(wish.port) == 0
    log = (tmp_path / "engine.log").read_text()
    assert "SIGTERM received" in log
    assert "The server is fired up and ready to roll!" in log


def started_with(wish: EngineWish, directory: Path, fault: str) -> EngineWish:
    """Another engine of the same kind, on a port of its own, with one fault from its start."""
    environment = dict(wish.environment or {}) | {"REPLAY_FAULT": fault, "REPLAY_FAULT_FILE": ""}
    return dataclasses.replace(wish, directory=directory, port=free_port(), environment=environment)


def benched(
    engine: RunningEngine, wish: EngineWish, output: Path, *, prompts: int, concurrency: int
) -> dict[str, object]:
    """Run the replay engine's bench_serving; return its JSON line, or {'exit_status', 'stderr'} of a failure."""
    words = ["--backend", "sglang", "--host", "127.0.0.1", "--port", str(engine.port), "--model", str(engine.model)]
    words += ["--dataset-name", "random-ids", "--random-input-len", "1000", "--random-output-len", "1000"]
    words += ["--random-range-ratio", "0.0", "--seed", "1", "--num-prompts", str(prompts)]
    words += ["--max-concurrency", str(concurrency), "--output-file", str(output)]
    environment = dict(wish.environment or {}) | {"OPENAI_API_KEY": engine.api_key}
    command = [str(wish.python), "-m", "sglang.bench_serving", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        return {"exit_status": done.returncode, "stderr": done.stderr}
    line: dict[str, object] = json.loads(output.read_text())
    return line


@pytest.mark.parametrize(
    ("prompts", "concurrency", "totals"),
    [(10, 1, (6101, 4220)), (80, 16, (39668, 40805)), (500, 100, (249831, 252662))],
)
def test_the_benchmark_draws_the_real_lengths(
    replay_engine: RunningEngine,
    replay_wish: EngineWish,
    tmp_path: Path,
    prompts: int,
    concurrency: int,
    totals: tuple[int, int],
) -> None:
    line = benched(replay_engine, replay_wish, tmp_path / "out.jsonl", prompts=prompts, concurrency=concurrency)
    assert (line["total_input_tokens"], line["total_output_tokens"]) == totals
    assert line["completed"] == prompts


def test_the_benchmarks_line_is_the_real_one(
    replay_engine: RunningEngine, replay_wish: EngineWish, tmp_path: Path
) -> None:
    line = benched(replay_engine, replay_wish, tmp_path / "out.jsonl", prompts=10, concurrency=4)
    recorded = json.loads((RECORDED / "answers.json").read_text())["bench"]["result"]
    assert list(line) == list(recorded)
    assert line["request_rate"] == float("inf")
    assert isinstance(line["server_info"], dict)
    assert line["server_info"]["api_key"] == replay_engine.api_key


def test_a_slow_benchmark_is_slower_by_its_factor(
    replay_engine: RunningEngine, replay_wish: EngineWish, tmp_path: Path, fault: Path
) -> None:
    line = benched(replay_engine, replay_wish, tmp_path / "first.jsonl", prompts=10, concurrency=1)
    fault.write_text("bench_slow:2")
    slow = benched(replay_engine, replay_wish, tmp_path / "second.jsonl", prompts=10, concurrency=1)
    assert slow["duration"] == pytest.approx(2 * float(str(line["duration"])))


def test_a_partial_benchmark_completes_fewer(
    replay_engine: RunningEngine, replay_wish: EngineWish, tmp_path: Path, fault: Path
) -> None:
    fault.write_text("bench_partial")
    line = benched(replay_engine, replay_wish, tmp_path / "out.jsonl", prompts=10, concurrency=1)
    assert int(str(line["completed"])) < 10


def test_a_failing_benchmark_says_why(
    replay_engine: RunningEngine, replay_wish: EngineWish, tmp_path: Path, fault: Path
) -> None:
    fault.write_text("bench_fails")
    line = benched(replay_engine, replay_wish, tmp_path / "out.jsonl", prompts=10, concurrency=1)
    assert line["exit_status"] == 1
    assert "Warmup failed" in str(line["stderr"])


def test_an_engine_can_die_under_its_benchmark(replay_wish: EngineWish, tmp_path: Path) -> None:
    with serve(started_with(replay_wish, tmp_path, "die_during_bench"), deadline_s=20.0) as engine:
        line = benched(engine, replay_wish, tmp_path / "out.jsonl", prompts=10, concurrency=2)
        assert line["exit_status"] == 1
        assert engine.process.wait(10) == -9
