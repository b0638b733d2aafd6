"""Parse the JSONL line that sglang.bench_serving leaves. Keys: SGLang 0.5.6 to 0.5.23 (sglang/benchmark/serving.py)."""

import json
import math
from collections.abc import Sequence

from pydantic import Field, ValidationError

from devstral_fleet.errors import VerificationError
from devstral_fleet.model import Value
from devstral_fleet.redact import redact, scrub

SHOWN_CHARACTERS = 200


class BenchResult(Value):
    """One run of the benchmark. Fields are SGLang's own JSONL keys: `_ms` is milliseconds, throughput is per second.

    Fields that are None by default are keys that not every version writes.
    """

    num_prompts: int
    """Requests asked for; not in the JSONL, which has no key for failures either."""
    tag: str | None = None
    backend: str
    dataset_name: str
    request_rate: float | None = None
    """Requests per second; None is no limit (the JSONL says Infinity)."""
    max_concurrency: int | None
    sharegpt_output_len: int | None = None
    random_input_len: int
    random_output_len: int
    random_range_ratio: float
    server_info: dict[str, object] = Field(default_factory=dict)
    """The engine's own /server_info, free of secrets."""
    duration: float
    """Seconds."""
    completed: int
    total_input_tokens: int
    total_input_text_tokens: int | None = None
    total_input_vision_tokens: int | None = None
    total_output_tokens: int
    total_output_tokens_retokenized: int | None = None
    request_throughput: float
    input_throughput: float
    output_throughput: float
    total_throughput: float
    mean_e2e_latency_ms: float
    median_e2e_latency_ms: float
    std_e2e_latency_ms: float
    p90_e2e_latency_ms: float | None = None
    p95_e2e_latency_ms: float | None = None
    p99_e2e_latency_ms: float
    mean_ttft_ms: float
    median_ttft_ms: float
    std_ttft_ms: float
    p90_ttft_ms: float | None = None
    p95_ttft_ms: float | None = None
    p99_ttft_ms: float
    mean_tpot_ms: float
    median_tpot_ms: float
    std_tpot_ms: float
    p90_tpot_ms: float | None = None
    p95_tpot_ms: float | None = None
    p99_tpot_ms: float
    mean_itl_ms: float
    median_itl_ms: float
    std_itl_ms: float
    p90_itl_ms: float | None = None
    p95_itl_ms: float | None = None
    p99_itl_ms: float
    concurrency: float
    """Requests in flight, averaged over the run."""
    accept_length: float | None = None
    max_output_tokens_per_s: float | None = None
    max_concurrent_requests: int | None = None
    extra: dict[str, object] = Field(default_factory=dict)
    """Keys that this version of SGLang writes and this class does not know."""

    @property
    def failures(self) -> int:
        """Requests that got no answer."""
        return self.num_prompts - self.completed

    def number(self, metric: str) -> float | None:
        """Return one metric by its JSONL key, None where this version does not write it."""
        value = getattr(self, metric, self.extra.get(metric))
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def without_server_info(self) -> "BenchResult":
        """Return the numbers alone, as the report's rows hold them."""
        return self.model_copy(update={"server_info": {}})


KNOWN = frozenset(BenchResult.model_fields) - {"num_prompts", "extra"}


def parse(text: str, *, num_prompts: int, secrets: Sequence[str] = ()) -> BenchResult:
    """Turn the last line of a benchmark's JSONL into a result, free of secrets.

    Args:
        text: the whole file. num_prompts: requests that were asked for. secrets: values to take out anywhere.

    Raises:
        VerificationError: the file is empty or cut, or a required key is missing or no number; the message names it.
    """
    line = _last_line(text)
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise _broken(f"the benchmark's result was cut off at character {error.pos} of {len(line)}", line) from error
    if not isinstance(record, dict):
        raise _broken("the benchmark's result is no JSON object", line)
    return _result(scrub(record, secrets), num_prompts, line)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise _broken("the benchmark left an empty result file", "")
    return lines[-1]


def _result(record: dict[str, object], num_prompts: int, line: str) -> BenchResult:
    numbers = {name: _finite(value) for name, value in record.items() if name in KNOWN}
    extra = {name: value for name, value in record.items() if name not in KNOWN}
    if numbers.get("server_info") is None:  # the engine did not answer /server_info
        numbers.pop("server_info", None)
    try:
        return BenchResult.model_validate({**numbers, "num_prompts": num_prompts, "extra": extra})
    except ValidationError as error:
        raise _broken(_first_problem(error), line) from error


def _finite(value: object) -> object:
    """Infinity is 'no limit' and NaN is 'no number': neither is strict JSON, both become None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"the benchmark's result has no key '{key}'"
    return f"the benchmark's result has a bad '{key}': {problem['msg']}, found {str(problem['input'])[:40]}"


def _broken(message: str, line: str) -> VerificationError:
    shown = redact(line)[:SHOWN_CHARACTERS]
    return VerificationError(
        message,
        fix="read the benchmark's output in the run directory, then run the benchmark again",
        evidence=[f"found: {shown}" if shown else "found: nothing"],
    )
