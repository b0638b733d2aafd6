import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstral_fleet.bench.parse import BenchResult
from devstral_fleet.bench.verdict import (
    choose,
    failure_finding,
    higher_is_better,
    judge,
    judged_metrics,
    noise_findings,
    references,
    worst,
)
from devstral_fleet.catalog.schema import BaselineFile
from devstral_fleet.findings import Verdict
from tests.unit.bench_samples import baseline, h100_result, measurement, tolerances

CATALOG = Path(__file__).parents[2] / "devstral_fleet" / "catalog" / "baselines"


def changed(**factors: float) -> BenchResult:
    """The recorded result with metrics multiplied."""
    result = h100_result()
    numbers = {name: (result.number(name) or 0.0) * factor for name, factor in factors.items()}
    return result.model_copy(update=numbers)


def test_the_same_numbers_pass() -> None:
    verdict = judge(measurement(), baseline(), tolerances(5))
    assert (verdict.state, verdict.reason, verdict.baseline) == ("pass", "", "h100-tp1")
    assert [metric.metric for metric in verdict.metrics] == ["output_throughput", "median_ttft_ms", "median_tpot_ms"]
    assert {metric.change_percent for metric in verdict.metrics} == {0.0}


@pytest.mark.parametrize(
    ("metric", "factor", "state"),
    [
        ("output_throughput", 0.96, "pass"),
        ("output_throughput", 0.94, "fail"),
        ("output_throughput", 3.0, "pass"),
        ("median_ttft_ms", 1.04, "pass"),
        ("median_ttft_ms", 1.06, "fail"),
        ("median_ttft_ms", 0.2, "pass"),
        ("median_tpot_ms", 1.06, "fail"),
        ("p99_ttft_ms", 9.0, "pass"),
    ],
)
def test_each_metric_has_its_direction(metric: str, factor: float, state: str) -> None:
    verdict = judge(measurement(changed(**{metric: factor})), baseline(), tolerances(5))
    assert verdict.state == state
    assert (metric in verdict.reason) == (state == "fail")


def test_repeats_are_judged_by_their_median() -> None:
    repeats = (changed(output_throughput=0.5), changed(output_throughput=1.0), changed(output_throughput=1.01))
    verdict = judge(measurement(*repeats), baseline(), tolerances(5))
    assert verdict.metrics[0].now == repeats[1].output_throughput


def test_noise_widens_the_tolerance_of_its_own_metric_alone() -> None:
    repeats = [changed(output_throughput=factor, median_ttft_ms=1.06) for factor in (0.88, 0.90, 0.92)]
    verdict = judge(measurement(*repeats), baseline(), tolerances(5))
    throughput, ttft, _ = verdict.metrics
    assert throughput.tolerance_percent == pytest.approx(3 * 0.04 / 0.90 * 100)
    assert (throughput.state, ttft.state, ttft.tolerance_percent) == ("pass", "fail", 5)


def test_the_noise_of_the_baselines_own_repeats_widens_it_for_a_single_run() -> None:
    noisy = baseline().model_copy(update={"spread_percent": {"median_ttft_ms": 16.0}})
    once = measurement(changed(median_ttft_ms=1.4, output_throughput=0.96))
    throughput, ttft, _ = judge(once, noisy, tolerances(5)).metrics
    assert (ttft.tolerance_percent, ttft.state, throughput.tolerance_percent) == (48.0, "pass", 5)
    assert judge(once, baseline(), tolerances(5)).state == "fail"


def test_calm_repeats_leave_the_catalogs_tolerance() -> None:
    repeats = [changed(output_throughput=factor) for factor in (0.899, 0.900, 0.901)]
    verdict = judge(measurement(*repeats), baseline(), tolerances(5))
    assert verdict.metrics[0].tolerance_percent == 5
    assert verdict.state == "fail"


def test_without_a_baseline_nothing_fails() -> None:
    verdict = judge(measurement(changed(output_throughput=0.01)), None, tolerances(5))
    assert (verdict.state, verdict.baseline, verdict.metrics) == ("no-baseline", "", ())
    assert verdict.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accelerator": "amd"}, "accelerator is nvidia"),
        ({"hardware": "h200"}, "hardware is h100, the baseline's is h200"),
        ({"gpu_count": 8}, "gpu count is 1"),
        ({"tp": 8}, "tp is 1"),
        ({"model": "devstral-2"}, "model is devstral-small-2"),
        ({"workload": "reasoning"}, "workload is chat"),
        ({"concurrency": 100}, "concurrency is 16"),
        ({"num_prompts": 500}, "num prompts is 80"),
        ({"total_input_tokens": 37205}, "total input tokens are 39668"),
        ({"total_output_tokens": 38314}, "total output tokens are 40805"),
    ],
)
def test_another_thing_is_not_compared(change: dict[str, object], words: str) -> None:
    slow = measurement(changed(output_throughput=0.01))
    verdict = judge(slow, baseline(**change), tolerances(5))
    assert verdict.state == "not-comparable"
    assert words in verdict.reason


def test_another_sglang_version_is_compared() -> None:
    assert judge(measurement(), baseline(sglang_version="0.5.9"), tolerances(5)).state == "pass"


