"""Which driver a GPU host gets, and when one waits for a reboot: intent, system and catalog to a plan (pure)."""

import re
from typing import Literal

from devstral_fleet.catalog import Catalog
from devstral_fleet.catalog.provisioning import System, Vendor
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.facts import NO_NVIDIA_SMI, AcceleratorFacts, HostFacts, Package, PciDevice, SystemFacts
from devstral_fleet.intent import HostIntent
from devstral_fleet.model import Value

WORDS = {"nvidia": "NVIDIA", "amd": "AMD"}
KERNEL = "kernel"
"""`driver` of a kernel's own amdgpu, which has no release."""
MODULES = {"nvidia": "nvidia", "amd": "amdgpu"}
"""Kernel module of each vendor's driver."""
DRIVER = {
    "nvidia": re.compile(
        r"(nvidia-dkms|nvidia-kernel|nvidia-open|nvidia-driver|kmod-nvidia|cuda-drivers)(-[a-z0-9-]+)?"
    ),
    "amd": re.compile(r"amdgpu-dkms"),
}
"""Packages that bring the module."""
GROUPS: dict[Vendor, tuple[str, ...]] = {"nvidia": (), "amd": ("video", "render")}
"""Groups of a vendor's device nodes, which a container's processes join."""
FABRIC_MANAGER = re.compile(r"nvidia-fabric-?manager(-\d+)?")
ANSWERS: dict[Vendor, tuple[str, ...]] = {"nvidia": ("nvidia-smi", "--list-gpus"), "amd": ("test", "-e", "/dev/kfd")}
"""A command that succeeds where the driver answers."""
PERSISTENCE = "nvidia-persistenced"
FABRIC_SERVICE = "nvidia-fabricmanager"
TOOLKITS: dict[Vendor, str] = {"nvidia": "nvidia-container-toolkit", "amd": "amd-container-toolkit"}
"""Package, and repository, of what lets Docker hand out a vendor's GPUs."""
DIAGNOSTICS: dict[Vendor, str] = {"nvidia": "nvidia-driver", "amd": "amd-rocm"}
"""Repository of the vendor's diagnostics."""
DIAGNOSTICS_SERVICE = "nvidia-dcgm"


class DriverPlan(Value):
    """What a host's GPUs get; what is there already stays."""

    vendor: Vendor
    version: str
    """The driver's, which its packages have exactly; '' for one that is there and stays, and for the distribution's."""
    packages: tuple[str, ...]
    """dpkg's spelling: 'name', or 'name=version*'."""
    repositories: tuple[str, ...]
    services: tuple[str, ...]
    """Units that run now and after each boot, those that a package has brought."""
    blocked: bool
    """Whether another module has the cards until the next boot, so that the driver cannot be loaded before."""
    runtime: Literal["nvidia", "amd", ""]
    """The vendor's runtime that Docker must know, for which it is restarted; '' for none."""
    boot_parameters: tuple[str, ...]
    """All words of the kernel's command line that the next boot must have; () where the running kernel has them."""


class Seen(Value):
    """What was seen of a GPU host before it is provisioned."""

    system: SystemFacts
    bus: tuple[PciDevice, ...]
    gpus: AcceleratorFacts
    serving: bool
    """Whether an engine runs there."""


