"""Schema of `hosts:` in images.yml: what a host must be. Units are in the names."""

from typing import Literal

from pydantic import Field

from devstral_fleet.model import Value


class HostRules(Value):
    """What a host must be, whatever it serves."""

    systems: tuple[str, ...]
    """ID in /etc/os-release of the systems that were tried; another one gets a warning."""
    architectures: tuple[str, ...]
    """`uname -m` of the machines that there are engines for."""
    clock_skew_s: int = Field(gt=0)
    """Seconds that its clock may differ from the controller's without a warning."""
    gpu_memory_short_percent: float = Field(gt=0)
    """Percent that a GPU's memory may be less than the catalog's."""
    gpu_idle_percent: float = Field(gt=0)
    """Percent of its memory that a GPU may hold and still be free."""
    amdgpu_releases: dict[str, str]
    """Version of AMD's kernel module to the driver release that brings it."""
    boot_free_mib: int = Field(gt=0)
    """Free space under /boot that another kernel needs."""
    swap_used_mib: int = Field(gt=0)
    """Swap that may be in use without a warning."""
    gpu_variables: tuple[str, ...]
    """First letters of the environment variables that a host sets for its GPUs, and every process on them has."""
    xids: dict[int, Literal["reset", "reboot", "power"]]
    """NVIDIA's numbers of errors that a GPU does not recover from by itself, and what ends them."""
