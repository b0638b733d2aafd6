"""Reports with everything in them: one host, or many that differ a little. Numbers grow out of the recorded H100's."""

import json
import random
from collections.abc import Iterator
from functools import cache

import yaml

from devstral_fleet.bench.accuracy import AccuracyResult
from devstral_fleet.bench.goodput import Goodput, Objective
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.parse import BenchResult
from devstral_fleet.bench.usage import GpuUsage, UsageSample
from devstral_fleet.bench.verdict import judge, references, worst
from devstral_fleet.catalog.schema import Baseline, Workload, WorkloadPoint
from devstral_fleet.facts import AcceleratorFacts, GpuFacts
from devstral_fleet.findings import Finding
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.report.model import BenchRow, HostReport, RunReport, TaskReport
from devstral_fleet.startup import Source, Stage, Startup
from tests.support.tree import PACKAGE
from tests.unit import report_samples
from tests.unit.bench_samples import CASES, CHAT, baseline, h100_result, plan, tolerances

LEVELS = ((1, 10), (16, 80), (100, 500))
"""Requests in flight, and how many in all."""
WORKLOADS = {"chat": (1.0, 1.0, 1.0), "reasoning": (1.12, 0.9, 0.93), "summarization": (0.62, 4.1, 1.5)}
"""By how much throughput, TTFT and TPOT are those of chat."""
REPEATS = 3
SAMPLES = 40
SLOW = {7: 0.81, 23: 0.9}
"""Hosts of many that are slower."""
STAGES: tuple[tuple[str, float, float, Source], ...] = (
    ("install", 0.0, 41.2, "toolkit"),
    ("weights", 41.2, 98.6, "toolkit"),
    ("process", 139.8, 6.3, "engine"),
    ("load", 146.1, 21.9, "engine"),
    ("kv-cache", 168.0, 1.2, "engine"),
    ("graphs", 169.2, 18.4, "engine"),
    ("warm-up", 187.6, 4.1, "engine"),
    ("first token", 191.7, 0.4, "toolkit"),
)


def full_report(hosts: int = 1, *, gpus: int = 1) -> RunReport:
    """A deploy of hosts gpu001, gpu002, ... with all that a report can hold; the same one each time."""
    seeds = random.Random(hosts)  # noqa: S311 # the same numbers each time
    told = tuple(full_host(number, gpus, seeds) for number in range(1, hosts + 1))
    return report_samples.report().model_copy(update={"hosts": told, "exit_code": 0})


def full_host(number: int, gpus: int, seeds: random.Random) -> HostReport:
    """One host, measured at every point of three workloads."""
    name, planned = f"gpu{number:03}", _plan(number, gpus)
    measured = [
        _measurement(planned, workload, level, SLOW.get(number, 1.0), seeds)
        for workload in WORKLOADS
        for level in LEVELS
    ]
    judged = [judge(one, _baseline(one), tolerances(5)) for one in measured]
    return report_samples.measured().model_copy(
        update={
            "host": name,
            "plan": planned,
            "bench": tuple(_row(one, gpus, seeds) for one in measured),
            "verdicts": tuple(judged),
            "verdict": worst(judged),
            "exit_code": 6 if worst(judged) == "fail" else 0,
            "references": tuple(row for one in measured for row in references(one, _other())),
            "smoke": (*report_samples.measured().smoke, *_tool_cases()),
            "findings_after": (*report_samples.measured().findings_after, *_acceptance()),
            "accuracy": (_accuracy(),),
            "startup": _startup(1.0, "2026-11-23T12:00:00Z"),
            "earlier_startups": tuple(_startup(1 + day / 20, f"2026-11-{22 - day}T09:10:00Z") for day in range(3)),
            "gpus": _accelerator(gpus),
            "server_info": {**json.loads((CASES / "server_info-h100.json").read_text()), "random_seed": number},
            "tasks": tuple(TaskReport(name=f"role : Task {each}", seconds=20 / each) for each in range(1, 11)),
        }
    )


def _plan(number: int, gpus: int) -> DeploymentPlan:
    return plan().model_copy(update={"host": f"gpu{number:03}", "gpus": tuple(range(gpus)), "tp": gpus})


def _measurement(
    planned: DeploymentPlan, workload: str, level: tuple[int, int], speed: float, seeds: random.Random
) -> Measurement:
    results = [_result(workload, level, speed, seeds) for _ in range(REPEATS)]
    first = results[0]
    point = WorkloadPoint(
        concurrency=level[0],
        num_prompts=level[1],
        total_input_tokens=first.total_input_tokens,
        total_output_tokens=first.total_output_tokens,
    )
    return Measurement.of(planned, _workload(workload), point, results)


def _workload(name: str) -> Workload:
    return CHAT.model_copy(update={"name": name})


def _result(workload: str, level: tuple[int, int], speed: float, seeds: random.Random) -> BenchResult:
    recorded = _recorded(*level).model_dump()
    factors = dict(zip(("throughput", "ttft", "tpot"), WORKLOADS[workload], strict=True))
    factors["throughput"] *= speed
    wiggle = seeds.uniform(0.99, 1.01)
    for name, value in recorded.items():
        kind = next((each for each in factors if each in name), "tpot" if name.endswith("_ms") else "")
        if kind and isinstance(value, float):
            recorded[name] = value * factors[kind] * wiggle
    return BenchResult.model_validate(recorded)


