"""The tables of what was measured: speed, latency, verdict, and what the GPUs did meanwhile."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from statistics import median

from devstral_fleet.bench.usage import GpuUsage
from devstral_fleet.catalog.schema import Baseline
from devstral_fleet.findings import MetricVerdict, Verdict
from devstral_fleet.report import format as fmt
from devstral_fleet.report import speed
from devstral_fleet.report.model import BenchRow, HostReport
from devstral_fleet.report.table import Cell, Table, table

BENCH_COLUMNS = (
    "output_throughput",
    "mean_ttft_ms",
    "median_ttft_ms",
    "p99_ttft_ms",
    "median_tpot_ms",
    "median_itl_ms",
    "p99_itl_ms",
    "duration",
)
REFERENCE_COLUMNS = ("output_throughput", "median_ttft_ms", "median_tpot_ms")
LATENCIES = ("ttft", "tpot", "e2e_latency")
STATISTICS = ("median", "p90", "p99")
LATENCY_COLUMNS = tuple(f"{statistic}_{name}_ms" for name in LATENCIES for statistic in STATISTICS)
VERDICT_STATES = {"pass": "ok", "fail": "fail", "no-baseline": "warn", "not-comparable": "warn"}
SPEED, LATENCY, USAGE = "Throughput against speed for a user", "Latency", "GPUs during the benchmark"
"""Captions of the tables under the charts."""
BENCH, VERDICT = "Benchmark", "Verdict"
NOTHING = "nothing"
UNSAID = "the driver does not say"
"""What held GPUs back that ran free."""


def bench(rows: Sequence[BenchRow]) -> Table:
    """One row for each point: medians over the repeats, the spread below."""
    columns = ("workload", "concurrency", "requests", "lost", *(fmt.label(name) for name in BENCH_COLUMNS))
    return table(
        BENCH,
        columns,
        (_bench_row(row) for row in rows),
        numeric=range(1, len(columns)),
        note="Medians over the repeats; the spread is (largest - smallest) / median.",
    )


def verdicts(host: HostReport) -> Table:
    """One row for each judged metric, one for each point that was not judged."""
    columns = ("workload", "concurrency", "metric", "baseline", "now", "change", "spread", "tolerance", "verdict")
    spreads = {(row.workload, row.concurrency): _spreads(row) for row in host.bench}
    rows = (
        row
        for verdict in host.verdicts
        for row in _verdict_rows(verdict, spreads.get((verdict.workload, verdict.concurrency), {}))
    )
    note = "Tolerance: the catalog's percent, or what the spread of the repeats widens it to."
    return table(VERDICT, columns, rows, numeric=(1, *range(3, 8)), note=note)


def references(host: HostReport) -> Table:
    """Other hardware's numbers for the same model and workload."""
    metrics = tuple(fmt.label(name) for name in REFERENCE_COLUMNS)
    return table(
        "Other hardware, for reference",
        ("baseline", "hardware", "tp", "workload", "concurrency", *metrics),
        (_reference_row(row) for row in host.references),
        numeric=(2, 4, 5, 6, 7),
        note="Shown only; no part of the verdict.",
    )


def speeds(host: HostReport) -> Table:
    """One row for each point: what a GPU gives and what a user gets, then and now, and how much met the objective."""
    device = f"for each {speed.device_word(host)}"
    before = {(point.workload, point.concurrency): point for point in speed.baseline(host)}
    goals = {(row.workload, row.concurrency): row for row in host.bench}
    columns = ("workload", "concurrency", device, "for a user", f"baseline, {device}", "baseline, for a user")
    rows = (
        (
            point.workload,
            str(point.concurrency),
            *_speeds(point),
            *_speeds(before.get(point[1:3])),
            *_goodput(goals[point.workload, point.concurrency]),
        )
        for point in speed.measured(host)
    )
    return table(
        SPEED,
        (*columns, "met the objective", "good requests", "objective (TTFT, TPOT)"),
        rows,
        numeric=range(1, 8),
        note="Output tokens a second. For a user: 1000 / median TPOT.",
    )


def latency(rows: Sequence[BenchRow]) -> Table:
    """One row for each point: TTFT, TPOT and end-to-end, without the statistics that this SGLang does not write."""
    shown = tuple(name for name in LATENCY_COLUMNS if any(name in row.medians for row in rows))
    columns = ("workload", "concurrency", *(fmt.label(name) for name in shown))
    lines = (
        (row.workload, str(row.concurrency), *(fmt.metric(name, row.medians.get(name)) for name in shown))
        for row in rows
        if shown
    )
    return table(LATENCY, columns, lines, numeric=range(1, len(columns)), note="Medians over the repeats.")


