"""What images of ours are built from in tests; no image registry is asked.

`engine_base` is the lab's own smallest Debian. `published` stands for the images of SGLang, which cannot be had here:
the same Debian with the pip of its package python3-venv, and the replay engine's wheels installed where such an image
has its packages; their versions were recorded from the real ones (tests/support/engine/README.md).
"""

import io
import tarfile
import tempfile
from pathlib import Path

from docker.client import DockerClient

from devstral_fleet.lab import image
from tests.support.engine.wheel import unpack
from tests.support.host_container import CACHE

PLACE = "/usr/lib/python3/dist-packages"
PUBLISHED = f"""\
COPY site/ {PLACE}/
RUN python3 -m zipfile -e /usr/share/python-wheels/pip-*.whl {PLACE}
USER 1234
"""


def engine_base(client: DockerClient) -> str:
    """Have the Debian root that the lab's engines are built from; return its name."""
    return image.ensure(client, CACHE, image.ENGINE_BASE)


def engine_root() -> Path:
    """That root as a tar, for another machine's Docker engine; it is there once `engine_base` made it."""
    return CACHE / f"{image.ENGINE_BASE.repository}-{image.ENGINE_BASE.tag}.tar"


def published(client: DockerClient, name: str, **changes: bytes) -> str:
    """Build a stand-in for a published image, with that name.

    Args:
        changes: content of files of its packages instead of theirs, by module (`transformers`) or `METADATA` of one.
    """
    with tempfile.TemporaryDirectory() as folder:
        site = unpack(Path(folder))
        files = {f"site/{path.relative_to(site)}": path.read_bytes() for path in site.rglob("*") if path.is_file()}
    files = {path: content for path, content in {**files, **_changed(files, changes)}.items() if content}
    text = f"FROM {engine_base(client)}\n{PUBLISHED}"
    client.images.build(fileobj=_packed({**files, "Dockerfile": text.encode()}), custom_context=True, tag=name, rm=True)
    return name


def _changed(files: dict[str, bytes], changes: dict[str, bytes]) -> dict[str, bytes]:
    """Return {path: content} of what is changed; b'' takes a file away."""
    found: dict[str, bytes] = {}
    for name, content in changes.items():
        package, _, part = name.partition("__")
        ending = f"{package}/__init__.py" if part == "module" else ".dist-info/METADATA"
        paths = [path for path in files if path.startswith(f"site/{package}") and path.endswith(ending)]
        assert paths, name
        found |= dict.fromkeys(paths, content)
    return found


def _packed(files: dict[str, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    return packed
