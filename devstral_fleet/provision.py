"""What a host must get before an engine can run there: intent, system and catalog to a plan (pure)."""

from typing import Literal

from devstral_fleet.catalog import Catalog
from devstral_fleet.catalog.provisioning import Family, Repository, System
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.facts import HostFacts
from devstral_fleet.intent import HostIntent
from devstral_fleet.model import Value

KEYRINGS = "/etc/apt/keyrings"
APT_SOURCES = "/etc/apt/sources.list.d"
YUM_REPOSITORIES = "/etc/yum.repos.d"
SYSCTL = "/etc/sysctl.d/80-devstral-fleet.conf"


class RepositoryFile(Value):
    """A package repository as files of the host."""

    name: str
    path: str
    text: str
    key_path: str
    key_address: str
    """Where the key is fetched from, '' where the site brings it."""
    fingerprint: str
    """What the key that was fetched must have; '' for a site's own."""
    key_file: str
    """The site's own key, a file of the controller; '' for none."""


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


def resolve(intent: HostIntent, facts: HostFacts, catalog: Catalog, *, has_docker: bool) -> ProvisionPlan:
    """Decide what a host gets.

    Args:
        has_docker: a Docker is installed there, by whatever package: that one stays.

    Raises:
        ConfigurationError: its system is not in the catalog, or the way to its packages is not one that may be gone.
    """
    system = _system(intent, facts, catalog)
    docker = intent.runtime == "container"
    installs = docker and not has_docker
    repository = _docker_repository(intent, facts, system, catalog) if installs else None
    engine = () if not installs else repository.packages if repository else system.docker
    return ProvisionPlan(
        host=intent.name,
        system=system.name,
        family=system.family,
        proven=system.proven,
        repositories=(_files(intent, facts, system, repository),) if repository else (),
        packages=(*catalog.provisioning.packages[system.family], *engine),
        sysctl=catalog.provisioning.gpu_sysctl if intent.accelerator != "cpu" else {},
        docker=docker,
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


def _docker_repository(intent: HostIntent, facts: HostFacts, system: System, catalog: Catalog) -> Repository | None:
    """Return the vendor's repository where the engine comes from there, None where the distribution has it."""
    if intent.packages == "distribution" and not system.docker:
        raise ConfigurationError(
            f"{intent.name}: {system.name} has no Docker engine of its own",
            fix="set fleet_packages: vendor",
            host=intent.name,
        )
    if system.docker and intent.packages != "vendor":
        return None
    found = catalog.provisioning.docker[system.family]
    if not found.fingerprint and "docker" not in intent.repository_keys:
        raise ConfigurationError(
            f"{intent.name}: no document confirms the key of Docker's packages for {facts.os_id}",
            fix="fetch it, compare it with Docker's word, and name the file: fleet_repository_keys: {docker: FILE}",
            host=intent.name,
        )
    return found


def _files(intent: HostIntent, facts: HostFacts, system: System, repository: Repository) -> RepositoryFile:
    address = intent.repositories.get("docker") or repository.address
    address = address.format(id=facts.os_id, codename=system.codename).rstrip("/")
    suite = repository.suite.format(codename=system.codename)
    own = intent.repository_keys.get("docker", "")
    key_address = "" if own else f"{address}/{repository.key}"
    if system.family == "debian":
        key_path, path = f"{KEYRINGS}/docker.asc", f"{APT_SOURCES}/docker.sources"
        text = (
            f"Types: deb\nURIs: {address}\nSuites: {suite}\nComponents: {repository.component}\nSigned-By: {key_path}\n"
        )
    else:
        key_path, path = "/etc/pki/rpm-gpg/docker.asc", f"{YUM_REPOSITORIES}/docker.repo"
        text = f"[docker]\nname=Docker\nbaseurl={address}/{suite}\nenabled=1\ngpgcheck=1\ngpgkey=file://{key_path}\n"
    return RepositoryFile(
        name="docker",
        path=path,
        text=text,
        key_path=key_path,
        key_address=key_address,
        fingerprint="" if own else repository.fingerprint,
        key_file=own,
    )
