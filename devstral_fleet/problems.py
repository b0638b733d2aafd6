"""What stands against a host's plan before any arithmetic: unknown names, pairs that do not go together, addresses."""

import ipaddress
from collections.abc import Sequence

from devstral_fleet.catalog import Catalog
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.intent import HostIntent
from devstral_fleet.redact import is_secret_name
from devstral_fleet.sources import Sources

IMAGE_KEYS = ("image", "image_build", "image_base", "ca_bundle", "apt_mirror")
"""Keys that only the container runtime has."""
OMP_BIND = "SGLANG_CPU_OMP_THREADS_BIND"


def problems(intent: HostIntent, catalog: Catalog, sources: Sources) -> list[str]:
    """Return every such problem of a host, each a sentence with its fix."""
    return [
        *_names(intent, catalog),
        *_pairs(intent, catalog),
        *_address(intent),
        *_environment(intent),
        *_gpus(intent),
        *_runtime(intent, catalog, sources),
        *(_cpu(intent) if intent.accelerator == "cpu" else ()),
    ]


def computable(intent: HostIntent, catalog: Catalog) -> bool:
    """Whether all names are known and go together, so that the arithmetic has something to work on."""
    return not _names(intent, catalog) and not _pairs(intent, catalog)


def shared(intents: Sequence[HostIntent]) -> list[str]:
    """Return what two hosts of the inventory that are one machine have in common and must not: home, port and GPUs."""
    found = _shared_gpus(intents)
    for key in ("home", "port"):
        owners: dict[tuple[str, int, object], str] = {}
        for intent in intents:
            value = getattr(intent, key)
            other = owners.setdefault((*_machine(intent), value), intent.name)
            if other != intent.name:
                found.append(
                    f"{intent.name}: fleet_{key} {value} is {other}'s too, on the same machine;"
                    f" give each its own fleet_{key}"
                )
    return found


def _shared_gpus(intents: Sequence[HostIntent]) -> list[str]:
    """Of hosts that say which GPUs are theirs."""
    owners: dict[tuple[str, int, int], str] = {}
    found = []
    for intent in intents:
        taken = {index: owners.setdefault((*_machine(intent), index), intent.name) for index in intent.gpus or ()}
        found += [
            f"{intent.name}: GPU {index} is {other}'s too, on the same machine; give each its own fleet_gpus"
            for index, other in taken.items()
            if other != intent.name
        ]
    return found


def _machine(intent: HostIntent) -> tuple[str, int]:
    """What tells machines apart: the address and port that SSH reaches, or this machine."""
    at = intent.connection
    return ("", 0) if at.kind == "local" else (at.address, at.port)


def requirements_file(intent: HostIntent, catalog: Catalog) -> str:
    """Return the name of the file that pins a native host's environment, '' where there is none."""
    native = catalog.native(intent.accelerator)
    return intent.engine_requirements or (native.requirements if native else "")


def is_built(intent: HostIntent, catalog: Catalog) -> bool:
    """Tell whether the host runs an image of ours: asked for, or there is no other for it."""
    gpu = catalog.gpus.get(intent.hardware)
    if intent.runtime == "native" or intent.image or gpu is None or not gpu.images:
        return False
    carries = all(catalog.image(name).carries_engine for name in gpu.images)
    return intent.image_build or bool(intent.image_base) or not carries


def needs_requirements(intent: HostIntent, catalog: Catalog) -> bool:
    """Tell whether the host's engine is installed from requirements: natively, or in an image that has none yet."""
    return intent.runtime == "native" or (intent.accelerator == "cpu" and is_built(intent, catalog))


def _names(intent: HostIntent, catalog: Catalog) -> list[str]:
    found = []
    lookups = ((catalog.model, intent.model), (catalog.gpu, intent.hardware), (catalog.engine, intent.sglang_version))
    for lookup, name in lookups:
        try:
            if name is not None:
                lookup(name)
        except ConfigurationError as error:
            found.append(f"{error.message}; {error.fix}")
    return found