def usage(rows: Sequence[BenchRow]) -> Table:
    """One row for each point: power, clock and temperature over all its GPUs, and what held them back."""
    columns = ("power, median", "highest", "SM clock, lowest", "median", "temperature, highest", "load, median")
    return table(
        USAGE,
        ("workload", "concurrency", "GPUs", *columns, "held back by"),
        ((row.workload, str(row.concurrency), str(len(row.usage)), *_usage(row.usage)) for row in rows if row.usage),
        numeric=range(1, 9),
        note="Power, clock and load of one GPU, over all of them and all repeats.",
    )


def held(gpus: Sequence[GpuUsage]) -> str:
    """What held clocks back, in words: NOTHING, and UNSAID where no driver told."""
    silent = all(gpu.throttled_percent is None for gpu in gpus)
    return throttled(gpus) or (UNSAID if silent else NOTHING)


def throttled(gpus: Sequence[GpuUsage]) -> str:
    """Name what held clocks back, and on which GPUs: 'sw_power_cap (GPU 0, 3)'; '' for nothing."""
    reasons = dict.fromkeys(reason for gpu in gpus for reason in gpu.throttle_reasons)
    return "; ".join(
        f"{reason} (GPU {', '.join(str(gpu.gpu) for gpu in gpus if reason in gpu.throttle_reasons)})"
        for reason in reasons
    )


def _speeds(point: speed.SpeedPoint | None) -> tuple[str, str]:
    return (fmt.throughput(point.device), fmt.throughput(point.user)) if point else (fmt.NONE, fmt.NONE)


def _goodput(row: BenchRow) -> tuple[str, str, str]:
    if not row.goodput:
        return fmt.NONE, fmt.NONE, fmt.NONE
    goal = row.goodput.objective
    words = f"{fmt.milliseconds(goal.ttft_ms)}, {fmt.milliseconds(goal.tpot_ms)}"
    good = fmt.metric("request_throughput", row.goodput.requests_per_s)
    return fmt.percent(row.goodput.good_percent), good, words


def _usage(gpus: Sequence[GpuUsage]) -> Iterator[str]:
    def over(choose: Callable[[list[float]], float], name: str) -> float | None:
        told = (value for gpu in gpus for value in map(attrgetter(name), gpu.samples))
        found = [value for value in told if value is not None]
        return choose(found) if found else None

    yield fmt.quantity(over(median, "power_w"), "W")
    yield fmt.quantity(over(max, "power_w"), "W")
    yield fmt.quantity(over(min, "sm_clock_mhz"), "MHz")
    yield fmt.quantity(over(median, "sm_clock_mhz"), "MHz")
    yield fmt.quantity(over(max, "temperature_c"), "°C")
    yield fmt.percent(over(median, "utilization_percent"))
    yield held(gpus)


def _bench_row(row: BenchRow) -> tuple[Cell | str, ...]:
    lost = Cell(fmt.count(row.failures), "fail" if row.failures else "")
    requests = f"{len(row.results)} x {fmt.count(row.num_prompts)}"
    return (row.workload, str(row.concurrency), requests, lost, *(_median(row, name) for name in BENCH_COLUMNS))


def _median(row: BenchRow, name: str) -> Cell:
    spread = row.spreads_percent.get(name)
    repeated = len(row.results) > 1 and spread is not None
    return Cell(fmt.metric(name, row.medians.get(name)), notes=(f"spread {fmt.percent(spread)}",) if repeated else ())


def _reference_row(row: Baseline) -> tuple[Cell | str, ...]:
    name = Cell(row.name, notes=("contaminated: only its medians count",) if row.contaminated else ())
    numbers = (fmt.metric(metric, row.metrics.get(metric)) for metric in REFERENCE_COLUMNS)
    return (name, row.hardware, str(row.tp), row.workload, str(row.concurrency), *numbers)


def _spreads(row: BenchRow) -> Mapping[str, float]:
    return row.spreads_percent if len(row.results) > 1 else {}


def _verdict_rows(verdict: Verdict, spreads: Mapping[str, float]) -> list[tuple[Cell | str, ...]]:
    here = (verdict.workload, str(verdict.concurrency))
    if not verdict.metrics:
        state = Cell(verdict.state, VERDICT_STATES[verdict.state], (verdict.reason,) if verdict.reason else ())
        return [(*here, fmt.NONE, verdict.baseline or fmt.NONE, *[fmt.NONE] * 4, state)]
    return [(*here, *_metric_cells(metric, spreads)) for metric in verdict.metrics]


def _metric_cells(metric: MetricVerdict, spreads: Mapping[str, float]) -> tuple[Cell | str, ...]:
    return (
        fmt.label(metric.metric),
        fmt.metric(metric.metric, metric.baseline),
        fmt.metric(metric.metric, metric.now),
        fmt.change(metric.change_percent),
        fmt.percent(spreads.get(metric.metric)),
        f"± {fmt.percent(metric.tolerance_percent)}",
        Cell(metric.state, VERDICT_STATES[metric.state]),
    )
