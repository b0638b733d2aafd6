"""Does a host's operating system carry its GPUs' driver, now and after the next reboot? (pure)

Whether a driver answers is `checks_gpu`'s. Here stands why one does not, and what will end one that does.
"""

import re
from collections.abc import Iterator, Sequence

from devstral_fleet.catalog.host_rules import HostRules
from devstral_fleet.drivers import FABRIC_MANAGER, MODULES, driver_packages, upstream
from devstral_fleet.facts import AcceleratorFacts, DriverBuild, Package, SystemFacts
from devstral_fleet.findings import Finding, FindingState, finding, on_host
from devstral_fleet.plan import DeploymentPlan

PINNING = "nvidia-driver-pinning"
"""NVIDIA's packages that keep apt on one branch."""
BROKEN = re.compile(r".([UFHW]|.R).*")
"""dpkg's letters of what is unpacked, half configured or installed, waits for another, or must be installed again."""
XID = re.compile(r"Xid \(([^)]*)\): (\d+)")
ENDS = {
    "reset": "sudo reboot; the log begins anew. Where it comes back, exchange the GPU",
    "reboot": "sudo reboot; where it comes back, look at the card's seat and its power",
    "power": "connect the card's power cables",
}
SECURE_BOOT = "enrol the key that DKMS signs with (sudo mokutil --import /var/lib/dkms/mok.pub, then confirm it at the \
host's console at the next boot), or turn Secure Boot off in the firmware"
DRIFT = ("driver-build", "next-kernel", "driver-package")
"""Checks that find a kernel or a driver which was changed after the host had started."""
REBUILD = "sudo apt-get install linux-headers-$(uname -r) && sudo dkms autoinstall"


def before(
    plan: DeploymentPlan,
    system: SystemFacts,
    seen: AcceleratorFacts,
    *,
    rules: HostRules,
    wanted: Sequence[str],
    provisioned: bool,
) -> tuple[Finding, ...]:
    """Judge the system under a GPU host's driver.

    Args:
        wanted: words that its kernel is started with. provisioned: `provision` may change it (`provision.possible`).
    """
    nvidia = plan.accelerator == "nvidia"
    return (
        *((_nouveau(system),) if nvidia else ()),
        _secure_boot(plan, system),
        _build(plan, system),
        _next_boot(plan, system),
        *_packages(plan, system),
        *((_fabric_manager(system, seen),) if system.switches or _fabric_managers(system) else ()),
        _log(plan, system, rules),
        _reboot(system),
        _boot_space(system, rules),
        _boot_parameters(plan, system, wanted, provisioned=provisioned),
        _numa_balancing(plan, system, provisioned=provisioned),
        _swap(system, rules),
    )


def drift(plan: DeploymentPlan, system: SystemFacts) -> tuple[Finding, ...]:
    """What was changed behind a serving host's back: a kernel or a driver that the next boot would take."""
    found = (_build(plan, system), _next_boot(plan, system), *_packages(plan, system))
    return tuple(each for each in found if each.check in DRIFT and each.state != "ok")


def _has_module(plan: DeploymentPlan, system: SystemFacts) -> bool:
    return MODULES[plan.accelerator] in system.modules


def _nouveau(system: SystemFacts) -> Finding:
    if "nouveau" not in system.modules:
        return finding("nouveau", "ok", "the kernel's own driver for NVIDIA cards is not loaded")
    words = "printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' | sudo tee /etc/modprobe.d/no-nouveau.conf"
    fix = on_host(f"{words} && sudo update-initramfs -u && sudo reboot")
    return finding("nouveau", "fail", "nouveau has the cards; NVIDIA's driver cannot have them beside it", fix)


def _secure_boot(plan: DeploymentPlan, system: SystemFacts) -> Finding:
    if not system.secure_boot:
        word = "off" if system.secure_boot is False else "not there"
        return finding("secure-boot", "ok", f"Secure Boot is {word}")
    if _has_module(plan, system):
        return finding("secure-boot", "ok", "Secure Boot is on, and lets the driver in")
    return finding("secure-boot", "fail", "Secure Boot is on, and the driver is not loaded", SECURE_BOOT)


def _builds(plan: DeploymentPlan, system: SystemFacts) -> list[DriverBuild]:
    return [build for build in system.builds if build.module.startswith(MODULES[plan.accelerator])]


def _built_for(kernel: str, builds: list[DriverBuild]) -> bool:
    return any(build.kernel == kernel and build.state.startswith("installed") for build in builds)


