"""Verbs of images: build, images."""

from typing import TYPE_CHECKING

from devstral_fleet.cli.verb import verb

if TYPE_CHECKING:
    from devstral_fleet.console import Console
    from devstral_fleet.errors import ExitCode


@verb(
    image="catalog name of the image that ours is built from (docs/catalog.md)",
    host="hosts whose plans say which image is built",
    base="another image to build from",
    on="host of the inventory that builds (default: this machine)",
    push="registry that gets the image, such as registry.site/team",
    save="file that gets the image, for docker load",
)
def build(
    console: "Console",
    image: str = "",
    host: str = "",
    inventory: str = "",
    base: str = "",
    on: str = "",
    push: str = "",
    save: str = "",
    check: bool = False,
    json: bool = False,
) -> "ExitCode":
    """Build an image of ours, once; one that is there by its name is left as it is."""
    from devstral_fleet.workflows import build as workflow

    return workflow.build(console, workflow.Order(image, base, host, inventory, on, push, save, check))


@verb(pin="ask registries for the digests of images, and keep them beside the inventory; without --host, the catalog's")
def images(
    console: "Console", host: str = "", inventory: str = "", pin: bool = False, check: bool = False, json: bool = False
) -> "ExitCode":
    """Bring the planned image to hosts without touching what serves; or pin images to their digests."""
    from devstral_fleet.workflows import images as workflow
    from devstral_fleet.workflows.planning import Ask

    ask = Ask(host, inventory)
    return workflow.pin(console, ask, check=check) if pin else workflow.images(console, ask, check=check)


TASKS = (build, images)
