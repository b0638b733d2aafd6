"""The catalog as one value: everything the project knows about models, GPUs, images, workloads and baselines."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from devstral_fleet.catalog.accuracy import AccuracyBaseline, AccuracyBenchmark
from devstral_fleet.catalog.engines import Engines, EngineVersion, Profile
from devstral_fleet.catalog.hub import Hub
from devstral_fleet.catalog.provisioning import Provisioning
from devstral_fleet.catalog.schema import (
    Baseline,
    Gpu,
    Image,
    Images,
    Limits,
    Model,
    NativeEnvironment,
    Tolerances,
    Workload,
)
from devstral_fleet.catalog.starts import StartRules
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.intent import Accelerator

Entry = TypeVar("Entry")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the nearest known names, or all of them when none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"


def _find(kind: str, known: Mapping[str, Entry], name: str) -> Entry:
    if name not in known:
        raise ConfigurationError(f"{kind} '{name}' is not in the catalog", fix=did_you_mean(name, known))
    return known[name]


@dataclass(frozen=True)
class Catalog:
    """All catalog files, checked. Lookups by name raise ConfigurationError with the nearest names."""

    models: Mapping[str, Model]
    gpus: Mapping[str, Gpu]
    runtimes: Images
    engines: Engines
    provisioning: Provisioning
    workloads: Mapping[str, Workload]
    accuracy: Mapping[str, AccuracyBenchmark]
    hub: Hub
    tolerances: Tolerances
    starts: StartRules
    limits: Limits
    baselines: tuple[Baseline, ...]
    accuracy_baselines: tuple[AccuracyBaseline, ...]

    @property
    def images(self) -> Mapping[str, Image]:
        return self.runtimes.images

    def model(self, name: str) -> Model:
        return _find("model", self.models, name)

    def gpu(self, name: str) -> Gpu:
        return _find("hardware", self.gpus, name)

    def gpu_of(self, pci_id: str) -> Gpu | None:
        """Return the GPU that a device of the PCI bus is (`vendor:device`), None for one that is not in the catalog."""
        return next((gpu for gpu in self.gpus.values() if pci_id in gpu.pci_ids), None)

    def image(self, name: str) -> Image:
        return _find("image", self.images, name)

    def workload(self, name: str) -> Workload:
        return _find("workload", self.workloads, name)

    def engine(self, version: str) -> EngineVersion:
        """Return what is known of an SGLang version."""
        found = self.engines.version(version)
        if found is None:
            known = [entry.version for entry in self.engines.versions]
            raise ConfigurationError(
                f"SGLang {version} is not in the catalog", fix=f"known, oldest first: {', '.join(known)}"
            )
        return found

    def profile(self, name: str) -> Profile:
        return _find("profile", self.engines.profiles, name)

    def native(self, accelerator: Accelerator) -> NativeEnvironment | None:
        return self.runtimes.native.get(accelerator)
