"""What a point means to a user and to whoever pays for the GPUs: tokens a second for each of them."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from devstral_fleet.bench.goodput import Objective
from devstral_fleet.findings import Verdict
from devstral_fleet.report.model import HostReport


class SpeedPoint(NamedTuple):
    """One point; both speeds are output tokens a second."""

    series: str
    """Its workload, or whose numbers these are."""
    workload: str
    concurrency: int
    device: float
    """Of each GPU, or of the whole host where it has none."""
    user: float
    """1000 / median TPOT in milliseconds: what one reader of a stream sees."""


def device_word(host: HostReport) -> str:
    """Say what throughput is divided by: 'GPU', or 'host' where there is none."""
    return "GPU" if _devices(host) else "host"


def measured(host: HostReport) -> tuple[SpeedPoint, ...]:
    """Return the points that this run measured."""
    found = (_point(row.workload, row.workload, row.concurrency, row.medians, _devices(host)) for row in host.bench)
    return tuple(point for point in found if point)


def baseline(host: HostReport) -> tuple[SpeedPoint, ...]:
    """Return the points of the baselines that judged this run; they have as many GPUs as the host, or do not judge."""
    found = (
        _point(verdict.baseline, verdict.workload, verdict.concurrency, _before(verdict), _devices(host))
        for verdict in host.verdicts
    )
    return tuple(point for point in found if point)


def references(host: HostReport) -> tuple[SpeedPoint, ...]:
    """Return other hardware's points, without numbers that a stall has spoilt."""
    found = (
        _point(row.name, row.workload, row.concurrency, {k: v for k, v in row.metrics.items() if row.judges(k)}, gpus)
        for row in host.references
        for gpus in (row.gpu_count,)
    )
    return tuple(point for point in found if point)


def objectives(host: HostReport) -> Iterator[tuple[str, Objective]]:
    """Give each workload's objective once."""
    seen = {row.workload: row.goodput.objective for row in host.bench if row.goodput}
    yield from seen.items()


def user_speed(tpot_ms: float) -> float:
    """Turn milliseconds a token into tokens a second."""
    return 1000 / tpot_ms


def _devices(host: HostReport) -> int:
    return len(host.plan.gpus) if host.plan else 0


def _before(verdict: Verdict) -> dict[str, float]:
    return {metric.metric: metric.baseline for metric in verdict.metrics}


def _point(series: str, workload: str, concurrency: int, metrics: Mapping[str, float], gpus: int) -> SpeedPoint | None:
    throughput, tpot = metrics.get("output_throughput"), metrics.get("median_tpot_ms")
    if throughput is None or not tpot:
        return None
    return SpeedPoint(series, workload, concurrency, throughput / max(1, gpus), user_speed(tpot))
