"""Schema of provision.yml: what a host gets under its engine, by operating system."""

from typing import Literal

from pydantic import Field

from devstral_fleet.model import Value

Family = Literal["debian", "redhat"]


class System(Value):
    """An operating system that can be provisioned."""

    name: str
    """ID and version: 'debian-12'."""
    family: Family
    """Whose packages it has: dpkg and apt, or RPM and dnf."""
    codename: str
    proven: Literal["converged", "rendered"]
    """`converged`: tried on a real one by the tests. `rendered`: only its tasks and parameters are compared."""
    docker: tuple[str, ...]
    """The distribution's own packages of a Docker engine, () for none."""


class Repository(Value):
    """A vendor's package repository. `{id}` and `{codename}` are the system's."""

    address: str
    suite: str
    component: str
    key: str
    """Where its key lies, from the address on."""
    fingerprint: str = Field(pattern=r"^([0-9A-F]{40})?$")
    """The key's, '' where no document confirms it: a site must bring the key itself then."""
    packages: tuple[str, ...]


class Provisioning(Value):
    """provision.yml."""

    systems: dict[str, System]
    packages: dict[Family, tuple[str, ...]]
    gpu_sysctl: dict[str, int]
    docker: dict[Family, Repository]
