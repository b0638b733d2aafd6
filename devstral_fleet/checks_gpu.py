"""Are the host's GPUs, their driver and their way into a container what the plan needs? (pure)

What concerns a GPU that the plan uses fails; the same on another GPU of the host is a warning.
"""

from collections.abc import Iterable, Mapping, Sequence

from devstral_fleet.catalog import Catalog
from devstral_fleet.drivers import KERNEL, WORDS
from devstral_fleet.facts import AcceleratorFacts, GpuFacts, GpuProcess, PciDevice
from devstral_fleet.findings import Finding, FindingState, finding, on_host
from devstral_fleet.plan import DeploymentPlan

INSTALL = {
    "nvidia": "sudo apt-get install linux-headers-$(uname -r) nvidia-open",
    "amd": "sudo apt-get install linux-headers-$(uname -r) amdgpu-dkms",
}
"""From the vendor's own package repository."""
DISPLAY = "0300"
"""Class of what may be nothing but a processor's own display."""
COUNTING = {
    "nvidia": "sudo nvidia-smi --id={gpus} --ecc-config=1, then sudo reboot",
    "amd": "sudo dmesg | grep -i ras; a virtual machine's errors are counted on its host",
}
RESET = {"nvidia": "sudo nvidia-smi --gpu-reset --id={gpus}", "amd": "sudo reboot"}
WHOLE = {
    "nvidia": "sudo nvidia-smi --id={gpus} --multi-instance-gpu=0",
    "amd": "echo SPX | sudo tee {files}",
}
FILE_OF_PARTITION = "/sys/bus/pci/devices/{address}/current_compute_partition"
TOOLKIT = "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
MISMATCH = "version mismatch"
"""NVML's words where the loaded module and the library on disk are of different releases."""


def before(
    plan: DeploymentPlan,
    bus: Sequence[PciDevice],
    seen: AcceleratorFacts,
    *,
    catalog: Catalog,
    promised: int,
    provisioned: bool,
) -> tuple[Finding, ...]:
    """Judge a host's GPUs before anything is changed there.

    Args:
        promised: GPUs that the inventory says it has.
        provisioned: `provision` may change it (`provision.possible`).
    """
    install = f".venv/bin/invoke provision --host {plan.host}" if provisioned else ""
    first = (_vendor(plan, bus, catalog), _driver(plan, bus, seen, catalog, install))
    if not seen.driver:
        return (*first, *_container(plan, seen, install))
    return (
        *first,
        _count(plan, bus, seen, catalog, promised),
        _model(plan, seen, catalog),
        _memory(plan, seen, catalog),
        _partition(plan, seen),
        _errors(plan, seen),
        _ecc(plan, seen),
        _link(plan, seen),
        *((_slowdown(plan, seen), _persistence(plan, seen)) if plan.accelerator == "nvidia" else ()),
        _busy(plan, seen, catalog),
        *_container(plan, seen, install),
    )


def _vendor(plan: DeploymentPlan, bus: Sequence[PciDevice], catalog: Catalog) -> Finding:
    """A processor's own display beside the GPUs is no second vendor."""
    ours = [device for device in bus if device.vendor == plan.accelerator]
    others = [device for device in bus if device not in ours and (catalog.gpu_of(device.id) or device.kind != DISPLAY)]
    word = WORDS[plan.accelerator]
    if not others:
        return finding("gpu-vendor", "ok", f"{len(ours)} {word} GPUs are on the PCI bus")
    other, lines = others[0], tuple(map(_line, (*ours, *others)))
    gpu = catalog.gpu_of(other.id)
    hint = f"fleet_accelerator: {other.vendor}" + (f", fleet_hardware: {gpu.name}" if gpu else "")
    if not ours:
        summary = f"the host has {WORDS[other.vendor]} GPUs, planned is {word}"
        return finding("gpu-vendor", "fail", summary, f"set {hint} for {plan.host}", *lines)
    summary = f"the host has GPUs of two vendors, {word} and {WORDS[other.vendor]}"
    return finding("gpu-vendor", "fail", summary, "take one vendor's GPUs out, or hide them from the system", *lines)


def _line(device: PciDevice) -> str:
    return f"{device.address} [{device.kind}] {device.id}, kernel module {device.driver or 'none'}"


