import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devstral_fleet.bench import baselines
from devstral_fleet.bench.verdict import choose, judge
from devstral_fleet.errors import CatalogError, ExitCode, VerificationError
from tests.unit.bench_samples import baseline, h100_result, measurement, tolerances

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_what_is_recorded_judges_the_next_run(tmp_path: Path) -> None:
    recorded = baselines.record(measurement(h100_result(), h100_result(), h100_result()), repeats=3, now=NOW)
    file = baselines.save(tmp_path, "gpu01", [recorded])
    assert file == tmp_path / "baselines" / "gpu01.json"
    own = baselines.load(tmp_path, "gpu01")
    assert own == (recorded,)
    assert (recorded.recorded, recorded.host, recorded.spread_percent["median_ttft_ms"]) == ("2026-11-23", "gpu01", 0.0)
    verdict = judge(measurement(), choose(measurement(), own, ()), tolerances(5))
    assert verdict.state == "pass"


def test_a_host_without_recordings_has_none(tmp_path: Path) -> None:
    assert baselines.load(tmp_path, "gpu01") == ()


def test_saving_replaces_the_same_point_and_keeps_the_others(tmp_path: Path) -> None:
    other = baseline(workload="reasoning")
    accuracy = {
        **{
            "name": "a",
            "accelerator": "nvidia",
            "hardware": "h100",
            "gpu_count": 1,
            "model": "m",
            "benchmark": "gsm8k",
        },
        **{"num_shots": 8, "num_questions": 10, "accuracy": 0.9, "invalid": 0.0, "latency_s": 1.0},
        **{"output_throughput": 1.0, "provenance": "p", "recorded": "2026-11-23"},
    }
    file = baselines.save(tmp_path, "gpu01", [baseline(), other])
    file.write_text(json.dumps({**json.loads(file.read_text()), "accuracy": [accuracy]}))
    faster = baseline(metrics={"output_throughput": 2000.0})
    baselines.save(tmp_path, "gpu01", [faster])
    assert baselines.load(tmp_path, "gpu01") == (faster, other)
    assert json.loads(file.read_text())["accuracy"] == [accuracy]


def test_the_file_appears_whole(tmp_path: Path) -> None:
    file = baselines.save(tmp_path, "gpu01", [baseline()])
    assert [entry.name for entry in file.parent.iterdir()] == ["gpu01.json"]
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.read_text().endswith("}\n")


@pytest.mark.parametrize(
    ("change", "repeats", "reason"),
    [
        ({"completed": 79}, 1, "1 of 80 requests got no answer"),
        ({}, 3, "only 1 of 3 repeats have a result"),
        ({"total_output_tokens": 7}, 1, "output tokens are 7, the workload gives 40805"),
    ],
)
def test_an_unsound_run_is_no_baseline(change: dict[str, int], repeats: int, reason: str) -> None:
    unsound = measurement(h100_result().model_copy(update=change))
    with pytest.raises(VerificationError, match=reason) as caught:
        baselines.record(unsound, repeats=repeats, now=NOW)
    assert caught.value.host == "gpu01"


def rows(**change: object) -> str:
    row = {**json.loads(baseline().model_dump_json()), **change}
    return json.dumps({"schema_version": 1, "baselines": [json.loads(baseline().model_dump_json()), row]}, indent=2)


@pytest.mark.parametrize(
    ("text", "problem", "shown"),
    [
        ('{\n "baselines": [}\n', "this is no JSON", ' "baselines": [}'),
        (rows(tensor_parallel=1), "baselines.1.tensor_parallel: Extra inputs are not permitted", "tensor_parallel"),
        (rows(tp="one"), "baselines.1.tp: Input should be a valid integer", '"tp": "one"'),
        (rows(metrics={"output_throughput": "fast"}), "baselines.1.metrics.output_throughput", '"fast"'),
        (rows(metrics={"output_throughput": float("inf")}), "baselines.1.metrics.output_throughput", "Infinity"),
        (rows(metrics={"output_throughput": float("nan")}), "baselines.1.metrics.output_throughput", "NaN"),
        (rows(contaminated=True), "baselines.1: Value error, a contaminated row must name", "{"),
    ],
)
def test_a_bad_file_is_named_with_line_and_key(tmp_path: Path, text: str, problem: str, shown: str) -> None:
    file = baselines.path(tmp_path, "gpu01")
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(CatalogError) as caught:
        baselines.load(tmp_path, "gpu01")
    message = caught.value.message
    assert problem in message
    line = int(message.removeprefix(f"{file}:").partition(":")[0])
    assert shown in text.splitlines()[line - 1]
    assert caught.value.code is ExitCode.CONFIGURATION


def test_a_file_that_is_no_text_is_named_with_its_line(tmp_path: Path) -> None:
    file = baselines.path(tmp_path, "gpu01")
    file.parent.mkdir()
    file.write_bytes(b'{\n "baselines": [\xff]}\n')
    with pytest.raises(CatalogError, match=r"gpu01\.json:2: this is no UTF-8"):
        baselines.load(tmp_path, "gpu01")


def test_saving_into_a_bad_file_leaves_it(tmp_path: Path) -> None:
    file = baselines.path(tmp_path, "gpu01")
    file.parent.mkdir()
    file.write_text("{")
    with pytest.raises(CatalogError):
        baselines.save(tmp_path, "gpu01", [baseline()])
    assert file.read_text() == "{"


@pytest.mark.parametrize("host", ["", "..", "../other", "a/b", ".hidden"])
def test_a_host_name_cannot_lead_elsewhere(tmp_path: Path, host: str) -> None:
    with pytest.raises(CatalogError):
        baselines.path(tmp_path, host)
