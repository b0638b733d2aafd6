"""What a bundle carries beside its wheels, where it is asked to: the files of models, and images as archives."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from devstral_fleet import project, weights
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.images import engine

MODELS, IMAGES = "models", "images"
"""Folders of the installation that they come to."""
MARKERS = (weights.MANIFEST, ".complete")
"""One of them stands in the folder of a model that is whole."""


def require_whole(folders: Iterable[Path]) -> None:
    """Raise ConfigurationError for a folder that no host's `models` would have as it is."""
    for folder in folders:
        if not any((folder / marker).is_file() for marker in MARKERS):
            raise ConfigurationError(
                f"--models {folder}: no model's files are there, or not all of them",
                fix="name a folder of a host's fleet_home/models, complete: .venv/bin/invoke models --host NAME",
            )


def model_files(folders: Sequence[Path]) -> dict[str, Path]:
    """Return every file of the models, by its name in the bundle, and the pins by which a plan knows them."""
    pins = project.ROOT / "inventory" / weights.FILE
    found = {
        f"{MODELS}/{folder.name}/{path.relative_to(folder)}": path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }
    return found | ({f"inventory/{weights.FILE}": pins} if folders and pins.is_file() else {})


def image_archives(references: Sequence[str], folder: Path, console: Console) -> dict[str, str]:
    """Write images of this machine's Docker engine as `docker load` reads them; return {file in the bundle: image}.

    Raises:
        DependencyError: no engine answers. ImageError: it does not have an image.
    """
    folder.mkdir()
    archives = {f"{IMAGES}/{number}.tar": reference for number, reference in enumerate(references)}
    for name, reference in archives.items():
        engine.save(reference, folder / Path(name).name, console.step)
    return archives
