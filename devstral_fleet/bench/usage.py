"""What the GPUs did while a point was measured: power, clock, temperature and what held them back, as values."""

from devstral_fleet.model import Value


class UsageSample(Value):
    """One look at one GPU; None where its driver does not say."""

    offset_s: float
    """Seconds since the point's first sample."""
    power_w: float | None = None
    sm_clock_mhz: float | None = None
    temperature_c: float | None = None
    utilization_percent: float | None = None


class GpuUsage(Value):
    """One GPU during one point, over all its repeats."""

    gpu: int
    """Index on the host."""
    samples: tuple[UsageSample, ...]
    """In order of time."""
    throttle_reasons: tuple[str, ...] = ()
    """What held the clock back in at least one sample, as the driver names it, such as 'sw_power_cap'."""
