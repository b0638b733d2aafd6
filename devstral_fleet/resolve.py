"""From what the inventory wants to a plan: pure, and every problem of every host at once."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from devstral_fleet import image_choice, profiles
from devstral_fleet.arguments import Launch, arguments, environment, unknown_flags
from devstral_fleet.catalog import Catalog
from devstral_fleet.catalog.schema import Image, Model, NativeEnvironment
from devstral_fleet.errors import PlanError
from devstral_fleet.fit import Demand, Fit, fit, fit_cpu
from devstral_fleet.intent import HostIntent
from devstral_fleet.layout import HostLayout
from devstral_fleet.notes import notes
from devstral_fleet.plan import DeploymentPlan, EngineEnvironment, ModelFiles
from devstral_fleet.problems import computable, needs_requirements, problems, requirements_file, shared
from devstral_fleet.sources import Sources
from devstral_fleet.weights import WeightPin

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
FIX = "correct the inventory, or the options that replace its keys"
ENVIRONMENT_DIGITS = 16
RECIPE_DIGITS = 8
REVISION_DIGITS = 12


@dataclass(frozen=True)
class Style:
    """How a plan is written: with tool calling, and with the model's files on the host or from the hub by name."""

    tool_calling: bool = True
    local_files: bool = True


AS_DEPLOYED = Style()


def environment_digest(requirements: bytes, torch: str, python: str, shims: bytes) -> str:
    """Name an engine environment by all that makes it: 16 hex digits."""
    sha = hashlib.sha256()
    for part in (requirements, torch.encode(), python.encode(), shims):
        sha.update(len(part).to_bytes(8, "big") + part)
    return sha.hexdigest()[:ENVIRONMENT_DIGITS]


def requirements_files(intents: Iterable[HostIntent], catalog: Catalog) -> tuple[str, ...]:
    """Return the files that engines are installed from: the catalog's names, and sites' own paths."""
    names = {requirements_file(intent, catalog) for intent in intents if needs_requirements(intent, catalog)}
    return tuple(sorted(names - {""}))


def resolve_all(intents: Sequence[HostIntent], catalog: Catalog, sources: Sources) -> dict[str, DeploymentPlan]:
    """Resolve every host.

    Raises:
        PlanError: with every problem of every host, each sentence beginning with its host.
    """
    plans: dict[str, DeploymentPlan] = {}
    found: list[str] = shared(intents)
    for intent in intents:
        try:
            plans[intent.name] = resolve(intent, catalog, sources)
        except PlanError as error:
            found += error.problems
    if found:
        raise PlanError(found, fix=FIX)
    return plans


def resolve(intent: HostIntent, catalog: Catalog, sources: Sources, style: Style = AS_DEPLOYED) -> DeploymentPlan:
    """Decide everything about one host.

    Raises:
        PlanError: with every problem of this host.
    """
    found = problems(intent, catalog, sources)
    if computable(intent, catalog):
        try:
            demand = _demand(intent, catalog)
            chosen = _fit(demand, intent, catalog)
        except PlanError as error:
            found += error.problems
    if found:
        raise PlanError([f"{intent.name}: {problem}" for problem in found], fix=FIX, host=intent.name)
    return _plan(intent, catalog, sources, style, demand, chosen)


