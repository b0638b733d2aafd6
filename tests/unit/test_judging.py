"""What a measurement leaves in a host's record: verdicts, findings, and the command that records a baseline."""

import dataclasses
import json
from pathlib import Path

import pytest

from devstral_fleet import catalog as catalogs
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.parse import parse
from devstral_fleet.bench.usage import GpuLook, UsageSample, usage
from devstral_fleet.errors import VerificationError
from devstral_fleet.report.model import HostReport, RunReport
from devstral_fleet.report.summary import fleet, summary
from devstral_fleet.workflows import measuring
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Target
from tests.support.hosts import host_of, quiet
from tests.support.intents import gpu_host, planned
from tests.unit.bench_samples import CASES, h100_result, measurement, tolerances
from tests.unit.report_samples import measured as sample
from tests.unit.report_samples import report


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    console, _ = quiet()
    intent = gpu_host()
    monkeypatch.setattr(Host, "log_tail", lambda _: ())
    return host_of(Target(intent, planned(intent)), console)


def checks(host: Host) -> dict[str, str]:
    return {finding.check: finding.state for finding in host.record.known["findings_after"]}


def at(concurrency: int, speed: float) -> Measurement:
    one = measurement(h100_result().model_copy(update={"output_throughput": speed}))
    return one.model_copy(update={"concurrency": concurrency})


def lost(answered: int) -> Measurement:
    return measurement(h100_result().model_copy(update={"completed": answered}))


def test_heat_and_saturation_are_said_and_fail_nothing(host: Host, tmp_path: Path) -> None:
    look = GpuLook(gpu=0, sample=UsageSample(offset_s=0.0), reasons=("sw_thermal_slowdown",))
    hot = at(1, 100.0).model_copy(update={"usage": usage([look])})
    points = (hot, at(16, 1067.7), at(32, 1075.0))
    judged = measuring.judge(host, points, tmp_path)
    measuring.require(host, points, judged)
    assert checks(host)["gpu-throttled"] == "warn"
    assert checks(host)["bench-saturation"] == "ok"
    shown = sample().model_copy(update={"findings_after": host.record.known["findings_after"]})
    (line,) = [text for label, text in summary(shown).lines if label == "saturation"]
    assert line.startswith("chat: 16 requests in flight saturate it")


def test_a_lost_request_is_a_finding_and_more_than_may_be_lost_a_failure(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lenient = dataclasses.replace(catalogs.load(), tolerances=tolerances(5, failure_limit_percent=2.5))
    monkeypatch.setattr(catalogs, "load", lambda: lenient)
    within, beyond = (lost(78),), (lost(77),)
    measuring.require(host, within, measuring.judge(host, within, tmp_path))
    assert checks(host)["bench-chat-16-answered"] == "warn"
    with pytest.raises(VerificationError, match="3 of 80 benchmark requests got no answer"):
        measuring.require(host, beyond, measuring.judge(host, beyond, tmp_path))


def test_the_shipped_limit_lets_no_request_be_lost(host: Host, tmp_path: Path) -> None:
    one = (lost(79),)
    with pytest.raises(VerificationError, match="1 of 80"):
        measuring.require(host, one, measuring.judge(host, one, tmp_path))


@pytest.mark.parametrize("words", ["", "--workload chat --concurrency 1,16"])
def test_the_command_that_records_a_baseline_measures_the_same(host: Host, tmp_path: Path, words: str) -> None:
    other = measurement().model_copy(update={"hardware": "unheard-of", "host": host.name})
    measuring.judge(host, (other,), tmp_path, words)
    between = f" {words}" if words else ""
    assert host.record.known["baseline_command"] == f".venv/bin/invoke bench --host gpu01{between} --save-baseline"


def of_hosts(*commands: str) -> RunReport:
    hosts: list[HostReport] = []
    for number, command in enumerate(commands, start=1):
        changes = {"host": f"gpu0{number}", "baseline_command": command.format(f"gpu0{number}")}
        hosts.append(sample().model_copy(update=changes))
    return report().model_copy(update={"hosts": tuple(hosts)})


def test_hosts_whose_baselines_are_recorded_alike_share_a_command() -> None:
    plain, chat = "invoke bench --host {} --save-baseline", "invoke bench --host {} --workload chat --save-baseline"
    lines = fleet(of_hosts(plain, chat, plain, "")).lines
    assert [text for label, text in lines if label == "record baselines"] == [
        "invoke bench --host gpu01,gpu03 --save-baseline",
        "invoke bench --host gpu02 --workload chat --save-baseline",
    ]


@pytest.mark.parametrize("key", ["median_ttft_ms", "output_throughput", "duration"])
@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN"])
def test_a_metric_without_end_is_no_number(key: str, value: str) -> None:
    record = json.loads((CASES / "result-h100-chat-c1.jsonl").read_text())
    with pytest.raises(VerificationError, match=f"bad '{key}'"):
        parse(json.dumps({**record, key: float(value)}), num_prompts=10)
