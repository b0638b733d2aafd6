"""From `--host` to plans: catalog, inventory, resolve. Every problem of every host at once, nothing contacted."""

import hashlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from devstral_fleet import catalog as catalogs
from devstral_fleet import image_choice, image_pins, inventory, launch, project, resolve, weights
from devstral_fleet.catalog import Catalog
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.image_spec import RECIPES, ImageSpec
from devstral_fleet.intent import HostIntent
from devstral_fleet.layout import HostLayout
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.problems import is_built
from devstral_fleet.sources import Sources
from devstral_fleet.weights import WeightPin


@dataclass(frozen=True)
class Ask:
    """What the command line said about hosts; '' and 0 mean that it said nothing."""

    host: str
    inventory: str = ""
    model: str = ""
    context_length: int = 0
    tensor_parallel: int = 0

    def overrides(self) -> dict[str, object]:
        """The inventory's keys that the command line replaces."""
        said = {"model": self.model, "context_length": self.context_length, "tensor_parallel": self.tensor_parallel}
        return {key: value for key, value in said.items() if value}


@dataclass(frozen=True)
class Target:
    """One host of this run: what the inventory wants and what was decided."""

    intent: HostIntent
    plan: DeploymentPlan

    @property
    def name(self) -> str:
        return self.intent.name

    @property
    def layout(self) -> HostLayout:
        return HostLayout.of(self.plan.home)


def intents(ask: Ask) -> list[HostIntent]:
    """Ask the inventory for the hosts that were named, with the command line's overrides."""
    if not ask.host:
        raise ConfigurationError("no host was named", fix="add --host NAME; `.venv/bin/invoke plan --host all` lists")
    overrides = ask.overrides()
    return [intent.model_copy(update=overrides) for intent in inventory.load(inventory_path(ask), ask.host)]


def inventory_path(ask: Ask) -> Path:
    """Path of the inventory: --inventory, else $FLEET_INVENTORY, else the checkout's."""
    return inventory.resolve_path(ask.inventory or None, os.environ, Path.cwd())


def inventory_directory(path: Path) -> Path:
    """Directory of the inventory at `path`, where a host's own baselines lie too."""
    return path if path.is_dir() else path.parent


def targets(ask: Ask) -> list[Target]:
    """Resolve a plan for every host that was named, or raise PlanError with every problem of every host."""
    wanted = intents(ask)
    catalog = catalogs.load()
    plans = resolve.resolve_all(wanted, catalog, sources(wanted, catalog, inventory_path(ask)))
    return [Target(intent, with_own_variables(plans[intent.name], intent)) for intent in wanted]


def with_own_variables(plan: DeploymentPlan, intent: HostIntent) -> DeploymentPlan:
    """Return the plan with what this machine's environment sets for its GPUs, where it is the host."""
    if intent.connection.kind != "local":
        return plan
    names = gpu_variables(plan.accelerator)
    found = {name: value for name, value in sorted(os.environ.items()) if name.startswith(names)}
    return resolve.with_variables(plan, intent, found)


def gpu_variables(accelerator: str) -> tuple[str, ...]:
    """First letters of the variables that a host sets for its GPUs; () on a CPU."""
    return () if accelerator == "cpu" else catalogs.load().runtimes.hosts.gpu_variables


def sources(wanted: list[HostIntent], catalog: Catalog, inventory: Path) -> Sources:
    """Read the files that plans are named by: pins, requirements, shims, and all that an image of ours is made from."""
    files = {name: requirements_path(name) for name in resolve.requirements_files(wanted, catalog)}
    shims = sorted(path for path in project.SHIMS.rglob("*") if path.suffix in {".py", ".pth"})
    recipes = {catalog.image(name).recipe for intent in wanted for name in image_names(intent, catalog)}
    bundles = {intent.ca_bundle: Path(intent.ca_bundle) for intent in wanted if intent.ca_bundle}
    return Sources(
        requirements={name: path.read_bytes() for name, path in files.items() if path.is_file()},
        shims=b"".join(path.read_bytes() for path in shims),
        pins=pins(inventory),
        weights=weight_pins(inventory),
        recipes={recipe: recipe_files(recipe) for recipe in recipes},
        weightless={model.name: _made_of(model.weightless) for model in catalog.models.values() if model.weightless},
        trust={name: path.read_bytes() for name, path in bundles.items() if path.is_file()},
    )