def _plan(
    intent: HostIntent, catalog: Catalog, sources: Sources, style: Style, demand: Demand, chosen: Fit
) -> DeploymentPlan:
    """Put the plan together; every name is known to exist."""
    model, gpu, version = demand.model, demand.gpu, demand.engine.version
    image = image_choice.catalog_image(intent, catalog, sources.drivers.get(intent.name, ""))
    files = _files(intent, model, sources)
    plan = DeploymentPlan(
        host=intent.name,
        accelerator=intent.accelerator,
        hardware=gpu.name,
        gpus=() if intent.accelerator == "cpu" else _used(intent, chosen.tp),
        model=model.name,
        repository=model.repository,
        served_model_name=model.served_model_name,
        runtime=intent.runtime,
        sglang_version=version,
        transformers_minimum=catalog.runtimes.transformers_minimum,
        driver_minimum=image_choice.driver_minimum(intent, catalog, image),
        image=image_choice.choice(intent, catalog, sources, image, version),
        engine_environment=_engine_environment(intent, catalog, sources),
        files=files,
        vision=model.vision,
        tp=chosen.tp,
        context_length=chosen.context_length,
        mem_fraction_static=chosen.mem_fraction_static,
        kv_cache_dtype=demand.kv_cache_dtype,
        profiles=tuple(profile.name for profile in profiles.chosen(intent, catalog, chosen.tp, version)),
        kv_pool_tokens=chosen.kv_pool_tokens,
        memory=chosen.memory,
        listen=intent.listen,
        port=intent.port,
        arguments=_arguments(intent, catalog, chosen, style, files, version),
        environment=_environment(intent, catalog, style, chosen),
        home=intent.home,
        drain_deadline_s=intent.drain_deadline_s or model.drain_deadline_s,
        health_deadline_s=intent.health_deadline_s or model.health_deadline_s,
        disk_needed_gib=_disk_needed_gib(intent, catalog, image),
        memory_needed_gib=model.host_memory_gib,
        smoke_workload=gpu.smoke_workload,
    )
    return plan.model_copy(update={"notes": notes(plan, catalog, demand)})


def _may_have(intent: HostIntent) -> tuple[int, ...]:
    """Indices of the GPUs that the engine may have, in the order in which it takes them."""
    return intent.gpus or tuple(range(intent.gpu_count))


def _used(intent: HostIntent, tp: int) -> tuple[int, ...]:
    """Indices of the GPUs that the host's ranks take."""
    return _may_have(intent)[: tp // max(1, len(intent.nodes))]


def _demand(intent: HostIntent, catalog: Catalog) -> Demand:
    version = intent.sglang_version or catalog.runtimes.sglang[intent.accelerator]
    return Demand(
        model=catalog.model(intent.model),
        gpu=catalog.gpu(intent.hardware),
        gpu_count=len(_may_have(intent)) * max(1, len(intent.nodes)),
        nodes=max(1, len(intent.nodes)),
        engine=catalog.engine(version),
        rules=catalog.engines.memory,
        tp=intent.tensor_parallel,
        context_length=intent.context_length,
        mem_fraction_static=intent.mem_fraction_static,
        max_total_tokens=intent.max_total_tokens,
        kv_cache_dtype=profiles.kv_cache_dtype(intent, catalog),
    )


def _fit(demand: Demand, intent: HostIntent, catalog: Catalog) -> Fit:
    if intent.accelerator == "cpu":
        native = catalog.native("cpu")
        return fit_cpu(demand, native.max_total_tokens if native else demand.model.maximum_context_length)
    return fit(demand, tuple(catalog.models.values()))


def _native(intent: HostIntent, catalog: Catalog) -> NativeEnvironment | None:
    """Return the catalog's settings of an engine that needs more than its model's; on a CPU in a container too."""
    used = intent.runtime == "native" or intent.accelerator == "cpu"
    return catalog.native(intent.accelerator) if used else None


def _engine_environment(intent: HostIntent, catalog: Catalog, sources: Sources) -> EngineEnvironment | None:
    """Name the native environment; a site's own requirements pin torch themselves, or the host has it."""
    if intent.runtime != "native":
        return None
    name, known = requirements_file(intent, catalog), _native(intent, catalog)
    own = bool(intent.engine_requirements) or known is None
    torch, index = ("", "") if own or known is None else (known.torch, known.torch_index)
    if intent.host_torch:
        torch, index = f"torch=={intent.host_torch}", ""
    digest = environment_digest(sources.requirements[name], torch, intent.python, sources.shims)
    return EngineEnvironment(requirements=name, digest=digest, torch=torch, torch_index=index)


def is_weightless(intent: HostIntent, model: Model) -> bool:
    """Tell whether the host makes the model's files itself, without weights: speed is real then, the text is noise."""
    return intent.load_format == "dummy" and intent.runtime == "native" and bool(model.weightless)


def _files(intent: HostIntent, model: Model, sources: Sources) -> ModelFiles:
    if is_weightless(intent, model):
        return model_files(model, weightless=sources.weightless.get(model.name, ""))
    return model_files(model, sources.weights.get(model.repository) if model.source == "hub" else None)


def model_files(model: Model, pin: WeightPin | None = None, *, weightless: str = "") -> ModelFiles:
    """Name a model's files on a host; the directory's name tells recipes and revisions apart.

    Args:
        pin: what the site has pinned its repository to.
        weightless: digest of what makes them without weights, '' where they have theirs.
    """
    revision, source, recipe = pin.revision if pin else model.revision, model.source, model.recipe
    mark = (revision or "main")[:REVISION_DIGITS]
    if recipe:
        mark = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:RECIPE_DIGITS]
    return ModelFiles(
        source="weightless" if weightless else source,
        repository=model.repository,
        revision=revision,
        directory=f"{model.name}-weightless-{weightless}" if weightless else f"{model.name}-{mark}",
        recipe={"configuration": model.weightless} if weightless else recipe,
        exclude=model.exclude,
        digest=pin.digest if pin and not weightless else "",
    )


