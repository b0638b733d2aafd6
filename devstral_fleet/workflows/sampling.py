"""Looks at a host's GPUs while a benchmark runs beside them. What cannot look is a warning, and ends no benchmark."""

from collections.abc import Iterator
from contextlib import contextmanager

from devstral_fleet import job
from devstral_fleet.bench import usage
from devstral_fleet.bench.usage import GpuLook
from devstral_fleet.errors import FleetError, ProbeError
from devstral_fleet.facts import AcceleratorFacts
from devstral_fleet.findings import Finding, finding
from devstral_fleet.job import Job
from devstral_fleet.probes import gpu_usage
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.looking import GPU_PROBES

CHECK = "gpu-usage"
FIX = "look on the host whether nvidia-smi answers (AMD: whether /sys/bus/pci/devices has amdgpu's files)"


def start(host: Host, beside: Job) -> Job | None:
    """Start the sampler of the plan's GPUs beside a benchmark's job, with which it ends; None on a CPU."""
    words = gpu_usage.argv(host.plan.accelerator, host.plan.gpus, beside.pid)
    if not words:
        return None
    try:
        return job.start(host.shell, f"{beside.directory}-gpus", words, environment={}, secret_environment={})
    except FleetError as error:
        _not_sampled(host, error.message)
        return None


def collect(host: Host, sampler: Job | None) -> tuple[GpuLook, ...]:
    """End the sampler and return what it saw."""
    if sampler is None:
        return ()
    try:
        job.kill(host.shell, sampler)
        text = host.shell.run(["cat", sampler.path("stdout")]).stdout
        looks = gpu_usage.parse(text, host.plan.accelerator)
        if not looks:
            said = (text or host.shell.run(["cat", sampler.path("stderr")]).stdout).strip().splitlines()
            _not_sampled(host, said[0] if said else "the sampler printed nothing")
    except FleetError as error:
        _not_sampled(host, error.message)
        return ()
    return looks


def _not_sampled(host: Host, why: str) -> None:
    """Say it once, however many repeats there are."""
    if CHECK not in {one.check for one in host.record.known.get("findings_after", ())}:
        host.record.add("findings_after", [finding(CHECK, "warn", "the GPUs were not sampled meanwhile", FIX, why)])


@contextmanager
def unshared(host: Host) -> Iterator[None]:
    """Look before and after the context whether another program is on the engine's GPUs; nothing on a CPU."""
    if host.plan.accelerator not in GPU_PROBES:
        yield
        return
    before = _look(host)
    yield
    host.record.add("findings_after", _shared(host, before, _look(host)))


def _look(host: Host) -> AcceleratorFacts | ProbeError:
    try:
        return GPU_PROBES[host.plan.accelerator](host.shell, host.layout)
    except ProbeError as error:
        return error


def _shared(host: Host, *looks: AcceleratorFacts | ProbeError) -> tuple[Finding, ...]:
    for look in looks:
        if isinstance(look, ProbeError):
            return (finding("gpu-shared", "warn", look.message, look.fix or "run it again", *look.evidence),)
    return (usage.shared(host.plan.gpus, [look for look in looks if isinstance(look, AcceleratorFacts)]),)
