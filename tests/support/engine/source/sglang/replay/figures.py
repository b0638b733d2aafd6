"""The figures of a benchmark, the real program's way, and the table it prints."""

import heapq
import math
import statistics
from dataclasses import dataclass
from typing import Any

from sglang.replay.recorded import recorded

FAMILIES = {
    "ttft": "Time to First Token",
    "tpot": "Time per Output Token (excl. 1st token)",
    "itl": "Inter-Token Latency",
}
WIDTH = 50


@dataclass
class Done:
    """One request that ended: its tokens, its declared times in seconds, its place on the pretended clock."""

    input_tokens: int
    output_tokens: int = 0
    ttft_s: float = 0.0
    itl_s: float = 0.0
    error: str = ""
    start_s: float = 0.0

    @property
    def latency_s(self) -> float:
        return self.ttft_s + self.itl_s * max(self.output_tokens - 1, 0)


def result(options: dict[str, Any], done: list[Done], server_info: dict[str, Any] | None) -> dict[str, Any]:
    """Return the JSON object with exactly the keys, in the order, of the recorded one."""
    duration_s = schedule(done, options["max_concurrency"] or len(done))
    good = [each for each in done if not each.error]
    tokens_in, tokens_out = sum(each.input_tokens for each in good), sum(each.output_tokens for each in good)
    known = {key: options[key] for key in options if key in recorded_result()}
    known |= {"server_info": server_info, "accept_length": None, "duration": duration_s, "completed": len(good)}
    known |= {"total_input_tokens": tokens_in, "total_input_text_tokens": tokens_in, "total_input_vision_tokens": 0}
    known |= {"total_output_tokens": tokens_out, "total_output_tokens_retokenized": retokenized(tokens_out)}
    known |= {"request_throughput": len(good) / duration_s, "input_throughput": tokens_in / duration_s}
    known |= {"output_throughput": tokens_out / duration_s, "total_throughput": (tokens_in + tokens_out) / duration_s}
    known |= families(good) | peaks(good)
    known["concurrency"] = sum(each.latency_s for each in good) / duration_s
    return {key: known[key] for key in recorded_result()}


def details(done: list[Done]) -> dict[str, list[Any]]:
    """What --output-details adds: an entry a request, `output_lens` 0 of one that failed."""
    return {
        "input_lens": [each.input_tokens for each in done],
        "output_lens": [0 if each.error else each.output_tokens for each in done],
        "ttfts": [each.ttft_s for each in done],
        "itls": [[each.itl_s] * max(each.output_tokens - 1, 0) for each in done],
        "generated_texts": [" a" * each.output_tokens for each in done],
        "errors": [each.error for each in done],
    }


def recorded_result() -> dict[str, Any]:
    line: dict[str, Any] = recorded("answers")["bench"]["result"]
    return line


def retokenized(tokens: int) -> int:
    """The real count is larger for noise; the recorded ratio stands for it."""
    line = recorded_result()
    return round(tokens * line["total_output_tokens_retokenized"] / line["total_output_tokens"])


def schedule(done: list[Done], concurrency: int) -> float:
    """Place the requests on a clock, `concurrency` at a time in their order; return when the last one ends."""
    free_s = [0.0] * min(concurrency, len(done))
    for each in done:
        each.start_s = heapq.heappop(free_s)
        heapq.heappush(free_s, each.start_s + each.latency_s)
    return max(free_s) or 1e-9


def families(good: list[Done]) -> dict[str, float]:
    """Mean, median, standard deviation and percentiles, in ms, of the four families."""
    longer = [each for each in good if each.output_tokens > 1]
    samples = {
        "e2e_latency": [each.latency_s for each in good],
        "ttft": [each.ttft_s for each in good],
        "tpot": [each.itl_s for each in longer],
        "itl": [each.itl_s for each in longer for _ in range(each.output_tokens - 1)],
    }
    figures: dict[str, float] = {}
    for name, seconds in samples.items():
        for statistic, value in statistics_of(seconds or [0.0]).items():
            figures[f"{statistic}_{name}_ms"] = value * 1000
    return figures


def statistics_of(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    figures = {"mean": statistics.fmean(values), "median": statistics.median(values), "std": statistics.pstdev(values)}
    return figures | {f"p{percent}": percentile(ordered, percent) for percent in (90, 95, 99)}


def percentile(ordered: list[float], percent: int) -> float:
    """Linear between the neighbours, as numpy's default."""
    place = (len(ordered) - 1) * percent / 100
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def peaks(good: list[Done]) -> dict[str, float | int]:
    """The busiest second: tokens, and requests that were open in it."""
    tokens: dict[int, int] = {}
    requests: dict[int, int] = {}
    for each in good:
        for index in range(each.output_tokens):
            second = int(each.start_s + each.ttft_s + index * each.itl_s)
            tokens[second] = tokens.get(second, 0) + 1
        for second in range(int(each.start_s), int(each.start_s + each.latency_s) + 1):
            requests[second] = requests.get(second, 0) + 1
    busiest = {"max_output_tokens_per_s": float(max(tokens.values(), default=0))}
    return busiest | {"max_concurrent_requests": max(requests.values(), default=0)}


def printed(line: dict[str, Any]) -> list[str]:
    """The table, in the recorded one's order and words."""
    rows = ["", f"{' Serving Benchmark Result ':=^{WIDTH}}"]
    rows += [row(label, line[key]) for label, key in HEAD]
    rows += [f"{'End-to-End Latency':-^{WIDTH}}", *family(line, "e2e_latency", "E2E Latency")]
    for name, title in FAMILIES.items():
        rows += [f"{title:-^{WIDTH}}", *family(line, name, name.upper())]
    rows += [row("Max ITL (ms):", line["p99_itl_ms"]), "=" * WIDTH]
    return rows


HEAD = (
    ("Backend:", "backend"),
    ("Traffic request rate:", "request_rate"),
    ("Max request concurrency:", "max_concurrency"),
    ("Successful requests:", "completed"),
    ("Benchmark duration (s):", "duration"),
    ("Total input tokens:", "total_input_tokens"),
    ("Total input text tokens:", "total_input_text_tokens"),
    ("Total generated tokens:", "total_output_tokens"),
    ("Total generated tokens (retokenized):", "total_output_tokens_retokenized"),
    ("Request throughput (req/s):", "request_throughput"),
    ("Input token throughput (tok/s):", "input_throughput"),
    ("Output token throughput (tok/s):", "output_throughput"),
    ("Peak output token throughput (tok/s):", "max_output_tokens_per_s"),
    ("Peak concurrent requests:", "max_concurrent_requests"),
    ("Total token throughput (tok/s):", "total_throughput"),
    ("Concurrency:", "concurrency"),
)


def row(label: str, value: object) -> str:
    shown = f"{value:<10.2f}" if isinstance(value, float) and not math.isinf(value) else f"{value or 'not set':<10}"
    return f"{label:<40} {shown}"


def family(line: dict[str, Any], name: str, title: str) -> list[str]:
    names = {"mean": "Mean", "median": "Median", "p90": "P90", "p95": "P95", "p99": "P99"}
    return [row(f"{word} {title} (ms):", line[f"{key}_{name}_ms"]) for key, word in names.items()]
