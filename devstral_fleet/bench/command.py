"""The benchmark's command: sglang.bench_serving beside the engine, as a value. Options: SGLang 0.5.10 to 0.5.23."""

import json
from collections.abc import Sequence

from devstral_fleet.catalog.schema import Workload, WorkloadPoint
from devstral_fleet.layout import HostLayout
from devstral_fleet.plan import DeploymentPlan

KEY_VARIABLE = "OPENAI_API_KEY"
"""bench_serving sends this variable's value as the Bearer token. It comes from secrets/api.key, never from here."""

OUTPUT = "result.jsonl"
"""What a benchmark's result is called in its job's directory."""


def argv(
    plan: DeploymentPlan,
    workload: Workload,
    point: WorkloadPoint,
    *,
    python: Sequence[str],
    output_file: str,
    cache_key: str = "",
) -> tuple[str, ...]:
    """Return the words of one benchmark run; its result is appended to `output_file` as one JSON line.

    Seed and range ratio are always given: SGLang changed the default seed between versions, and with it the totals.
    Not `--flush-cache`: that endpoint answers 500 on the vision class. The prefix cache is kept out by `cache_key`.

    Args:
        plan: says where the engine listens and where the tokenizer lies.
        python: words that start the engine's own interpreter.
        cache_key: names this run's own part of the engine's prefix cache. A repeat with the same key would find the
            prompts of the last one cached and look several times as fast; '' shares the engine's cache.
    """
    model = str(HostLayout.of(plan.home).model(plan.files.directory))
    return (
        *(*python, "-m", "sglang.bench_serving", "--backend", "sglang"),
        *("--host", plan.listen if plan.image is None else "127.0.0.1", "--port", str(plan.port)),
        *("--model", model, "--tokenizer", model),
        *("--dataset-name", workload.dataset),
        *("--random-input-len", str(workload.input_tokens)),
        *("--random-output-len", str(workload.output_tokens)),
        *("--random-range-ratio", str(workload.range_ratio)),
        *("--seed", str(workload.seed)),
        *("--num-prompts", str(point.num_prompts)),
        *("--max-concurrency", str(point.concurrency)),
        *("--request-rate", "inf"),
        *("--warmup-requests", str(point.concurrency)),  # a full batch first: no kernel is compiled while it counts
        *("--output-file", output_file),
        *(("--output-details",) if workload.objective else ()),  # what each request took
        *(("--extra-request-body", json.dumps({"extra_key": cache_key})) if cache_key else ()),
    )


def environment(plan: DeploymentPlan) -> dict[str, str]:
    """Return the benchmark's environment: the engine's own, and output that is written as it comes. No secret."""
    return {**plan.environment, "PYTHONUNBUFFERED": "1"}
