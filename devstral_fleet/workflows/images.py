"""images: a plan's image onto its hosts, or (--pin) the digests that registries have for images now."""

from collections.abc import Iterable

from devstral_fleet import catalog as catalogs
from devstral_fleet import image_pins, project
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode, ImageError
from devstral_fleet.images import engine
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import planning
from devstral_fleet.workflows.converging import Converging
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask, inventory_path, targets
from devstral_fleet.workflows.rollout import everywhere
from devstral_fleet.workflows.running import Run


def images(console: Console, ask: Ask, *, check: bool) -> ExitCode:
    """Have each host's image in its Docker engine, on several hosts at once; nothing that serves is touched."""
    found, inventory = targets(ask), inventory_path(ask)
    native = [target.name for target in found if target.plan.image is None]
    if native:
        raise ConfigurationError(f"{native[0]} runs the engine without a container", fix="leave it out of --host")
    with Run(console, RunDirectory.create(project.runs(), "images"), "images", ask) as run:

        def step(host: Host) -> None:
            converging = Converging(host, run.directory, inventory)
            if check:
                converging.preview("images.yml", "none")
            else:
                outcome = converging.bring()
                console.host(host.name, "brought" if outcome.changed else "was there already; nothing was sent")
                host.record.outcome = "brought"

        everywhere(run, found, step)
    return run.exit_code


def pin(console: Console, ask: Ask, *, check: bool) -> ExitCode:
    """Ask registries which digest each image has now, and keep the answers beside the inventory.

    Raises:
        ImageError: one of them gave none; the answers of the others are kept.
    """
    file = planning.inventory_directory(inventory_path(ask)) / image_pins.FILE
    before = planning.pins(inventory_path(ask))
    answers, refusals = _asked(console, _references(ask))
    if not check and answers.items() - before.items():
        planning.write_whole(file, image_pins.written({**before, **answers}))
    rows = [(name, digest, _change(before.get(name), digest)) for name, digest in answers.items()]
    console.table(("image", "digest", ""), rows)
    console.pairs([("kept in", f"{file}{' (not written: --check)' if check else ''}")])
    if refusals:
        raise ImageError(refusals[0].message, fix=refusals[0].fix, evidence=[each.message for each in refusals[1:]])
    console.document({"file": str(file), "pins": answers})
    return ExitCode.OK


def _references(ask: Ask) -> list[str]:
    """Return what is pinned: what the hosts pull or build from, else every image of the catalog."""
    if ask.host:
        names = (_pulled(target.plan) for target in targets(ask))
        return sorted({name.partition("@")[0] for name in names if name})
    catalog = catalogs.load()
    return [image.reference(catalog.runtimes.sglang[image.accelerator]) for image in catalog.images.values()]


def _pulled(plan: DeploymentPlan) -> str:
    image = plan.image
    if image is None or not (image.built or image.pulled):
        return ""
    return image.base if image.built else image.reference


def _asked(console: Console, references: Iterable[str]) -> tuple[dict[str, str], list[ImageError]]:
    answers, refusals = dict[str, str](), list[ImageError]()
    for name in references:
        console.step(name)
        try:
            answers[name] = engine.digest(name)
        except ImageError as error:
            refusals.append(error)
    return answers, refusals


def _change(before: str | None, now: str) -> str:
    if before is None:
        return "new"
    return "as before" if before == now else f"was {before}"
