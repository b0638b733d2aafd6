"""How numbers are written, once, for the console and all three reports: the same number is the same text everywhere."""

import shlex
from collections.abc import Sequence

NONE = "-"
"""Stands where there is no number."""

LABELS = {
    "output_throughput": "output tok/s",
    "total_throughput": "total tok/s",
    "input_throughput": "input tok/s",
    "request_throughput": "requests/s",
    "max_output_tokens_per_s": "peak output tok/s",
    "duration": "duration",
    "concurrency": "mean concurrency",
}
_STATISTICS = {"mean": "mean", "median": "median", "std": "std", "p90": "P90", "p95": "P95", "p99": "P99"}
_FAMILIES = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2e_latency": "end-to-end latency"}


def label(metric: str) -> str:
    """Name a metric for a reader: 'median_ttft_ms' -> 'median TTFT'."""
    statistic, _, rest = metric.partition("_")
    family = rest.removesuffix("_ms")
    if statistic in _STATISTICS and family in _FAMILIES:
        return f"{_STATISTICS[statistic]} {_FAMILIES[family]}"
    return LABELS.get(metric, metric.replace("_", " "))


def number(value: float | None, digits: int = 1) -> str:
    """Write a number with thousands separated by a comma: 3807.526 -> '3,807.5'."""
    return NONE if value is None else f"{value:,.{digits}f}"


def throughput(tokens_per_s: float | None) -> str:
    """Write a rate of tokens: '812.4 tok/s'."""
    return NONE if tokens_per_s is None else f"{number(tokens_per_s)} tok/s"


def milliseconds(value: float | None) -> str:
    """Write a latency with three digits that count: '3.81 ms', '36.2 ms', '4,254 ms'."""
    if value is None:
        return NONE
    digits = 2 if value < 10 else 1 if value < 1000 else 0
    return f"{number(value, digits)} ms"


def metric(name: str, value: float | None) -> str:
    """Write a metric by its JSONL key, with its unit."""
    if name.endswith("_ms"):
        return milliseconds(value)
    if name == "duration":
        return duration(value)
    if name == "request_throughput":
        return NONE if value is None else f"{number(value, 2)} requests/s"
    if name.endswith(("_throughput", "_tokens_per_s")):
        return throughput(value)
    return number(value, 2)


def duration(seconds: float | None) -> str:
    """Write a span: '0.4 s', '43.7 s', '3 min 07 s', '1 h 02 min'."""
    if seconds is None:
        return NONE
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def change(percent: float | None) -> str:
    """Write a change with its sign: '+3.1 %'."""
    return NONE if percent is None else f"{percent:+.1f} %"


def percent(value: float | None) -> str:
    """Write a share or a tolerance: '40.0 %'."""
    return NONE if value is None else f"{value:.1f} %"


def count(value: int | None) -> str:
    """Write a whole number: 249831 -> '249,831'."""
    return NONE if value is None else f"{value:,}"


def gib(value: float | None) -> str:
    """Write memory: '24.0 GiB'."""
    return NONE if value is None else f"{number(value)} GiB"


def quantity(value: float | None, unit: str) -> str:
    """Write a whole number with its unit: '1,980 MHz'."""
    return NONE if value is None else f"{value:,.0f} {unit}"


def words(items: Sequence[str]) -> str:
    """Join words as a command line that can be pasted into a shell."""
    return shlex.join(items)