def test_totals_that_are_not_the_workloads_are_not_compared() -> None:
    other_seed = h100_result().model_copy(update={"total_input_tokens": 37205, "total_output_tokens": 38314})
    verdict = judge(measurement(other_seed), baseline(), tolerances(5))
    assert (verdict.state, verdict.reason) == ("not-comparable", "input tokens are 37205, the workload gives 39668")
    mixed = judge(measurement(h100_result(), other_seed), baseline(), tolerances(5))
    assert mixed.reason == "the repeats differ in their token totals: 37205/38314, 39668/40805"


def test_lost_requests_fail_whatever_the_baseline() -> None:
    lossy = measurement(h100_result().model_copy(update={"completed": 78}))
    for judged_by in (None, baseline()):
        verdict = judge(lossy, judged_by, tolerances(5))
        assert (verdict.state, verdict.reason) == ("fail", "2 of 80 benchmark requests got no answer")
    allowed = judge(lossy, baseline(), tolerances(5, failure_limit_percent=5))
    assert allowed.state == "pass"
    assert failure_finding(lossy).state == "warn"
    assert failure_finding(measurement()).state == "ok"


def test_of_a_contaminated_baseline_only_what_it_names_counts() -> None:
    spoiled = baseline(contaminated=True, judged_metrics=("median_ttft_ms", "median_tpot_ms"))
    assert judged_metrics(spoiled) == ("median_ttft_ms", "median_tpot_ms")
    verdict = judge(measurement(changed(output_throughput=0.01)), spoiled, tolerances(5))
    assert verdict.state == "pass"
    assert judge(measurement(changed(median_ttft_ms=2)), spoiled, tolerances(5)).state == "fail"


def test_a_baseline_without_a_judged_metric_judges_nothing() -> None:
    verdict = judge(measurement(), baseline(metrics={"p99_ttft_ms": 491.4}), tolerances(5))
    assert verdict.state == "not-comparable"


def test_the_hosts_own_baseline_comes_first() -> None:
    own, catalog = baseline(name="own"), baseline(name="catalog")
    assert choose(measurement(), [own], [catalog]) == own
    assert choose(measurement(), [], [baseline(hardware="h200"), catalog]) == catalog
    assert choose(measurement(), [baseline(name="own", model="devstral-2")], []) is None
    outdated = baseline(name="own", tp=2)
    assert choose(measurement(), [outdated], [catalog]) == catalog
    assert choose(measurement(), [outdated], []) == outdated


def test_other_hardware_is_a_reference() -> None:
    h200, other_point = baseline(hardware="h200"), baseline(hardware="h200", concurrency=100)
    assert references(measurement(), [baseline(), h200, other_point]) == (h200,)


def test_the_recorded_h100_rows_of_the_catalog_judge_themselves() -> None:
    rows = BaselineFile.model_validate_json((CATALOG / "h100-tp1.json").read_text()).baselines
    chosen = choose(measurement(), [], rows)
    assert chosen is not None
    assert judge(measurement(), chosen, tolerances(5)).state == "pass"


def test_the_worst_verdict_speaks() -> None:
    def of(state: str) -> Verdict:
        return Verdict.model_validate({"workload": "chat", "concurrency": 1, "state": state, "reason": ""})

    assert worst([]) == "no-baseline"
    assert worst([of("pass"), of("pass")]) == "pass"
    assert worst([of("pass"), of("no-baseline"), of("not-comparable")]) == "not-comparable"
    assert worst([of("pass"), of("fail"), of("no-baseline")]) == "fail"


def test_noise_is_a_finding() -> None:
    noisy = measurement(changed(median_ttft_ms=1.0), changed(median_ttft_ms=1.5))
    (finding,) = noise_findings(noisy, tolerances(40))
    assert finding.state == "warn"
    assert "differ by at most 40.0 % (median_ttft_ms), which widens its tolerance to 120 %" in finding.summary
    wild = measurement(changed(median_ttft_ms=0.01), changed(median_ttft_ms=0.01), changed(median_ttft_ms=9.0))
    (finding,) = noise_findings(wild, tolerances(40))
    assert "differ by more than 1000 % (median_ttft_ms), too much to judge by" in finding.summary
    (quiet,) = noise_findings(measurement(changed(), changed()), tolerances(40))
    assert quiet.state == "ok"


def test_a_single_run_says_nothing_of_noise() -> None:
    assert noise_findings(measurement(changed()), tolerances(40)) == ()


@given(factor=st.floats(0.01, 100), tolerance=st.floats(0.1, 300))
def test_a_better_number_never_fails(factor: float, tolerance: float) -> None:
    better = factor if factor >= 1 else 1 / factor
    result = changed(output_throughput=better, median_ttft_ms=1 / better, median_tpot_ms=1 / better)
    assert judge(measurement(result), baseline(), tolerances(tolerance)).state == "pass"


@given(factor=st.floats(0.01, 0.99))
def test_a_worse_number_fails_exactly_beyond_the_tolerance(factor: float) -> None:
    loss = (1 - factor) * 100
    slow = measurement(changed(output_throughput=factor))
    assert judge(slow, baseline(), tolerances(loss * 0.99)).state == "fail"
    assert judge(slow, baseline(), tolerances(loss * 1.01)).state == "pass"


def test_directions_of_all_metrics() -> None:
    numbers = [name for name in json.loads(h100_result().model_dump_json()) if name.endswith(("_ms", "_throughput"))]
    assert {name for name in numbers if higher_is_better(name)} == {
        "request_throughput",
        "input_throughput",
        "output_throughput",
        "total_throughput",
    }
