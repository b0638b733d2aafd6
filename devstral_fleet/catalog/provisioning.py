"""Schema of provision.yml: what a host gets under its engine, by operating system."""

from typing import Literal

from pydantic import Field

from devstral_fleet.model import Value

Family = Literal["debian", "redhat"]
Vendor = Literal["nvidia", "amd"]


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
    nvidia: tuple[str, ...]
    """The distribution's own packages of NVIDIA's driver, () for none."""
    headers: tuple[str, ...]
    """Packages of the running kernel's headers; `{kernel}` is its name."""
    folders: dict[Vendor, str]
    """What the GPU vendors' repositories call it, '' where one has nothing for it."""
    beside: tuple[str, ...] = ()
    """Repositories, by name, that a GPU vendor's driver needs beside the vendor's own."""
    modular: bool = False
    """Whether NVIDIA's driver is a module of dnf there, of which a stream is chosen."""


class Repository(Value):
    """A vendor's package repository, without a suite one that is flat. provision.yml says what stands in braces."""

    address: str
    suite: str = ""
    component: str = ""
    key: str = ""
    """Where its key lies, from the address on."""
    fingerprint: str = Field(default="", pattern=r"^([0-9A-F]{40})?$")
    """The key's, '' where no document confirms it: a site must bring the key itself then."""
    packages: tuple[str, ...]
    """Those that one asks for, () where others' dependencies come from here."""
    stream: str = ""
    """The module's stream that is enabled on a system where the driver is a module of dnf."""


class Provisioning(Value):
    """provision.yml."""

    systems: dict[str, System]
    packages: dict[Family, tuple[str, ...]]
    copying: dict[Family, tuple[str, ...]]
    """What copies a model's files from host to host."""
    boot_parameters: dict[str, tuple[str, ...]]
    """Words that a GPU host's kernel is started with, by accelerator."""
    gpu_sysctl: dict[str, int]
    repositories: dict[str, dict[Family, Repository]]
    """Vendors' repositories by name, which is also the site's word for a mirror or a key."""
    driver_versions: dict[Vendor, str]
    cuda: str
    """First number of the CUDA of NVIDIA's driver."""
    rocm: str
    """ROCm of AMD's driver."""
    fabric_manager: tuple[str, ...]
    nvlink_management: tuple[str, ...]
    """Beside Fabric Manager where NVSwitches are managed over InfiniBand."""
    diagnostics: dict[Vendor, tuple[str, ...]]
    """Packages of the vendor's diagnostics; `{cuda}` is the first number of the CUDA that the host's driver serves."""
