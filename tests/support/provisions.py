"""Provision plans for tests: a host's intent and the system that was seen there."""

from devstral_fleet import catalog as catalogs
from devstral_fleet import provision
from devstral_fleet.drivers import Seen
from devstral_fleet.facts import NO_NVIDIA_SMI, AcceleratorFacts, Package, PciDevice, SystemFacts
from devstral_fleet.provision import ProvisionPlan
from tests.support.intents import gpu_host
from tests.support.values import HOST

SYSTEM = SystemFacts(
    kernel="6.1.0-28-amd64",
    kernels=("6.1.0-28-amd64",),
    boot_parameters=(),
    swap_mib=0,
    swap_used_mib=0,
    numa_balancing=None,
    secure_boot=None,
    modules=(),
    loaded={},
    headers=False,
    builds=(),
    packages=(),
    package_lock="",
    boot_free_mib=900,
    reboot_for=(),
    switches=0,
    nvlink_management=False,
    fabric_manager="",
    log=(),
)
"""A system with nothing for a GPU."""
BARE = AcceleratorFacts(driver="", detail=NO_NVIDIA_SMI, cuda="", gpus=())
READY = AcceleratorFacts(driver="580.95.05", detail="", cuda="13.0", gpus=(), toolkit=("runtime", "hook"))
BUS = (
    PciDevice(address="0000:01:00.0", vendor="nvidia", kind="0302", id="10de:2330", driver=""),
    PciDevice(address="0000:02:00.0", vendor="amd", kind="1200", id="1002:74a1", driver=""),
)
"""A GPU of each vendor, since which one is meant is the intent's word."""
REPOSITORIES = (
    *("docker", "nvidia-driver", "nvidia-container-toolkit", "amd-driver", "amd-rocm", "amd-container-toolkit"),
)
KEYS = {name: f"/keys/{name}.asc" for name in REPOSITORIES}


def package(line: str) -> Package:
    """Read `ii name version`."""
    state, name, version = line.split()
    return Package(name=name, version=version, state=state)


def seen(
    gpus: AcceleratorFacts = BARE,
    *packages: str,
    bus: tuple[PciDevice, ...] = BUS,
    serving: bool = False,
    **fields: object,
) -> Seen:
    """What was seen of a GPU host: its driver, its packages as dpkg lists them, and changed fields of its system."""
    there = SYSTEM.model_copy(update={"packages": tuple(map(package, packages)), **fields})
    return Seen(system=there, bus=bus, gpus=gpus, serving=serving)


def provision_plan(
    system: str = "debian", version: str = "12", *, has_docker: bool = False, found: Seen | None = None, **keys: object
) -> ProvisionPlan:
    """Plan for a host with that system.

    Args:
        found: of its GPUs; None for one whose GPUs are not looked at.
        keys: of the intent, and `architecture`.
    """
    machine = keys.pop("architecture", HOST.architecture)
    facts = HOST.model_copy(update={"os_id": system, "os_version": version, "architecture": machine})
    values = {"accelerator": "nvidia", "hardware": "h100", "packages": "vendor", **keys}
    return provision.resolve(gpu_host(**values), facts, catalogs.load(), has_docker=has_docker, seen=found)