def _build(plan: DeploymentPlan, system: SystemFacts) -> Finding:
    """The running kernel's driver, where DKMS builds it."""
    builds, loaded = _builds(plan, system), _has_module(plan, system)
    lines = tuple(map(_build_line, builds))
    if not builds:
        return finding("driver-build", "ok", "no driver is built on this host")
    if not system.headers:
        state: FindingState = "warn" if loaded else "fail"
        summary = f"the headers of kernel {system.kernel} are missing: no driver can be built for it"
        return finding("driver-build", state, summary, on_host(REBUILD), *lines)
    if not _built_for(system.kernel, builds):
        summary = f"DKMS has no driver for kernel {system.kernel}"
        fix = on_host(f"{REBUILD}; its log: /var/lib/dkms/{builds[0].module}/{builds[0].version}/build/make.log")
        return finding("driver-build", "warn" if loaded else "fail", summary, fix, *lines)
    changed = [build for build in builds if "WARNING" in build.state and build.kernel == system.kernel]
    if changed:
        summary = "the installed driver is another one than DKMS built"
        return finding("driver-build", "warn", summary, on_host(REBUILD), *lines)
    return finding("driver-build", "ok", f"DKMS built the driver for kernel {system.kernel}")


def _build_line(build: DriverBuild) -> str:
    return f"{build.module}/{build.version}, {build.kernel or 'no kernel'}: {build.state}"


def _next_boot(plan: DeploymentPlan, system: SystemFacts) -> Finding:
    """A newer kernel that has come meanwhile, and what it would start with."""
    newer = [kernel for kernel in system.kernels if _numbers(kernel) > _numbers(system.kernel)]
    if not newer:
        return finding("next-kernel", "ok", f"kernel {system.kernel} is the newest of the host")
    newest, builds = max(newer, key=_numbers), _builds(plan, system)
    if builds and not _built_for(newest, builds):
        fix = on_host(f"sudo apt-get install linux-headers-{newest} && sudo dkms autoinstall -k {newest}")
        summary = f"the next boot takes kernel {newest}, for which there is no driver"
        return finding("next-kernel", "warn", summary, fix, *map(_build_line, builds))
    summary = f"the next boot takes kernel {newest}, {system.kernel} runs"
    return finding("next-kernel", "warn", summary, on_host("sudo reboot, at a time of your choice"))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))


def _packages(plan: DeploymentPlan, system: SystemFacts) -> Iterator[Finding]:
    if system.packages is None:
        fix = "look at the packages by hand: neither dpkg nor rpm answers"
        yield finding("packages", "warn", "the installed packages cannot be read", fix)
        return
    yield _broken(system.packages)
    yield _lock(system)
    drivers = driver_packages(plan.accelerator, system)
    yield _driver_package(plan, system, drivers)
    yield _hold(system.packages, drivers)


def _broken(packages: tuple[Package, ...]) -> Finding:
    broken = [each for each in packages if BROKEN.fullmatch(each.state)]
    if not broken:
        return finding("packages", "ok", "no package is half installed")
    fix = on_host("sudo dpkg --configure -a && sudo apt-get --fix-broken install")
    lines = (f"{each.state} {each.name} {each.version}".rstrip() for each in broken)
    return finding("packages", "fail", f"{len(broken)} packages are half installed: {broken[0].name}", fix, *lines)


def _lock(system: SystemFacts) -> Finding:
    if not system.package_lock:
        return finding("package-lock", "ok", "nothing keeps packages from being installed")
    fix = "wait for it, or see what it does: systemctl status apt-daily-upgrade"
    return finding("package-lock", "warn", f"{system.package_lock} installs packages now", on_host(fix))


def _driver_package(plan: DeploymentPlan, system: SystemFacts, drivers: list[Package]) -> Finding:
    """A driver that was changed behind the running one's back."""
    loaded = system.loaded.get(MODULES[plan.accelerator], "")
    if not drivers or not loaded:
        return finding("driver-package", "ok", "no package of a driver is there to compare with")
    lines = tuple(f"{each.state} {each.name} {each.version}" for each in drivers)
    if any(upstream(each).startswith(loaded) for each in drivers):
        return finding("driver-package", "ok", f"the installed driver is the one that runs, {loaded}")
    summary = f"driver {loaded} runs, {upstream(drivers[0])} is installed: the next boot takes that"
    return finding("driver-package", "warn", summary, on_host("sudo reboot, at a time of your choice"), *lines)


def _hold(packages: tuple[Package, ...], drivers: list[Package]) -> Finding:
    pinned = any(each.name.startswith(PINNING) for each in packages)
    free = [each.name for each in drivers if not each.state.startswith("h")]
    if pinned or not free:
        return finding("driver-hold", "ok", "no upgrade changes the driver unasked")
    fix = on_host(f"sudo apt-mark hold {' '.join(free)}; with dnf: sudo dnf versionlock add {' '.join(free)}")
    return finding("driver-hold", "warn", f"an upgrade of the system may change the driver: {free[0]}", fix)


def _fabric_managers(system: SystemFacts) -> list[Package]:
    return [each for each in system.packages or () if FABRIC_MANAGER.fullmatch(each.name) and each.state[1:2] == "i"]


