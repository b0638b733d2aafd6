"""What stands against a host's plan before any arithmetic: unknown names, pairs that do not go together, addresses."""

import ipaddress
from collections.abc import Sequence

from devstral_fleet import peers, profiles
from devstral_fleet.catalog import Catalog
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.intent import HostIntent
from devstral_fleet.redact import is_secret_name
from devstral_fleet.sources import Sources

IMAGE_KEYS = ("image", "image_build", "image_base", "ca_bundle", "apt_mirror")
"""Keys that only the container runtime has."""
SAME_ON_NODES = (
    "nodes",
    "nodes_address",
    "hardware",
    "gpu_count",
    "model",
    "tensor_parallel",
    "context_length",
    "profiles",
)
"""Keys by which each of several hosts comes to the same plan."""
OMP_BIND = "SGLANG_CPU_OMP_THREADS_BIND"


def problems(intent: HostIntent, catalog: Catalog, sources: Sources) -> list[str]:
    """Return every such problem of a host, each a sentence with its fix."""
    return [
        *_names(intent, catalog),
        *_pairs(intent, catalog),
        *_address(intent),
        *_peer_address(intent),
        *_environment(intent),
        *_gpus(intent),
        *_nodes(intent),
        *_runtime(intent, catalog, sources),
        *(_cpu(intent) if intent.accelerator == "cpu" else ()),
    ]


def computable(intent: HostIntent, catalog: Catalog) -> bool:
    """Whether all names are known and go together, so that the arithmetic has something to work on."""
    return not _names(intent, catalog) and not _pairs(intent, catalog)


def shared(intents: Sequence[HostIntent]) -> list[str]:
    """Return what two hosts of the inventory that are one machine have in common and must not: home, port and GPUs."""
    found = [*_shared_gpus(intents), *_shared_nodes(intents)]
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
    lookups = (
        *((catalog.model, intent.model), (catalog.gpu, intent.hardware), (catalog.engine, intent.sglang_version)),
        *((catalog.profile, name) for name in intent.profiles or ()),
    )
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
    return [*found, *profiles.refused(intent, catalog)]


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


def _peer_address(intent: HostIntent) -> list[str]:
    text = intent.peer_address
    if text is None or peers.address(text):
        return []
    return [f"fleet_peer_address '{text}' is no address; write 10.0.0.5, 10.0.0.5:2222, [fd00::5]:2222 or a name"]


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


def _nodes(intent: HostIntent) -> list[str]:
    """One engine over several hosts: who they are, and where they meet."""
    nodes, address = intent.nodes, intent.nodes_address
    if not nodes:
        return ["fleet_nodes_address is for hosts with fleet_nodes; take it out"] if address else []
    if intent.accelerator == "cpu":
        return ["fleet_nodes is for hosts with GPUs; take it out"]
    if intent.name not in nodes or len(set(nodes)) != len(nodes) or len(nodes) == 1:
        return [f"fleet_nodes is {', '.join(nodes)}; name this host and the others, each once, in the order of ranks"]
    found = peers.address(address or "", default_port=0)
    try:
        place = ipaddress.ip_address(found[0] if found else "")
    except ValueError:
        return [f"fleet_nodes_address is '{address or ''}'; give {nodes[0]}'s, with a free port: 10.0.0.5:20000"]
    if place.is_loopback or place.is_unspecified or not place.is_private:
        return [
            f"fleet_nodes_address {address} is no private address, and what the hosts say to each other there runs as"
            " code; give one of a network of their own"
        ]
    return []


def _shared_nodes(intents: Sequence[HostIntent]) -> list[str]:
    """Of hosts that serve together: what must be the same on all of them."""
    known = {intent.name: intent for intent in intents}
    return [
        f"{intent.name}: its fleet_{key} is not {first.name}'s, and both serve together; set it in a group of theirs"
        for intent in intents
        if (first := known.get(intent.nodes[0] if intent.nodes else "")) and first is not intent
        for key in SAME_ON_NODES
        if getattr(intent, key) != getattr(first, key)
    ]


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
