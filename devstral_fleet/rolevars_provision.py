"""Provision plan → variables of the roles that bring what lies under an engine (`rolevars` is about the engine)."""

from devstral_fleet.drivers import ANSWERS, DRIVER, FABRIC_MANAGER, GROUPS, MODULES, DriverPlan, pin_text
from devstral_fleet.provision import SYSCTL, ProvisionPlan, sysctl_text
from devstral_fleet.rolevars import RoleVariables

PIN = "/etc/apt/preferences.d/devstral-fleet-driver"
GRUB = "/etc/default/grub.d/80-devstral-fleet.cfg"
CONFIGURE = {
    "nvidia": ["nvidia-ctk", "runtime", "configure", "--runtime=docker"],
    "amd": ["amd-ctk", "runtime", "configure"],
}
"""Words that name a vendor's runtime to Docker."""
CDI_UNITS = {"nvidia": "nvidia-cdi-refresh.path"}
"""Unit that writes the CDI specification anew where the driver changes; the package brings it."""
NOUVEAU = "/etc/modprobe.d/devstral-fleet-nouveau.conf"


def provision(plan: ProvisionPlan, *, python: str, lock_wait_s: int) -> RoleVariables:
    """Return the variables of the roles that provision a host; without GPUs, those of a driver name nothing.

    Args:
        python: interpreter there. lock_wait_s: how long another program may install packages.
    """
    driver = plan.driver
    pin = pin_text(driver) if driver and plan.family == "debian" else ""
    return {
        "repositories": {
            "python": python,
            "entries": [entry.model_dump() for entry in plan.repositories],
            "pin_path": PIN,
            "pin_text": pin,
        },
        "packages": {
            "python": python,
            "family": plan.family,
            "names": list(plan.packages),
            "lock_wait_s": lock_wait_s,
        },
        "package_holds": {"family": plan.family, "pattern": _held(driver)},
        "host_settings": {"path": SYSCTL, "text": sysctl_text(plan)},
        "docker_engine": {"wanted": plan.docker},
        "gpu_driver": _gpu_driver(plan, driver),
        "container_toolkit": _container_toolkit(driver),
        "boot_parameters": {
            "family": plan.family,
            "words": list(driver.boot_parameters) if driver else [],
            "path": GRUB,
        },
    }


def reboot(*, deadline_s: int, reason: str) -> RoleVariables:
    """Return the variables of the role that reboots a host."""
    return {"reboot": {"deadline_s": deadline_s, "reason": reason}}


def _held(driver: DriverPlan | None) -> str:
    """Return the pattern of the packages that no upgrade may change unasked, '' for none."""
    if driver is None:
        return ""
    patterns = (DRIVER[driver.vendor], *((FABRIC_MANAGER,) if driver.vendor == "nvidia" else ()))
    return "|".join(f"(?:{pattern.pattern})" for pattern in patterns)


def _container_toolkit(driver: DriverPlan | None) -> dict[str, object]:
    runtime = driver.runtime if driver else ""
    return {"runtime": runtime, "configure": CONFIGURE.get(runtime, []), "cdi_unit": CDI_UNITS.get(runtime, "")}


def _gpu_driver(plan: ProvisionPlan, driver: DriverPlan | None) -> dict[str, object]:
    return {
        "family": plan.family,
        "groups": list(GROUPS[driver.vendor]) if driver else [],
        "module": MODULES[driver.vendor] if driver else "",
        "answers": list(ANSWERS[driver.vendor]) if driver else [],
        "services": list(driver.services) if driver else [],
        "blocked": bool(driver and driver.blocked),
        "nouveau_path": NOUVEAU if driver and driver.vendor == "nvidia" else "",
    }
