"""Judge a measurement against a baseline, and choose the baseline that may judge it."""

from collections.abc import Iterable, Sequence
from typing import Literal

from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.catalog.schema import Baseline, Tolerances
from devstral_fleet.findings import Finding, MetricVerdict, Verdict, VerdictState

JUDGED_METRICS = ("output_throughput", "median_ttft_ms", "median_tpot_ms", "median_itl_ms")
"""Means and tails are shown, not judged: a single stalled request moves them."""
COMPARED = ("accelerator", "hardware", "gpu_count", "tp", "model", "workload", "concurrency", "num_prompts")
SEVERITY: tuple[VerdictState, ...] = ("pass", "no-baseline", "not-comparable", "fail")


def judge(measurement: Measurement, baseline: Baseline | None, tolerances: Tolerances) -> Verdict:
    """Compare each metric's median over the repeats with the baseline.

    Args:
        measurement: one point, all its repeats. baseline: what judges it, None where there is none.
        tolerances: the catalog's; a metric's own noise, then or now, can only widen its accelerator's percent.
    """
    if too_many_failures(measurement, tolerances):
        return _verdict(measurement, "fail", _failures(measurement), baseline)
    problem = measurement.token_problem()
    if problem:
        return _verdict(measurement, "not-comparable", problem, baseline)
    if baseline is None:
        return _verdict(measurement, "no-baseline", "no baseline is recorded for this host, model and workload")
    problem = difference(measurement, baseline)
    if problem:
        return _verdict(measurement, "not-comparable", problem, baseline)
    metrics = _metrics(measurement, baseline, tolerances)
    if not metrics:
        return _verdict(measurement, "not-comparable", "the baseline holds no metric that is judged", baseline)
    failed = [metric for metric in metrics if metric.state == "fail"]
    reason = "; ".join(_sentence(metric) for metric in failed)
    return _verdict(measurement, "fail" if failed else "pass", reason, baseline, metrics)


def too_many_failures(measurement: Measurement, tolerances: Tolerances) -> bool:
    """Whether more requests than the catalog allows got no answer."""
    return measurement.failures > measurement.requests * tolerances.failure_limit_percent / 100


def difference(measurement: Measurement, baseline: Baseline) -> str:
    """Say in what the baseline is another thing than what was measured; '' when they compare."""
    for name in COMPARED:
        have, want = getattr(measurement, name), getattr(baseline, name)
        if have != want:
            return f"{name.replace('_', ' ')} is {have}, the baseline's is {want}"
    if measurement.profiles != baseline.profiles:
        have, want = (" and ".join(row.profiles) or "no profile" for row in (measurement, baseline))
        return f"it ran with {have}, the baseline with {want}"
    for name in ("total_input_tokens", "total_output_tokens"):
        have, want = getattr(measurement, name), getattr(baseline, name)
        if have != want:
            return f"{name.replace('_', ' ')} are {have}, the baseline's are {want}"
    return ""


def choose(measurement: Measurement, own: Sequence[Baseline], catalog: Iterable[Baseline]) -> Baseline | None:
    """Return the baseline that judges: the host's own if it compares, else the catalog's that does, else None.

    A host's own row for this model and point that no longer compares (another tp, say) is returned when nothing does,
    so that the verdict says why.
    """
    comparable = (baseline for baseline in (*own, *catalog) if not difference(measurement, baseline))
    outdated = (baseline for baseline in own if _point(baseline) == _point(measurement))
    return next(comparable, None) or next(outdated, None)


def references(measurement: Measurement, catalog: Iterable[Baseline]) -> tuple[Baseline, ...]:
    """Return other hardware's baselines of the same model and point: shown beside the result, never a verdict."""
    same = (baseline for baseline in catalog if _point(baseline) == _point(measurement))
    return tuple(baseline for baseline in same if difference(measurement, baseline))


def worst(verdicts: Iterable[Verdict]) -> VerdictState:
    """Return the state that speaks for all; 'no-baseline' when nothing was judged."""
    return max((verdict.state for verdict in verdicts), key=SEVERITY.index, default="no-baseline")