def _arguments(
    intent: HostIntent, catalog: Catalog, chosen: Fit, style: Style, files: ModelFiles, version: str
) -> tuple[str, ...]:
    """Write SGLang's arguments; raises PlanError for one that the planned version does not have."""
    model, native = catalog.model(intent.model), _native(intent, catalog)
    local = style.local_files or files.source != "hub"
    launch = Launch(
        model_path=str(HostLayout.of(intent.home).model(files.directory)) if local else model.repository,
        served_model_name=model.served_model_name,
        listen=intent.listen,
        port=intent.port,
        context_length=chosen.context_length,
        tp=chosen.tp,
        mem_fraction_static=chosen.mem_fraction_static,
        max_total_tokens=chosen.kv_pool_tokens if intent.accelerator == "cpu" else intent.max_total_tokens,
        kv_cache_dtype=profiles.kv_cache_dtype(intent, catalog),
        load_format=intent.load_format,
        tool_call_parser=model.tool_call_parser if style.tool_calling else "",
        nodes=len(intent.nodes),
        rank=intent.nodes.index(intent.name) if intent.nodes else 0,
        nodes_address=intent.nodes_address or "",
        extra=(
            *(native.arguments if native else ()),
            *(catalog.engine(version).vision_arguments if model.vision else ()),
            *profiles.arguments(profiles.chosen(intent, catalog, chosen.tp, version)),
        ),
    )
    words = arguments(launch)
    unknown = unknown_flags(words, catalog.engines, version)
    if unknown:
        found = [f"SGLang {version} has no {flag}; take another fleet_sglang_version" for flag in unknown]
        raise PlanError([f"{intent.name}: {problem}" for problem in found], fix=FIX, host=intent.name)
    return words


def with_variables(plan: DeploymentPlan, intent: HostIntent, variables: Mapping[str, str]) -> DeploymentPlan:
    """Return the plan with what the host's own environment sets for its GPUs; nothing overrides that.

    Raises:
        PlanError: `fleet_environment` sets one of them to something else.
    """
    wanted = {name: value for name, value in intent.environment.items() if variables.get(name, value) != value}
    if wanted:
        said = (f"the host sets {name}={variables[name]}, fleet_environment {value}" for name, value in wanted.items())
        raise PlanError(
            [f"{intent.name}: {text}" for text in said],
            fix=f"leave it out of fleet_environment of {intent.name}",
            host=intent.name,
        )
    return plan.model_copy(update={"environment": environment(plan.environment, variables)})


def _environment(intent: HostIntent, catalog: Catalog, style: Style, chosen: Fit) -> dict[str, str]:
    native = _native(intent, catalog)
    local = style.local_files or catalog.model(intent.model).source == "generated"
    return environment(
        OFFLINE if local else {},
        native.environment if native else {},
        _visible(intent, chosen.tp),
        intent.environment,
    )


def _visible(intent: HostIntent, tp: int) -> dict[str, str]:
    """Return what keeps a native engine to its GPUs, counted as nvidia-smi counts; a container is given no others."""
    if not intent.gpus or intent.runtime != "native":
        return {}
    indices = ",".join(map(str, _used(intent, tp)))
    if intent.accelerator == "amd":
        return {"HIP_VISIBLE_DEVICES": indices}
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": indices}


def _disk_needed_gib(intent: HostIntent, catalog: Catalog, image: Image | None) -> float:
    """Room for the model's files and for the image or environment, GiB."""
    runtime = image or _native(intent, catalog)
    return round(catalog.model(intent.model).files_gib + (runtime.disk_gib if runtime else 0.0), 2)