@cache
def _recorded(*level: int) -> BenchResult:
    return h100_result(*level)


def _baseline(one: Measurement) -> Baseline:
    names = ("output_throughput", "median_ttft_ms", "median_tpot_ms", "median_itl_ms")
    before = {name: value * 1.02 for name in names if (value := one.median(name)) is not None}
    slow = one.host in {f"gpu{number:03}" for number in SLOW}
    metrics = {**before, "output_throughput": before["output_throughput"] / (0.85 if slow else 1.05)}
    same = ("workload", "concurrency", "num_prompts", "gpu_count", "tp", "total_input_tokens", "total_output_tokens")
    return baseline(metrics=metrics, **{name: getattr(one, name) for name in same})


def _other() -> list[Baseline]:
    at_16 = {"output_throughput": 3783.1, "median_ttft_ms": 127.8, "median_tpot_ms": 16.9}
    at_100 = {"output_throughput": 12176.6, "median_ttft_ms": 199.2, "median_tpot_ms": 45.2}
    points = ((16, 80, at_16), (100, 500, at_100))
    return [
        baseline(
            name="amd-tp8", hardware="amd", tp=8, gpu_count=8, concurrency=level, num_prompts=asked, metrics=metrics
        )
        for level, asked, metrics in points
    ]


def _row(one: Measurement, gpus: int, seeds: random.Random) -> BenchRow:
    tpot = one.median("median_tpot_ms") or 0.0
    good = Goodput(
        objective=Objective(ttft_ms=2000.0, tpot_ms=25.0),
        good_percent=99.4 if tpot < 25 else 41.5,
        requests_per_s=one.median("request_throughput") or 0.0,
    )
    used = tuple(_usage(gpu, one.concurrency, seeds) for gpu in range(gpus))
    return BenchRow.of(one).model_copy(update={"goodput": good, "usage": used})


def _usage(gpu: int, concurrency: int, seeds: random.Random) -> GpuUsage:
    busy = 350 + 3.4 * concurrency

    def sample(index: int) -> UsageSample:
        warm = min(1.0, index / 8)
        return UsageSample(
            offset_s=index * 1.7,
            power_w=110 + (busy - 110) * warm + seeds.uniform(-15, 15),
            sm_clock_mhz=1980 - (240 if concurrency > 50 and index > 12 else 0) + seeds.uniform(-20, 0),
            temperature_c=38 + 30 * warm + gpu,
            utilization_percent=100 * warm,
        )

    reasons = ("sw_power_cap",) if concurrency > 50 else ()
    shares = dict.fromkeys(reasons, 12.0)
    samples = tuple(map(sample, range(SAMPLES)))
    return GpuUsage(gpu=gpu, samples=samples, throttle_reasons=reasons, throttled_percent=shares)


@cache
def _tool_cases() -> tuple[Finding, ...]:
    return tuple(_cases())


def _cases() -> Iterator[Finding]:
    cases = yaml.safe_load((PACKAGE / "smoke" / "tool_cases.yml").read_text())["cases"]
    for case in cases:
        warned = bool(case.get("known"))
        yield Finding(
            check=f"tools-{case['name']}",
            state="warn" if warned else "ok",
            summary=case.get("known") or 'get_weather({"location": "Rome"}), content \'\', finish_reason tool_calls',
            evidence=("whole: a[0][1]", "streamed: a[0[1") if warned else (),
        )


def _acceptance() -> Iterator[Finding]:
    lines = ("GPU 0: 54.9 GB/s to it, 53.1 GB/s back",)
    yield Finding(check="gpu-start", state="ok", summary="CUDA starts in the engine's image: 1 GPUs")
    yield Finding(check="host-bandwidth", state="ok", summary="host memory reaches every GPU", evidence=lines)
    yield Finding(check="diagnostics", state="ok", summary="DCGM passes: memory, pcie, targeted stress")


def _accuracy() -> AccuracyResult:
    return AccuracyResult(
        benchmark="gsm8k",
        model="devstral-small-2",
        num_shots=8,
        num_questions=1316,
        correct=1213,
        invalid=2,
        accuracy=1213 / 1316,
        standard_error=0.0074,
        seconds=96.4,
        output_throughput=2874.2,
        data_sha256="3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
        state="pass",
        reason="",
        baseline="gpu001-devstral-small-2",
        baseline_accuracy=0.919,
    )


def _startup(factor: float, started: str) -> Startup:
    stages = (
        Stage(name=name, offset_s=offset * factor, seconds=took * factor, source=source)
        for name, offset, took, source in STAGES
    )
    return Startup(
        release="20261123T120000Z-0123456789ab", started=started, stages=tuple(stages), ready_s=52.0 * factor
    )


def _accelerator(gpus: int) -> AcceleratorFacts:
    gpu = GpuFacts(
        index=0,
        address="0000:05:00.0",
        pci_id="10de:2330",
        title="NVIDIA H100 80GB HBM3",
        uuid="GPU-0",
        memory_mib=81559,
        used_mib=0,
        partition="",
        persistent=True,
        ecc=True,
        uncorrected_errors=0,
        repairs=(),
        link_width=16,
        link_width_maximum=16,
        slowdowns=(),
        processes=(),
    )
    found = tuple(gpu.model_copy(update={"index": index, "uuid": f"GPU-{index}"}) for index in range(gpus))
    return AcceleratorFacts(driver="580.95.05", detail="", cuda="13.0", gpus=found)
