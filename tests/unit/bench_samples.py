"""Values that the tests of benchmark, verdict and report share; numbers are recorded ones."""

from pathlib import Path

from devstral_fleet.bench.goodput import Objective
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.parse import BenchResult, parse
from devstral_fleet.catalog.schema import Baseline, Tolerances, Workload, WorkloadPoint
from devstral_fleet.plan import DeploymentPlan, EngineEnvironment, MemoryArithmetic, ModelFiles

CASES = Path(__file__).parent / "cases" / "bench"
CHAT = Workload(
    name="chat",
    title="Chat (1K/1K)",
    dataset="random-ids",
    input_tokens=1000,
    output_tokens=1000,
    seed=1,
    range_ratio=0.0,
    smoke_concurrency=16,
    smoke_repeats=3,
    accelerators=("nvidia",),
    objective=Objective(ttft_ms=2000, tpot_ms=50),
    points=(
        WorkloadPoint(concurrency=1, num_prompts=10, total_input_tokens=6101, total_output_tokens=4220),
        WorkloadPoint(concurrency=16, num_prompts=80, total_input_tokens=39668, total_output_tokens=40805),
    ),
)


def tolerances(percent: float, failure_limit_percent: float = 0.0) -> Tolerances:
    """The same percent for every accelerator."""
    return Tolerances(
        default=percent,
        cpu=percent,
        spread_factor=3.0,
        failure_limit_percent=failure_limit_percent,
        useless_percent=1000.0,
    )


def plan() -> DeploymentPlan:
    """A plan of the 24B on one H100, native."""
    return DeploymentPlan(
        host="gpu01",
        accelerator="nvidia",
        hardware="h100",
        gpus=(0,),
        model="devstral-small-2",
        repository="mistralai/Devstral-Small-2-24B-Instruct-2512",
        served_model_name="devstral-small-2",
        runtime="native",
        sglang_version="0.5.17",
        transformers_minimum="5.0.0rc0",
        driver_minimum="580.65.06",
        image=None,
        engine_environment=EngineEnvironment(
            requirements="requirements/engine.lock", digest="0123456789abcdef", torch="", torch_index=""
        ),
        files=ModelFiles(
            source="hub", repository="mistralai/x", revision="abc123", directory="devstral-small-2-abc123"
        ),
        tp=1,
        context_length=131072,
        mem_fraction_static=0.83,
        kv_cache_dtype="auto",
        kv_pool_tokens=271434,
        memory=MemoryArithmetic(
            gpu_memory_mib=81559,
            mem_fraction_static=0.83,
            weights_gib=24.0,
            context_gib=1.1,
            kv_bytes_per_token=163840,
            kv_pool_gib=41.4,
            kv_pool_tokens=271434,
        ),
        listen="127.0.0.1",
        port=30000,
        arguments=("--model-path", "/opt/devstral-fleet/models/devstral-small-2-abc123", "--port", "30000"),
        environment={"HF_HUB_OFFLINE": "1"},
        home="/opt/devstral-fleet",
        drain_deadline_s=120,
        health_deadline_s=900,
        disk_needed_gib=40.0,
        memory_needed_gib=32.0,
        smoke_workload="chat",
        notes=("the <b>licence</b> is Apache-2.0 & the weights are ungated",),
    )


def h100_result(concurrency: int = 16, prompts: int = 80) -> BenchResult:
    """The recorded result of one H100."""
    return parse((CASES / f"result-h100-chat-c{concurrency}.jsonl").read_text(), num_prompts=prompts)


def measurement(*results: BenchResult) -> Measurement:
    """The recorded H100 point at concurrency 16, or the given repeats of it."""
    return Measurement.of(plan(), CHAT, CHAT.points[1], results or (h100_result(),))


def baseline(**changes: object) -> Baseline:
    """What the recorded H100 result is as a baseline, with `changes`."""
    recorded = h100_result()
    metrics = {name: recorded.number(name) for name in ("output_throughput", "median_ttft_ms", "median_tpot_ms")}
    fields: dict[str, object] = {
        "name": "h100-tp1",
        "accelerator": "nvidia",
        "hardware": "h100",
        "gpu_count": 1,
        "tp": 1,
        "model": "devstral-small-2",
        "sglang_version": "0.5.17",
        "workload": "chat",
        "concurrency": 16,
        "num_prompts": 80,
        "total_input_tokens": 39668,
        "total_output_tokens": 40805,
        "metrics": metrics,
        "provenance": "recorded",
        "recorded": "2026-11-23",
    }
    return Baseline.model_validate({**fields, **changes})