def _driver(
    plan: DeploymentPlan, bus: Sequence[PciDevice], seen: AcceleratorFacts, catalog: Catalog, install: str
) -> Finding:
    """`install`: the command that brings one, '' where it is the operator's work."""
    word = WORDS[plan.accelerator]
    if not seen.driver:
        return _no_driver(plan, bus, seen, install)
    if seen.driver == KERNEL:
        summary = f"the kernel's own amdgpu serves; it cannot be compared with {plan.driver_minimum}"
        return finding("gpu-driver", "warn", summary, on_host(INSTALL["amd"]))
    release = _release(seen.driver, catalog.runtimes.hosts.amdgpu_releases if plan.accelerator == "amd" else {})
    said = f"{word} driver {seen.driver}" + (f" (release {release})" if release != seen.driver else "")
    if _numbers(release) < _numbers(plan.driver_minimum):
        fix = f"{on_host(INSTALL[plan.accelerator])}, {plan.driver_minimum} or later, then sudo reboot"
        return finding("gpu-driver", "fail", f"{said} is older than {plan.driver_minimum}", fix)
    return finding("gpu-driver", "ok", f"{said}, {plan.driver_minimum} or later is needed")


def _no_driver(plan: DeploymentPlan, bus: Sequence[PciDevice], seen: AcceleratorFacts, install: str) -> Finding:
    word, evidence = WORDS[plan.accelerator], (seen.detail, *map(_line, bus))
    if MISMATCH in seen.detail.lower():
        summary = "the NVIDIA driver that is loaded is another one than the installed library"
        return finding("gpu-driver", "fail", summary, on_host("sudo reboot"), *evidence)
    if not any(device.vendor == plan.accelerator for device in bus):
        fix = f"look for it (lspci -nn), or correct fleet_accelerator of {plan.host}"
        return finding("gpu-driver", "fail", f"there is no {word} GPU on the PCI bus", fix, *evidence)
    fix = f"{on_host(INSTALL[plan.accelerator])}, {plan.driver_minimum} or later, then sudo reboot"
    return finding("gpu-driver", "fail", f"no {word} driver answers", install or fix, *evidence)


def _release(version: str, releases: Mapping[str, str]) -> str:
    """The release that a module's version belongs to: the newest known one that is not newer; itself where all are."""
    known = [module for module in releases if _numbers(module) <= _numbers(version)]
    return releases[max(known, key=_numbers)] if known else version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _count(
    plan: DeploymentPlan, bus: Sequence[PciDevice], seen: AcceleratorFacts, catalog: Catalog, promised: int
) -> Finding:
    known = [gpu for device in bus if (gpu := catalog.gpu_of(device.id)) and gpu.accelerator == plan.accelerator]
    have, on_bus = len(seen.gpus), len(known)
    wanted = max(len(plan.gpus), promised, on_bus)
    if have >= wanted:
        return finding("gpu-count", "ok", f"{have} GPUs answer, the plan uses {len(plan.gpus)}")
    summary = f"{have} GPUs answer, the inventory says {promised}, the plan uses {len(plan.gpus)}, the bus has {on_bus}"
    if on_bus > have:
        why = "sudo dmesg | grep -i -e xid -e nvrm" if plan.accelerator == "nvidia" else "sudo dmesg | grep -i amdgpu"
        return finding("gpu-count", "fail", summary, on_host(why), *map(_line, bus))
    fix = f"set fleet_gpu_count: {have} for {plan.host}, or find the GPU that is missing"
    return finding("gpu-count", "fail", summary, fix, *map(_line, bus))


def _used(plan: DeploymentPlan, seen: AcceleratorFacts) -> list[GpuFacts]:
    return [gpu for gpu in seen.gpus if gpu.index in plan.gpus]