def _made_of(configuration: str) -> str:
    """Digest of the files that make a model without its weights: 12 hex digits."""
    found = hashlib.sha256()
    for name in (configuration, "chat_template.jinja", "make_weightless_model.py"):
        found.update((project.MODEL_MAKERS / name).read_bytes())
    return found.hexdigest()[:12]


def spec(intent: HostIntent, plan: DeploymentPlan, inventory: Path) -> ImageSpec:
    """Return the whole build of a plan's image, which is one of ours.

    Raises:
        ConfigurationError: what it is made from has changed since the plan was made.
    """
    assert plan.image is not None  # noqa: S101 - the caller's plan has one of ours
    catalog = catalogs.load()
    wish = image_choice.wish(intent, catalog, catalog.image(plan.image.name), plan.sglang_version)
    made = image_choice.spec(wish, catalog, sources([intent], catalog, inventory))
    if made.reference != plan.image.reference:
        raise ConfigurationError(
            f"{intent.name}: what {plan.image.reference} is made from has changed since it was planned",
            fix="the same command again",
        )
    return made


def image_names(intent: HostIntent, catalog: Catalog) -> tuple[str, ...]:
    """Catalog names of the images that ours for this host may be built from; none where it runs another."""
    return catalog.gpu(intent.hardware).images if is_built(intent, catalog) else ()


def recipe_files(recipe: str) -> dict[str, bytes]:
    """Read the files of the checkout that an image of ours is made from, by their path in the build."""
    found = {}
    for place, name in RECIPES[recipe].items():
        top = project.ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                found[str(PurePosixPath(place, path.relative_to(top)))] = path.read_bytes()
    return found


def weight_pins(inventory: Path) -> dict[str, WeightPin]:
    """Read which files of which revision the site's models are; none where nobody has pinned any."""
    path = inventory_directory(inventory) / weights.FILE
    return weights.read(path.read_text() if path.is_file() else "", str(path))


def write_whole(file: Path, text: str) -> None:
    """Write a file of pins whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text)
    partial.replace(file)


def pins(inventory: Path) -> dict[str, str]:
    """Read which digests the site's images are pinned to; none where nobody has pinned any."""
    path = inventory_directory(inventory) / image_pins.FILE
    return image_pins.read(path.read_text() if path.is_file() else "", str(path))


def requirements_path(name: str) -> Path:
    """The catalog names files of requirements/; a site names a path of its own."""
    return project.REQUIREMENTS / name if Path(name).name == name else Path(name)


def plan(console: Console, ask: Ask) -> ExitCode:
    """Show the plan of each host."""
    found = targets(ask)
    for target in found:
        show(console, target.plan)
    console.document({target.name: target.plan.model_dump(mode="json") for target in found})
    return ExitCode.OK


def show(console: Console, plan: DeploymentPlan) -> None:
    """Print one plan: what it serves, how its memory is divided, the command."""
    memory = plan.memory
    gpus = f" x {len(plan.gpus)}" if plan.gpus else ""
    pool = f"{plan.kv_pool_tokens:,} tokens of keys and values"
    rows = [
        ("model", f"{plan.model} ({plan.repository}) as {plan.served_model_name}"),
        ("on", f"{plan.hardware}{gpus}, {plan.runtime}, SGLang {plan.sglang_version}"),
        ("context", f"{plan.context_length:,} tokens a request; {pool}"),
        ("endpoint", f"{plan.base_url}/v1"),
        ("home", plan.home),
    ]
    if memory:
        parts = f"{memory.weights_gib:.1f} GiB weights + {memory.kv_pool_gib:.1f} GiB pool"
        rows.append(("memory", f"{parts} of {memory.gpu_memory_mib / 1024:.1f} GiB a GPU, tensor parallel {plan.tp}"))
    if plan.image:
        rows.append(("image", plan.image.reference))
    set_there = [
        f"{name}={value}"
        for name, value in plan.environment.items()
        if name.startswith(gpu_variables(plan.accelerator))
    ]
    if plan.nodes > 1:
        rows.append(("started with", shlex.join(launch.command(plan))))
    rows += [("GPU variables", " ".join(set_there))] if set_there else []
    rows += [("note", note) for note in plan.notes]
    console.say(f"plan for {plan.host} ({plan.digest})")
    console.pairs(rows)
