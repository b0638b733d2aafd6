"""What a host must get before an engine can run there: intent, system and catalog to a plan (pure)."""

from typing import Literal

from devstral_fleet import drivers, repositories
from devstral_fleet.catalog import Catalog
from devstral_fleet.catalog.provisioning import Family, System
from devstral_fleet.drivers import DriverPlan, Seen
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.facts import HostFacts
from devstral_fleet.intent import HostIntent
from devstral_fleet.model import Value
from devstral_fleet.repositories import RepositoryFile

LOCKING: dict[Family, tuple[str, ...]] = {"debian": (), "redhat": ("python3-dnf-plugin-versionlock",)}
"""What holds a package at its version, where that is no part of the package manager itself."""
SYSCTL = "/etc/sysctl.d/80-devstral-fleet.conf"


class ProvisionPlan(Value):
    """What one host gets."""

    host: str
    system: str
    family: Family
    proven: Literal["converged", "rendered"]
    repositories: tuple[RepositoryFile, ...]
    packages: tuple[str, ...]
    sysctl: dict[str, int]
    docker: bool
    """Whether it needs a Docker engine, which systemd starts."""
    driver: DriverPlan | None
    """What its GPUs get, None on a host that serves from its processor."""


def resolve(
    intent: HostIntent, facts: HostFacts, catalog: Catalog, *, has_docker: bool, seen: Seen | None
) -> ProvisionPlan:
    """Decide what a host gets.

    Args:
        has_docker: a Docker is installed there, by whatever package: that one stays.
        seen: of its GPUs and the system under them; None for a host that serves from its processor.

    Raises:
        ConfigurationError: its system is not in the catalog, or the way to its packages is not one that may be gone.
    """
    system = _system(intent, facts, catalog)
    docker = intent.runtime == "container"
    engine, sources = _docker(intent, system, catalog) if docker and not has_docker else ((), ())
    driver = drivers.decide(intent, facts, system, seen, catalog) if seen else None
    base = catalog.provisioning.packages[system.family]
    names = (*sources, *(driver.repositories if driver else ()))
    lock = LOCKING[system.family] if driver else ()
    copying = catalog.provisioning.copying[system.family] if intent.peer_address or intent.models else ()
    return ProvisionPlan(
        host=intent.name,
        system=system.name,
        family=system.family,
        proven=system.proven,
        repositories=repositories.files(intent, facts, system, names, catalog),
        packages=(*base, *copying, *lock, *engine, *(driver.packages if driver else ())),
        sysctl=catalog.provisioning.gpu_sysctl if intent.accelerator != "cpu" else {},
        docker=docker,
        driver=driver,
    )


def is_root(intent: HostIntent, facts: HostFacts) -> bool:
    """Tell whether what we do on a host is done by root."""
    return facts.user == "root" or intent.connection.become


def possible(intent: HostIntent, facts: HostFacts, catalog: Catalog) -> bool:
    """Tell whether a host's inventory, its user and its system allow that it is provisioned."""
    return intent.provision and is_root(intent, facts) and system_of(facts, catalog) is not None


def sysctl_text(plan: ProvisionPlan) -> str:
    """Return the file of kernel settings, '' for none."""
    return "".join(f"{name} = {value}\n" for name, value in sorted(plan.sysctl.items()))


def system_of(facts: HostFacts, catalog: Catalog) -> System | None:
    """Return what is known of a host's system, by its whole version (Ubuntu) or its first number (Debian, RHEL)."""
    major = facts.os_version.partition(".")[0]
    names = (f"{facts.os_id}-{version}" for version in (facts.os_version, major))
    return next((catalog.provisioning.systems[name] for name in names if name in catalog.provisioning.systems), None)


def _system(intent: HostIntent, facts: HostFacts, catalog: Catalog) -> System:
    found = system_of(facts, catalog)
    if found:
        return found
    said = f"{facts.os_id or 'an unknown system'} {facts.os_version}".strip()
    names = ", ".join(catalog.provisioning.systems)
    raise ConfigurationError(
        f"{intent.name}: nothing is known of how to provision {said}",
        fix=f"install Docker and the driver by hand and set fleet_provision: false; known: {names}",
        host=intent.name,
    )


def _docker(intent: HostIntent, system: System, catalog: Catalog) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the packages of an engine, and the vendor's repository that they come from, () for the distribution's."""
    if intent.packages == "distribution" and not system.docker:
        raise ConfigurationError(
            f"{intent.name}: {system.name} has no Docker engine of its own",
            fix="set fleet_packages: vendor",
            host=intent.name,
        )
    if system.docker and intent.packages != "vendor":
        return system.docker, ()
    return catalog.provisioning.repositories["docker"][system.family].packages, ("docker",)