def _model(plan: DeploymentPlan, seen: AcceleratorFacts, catalog: Catalog) -> Finding:
    named = [(gpu, catalog.gpu_of(gpu.pci_id)) for gpu in _used(plan, seen)]
    others = [(gpu, known.name) for gpu, known in named if known and known.name != plan.hardware]
    if others:
        lines = (f"GPU {gpu.index}: {name} ({gpu.title or gpu.pci_id})" for gpu, name in others)
        summary = f"the host's GPU is {others[0][1]}, planned is {plan.hardware}"
        return finding("gpu-model", "fail", summary, f"set fleet_hardware: {others[0][1]} for {plan.host}", *lines)
    strangers = [gpu for gpu, known in named if known is None]
    if strangers:
        lines = (f"GPU {gpu.index}: {gpu.pci_id} {gpu.title}".rstrip() for gpu in strangers)
        fix = f"compare it with {plan.hardware}; where it is one, its PCI id is missing in the catalog (gpus.yml)"
        return finding("gpu-model", "warn", "the catalog does not know this GPU", fix, *lines)
    return finding("gpu-model", "ok", f"the GPUs are {plan.hardware}, as planned")


def _memory(plan: DeploymentPlan, seen: AcceleratorFacts, catalog: Catalog) -> Finding:
    wanted = catalog.gpu(plan.hardware).memory_mib
    least = wanted * (1 - catalog.runtimes.hosts.gpu_memory_short_percent / 100)
    short = {gpu.index: f"{gpu.memory_mib} MiB" for gpu in seen.gpus if gpu.memory_mib < least}
    fix = f"set fleet_hardware to what the GPU is; the plan for {plan.hardware} counts on {wanted} MiB"
    return _each(plan, "gpu-memory", short, "less memory than the catalog says", fix, f"{wanted} MiB a GPU, as planned")


def _partition(plan: DeploymentPlan, seen: AcceleratorFacts) -> Finding:
    cut = {gpu.index: gpu.partition for gpu in seen.gpus if gpu.partition}
    files = " ".join(FILE_OF_PARTITION.format(address=gpu.address) for gpu in seen.gpus if gpu.partition)
    fix = on_host(WHOLE[plan.accelerator].format(gpus=_indices(cut), files=files))
    return _each(plan, "gpu-partition", cut, "GPUs are partitioned", fix, "every GPU is whole")


def _errors(plan: DeploymentPlan, seen: AcceleratorFacts) -> Finding:
    bad = {gpu.index: ", ".join(_faults(gpu)) for gpu in seen.gpus if gpu.uncorrected_errors or gpu.repairs}
    fix = f"{on_host(RESET[plan.accelerator].format(gpus=_indices(bad)))}; where it comes back, exchange the GPU"
    return _each(plan, "gpu-errors", bad, "memory errors", fix, "no uncorrected memory error since boot")


def _faults(gpu: GpuFacts) -> Iterable[str]:
    if gpu.uncorrected_errors:
        yield f"{gpu.uncorrected_errors} uncorrected memory errors since boot"
    yield from gpu.repairs


def _ecc(plan: DeploymentPlan, seen: AcceleratorFacts) -> Finding:
    off = {gpu.index: "ECC is off, or the driver does not show it" for gpu in seen.gpus if gpu.ecc is False}
    fix = on_host(COUNTING[plan.accelerator].format(gpus=_indices(off)))
    return _each(plan, "gpu-ecc", off, "no memory errors are counted", fix, "ECC is on where it can be", worst="warn")


def _link(plan: DeploymentPlan, seen: AcceleratorFacts) -> Finding:
    narrow = {
        gpu.index: f"{gpu.link_width or 'unknown'} of {gpu.link_width_maximum or 'unknown'} lanes"
        for gpu in seen.gpus
        if gpu.link_width < gpu.link_width_maximum or not gpu.link_width
    }
    fix = "reseat the card, look at the slot's lanes in the firmware's settings; of a virtual machine, on its host"
    summary = "the PCIe link is narrow, or does not show"
    return _each(plan, "gpu-link", narrow, summary, fix, "PCIe links have all lanes", worst="warn")


def _slowdown(plan: DeploymentPlan, seen: AcceleratorFacts) -> Finding:
    slow = {gpu.index: ", ".join(gpu.slowdowns) for gpu in seen.gpus if gpu.slowdowns}
    fix = "look at cooling and power supply; the benchmark would be slower than its baseline"
    return _each(plan, "gpu-slowdown", slow, "clocks are held down", fix, "no clock is held down", worst="warn")


