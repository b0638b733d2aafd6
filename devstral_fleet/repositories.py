"""Vendors' package repositories as files of a host: apt's and dnf's, and the key of each (pure)."""

from collections.abc import Sequence

from devstral_fleet.catalog import Catalog
from devstral_fleet.catalog.provisioning import Repository, System, Vendor
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.facts import HostFacts
from devstral_fleet.intent import HostIntent
from devstral_fleet.model import Value

KEYRINGS = "/etc/apt/keyrings"
APT_SOURCES = "/etc/apt/sources.list.d"
RPM_KEYS = "/etc/pki/rpm-gpg"
YUM_REPOSITORIES = "/etc/yum.repos.d"
NVIDIA_MACHINES = {"aarch64": "sbsa"}
"""NVIDIA's own words for processors."""
DEBIAN_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


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
    stream: str
    """Stream of a module of dnf that is enabled with it ('nvidia-driver:580-open'), '' for none."""


def files(
    intent: HostIntent, facts: HostFacts, system: System, names: Sequence[str], catalog: Catalog
) -> tuple[RepositoryFile, ...]:
    """Return the files of the named repositories, with the site's mirrors and keys.

    Raises:
        ConfigurationError: keys that no document confirms, and that the site does not bring; all of them at once.
    """
    known = catalog.provisioning.repositories
    found = {name: known[name][system.family] for name in names}
    bare = [name for name, each in found.items() if not each.fingerprint and name not in intent.repository_keys]
    if bare:
        keys = ", ".join(f"{name}: FILE" for name in bare)
        raise ConfigurationError(
            f"{intent.name}: no document confirms the key of the packages of {' and '.join(bare)} for {facts.os_id}",
            fix=f"fetch it, compare it with the vendor's word, and name the file: fleet_repository_keys: {{{keys}}}",
            host=intent.name,
        )
    return tuple(_file(intent, facts, system, name, each, catalog) for name, each in found.items())


def _file(
    intent: HostIntent, facts: HostFacts, system: System, name: str, repository: Repository, catalog: Catalog
) -> RepositoryFile:
    words = _words(facts, system, name, catalog)
    address = (intent.repositories.get(name) or repository.address).format(**words).rstrip("/")
    own, suite = intent.repository_keys.get(name, ""), repository.suite.format(**words)
    if system.family == "debian":
        key_path, path = f"{KEYRINGS}/{name}.asc", f"{APT_SOURCES}/{name}.sources"
        component = f"Components: {repository.component}\n" if repository.component else ""
        text = f"Types: deb\nURIs: {address}\nSuites: {suite or '/'}\n{component}Signed-By: {key_path}\n"
    else:
        key_path, path = f"{RPM_KEYS}/{name}.asc", f"{YUM_REPOSITORIES}/{name}.repo"
        base = f"{address}/{suite}".rstrip("/")
        text = f"[{name}]\nname={name}\nbaseurl={base}\nenabled=1\ngpgcheck=1\ngpgkey=file://{key_path}\n"
    return RepositoryFile(
        name=name,
        path=path,
        text=text,
        key_path=key_path,
        key_address="" if own else f"{address}/{repository.key}",
        fingerprint="" if own else repository.fingerprint,
        key_file=own,
        stream=repository.stream.format(**words) if system.modular else "",
    )


def _words(facts: HostFacts, system: System, name: str, catalog: Catalog) -> dict[str, str]:
    """Return what the braces of a repository's address stand for."""
    vendor: Vendor = "amd" if name.startswith("amd") else "nvidia"
    driver = catalog.provisioning.driver_versions[vendor]
    return {
        "id": facts.os_id,
        "version": facts.os_version,
        "codename": system.codename,
        "folder": system.folders[vendor].format(version=facts.os_version),
        "machine": NVIDIA_MACHINES.get(facts.architecture, facts.architecture),
        "arch": DEBIAN_MACHINES.get(facts.architecture, facts.architecture),
        "driver": driver,
        "rocm": catalog.provisioning.rocm,
        "branch": driver.partition(".")[0],
    }
