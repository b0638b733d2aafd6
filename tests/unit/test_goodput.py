"""Requests that kept the objective: from what bench_serving wrote, on the host, to a share and a rate."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.bench.goodput import Answered, Objective, RequestTimes, goodput, objective
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.probes import bench_result
from devstral_fleet.shell import LocalShell
from tests.unit.bench_samples import CASES

OBJECTIVE = Objective(ttft_ms=100, tpot_ms=20)
SHELL = LocalShell("gpu01")


def answered(*times: tuple[float, float], asked: int = 4, seconds: float = 2.0) -> Answered:
    requests = tuple(RequestTimes(ttft_ms=ttft, tpot_ms=tpot) for ttft, tpot in times)
    return Answered(asked=asked, seconds=seconds, requests=requests)


def test_a_good_request_keeps_both_and_a_lost_one_is_not_good() -> None:
    found = goodput(OBJECTIVE, [answered((100.0, 20.0), (100.1, 5.0), (5.0, 20.1))])
    assert found is not None
    assert (found.good_percent, found.requests_per_s) == (25.0, 0.5)
    assert found.objective == OBJECTIVE


def test_of_repeats_the_share_is_of_all_and_the_rate_the_median() -> None:
    good, bad = (1.0, 1.0), (500.0, 1.0)
    repeats = [answered(good, good, asked=2, seconds=1), answered(good, bad, asked=2), answered(bad, bad, asked=2)]
    found = goodput(OBJECTIVE, repeats)
    assert found is not None
    assert (found.good_percent, found.requests_per_s) == (50.0, 0.5)


def test_without_objective_or_details_there_is_none() -> None:
    assert goodput(None, [answered((1.0, 1.0))]) is None
    assert goodput(OBJECTIVE, [answered((1.0, 1.0)), answered()]) is None


def test_every_workload_has_an_objective() -> None:
    assert all(workload.objective for workload in catalogs.load().workloads.values())


def test_an_objective_of_the_command_line() -> None:
    assert objective("") is None
    assert objective("1500:37.5") == Objective(ttft_ms=1500, tpot_ms=37.5)


@pytest.mark.parametrize("text", ["2000", "2000:", ":50", "0:50", "a:b", "1:2:3", "nan:5", "inf:5", "-1:5"])
def test_what_is_no_objective_is_said(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no pair of milliseconds"):
        objective(text)


DETAILS: dict[str, Any] = {
    "input_lens": [3, 4, 5],
    "output_lens": [3, 0, 1],
    "ttfts": [0.25, 0.5, 0.125],
    "itls": [[0.01, 0.03], [0.2], []],
    "generated_texts": ["a secret story", "", "b"],
    "errors": ["", "Internal Server Error: ...", ""],
}
"""The second request broke off after two tokens. Keys as bench_serving of 0.5.10, 0.5.17 and 0.5.23 writes them."""


def result_line() -> dict[str, object]:
    line: dict[str, object] = json.loads((CASES / "result-h100-chat-c16.jsonl").read_text())
    return line


def test_the_host_counts_and_sends_no_details(tmp_path: Path) -> None:
    file = tmp_path / "result.jsonl"
    file.write_text('{"an": "older line"}\n' + json.dumps({**result_line(), **DETAILS}) + "\n")
    written = bench_result.read(SHELL, file)
    assert written.requests == (
        RequestTimes(ttft_ms=250.0, tpot_ms=20.0),
        RequestTimes(ttft_ms=125.0, tpot_ms=0.0),
    )
    assert json.loads(written.line) == result_line()


def test_a_result_without_details_is_the_result(tmp_path: Path) -> None:
    shutil.copy(CASES / "result-h100-chat-c16.jsonl", tmp_path / "result.jsonl")
    written = bench_result.read(SHELL, tmp_path / "result.jsonl")
    assert written.requests == ()
    assert json.loads(written.line) == result_line()


@pytest.mark.parametrize("text", ["", "\n\n", '{"backend": "sgl', "[1, 2]", '"text"', "null"])
def test_what_is_no_result_goes_to_the_parser_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.jsonl").write_text(text)
    written = bench_result.read(SHELL, tmp_path / "result.jsonl")
    assert (written.line.strip(), written.requests) == (text.strip(), ())


def test_a_file_that_is_not_there_is_an_empty_one(tmp_path: Path) -> None:
    assert bench_result.read(SHELL, tmp_path / "result.jsonl").line.strip() == ""


def test_infinity_survives_the_host(tmp_path: Path) -> None:
    (tmp_path / "result.jsonl").write_text('{"request_rate": Infinity, "ttfts": []}\n')
    assert json.loads(bench_result.read(SHELL, tmp_path / "result.jsonl").line) == {"request_rate": float("inf")}