def _persistence(plan: DeploymentPlan, seen: AcceleratorFacts) -> Finding:
    off = {gpu.index: "persistence is off" for gpu in seen.gpus if not gpu.persistent}
    fix = on_host("sudo systemctl enable --now nvidia-persistenced")
    ok = "the driver stays loaded between uses"
    return _each(plan, "gpu-persistence", off, "the driver unloads when no one uses it", fix, ok, worst="warn")


def _busy(plan: DeploymentPlan, seen: AcceleratorFacts, catalog: Catalog) -> Finding:
    """What others run on a GPU that the plan does not use is theirs."""
    used = _used(plan, seen)
    foreign = [(gpu, process) for gpu in used for process in gpu.processes if not process.ours]
    computing = [(gpu, process) for gpu, process in foreign if "C" in process.kind]
    if foreign:
        lines = (_holds(gpu, process) for gpu, process in foreign)
        pids = " ".join(str(pid) for pid in sorted({process.pid for _, process in foreign}))
        fix = f"{on_host(f'sudo kill {pids}')}, or wait until they end"
        state: FindingState = "fail" if computing else "warn"
        return finding("gpu-busy", state, "processes that are not ours hold memory of the planned GPUs", fix, *lines)
    idle = catalog.runtimes.hosts.gpu_idle_percent / 100
    held = [gpu for gpu in used if gpu.used_mib > idle * gpu.memory_mib and not gpu.processes]
    if held:
        lines = (f"GPU {gpu.index}: {gpu.used_mib} MiB" for gpu in held)
        fix = "look for a container or a virtual machine that has the GPU, else reset it"
        return finding("gpu-busy", "warn", "memory is held, and no process shows that holds it", fix, *lines)
    return finding("gpu-busy", "ok", "the planned GPUs are free, or our engine has them")


def _holds(gpu: GpuFacts, process: GpuProcess) -> str:
    return f"GPU {gpu.index}: {process.name or 'a process'} (pid {process.pid}) holds {process.memory_mib} MiB"


def _container(plan: DeploymentPlan, seen: AcceleratorFacts, install: str) -> tuple[Finding, ...]:
    """Whether Docker can hand the GPUs to the engine's container."""
    if plan.image is None:
        return ()
    return (_toolkit(seen, install) if plan.accelerator == "nvidia" else _devices(seen, install),)


def _toolkit(seen: AcceleratorFacts, install: str) -> Finding:
    if "runtime" in seen.toolkit:
        return finding("gpu-container", "ok", "Docker knows NVIDIA's runtime")
    if seen.toolkit:
        summary = f"Docker does not know NVIDIA's runtime; there is {' and '.join(seen.toolkit)}"
        return finding("gpu-container", "warn", summary, install or on_host(TOOLKIT))
    fix = install or on_host(f"sudo apt-get install nvidia-container-toolkit && {TOOLKIT}")
    return finding("gpu-container", "fail", "Docker cannot hand GPUs to a container: no NVIDIA container toolkit", fix)


def _devices(seen: AcceleratorFacts, install: str) -> Finding:
    if not seen.missing:
        return finding("gpu-container", "ok", "/dev/kfd, /dev/dri and their groups are there")
    groups = [name.removeprefix("group:") for name in seen.missing if name.startswith("group:")]
    nodes = [name for name in seen.missing if not name.startswith("group:")]
    commands = [*([INSTALL["amd"]] if nodes else []), *(f"sudo groupadd --system {name}" for name in groups)]
    missing = ", ".join([*nodes, *(f"group {name}" for name in groups)])
    fix = install or on_host(" && ".join(commands))
    return finding("gpu-container", "fail", f"a container needs {missing}", fix)


def _indices(bad: Iterable[int]) -> str:
    return ",".join(map(str, sorted(bad)))


def _each(
    plan: DeploymentPlan,
    check: str,
    bad: Mapping[int, str],
    summary: str,
    fix: str,
    ok: str,
    *,
    worst: FindingState = "fail",
) -> Finding:
    """One finding about all GPUs: as bad as `worst` where the plan uses one of the bad ones, else a warning."""
    if not bad:
        return finding(check, "ok", ok)
    state = worst if set(bad) & set(plan.gpus) else "warn"
    lines = (f"GPU {index}: {said}" for index, said in sorted(bad.items()))
    return finding(check, state, f"{summary}: GPU {_indices(bad)}", fix, *lines)
