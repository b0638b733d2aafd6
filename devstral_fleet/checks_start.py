"""Do a host's GPUs start, and are they as fast as their kind? (pure)"""

from collections.abc import Iterator

from devstral_fleet.catalog.schema import Gpu
from devstral_fleet.facts import AllReduceFacts, StartFacts
from devstral_fleet.findings import Finding, finding, on_host
from devstral_fleet.plan import DeploymentPlan

RUNTIMES = {"nvidia": "CUDA", "amd": "ROCm"}
PLACES = {"container": "in the engine's image", "host": "on the host"}
ENDS = {
    802: "sudo systemctl enable --now nvidia-fabricmanager, which must be of the driver's version",
    803: "sudo reboot: the loaded driver and the installed library are of two versions",
    804: "install a newer driver, or take an image for an older CUDA",
}
"""What ends CUDA's error of that number. Source: the descriptions of CUresult in NVIDIA's driver interface."""
LOOK = {
    "nvidia": "nvidia-smi; sudo dmesg | grep -i -e xid -e nvrm",
    "amd": "sudo dmesg | grep -i amdgpu",
}


def start(plan: DeploymentPlan, seen: StartFacts) -> Finding:
    """Judge the start of the GPU runtime: a driver that answers nvidia-smi may still start no program."""
    runtime, place = RUNTIMES[plan.accelerator], PLACES[seen.place]
    if seen.code or seen.devices < len(plan.gpus):
        said = seen.error or f"{seen.devices} GPUs of {len(plan.gpus)}"
        code = f" ({seen.code})" if seen.code > 0 else ""
        end = ENDS.get(seen.code, LOOK[plan.accelerator]) if plan.accelerator == "nvidia" else LOOK["amd"]
        return finding("gpu-start", "fail", f"{runtime} does not start {place}: {said}{code}", on_host(end))
    return finding("gpu-start", "ok", f"{runtime} starts {place}: {seen.devices} GPUs")


def acceptance(plan: DeploymentPlan, gpu: Gpu, seen: StartFacts, together: AllReduceFacts | None) -> Iterator[Finding]:
    """Judge what was measured. `together` is None where there is one GPU, or nothing yet that the engine runs in."""
    begun = start(plan, seen)
    yield begun
    if begun.state == "ok":
        yield _copies(gpu, seen)
    if together:
        yield _all_reduce(plan, gpu, together)
    elif len(plan.gpus) > 1:
        lacks, verbs = ("image", ("images",)) if plan.image else ("environment", ("deploy", "stop"))
        said = f"the GPUs were not measured together: the engine's {lacks} is not there"
        fix = f"{' and '.join(f'.venv/bin/invoke {verb} --host {plan.host}' for verb in verbs)}, then this again"
        yield finding("all-reduce", "warn", said, fix)


def _copies(gpu: Gpu, seen: StartFacts) -> Finding:
    """Memory to each GPU and back: a slot of half the lanes, or a bridge that many share, shows here."""
    lines = tuple(
        f"GPU {index}: {to:.1f} GB/s to it, {back:.1f} GB/s back" for index, (to, back) in enumerate(seen.speeds)
    )
    slowest, least = min(map(min, seen.speeds)), gpu.host_bandwidth_gb_s
    said = f"host memory reaches every GPU and comes back at {slowest:.1f} GB/s or more"
    if not least:
        fix = f"compare it with another host of that kind; the catalog has no number for {gpu.name}"
        return finding("host-bandwidth", "warn", said, fix, *lines)
    if slowest < least:
        summary = f"a GPU gets or gives {slowest:.1f} GB/s of host memory, {least:g} are usual for {gpu.name}"
        fix = on_host("sudo lspci -vv | grep -e LnkSta: ; move the card to a slot with all its lanes")
        return finding("host-bandwidth", "fail", summary, fix, *lines)
    return finding("host-bandwidth", "ok", f"{said}, {least:g} are enough", "", *lines)


def _all_reduce(plan: DeploymentPlan, gpu: Gpu, together: AllReduceFacts) -> Finding:
    count = len(plan.gpus)
    fix = on_host("nvidia-smi topo -m; nvidia-smi nvlink --status" if plan.accelerator == "nvidia" else LOOK["amd"])
    if together.error or not together.right:
        said = together.error or "its sum is wrong"
        return finding("all-reduce", "fail", f"an all-reduce over {count} GPUs fails: {said}", fix)
    said, least = (
        f"{count} GPUs add up at {together.bus_gb_s:g} GB/s bus bandwidth",
        gpu.all_reduce_gb_s.get(count, 0.0),
    )
    if not least:
        words = f"compare it with another host of that kind; the catalog has no number for {count} {gpu.name}"
        return finding("all-reduce", "warn", said, words)
    if together.bus_gb_s < least:
        return finding("all-reduce", "fail", f"{said}, {least:g} are usual", fix)
    return finding("all-reduce", "ok", f"{said}, {least:g} are enough")