def decide(intent: HostIntent, facts: HostFacts, system: System, seen: Seen, catalog: Catalog) -> DriverPlan:
    """Decide what a GPU host gets.

    Raises:
        ConfigurationError: there is no such GPU, no driver for that system, or Secure Boot would keep it out.
    """
    vendor: Literal["nvidia", "amd"] = "amd" if intent.accelerator == "amd" else "nvidia"
    there = installed(vendor, seen.system, seen.gpus)
    own = _distributions(intent, system, vendor)
    if not there:
        _possible(intent, system, seen, vendor, own=own)
    version = "" if there or own else catalog.provisioning.driver_versions[vendor]
    packages = () if there else _driver_packages(facts, system, vendor, own, version, catalog)
    fabric = _fabric_manager(vendor, seen, version, catalog)
    runtime, toolkit = _runtime(intent, seen, vendor)
    cuda = seen.gpus.cuda.partition(".")[0] or catalog.provisioning.cuda
    tools = catalog.provisioning.diagnostics[vendor] if intent.diagnostics else ()
    diagnostics = tuple(name.format(cuda=cuda) for name in tools)
    names = (
        *((f"{vendor}-driver",) if (packages and not own) or fabric else ()),
        *(system.beside if packages and not own else ()),
        *toolkit,
        *((DIAGNOSTICS[vendor],) if diagnostics else ()),
    )
    parameters = catalog.provisioning.boot_parameters.get(vendor, ())
    return DriverPlan(
        vendor=vendor,
        version=version,
        packages=(*packages, *fabric, *toolkit, *diagnostics),
        repositories=tuple(dict.fromkeys(names)),
        services=_services(intent, vendor, seen.system),
        blocked="nouveau" in seen.system.modules,
        runtime=runtime,
        boot_parameters=() if set(parameters) <= set(seen.system.boot_parameters) else parameters,
    )


def installed(vendor: str, system: SystemFacts, gpus: AcceleratorFacts) -> bool:
    """Tell whether a host has a driver, by whatever way it came; the kernel's own amdgpu is none.

    One of NVIDIA's that no package brought may be broken and is there; one whose packages came only in part is not.
    """
    packaged = any("nvidia" in each.name and each.state[1:2] not in {"n", "c"} for each in system.packages or ())
    by_hand = vendor == "nvidia" and gpus.detail not in {"", NO_NVIDIA_SMI} and not packaged
    return by_hand or gpus.driver not in {"", KERNEL} or bool(driver_packages(vendor, system))


def driver_packages(vendor: str, system: SystemFacts) -> list[Package]:
    """Return the installed packages of the vendor's driver."""
    return [each for each in system.packages or () if DRIVER[vendor].fullmatch(each.name) and each.state[1:2] == "i"]


def upstream(package: Package) -> str:
    """The version without the packager's: '1:580.95.05-0ubuntu1' is 580.95.05."""
    return package.version.partition(":")[2].partition("-")[0] or package.version.partition("-")[0]


def waits(vendor: str, system: SystemFacts) -> tuple[str, ...]:
    """Return why an installed driver runs only after the next boot, () where it does not wait for one."""
    packages, module = driver_packages(vendor, system), MODULES[vendor]
    if not packages:
        return ()
    if vendor == "nvidia" and "nouveau" in system.modules:
        return ("nouveau has the cards",)
    loaded = system.loaded.get(module, "")
    if vendor == "amd" and module in system.modules and not loaded and _built(module, system):
        return ("the kernel's own amdgpu has the cards",)
    if loaded and not any(upstream(each).startswith(loaded) for each in packages):
        return (f"driver {loaded} runs and {upstream(packages[0])} is installed",)
    return ()


def _built(module: str, system: SystemFacts) -> bool:
    builds = (each for each in system.builds if each.module.startswith(module) and each.kernel == system.kernel)
    return any(each.state.startswith("installed") for each in builds)


def _runtime(intent: HostIntent, seen: Seen, vendor: Vendor) -> tuple[Literal["nvidia", "amd", ""], tuple[str, ...]]:
    """Return the runtime that Docker must learn, and the toolkit's package where it is missing."""
    if intent.runtime != "container":
        return "", ()
    if vendor == "amd":
        wanted = intent.amd_container_toolkit and not seen.serving
        return ("amd", (TOOLKITS[vendor],)) if wanted else ("", ())
    if seen.serving and seen.gpus.toolkit:  # by whatever way the engine has its GPUs
        return "", ()
    return "nvidia", () if {"runtime", "hook"} & set(seen.gpus.toolkit) else (TOOLKITS[vendor],)


def _distributions(intent: HostIntent, system: System, vendor: Vendor) -> tuple[str, ...]:
    return system.nvidia if vendor == "nvidia" and intent.packages == "distribution" else ()