def _fabric_manager(system: SystemFacts, seen: AcceleratorFacts) -> Finding:
    """With NVSwitch, CUDA starts no program without it, though nvidia-smi answers (error 802)."""
    found = _fabric_managers(system)
    if not system.switches:
        summary = f"{found[0].name} is installed, and this host has no NVSwitch: it can only fail"
        return finding("fabric-manager", "warn", summary, on_host(f"sudo apt-get purge {found[0].name}"))
    wanted = f"sudo apt-get install nvidia-fabricmanager='{seen.driver or 'the version of the driver'}*'"
    if not found and system.fabric_manager != "active":
        fix = on_host(f"{wanted} && sudo systemctl enable --now nvidia-fabricmanager")
        return finding("fabric-manager", "fail", f"{system.switches} NVSwitches and no Fabric Manager", fix)
    if system.fabric_manager != "active":
        fix = on_host("sudo systemctl enable --now nvidia-fabricmanager; its log: journalctl -u nvidia-fabricmanager")
        summary = f"Fabric Manager is {system.fabric_manager or 'not known to systemd'}"
        return finding("fabric-manager", "fail", summary, fix)
    other = [each for each in found if seen.driver and upstream(each) != seen.driver]
    if other:
        summary = f"Fabric Manager is {upstream(other[0])}, the driver is {seen.driver}: they must be equal"
        return finding("fabric-manager", "fail", summary, on_host(wanted))
    return finding("fabric-manager", "ok", "Fabric Manager runs, of the driver's version")


def _log(plan: DeploymentPlan, system: SystemFacts, rules: HostRules) -> Finding:
    if system.log is None:
        fix = "let the user read it: add it to group adm, or set become: true"
        return finding("kernel-log", "warn", "the kernel log cannot be read", fix)
    bad = list(_failures(plan, system.log, rules))
    if not bad:
        programs = len(system.log)
        said = f"; {programs} lines about programs' own errors" if programs else ""
        return finding("kernel-log", "ok", f"the kernel log names no GPU that failed since boot{said}")
    name, fix, _ = bad[0]
    lines = (line for _, _, line in bad[-5:])
    return finding("kernel-log", "fail", f"the kernel log names a GPU that failed: {name}", on_host(fix), *lines)


def _failures(plan: DeploymentPlan, log: tuple[str, ...], rules: HostRules) -> Iterator[tuple[str, str, str]]:
    """Give (what, what ends it, the line) of each line about a failure of the plan's vendor's GPUs."""
    for line in log:
        found = XID.search(line)
        if found and plan.accelerator == "nvidia" and (end := rules.xids.get(int(found[2]))):
            yield f"Xid {found[2]} of {found[1]}", ENDS[end], line
        elif not found and plan.accelerator == "amd":
            yield "a reset or an uncorrected error", ENDS["reset"], line


def _reboot(system: SystemFacts) -> Finding:
    if not system.reboot_for:
        return finding("reboot", "ok", "no package waits for a reboot")
    fix = on_host("sudo reboot, at a time of your choice")
    return finding("reboot", "warn", f"packages wait for a reboot: {', '.join(system.reboot_for)}", fix)


def _boot_space(system: SystemFacts, rules: HostRules) -> Finding:
    free = f"{system.boot_free_mib} MiB free under /boot"
    if system.boot_free_mib >= rules.boot_free_mib:
        return finding("boot-space", "ok", free)
    fix = on_host("sudo apt-get autoremove --purge; with dnf: sudo dnf remove --oldinstallonly")
    return finding("boot-space", "warn", f"{free}, another kernel needs {rules.boot_free_mib}", fix)


def _boot_parameters(plan: DeploymentPlan, system: SystemFacts, wanted: Sequence[str], *, provisioned: bool) -> Finding:
    missing = [word for word in wanted if word not in system.boot_parameters]
    if not missing:
        return finding("boot-parameters", "ok", "the kernel was started with what the GPUs need")
    words = " ".join(missing)
    by_hand = on_host(f"add {words} to GRUB_CMDLINE_LINUX in /etc/default/grub, sudo update-grub, sudo reboot")
    fix = f".venv/bin/invoke provision --host {plan.host}" if provisioned else by_hand
    said = " ".join(system.boot_parameters)
    return finding("boot-parameters", "warn", f"the kernel was started without {words}", fix, said)


def _numa_balancing(plan: DeploymentPlan, system: SystemFacts, *, provisioned: bool) -> Finding:
    if not system.numa_balancing:
        return finding("numa-balancing", "ok", "the kernel moves no memory between sockets by itself")
    words = "echo kernel.numa_balancing=0 | sudo tee /etc/sysctl.d/80-gpu.conf && sudo sysctl --system"
    fix = f".venv/bin/invoke provision --host {plan.host}" if provisioned else on_host(words)
    return finding("numa-balancing", "warn", "NUMA balancing is on, which makes GPU work stutter", fix)


def _swap(system: SystemFacts, rules: HostRules) -> Finding:
    said = f"{system.swap_used_mib} of {system.swap_mib} MiB swap are in use" if system.swap_mib else "there is no swap"
    if system.swap_used_mib <= rules.swap_used_mib:
        return finding("swap", "ok", said)
    return finding("swap", "warn", said, "end what needs the memory; an engine that is swapped out is slow")
