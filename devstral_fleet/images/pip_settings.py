"""What pip on this machine is told to use, and the packages that its folders hold: builds get the same."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from devstral_fleet import image_site
from devstral_fleet.image_site import BuildSite


def read() -> dict[str, str]:
    """Return pip's settings as pip itself puts them together; none where there is no pip."""
    words = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return image_site.settings(done.stdout)


def wheels(site: BuildSite, packages: frozenset[tuple[str, str]]) -> dict[str, Path]:
    """Return {file name: path} of the packages' wheels in the site's folders: find-links, or an index of files."""
    found: dict[str, Path] = {}
    for place in map(Path, site.places):
        paths = {path.name: path for path in _paths(place, packages)}
        found |= {name: paths[name] for name in image_site.wheels(paths, packages) if name not in found}
    return found


def _paths(place: Path, packages: frozenset[tuple[str, str]]) -> Iterator[Path]:
    if place.is_dir():
        yield from (path for path in place.iterdir() if path.is_file())
    for name in image_site.index_folders(packages):
        page = place / name / "index.html"
        if page.is_file():
            linked = ((page.parent / link).resolve() for link in image_site.linked(page.read_text()))
            yield from (path for path in linked if path.is_file())
