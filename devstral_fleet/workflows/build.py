"""build: an image of ours, on this machine or on a host; then, if asked for, to a registry or into a file."""

from dataclasses import asdict, dataclass
from pathlib import Path

from devstral_fleet import catalog as catalogs
from devstral_fleet import image_choice, project
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.image_choice import Wish
from devstral_fleet.image_site import BuildSite
from devstral_fleet.image_spec import ImageSpec
from devstral_fleet.images import engine
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.sources import Sources
from devstral_fleet.workflows import building, planning
from devstral_fleet.workflows.building import Builder
from devstral_fleet.workflows.planning import Ask


@dataclass(frozen=True)
class Order:
    """What the command line said; '' where it said nothing."""

    image: str = ""
    base: str = ""
    host: str = ""
    inventory: str = ""
    on: str = ""
    push: str = ""
    save: str = ""
    check: bool = False


@dataclass(frozen=True)
class Built:
    """One image, and what became of it; '' and 0 for what was not asked for or is not here to be seen."""

    reference: str
    base: str
    on: str
    built: bool
    id: str = ""
    size_bytes: int = 0
    pushed: str = ""
    saved: str = ""


def build(console: Console, order: Order) -> ExitCode:
    """Build the image that was named, or those that the named hosts' plans have."""
    _require_sense(order)
    builder = _builder(order)
    wanted = _of_hosts(order) if order.host else [(_of_catalog(order), building.site_of(None))]
    if order.save and len(wanted) > 1:
        raise ConfigurationError("these hosts have several images and --save names one file", fix="name one host")
    directory = RunDirectory.create(project.runs(), "build")
    console.record_to(directory.path / "events.jsonl")
    done = [_one(console, directory, spec, site, builder, order) for spec, site in wanted]
    console.document({"run": str(directory.path), "images": [asdict(one) for one in done]})
    return ExitCode.OK


def _require_sense(order: Order) -> None:
    if bool(order.image) == bool(order.host):
        fix = f"--image, one of: {', '.join(catalogs.load().images)}; or --host, whose plan says which"
        raise ConfigurationError("name an image or a host, one of the two", fix=fix)
    if order.host and order.base:
        raise ConfigurationError("a host's base image is fleet_image_base of the inventory", fix="leave --base out")
    if order.on and (order.push or order.save):
        raise ConfigurationError(f"the image would be on {order.on}, not here", fix="leave --on out to push or save it")
    if "://" in order.push:
        raise ConfigurationError(
            f"--push takes a registry, not an address: {order.push}", fix="such as registry.site/team"
        )
    if order.save and not Path(order.save).absolute().parent.is_dir():
        raise ConfigurationError(f"there is no directory for --save {order.save}", fix="make it, or name another file")


def _builder(order: Order) -> Builder:
    if not order.on:
        return Builder()
    ask = Ask(order.on, order.inventory)
    hosts = planning.intents(ask)
    if len(hosts) != 1:
        raise ConfigurationError(f"--on {order.on} means {len(hosts)} hosts", fix="name one host")
    return Builder(hosts[0].name, hosts[0].python, planning.inventory_path(ask))


def _of_catalog(order: Order) -> ImageSpec:
    """Return the build of a catalog's image, with the digests that the inventory's pins have."""
    catalog = catalogs.load()
    image = catalog.image(order.image)
    native = catalog.native(image.accelerator)
    requirements = native.requirements if native and image.recipe == "cpu" else ""
    sources = Sources(
        requirements={requirements: planning.requirements_path(requirements).read_bytes()} if requirements else {},
        recipes={image.recipe: planning.recipe_files(image.recipe)},
        pins=planning.pins(planning.inventory_path(Ask("", order.inventory))),
    )
    version = catalog.runtimes.sglang[image.accelerator]
    return image_choice.spec(Wish(image, version, order.base, requirements), catalog, sources)


def _of_hosts(order: Order) -> list[tuple[ImageSpec, BuildSite]]:
    """Return the builds of the hosts' plans; hosts with the same image have one."""
    ask = Ask(order.host, order.inventory)
    found: dict[str, tuple[ImageSpec, BuildSite]] = {}
    for target in planning.targets(ask):
        image = target.plan.image
        if image is None or not image.built:
            runs = image.reference if image else "the engine without a container"
            raise ConfigurationError(
                f"{target.name} runs {runs}, which nobody builds here", fix="set fleet_image_build: true for it"
            )
        spec = planning.spec(target.intent, target.plan, planning.inventory_path(ask))
        found.setdefault(spec.reference, (spec, building.site_of(target.intent)))
    return list(found.values())


def _one(
    console: Console, directory: RunDirectory, spec: ImageSpec, site: BuildSite, builder: Builder, order: Order
) -> Built:
    with console.phase(builder.host, f"build {spec.image.name}"), building.alone():
        changed = building.build(console, directory, spec, site, builder, check=order.check)
    facts = engine.facts(spec.reference) if builder.is_here and not order.check else None
    rows = [("image", spec.reference), ("", _said(changed, builder, check=order.check))]
    pushed = saved = ""
    if order.push and not order.check:
        with console.phase(builder.host, f"push {spec.image.name}"):
            target = f"{order.push.rstrip('/')}/{spec.reference}"
            pushed = f"{target}@{engine.push(spec.reference, target, console.step)}"
        rows.append(("pushed", f"hosts pull it with fleet_image: {pushed}"))
    if order.save and not order.check:
        with console.phase(builder.host, f"save {spec.image.name}"):
            size = engine.save(spec.reference, Path(order.save).absolute(), console.step)
        saved = str(Path(order.save).absolute())
        rows.append(("saved", f"{saved}, {size / engine.MEGA:.0f} MB; docker load --input {order.save} brings it back"))
    if facts:
        rows.append(("size", f"{facts.size_bytes / engine.MEGA:.0f} MB unpacked"))
    console.pairs(rows)
    return Built(
        reference=spec.reference,
        base=spec.base,
        on=builder.host,
        built=changed,
        id=facts.id if facts else "",
        size_bytes=facts.size_bytes if facts else 0,
        pushed=pushed,
        saved=saved,
    )


def _said(changed: bool, builder: Builder, *, check: bool) -> str:
    where = "this machine" if builder.is_here else builder.host
    if check:
        return f"would be built on {where}" if changed else f"is on {where} already"
    return f"built on {where}" if changed else f"was on {where} already"
