"""What the GPUs did while a point was measured: power, clock, temperature and what held them back (pure)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from devstral_fleet.facts import AcceleratorFacts
from devstral_fleet.findings import Finding, finding
from devstral_fleet.model import Value

if TYPE_CHECKING:
    from devstral_fleet.bench.measurement import Measurement
    from devstral_fleet.catalog.schema import Limits

KEPT_SAMPLES = 240
"""Of each GPU in a point: enough for a line as wide as a page, and a report of a hundred hosts stays small."""
IDLE = "gpu_idle"
"""Nothing runs: the clock is low because it may be."""


class UsageSample(Value):
    """One look at one GPU, or the mean of neighbouring looks where there were many; None where its driver is silent."""

    offset_s: float
    """Seconds since the point's first sample."""
    power_w: float | None = None
    sm_clock_mhz: float | None = None
    temperature_c: float | None = None
    utilization_percent: float | None = None


MEASURES = tuple(name for name in UsageSample.model_fields if name != "offset_s")


class GpuLook(Value):
    """One line of a sampler."""

    gpu: int
    sample: UsageSample
    """Its offset counts from any beginning that all looks share."""
    reasons: tuple[str, ...] | None = None
    """What held the clock back, as the driver names it; IDLE is one. None where it does not say."""


class GpuUsage(Value):
    """One GPU during one point, over all its repeats."""

    gpu: int
    """Index on the host."""
    samples: tuple[UsageSample, ...]
    """In order of time."""
    throttle_reasons: tuple[str, ...] = ()
    """What held the clock back in at least one sample, as the driver names it, such as 'sw_power_cap'."""
    throttled_percent: dict[str, float] | None = None
    """Each of those reasons -> percent of the samples in which the GPU was at work. None where no driver said."""


def usage(looks: Sequence[GpuLook]) -> tuple[GpuUsage, ...]:
    """Put the looks of a point together, a GPU each, in the order of their indices."""
    begun_s = min((look.sample.offset_s for look in looks), default=0.0)
    return tuple(
        _usage(gpu, [look for look in looks if look.gpu == gpu], begun_s) for gpu in sorted({one.gpu for one in looks})
    )


def _usage(gpu: int, looks: Sequence[GpuLook], begun_s: float) -> GpuUsage:
    ordered = sorted((look.sample for look in looks), key=lambda sample: sample.offset_s)
    step = -(-len(ordered) // KEPT_SAMPLES)
    groups = (ordered[start : start + step] for start in range(0, len(ordered), step))
    said = [look.reasons for look in looks if look.reasons is not None]
    at_work = [reasons for reasons in said if IDLE not in reasons]
    counts = Counter(reason for reasons in at_work for reason in reasons)
    return GpuUsage(
        gpu=gpu,
        samples=tuple(_mean(group, begun_s) for group in groups),
        throttle_reasons=tuple(sorted(counts)),
        throttled_percent={name: counts[name] / len(at_work) * 100 for name in sorted(counts)} if said else None,
    )


def _mean(group: Sequence[UsageSample], begun_s: float) -> UsageSample:
    values = {name: [value for one in group if (value := getattr(one, name)) is not None] for name in MEASURES}
    means = {name: round(fmean(found), 1) for name, found in values.items() if found}
    return UsageSample(offset_s=round(group[0].offset_s - begun_s, 1), **means)


def throttled(measured: Sequence["Measurement"], limits: "Limits") -> tuple[Finding, ...]:
    """Say whether heat or power supply held a GPU back; nothing where no driver said what held it."""
    if not any(gpu.throttled_percent is not None for one in measured for gpu in one.usage):
        return ()
    lines = [
        f"{one.workload} at {one.concurrency}: GPU {gpu.gpu}: {reason} in {share:.0f} % of the samples at work"
        for one in measured
        for gpu in one.usage
        for reason, share in (gpu.throttled_percent or {}).items()
        if reason in limits.throttle_reasons and share > limits.throttled_percent
    ]
    if not lines:
        return (finding("gpu-throttled", "ok", "neither heat nor power supply held a GPU back while it was measured"),)
    fix = "look after cooling and power supply (on the host: nvidia-smi -q -d PERFORMANCE,TEMPERATURE), measure again"
    summary = "heat or power supply held a GPU back while it was measured: the numbers are lower than they need be"
    return (finding("gpu-throttled", "warn", summary, fix, *lines),)


def shared(gpus: Iterable[int], seen: Sequence[AcceleratorFacts]) -> Finding:
    """Say whether another program was on the plan's GPUs.

    Args:
        gpus: indices. seen: looks before, between and after the measurements.
    """
    used = set(gpus)
    lines = {
        f"GPU {gpu.index}: {process.name or 'a process'} (pid {process.pid}) holds {process.memory_mib} MiB": None
        for facts in seen
        for gpu in facts.gpus
        if gpu.index in used
        for process in gpu.processes
        if not process.ours
    }
    if not lines:
        return finding("gpu-shared", "ok", "nothing but the engine was on its GPUs before and after the benchmark")
    summary = "another program was on the engine's GPUs: the numbers are not the engine's alone"
    return finding("gpu-shared", "warn", summary, "end it, or wait until it ends, then run the benchmark again", *lines)
