"""Two runs beside each other, one run's hosts beside their median; the numbers are a recorded H100's, some changed."""

import json
from pathlib import Path
from typing import Any

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.report import comparison
from devstral_fleet.report.comparison import Comparison
from devstral_fleet.report.model import BenchRow, HostReport, RunReport
from devstral_fleet.workflows import compare as workflow
from tests.support.hosts import quiet
from tests.unit.bench_samples import CHAT, h100_result, plan, tolerances
from tests.unit.report_samples import report as sample

FIVE = tolerances(5)


def host(name: str, *throughputs: float, **changes: Any) -> HostReport:
    """A measured host: the recorded point, its output throughput as given."""
    repeats = tuple(h100_result().model_copy(update={"output_throughput": each}) for each in throughputs)
    planned = plan().model_copy(update={"host": name, **changes})
    row = BenchRow.of(Measurement.of(planned, CHAT, CHAT.points[1], repeats))
    return HostReport(host=name, outcome="measured", exit_code=0, plan=planned, bench=(row,))


def run(*hosts: HostReport) -> RunReport:
    return sample().model_copy(update={"hosts": hosts})


def states(found: Comparison, metric: str = "output_throughput") -> dict[str, str]:
    return {each.host: each.state for each in found.differences if each.metric == metric}


@pytest.mark.parametrize(
    ("now", "state"), [((1000.0,), "same"), ((960.0,), "same"), ((940.0,), "worse"), ((1060.0,), "better")]
)
def test_a_change_counts_beyond_the_tolerance(now: tuple[float, ...], state: str) -> None:
    found = comparison.between(run(host("gpu01", 1000.0)), run(host("gpu01", *now)), FIVE)
    assert states(found) == {"gpu01": state}
    assert found.uncompared == ()
    assert {each.state for each in found.differences if each.metric != "output_throughput"} == {"same"}


def test_the_noise_of_either_runs_repeats_widens_it() -> None:
    noisy = host("gpu01", 960.0, 1000.0, 1040.0)
    for before, now in ((noisy, host("gpu01", 900.0)), (host("gpu01", 1100.0), noisy)):
        found = comparison.between(run(before), run(now), FIVE)
        assert states(found) == {"gpu01": "same"}
        assert next(each.tolerance_percent for each in found.differences) == pytest.approx(24)


def test_a_latency_that_grows_is_worse() -> None:
    slow = host("gpu01", 1000.0)
    row = slow.bench[0].model_copy(update={"medians": {**slow.bench[0].medians, "median_ttft_ms": 500.0}})
    found = comparison.between(run(host("gpu01", 1000.0)), run(slow.model_copy(update={"bench": (row,)})), FIVE)
    assert states(found, "median_ttft_ms") == {"gpu01": "worse"}


def test_hosts_are_compared_by_name_and_two_single_ones_whatever_theirs() -> None:
    old, new = run(host("a", 1000.0), host("b", 2000.0)), run(host("b", 2000.0), host("c", 1.0))
    assert states(comparison.between(old, new, FIVE)) == {"b": "same"}
    assert states(comparison.between(run(host("a", 1000.0)), run(host("b", 900.0)), FIVE)) == {"b": "worse"}
    assert comparison.between(old, run(host("d", 1.0), host("e", 1.0)), FIVE).uncompared == (
        "no host was measured in both runs",
    )


def test_what_else_differs_is_named() -> None:
    now = host("gpu01", 1000.0, sglang_version="0.5.18", arguments=("--port", "30001"))
    found = comparison.between(run(host("gpu01", 1000.0)), run(now), FIVE)
    assert {name for name, _, _ in found.changed} == {"arguments"}
    driver = run(host("gpu01", 1000.0)).model_copy(update={"toolkit_version": "9.9"})
    changed = comparison.between(run(host("gpu01", 1000.0)), driver, FIVE).changed
    assert [name for name, _, _ in changed] == ["toolkit"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tp": 2}, "gpu01: tp was 1, is 2"),
        ({"model": "devstral-2", "hardware": "h200"}, "model was devstral-small-2, is devstral-2; hardware was h100"),
    ],
)
def test_another_plan_is_not_compared(changes: dict[str, Any], says: str) -> None:
    found = comparison.between(run(host("gpu01", 1000.0)), run(host("gpu01", 1000.0, **changes)), FIVE)
    assert found.differences == ()
    assert says in found.uncompared[0]


def test_other_tokens_and_other_points_are_not_compared() -> None:
    now = host("gpu01", 1000.0)
    other = now.bench[0].results[0].model_copy(update={"total_output_tokens": 7})
    row = now.bench[0].model_copy(update={"results": (other,)})
    found = comparison.between(run(host("gpu01", 1000.0)), run(now.model_copy(update={"bench": (row,)})), FIVE)
    assert found.uncompared == ("gpu01: chat at 16: tokens were 39668/40805, are 39668/7",)
    row = now.bench[0].model_copy(update={"concurrency": 100})
    found = comparison.between(run(host("gpu01", 1000.0)), run(now.model_copy(update={"bench": (row,)})), FIVE)
    assert found.uncompared == ("gpu01: chat at 100: not measured in the earlier run",)


def test_the_host_that_is_slower_than_the_others_is_named() -> None:
    hosts = [host(f"gpu0{number}", 1000.0 + number) for number in range(4)]
    found = comparison.fleet(run(*hosts, host("slow", 900.0), host("lonely", 1.0, hardware="h200")), FIVE)
    assert {name for name, state in states(found).items() if state != "same"} == {"slow"}
    assert found.uncompared == ("chat at 16: lonely alone; a median needs 3 hosts",)


def test_a_run_without_a_benchmark_has_no_median() -> None:
    assert comparison.fleet(run(), FIVE).uncompared == ("nothing was measured in this run",)


def written(folder: Path, name: str, report: RunReport) -> str:
    (folder / name).mkdir()
    (folder / name / "report.json").write_text(report.model_dump_json())
    return str(folder / name)


def test_the_verb_reads_reports_and_ends_with_6_where_one_is_slower(tmp_path: Path) -> None:
    good, bad = (written(tmp_path, name, run(host("gpu01", speed))) for name, speed in (("a", 1000.0), ("b", 500.0)))
    console, said = quiet()
    assert workflow.compare(console, good, good) == ExitCode.OK
    assert workflow.compare(console, good, bad) == ExitCode.PERFORMANCE
    assert "slower than it may be: gpu01" in said.getvalue()
    assert "-50.0 %" in said.getvalue()
    with pytest.raises(ConfigurationError, match="a median needs 3 hosts"):
        workflow.compare(console, good, "median")


def test_a_report_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    console, _ = quiet()
    folder = written(tmp_path, "old", run())
    (tmp_path / "old" / "report.json").write_text(json.dumps({"schema_version": 7}))
    with pytest.raises(ConfigurationError, match="old: its report cannot be read"):
        workflow.compare(console, folder, folder)


def test_the_catalogs_tolerance_for_a_processor_is_its_own() -> None:
    cpu = {"accelerator": "cpu", "hardware": "cpu"}
    found = comparison.between(run(host("a", 1000.0, **cpu)), run(host("a", 700.0, **cpu)), catalogs.load().tolerances)
    assert states(found) == {"a": "same"}