def failure_finding(measurement: Measurement) -> Finding:
    """Say whether every request was answered; a lost one is a finding even where the verdict lets it pass."""
    lost = measurement.failures
    return Finding(
        check=f"bench-{measurement.workload}-{measurement.concurrency}-answered",
        state="warn" if lost else "ok",
        summary=_failures(measurement) if lost else f"all {measurement.requests} benchmark requests were answered",
        fix="look at the engine's log for the time of the benchmark" if lost else "",
    )


def noise_findings(measurement: Measurement, tolerances: Tolerances) -> tuple[Finding, ...]:
    """Say whether the repeats agree well enough that the catalog's tolerance decided; nothing of a single run."""
    if len(measurement.results) < 2:
        return ()
    spreads = {metric: measurement.spread_percent(metric) for metric in JUDGED_METRICS}
    metric, spread = max(spreads.items(), key=lambda item: item[1])
    widened, useless = spread * tolerances.spread_factor, tolerances.useless_percent
    noisy = widened > tolerances.percent(measurement.accelerator)
    found = Finding(
        check=f"bench-{measurement.workload}-{measurement.concurrency}-steady",
        state="warn" if noisy else "ok",
        summary=f"the {len(measurement.results)} repeats differ by {_spread(spread, useless)} ({metric})"
        + (_consequence(widened, useless) if noisy else ""),
        fix="stop other work on the host, then run the benchmark again" if noisy else "",
    )
    return (found,)


def _spread(percent: float, useless: float) -> str:
    return f"at most {percent:.1f} %" if percent < useless else f"more than {useless:.0f} %"


def _consequence(percent: float, useless: float) -> str:
    if percent >= useless:
        return ", too much to judge by"
    return f", which widens its tolerance to {percent:.0f} %"


def judged_metrics(baseline: Baseline) -> tuple[str, ...]:
    """Return the metrics that count: of a contaminated row, only those that it names itself."""
    chosen = baseline.judged_metrics or JUDGED_METRICS
    return tuple(metric for metric in chosen if baseline.judges(metric) and baseline.metrics[metric] > 0)


def higher_is_better(metric: str) -> bool:
    """Throughputs should be large; latencies and the duration small."""
    return metric.endswith(("_throughput", "_tokens_per_s"))


def _point(row: Measurement | Baseline) -> tuple[str, str, int]:
    return row.model, row.workload, row.concurrency


def _metrics(measurement: Measurement, baseline: Baseline, tolerances: Tolerances) -> tuple[MetricVerdict, ...]:
    found = ((name, measurement.median(name)) for name in judged_metrics(baseline))
    return tuple(
        _metric(name, baseline.metrics[name], now, _tolerance(measurement, baseline, name, tolerances))
        for name, now in found
        if now is not None
    )


def _tolerance(measurement: Measurement, baseline: Baseline, metric: str, tolerances: Tolerances) -> float:
    """What the repeats differ by widens it, those of the baseline too: a measurement of one run knows no noise."""
    spread = max(measurement.spread_percent(metric), baseline.spread_percent.get(metric, 0.0))
    return max(tolerances.percent(measurement.accelerator), tolerances.spread_factor * spread)


def _metric(metric: str, before: float, now: float, tolerance_percent: float) -> MetricVerdict:
    change = (now - before) / before * 100
    worse = -change if higher_is_better(metric) else change
    state: Literal["pass", "fail"] = "fail" if worse > tolerance_percent else "pass"
    return MetricVerdict(
        metric=metric,
        baseline=before,
        now=now,
        change_percent=change,
        tolerance_percent=tolerance_percent,
        state=state,
    )


def _sentence(metric: MetricVerdict) -> str:
    return (
        f"{metric.metric} is {metric.now:.2f}, {metric.change_percent:+.1f} % from {metric.baseline:.2f}"
        f" (tolerance {metric.tolerance_percent:.1f} %)"
    )


def _failures(measurement: Measurement) -> str:
    return f"{measurement.failures} of {measurement.requests} benchmark requests got no answer"


def _verdict(
    measurement: Measurement,
    state: VerdictState,
    reason: str,
    baseline: Baseline | None = None,
    metrics: tuple[MetricVerdict, ...] = (),
) -> Verdict:
    return Verdict(
        workload=measurement.workload,
        concurrency=measurement.concurrency,
        state=state,
        reason=reason,
        baseline=baseline.name if baseline else "",
        metrics=metrics,
    )
