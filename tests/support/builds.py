"""Builds of images of ours as values, from the files of this checkout."""

from devstral_fleet import catalog as catalogs
from devstral_fleet import image_choice
from devstral_fleet.image_choice import Wish
from devstral_fleet.image_spec import ImageSpec
from devstral_fleet.sources import Sources
from devstral_fleet.workflows.planning import recipe_files

CATALOG = catalogs.load()
PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def spec_of(name: str, **wish: object) -> ImageSpec:
    """The build of a catalog's image; `wish` replaces what is asked of it."""
    image = CATALOG.image(name)
    sources = Sources(
        requirements={"engine-cpu.lock": b"sglang==1 --hash=sha256:0\n", "own.lock": b"sglang==2\n"},
        recipes={image.recipe: recipe_files(image.recipe)},
        pins={"site.example/base:1": "sha256:" + "a" * 64},
        trust={"/site/ca.pem": PEM + b"words between\n" + PEM},
    )
    known: dict[str, object] = {"image": image, "version": "0.5.20", "requirements": "engine-cpu.lock"}
    return image_choice.spec(Wish(**{**known, **wish}), CATALOG, sources)  # type: ignore[arg-type]
