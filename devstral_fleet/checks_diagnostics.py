"""Do a host's GPUs pass their vendor's diagnostics? (pure)"""

from devstral_fleet.catalog.schema import Gpu
from devstral_fleet.facts import DiagnosticsFacts
from devstral_fleet.findings import Finding, finding, on_host
from devstral_fleet.plan import DeploymentPlan

SERVICE = "sudo systemctl enable --now nvidia-dcgm"


def diagnostics(plan: DeploymentPlan, seen: DiagnosticsFacts) -> Finding:
    """Judge what the vendor's diagnostics found; ones that did not run are no pass."""
    install = f"set fleet_diagnostics: true for {plan.host}, then .venv/bin/invoke provision --host {plan.host}"
    if not seen.there:
        return finding("diagnostics", "fail", f"{seen.tool} is not on the host: {seen.detail}", install)
    if seen.detail:
        fix = on_host(SERVICE) if seen.tool == "DCGM" else on_host("rvs -g; sudo dmesg | grep -i amdgpu")
        return finding("diagnostics", "fail", f"{seen.tool} did not run: {seen.detail}", fix)
    if seen.failures:
        summary = f"{seen.tool} finds {len(seen.failures)} faults: {seen.failures[0]}"
        fix = "exchange the GPU where it comes back after a reboot; the vendor asks for this report"
        return finding("diagnostics", "fail", summary, fix, *seen.failures)
    if not seen.passed:
        return finding("diagnostics", "fail", f"{seen.tool} tested nothing", on_host("its log says why"))
    said = f"{seen.tool} passes: {', '.join(seen.passed)}"
    if seen.warnings:
        return finding("diagnostics", "warn", f"{said}, with warnings", "read them", *seen.warnings)
    return finding("diagnostics", "ok", said)


def all_to_all(plan: DeploymentPlan, gpu: Gpu, average_gb_s: float | None) -> Finding:
    """Judge AMD's copies from every GPU to every other. `average_gb_s`: None without TransferBench."""
    if average_gb_s is None:
        fix = on_host("install TransferBench (github.com/ROCm/TransferBench) under /opt/rocm/bin")
        summary = "TransferBench is not on the host: the links were not measured one by one"
        return finding("all-to-all", "warn", summary, fix)
    said, least = f"each of {len(plan.gpus)} GPUs copies to the others at {average_gb_s:g} GB/s", gpu.all_to_all_gb_s
    if not average_gb_s:
        return finding("all-to-all", "fail", "TransferBench measured nothing", on_host("TransferBench a2a"))
    if not least:
        fix = f"compare it with another host of that kind; the catalog has no number for {gpu.name}"
        return finding("all-to-all", "warn", said, fix)
    if average_gb_s < least:
        return finding("all-to-all", "fail", f"{said}, {least:g} are usual", on_host("amd-smi xgmi --metric"))
    return finding("all-to-all", "ok", f"{said}, {least:g} are enough")