def _possible(intent: HostIntent, system: System, seen: Seen, vendor: Vendor, *, own: tuple[str, ...]) -> None:
    word = WORDS[vendor]
    if not any(device.vendor == vendor for device in seen.bus):
        raise ConfigurationError(
            f"{intent.name}: there is no {word} GPU on the PCI bus",
            fix=f"look for it (lspci -nn), or correct fleet_accelerator of {intent.name}",
            host=intent.name,
        )
    if seen.system.secure_boot:
        raise ConfigurationError(
            f"{intent.name}: Secure Boot is on, and lets no driver in that is built on the host",
            fix="turn it off in the firmware, or install a signed driver by hand; provision takes the driver it finds",
            host=intent.name,
        )
    if intent.packages == "distribution" and not own:
        raise ConfigurationError(
            f"{intent.name}: {system.name} has no {word} driver of its own that is new enough",
            fix="leave fleet_packages out: Docker is the distribution's then, and the driver its vendor's",
            host=intent.name,
        )
    if own and seen.system.switches:
        raise ConfigurationError(
            f"{intent.name}: with NVSwitches, Fabric Manager must be the driver's version, and comes from {word} alone",
            fix="leave fleet_packages out: Docker is the distribution's then, and the driver its vendor's",
            host=intent.name,
        )
    if not own and not system.folders[vendor]:
        raise ConfigurationError(
            f"{intent.name}: {word} has no driver for {system.name}",
            fix="install the driver by hand; provision takes the one that it finds",
            host=intent.name,
        )


def _driver_packages(
    facts: HostFacts, system: System, vendor: Vendor, own: tuple[str, ...], version: str, catalog: Catalog
) -> tuple[str, ...]:
    headers = tuple(name.format(kernel=facts.kernel) for name in system.headers)
    names = own or catalog.provisioning.repositories[f"{vendor}-driver"][system.family].packages
    exact = vendor == "nvidia" and not own
    return (*headers, *(f"{name}={version}*" if exact else name for name in names))


def _fabric_manager(vendor: Vendor, seen: Seen, version: str, catalog: Catalog) -> tuple[str, ...]:
    """With NVSwitches: the driver's very version, that of the one that is there too."""
    if vendor != "nvidia" or not seen.system.switches:
        return ()
    if any(FABRIC_MANAGER.fullmatch(each.name) and each.state[1:2] == "i" for each in seen.system.packages or ()):
        return ()
    there = driver_packages(vendor, seen.system)
    exact = version or seen.gpus.driver or (upstream(there[0]) if there else "")
    managed = catalog.provisioning.nvlink_management if seen.system.nvlink_management else ()
    return (*(f"{name}={exact}*" for name in catalog.provisioning.fabric_manager), *managed)


def _services(intent: HostIntent, vendor: Vendor, state: SystemFacts) -> tuple[str, ...]:
    if vendor != "nvidia":
        return ()
    fabric = (FABRIC_SERVICE,) if state.switches else ()
    return (PERSISTENCE, *fabric, *((DIAGNOSTICS_SERVICE,) if intent.diagnostics else ()))


def said(plan: DriverPlan) -> str:
    """Return a few words on what a host's GPUs get."""
    word = WORDS[plan.vendor]
    driver = f"{word} driver {plan.version}" if plan.version else f"the {word} driver of the system"
    learnt = f", Docker restarted for {word}'s runtime where it does not know it" if plan.runtime else ""
    return driver + learnt + (f", the next boot with {' '.join(plan.boot_parameters)}" if plan.boot_parameters else "")


def pin_text(plan: DriverPlan) -> str:
    """Return apt's preferences for a driver of one version, so that all it needs comes in that version; '' for none."""
    if plan.vendor != "nvidia" or not plan.version:
        return ""
    names = "nvidia-* libnvidia-* cuda-drivers* libcuda* xserver-xorg-video-nvidia* firmware-nvidia-*"
    return f"Package: {names}\nPin: version {plan.version}*\nPin-Priority: 1000\n"
