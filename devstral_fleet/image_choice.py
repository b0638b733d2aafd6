"""Which image a host's plan has (pure): the site's own, one of ours that is built, or a published one."""

from dataclasses import dataclass

from devstral_fleet import image_pins
from devstral_fleet.catalog import Catalog
from devstral_fleet.catalog.schema import Image
from devstral_fleet.image_spec import REQUIREMENTS, ImageSpec
from devstral_fleet.intent import Accelerator, HostIntent
from devstral_fleet.plan import ImageChoice
from devstral_fleet.problems import is_built, requirements_file
from devstral_fleet.sources import Sources


@dataclass(frozen=True)
class Wish:
    """What one build of ours is asked to be; '' leaves a name to the catalog.

    `requirements` names a CPU engine's packages; `own_requirements`: they are the site's, and pin torch themselves.
    """

    image: Image
    version: str
    base: str = ""
    requirements: str = ""
    own_requirements: bool = False
    bundle: str = ""


def catalog_image(intent: HostIntent, catalog: Catalog, driver: str) -> Image | None:
    """Return the preferred image whose driver floor the host meets; the preferred one where nothing is known.

    None on the native runtime, and where a site's own image replaces one that the catalog does not have.
    """
    images = [catalog.image(name) for name in catalog.gpu(intent.hardware).images]
    if intent.runtime == "native" or not images:
        return None
    able = [image for image in images if not driver or _release(driver) >= _release(image.driver_minimum)]
    return (able or images)[0]


def choice(
    intent: HostIntent, catalog: Catalog, sources: Sources, image: Image | None, version: str
) -> ImageChoice | None:
    """Return the plan's image; `image` is the catalog's for this host. None on the native runtime."""
    if intent.runtime == "native":
        return None
    if intent.image:
        return _own(intent.image, sources)
    if image is None:
        return None
    if is_built(intent, catalog):
        return built(spec(wish(intent, catalog, image, version), catalog, sources))
    reference = image_pins.pinned(image.reference(version), sources.pins)
    return ImageChoice(
        name=image.name, base=image.base, reference=reference, digest=image_pins.digest_of(reference) or None
    )


def wish(intent: HostIntent, catalog: Catalog, image: Image, version: str) -> Wish:
    """Return what a host's inventory asks of a build of ours."""
    return Wish(
        image=image,
        version=version,
        base=intent.image_base or "",
        requirements=requirements_file(intent, catalog),
        own_requirements=bool(intent.engine_requirements),
        bundle=intent.ca_bundle or "",
    )


def spec(wanted: Wish, catalog: Catalog, sources: Sources) -> ImageSpec:
    """Return the whole of one build; what it is built from carries its digest where that is pinned."""
    image, native = wanted.image, catalog.native(wanted.image.accelerator)
    torch = native.torch if native and image.recipe == "cpu" and not wanted.own_requirements else ""
    lock = {REQUIREMENTS: sources.requirements[wanted.requirements]} if image.recipe == "cpu" else {}
    return ImageSpec(
        image=image,
        sglang_version=wanted.version,
        transformers_minimum=catalog.runtimes.transformers_minimum,
        base=image_pins.pinned(wanted.base or image.reference(wanted.version), sources.pins),
        torch=torch,
        torch_index=native.torch_index if native and torch else "",
        health_start_s=health_start_s(catalog, image.accelerator),
        files={**sources.recipes[image.recipe], **lock},
        trust=sources.trust[wanted.bundle] if wanted.bundle else b"",
    )


def built(made: ImageSpec) -> ImageChoice:
    """Return the plan's image of a build of ours."""
    return ImageChoice(
        name=made.image.name, base=made.base, reference=made.reference, digest=None, pulled=False, built=True
    )


def health_start_s(catalog: Catalog, accelerator: Accelerator) -> int:
    """Return for how long the slowest model of an accelerator may load, seconds: an image serves any of them."""
    return max(model.health_deadline_s for model in catalog.models.values() if accelerator in model.accelerators)


def driver_minimum(intent: HostIntent, catalog: Catalog, image: Image | None) -> str:
    """Return the oldest driver for the catalog's image, or for the preferred one where no image is used."""
    names = catalog.gpu(intent.hardware).images
    source = image or (catalog.image(names[0]) if names else None)
    return source.driver_minimum if source else ""


def _own(name: str, sources: Sources) -> ImageChoice:
    pulled = image_pins.has_registry(name) or "@" in name
    reference = image_pins.pinned(name, sources.pins) if pulled else name
    digest = image_pins.digest_of(reference) or None
    return ImageChoice(name="site", base="", reference=reference, digest=digest, pulled=pulled)


def _release(version: str) -> tuple[int, ...]:
    """Return a version's leading numbers, to compare: '580.65.06' is (580, 65, 6)."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())