def _pairs(intent: HostIntent, catalog: Catalog) -> list[str]:
    found = []
    gpu, model = catalog.gpus.get(intent.hardware), catalog.models.get(intent.model)
    if gpu and gpu.accelerator != intent.accelerator:
        found.append(
            f"fleet_hardware {gpu.name} is {gpu.accelerator} and fleet_accelerator says {intent.accelerator};"
            f" set fleet_accelerator: {gpu.accelerator}"
        )
    if model and intent.accelerator not in model.accelerators:
        able = [name for name, other in catalog.models.items() if intent.accelerator in other.accelerators]
        found.append(
            f"{model.name} ({model.precision}) is not served on {intent.accelerator}; set fleet_model: {able[0]}"
        )
    return found


def _address(intent: HostIntent) -> list[str]:
    try:
        address = ipaddress.ip_address(intent.listen)
    except ValueError:
        return [f"fleet_listen '{intent.listen}' is no IP address; leave it out to listen on loopback"]
    if address.is_unspecified or not (address.is_loopback or address.is_private):
        return [
            f"fleet_listen {intent.listen} would publish the engine without TLS;"
            " leave it out and use `invoke connect`, or give one private address"
        ]
    return []


def _environment(intent: HostIntent) -> list[str]:
    """The environment stands in the plan, the release and the report."""
    return [
        f"fleet_environment holds {name}, which names a secret; take it out: the engine's key is made on the host"
        for name in intent.environment
        if is_secret_name(name)
    ]


def _gpus(intent: HostIntent) -> list[str]:
    wanted = intent.gpus or ()
    if wanted and intent.accelerator == "cpu":
        return ["fleet_gpus is for a host with GPUs; take it out"]
    if len(set(wanted)) != len(wanted):
        return [f"fleet_gpus {list(wanted)} names a GPU twice; name each once"]
    beyond = [index for index in wanted if index >= intent.gpu_count]
    if beyond:
        return [
            f"fleet_gpus names GPU {beyond[0]} and fleet_gpu_count is {intent.gpu_count}; the first GPU is 0,"
            " and fleet_gpu_count counts all of the host"
        ]
    return []


def _runtime(intent: HostIntent, catalog: Catalog, sources: Sources) -> list[str]:
    if intent.runtime == "container":
        return _container(intent, catalog, sources)
    keys = [name for name in IMAGE_KEYS if getattr(intent, name)]
    if keys:
        return [f"fleet_{keys[0]} is for fleet_runtime: container; set that, or take it out"]
    if not requirements_file(intent, catalog):
        return [
            f"the catalog has no native environment for {intent.accelerator};"
            " set fleet_runtime: container, or give your own fleet_engine_requirements"
        ]
    return _requirements(intent, catalog, sources)


def _container(intent: HostIntent, catalog: Catalog, sources: Sources) -> list[str]:
    gpu = catalog.gpus.get(intent.hardware)
    if intent.image and (intent.image_build or intent.image_base):
        return ["fleet_image is run as it is; take it out, or take out fleet_image_build and fleet_image_base"]
    if gpu is not None and not gpu.images and not intent.image:
        return [f"there is no image for {intent.hardware}; name one with fleet_image"]
    if intent.ca_bundle and not is_built(intent, catalog):
        return ["fleet_ca_bundle goes into an image of ours; set fleet_image_build: true"]
    if intent.ca_bundle and intent.ca_bundle not in sources.trust:
        return [f"fleet_ca_bundle '{intent.ca_bundle}' cannot be read; correct its path"]
    return _requirements(intent, catalog, sources) if needs_requirements(intent, catalog) else []


def _requirements(intent: HostIntent, catalog: Catalog, sources: Sources) -> list[str]:
    native, locked = catalog.native(intent.accelerator), catalog.runtimes.sglang[intent.accelerator]
    if native and not intent.engine_requirements and intent.sglang_version not in (None, locked):
        return [f"the engine's packages are locked to SGLang {locked}; give fleet_engine_requirements for another"]
    name = requirements_file(intent, catalog)
    return [] if name in sources.requirements else [f"requirements file '{name}' cannot be read; correct its path"]


def _cpu(intent: HostIntent) -> list[str]:
    found = []
    if intent.mem_fraction_static is not None:
        found.append("fleet_mem_fraction_static divides a GPU's memory; on cpu set fleet_max_total_tokens")
    if (intent.tensor_parallel or 1) > 1 and OMP_BIND not in intent.environment:
        found.append(
            f"tp {intent.tensor_parallel} on cpu needs one core list a rank;"
            f" leave fleet_tensor_parallel out, or set {OMP_BIND} in fleet_environment"
        )
    return found
