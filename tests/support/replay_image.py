"""The replay engine as a container image: a small Debian with Python, and the engine as its top layer.

The root is made once, with mmdebstrap, and kept under .cache; no image registry is asked.
"""

import hashlib
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from docker.client import DockerClient
from docker.errors import ImageNotFound

from devstral_fleet.lab.image import SUITE, mirror
from tests.support.engine.wheel import unpack
from tests.support.fleet import ROOT

CACHE = ROOT / ".cache" / "replay-image"
PACKAGES = "python3-minimal,libpython3-stdlib,curl"
PLACE = "/usr/lib/python3/dist-packages"


def replay_image(client: DockerClient, mark: bytes = b"") -> str:
    """Build the image where the engine does not have it; return its name. Another `mark` is another top layer."""
    packed = _context(base_image(client), mark)
    name = f"fleet-replay:{hashlib.sha256(packed).hexdigest()[:12]}"
    try:
        client.images.get(name)
    except ImageNotFound:
        client.images.build(fileobj=io.BytesIO(packed), custom_context=True, tag=name, rm=True, forcerm=True)
    return name


def base_image(client: DockerClient) -> str:
    """Import the root where the engine does not have it; return its name."""
    tag = hashlib.sha256(f"{SUITE} {PACKAGES}".encode()).hexdigest()[:12]
    name = f"fleet-replay-base:{tag}"
    try:
        client.images.get(name)
    except ImageNotFound:
        client.api.import_image_from_file(str(_root(tag)), repository="fleet-replay-base", tag=tag)
    return name


def _root(tag: str) -> Path:
    path = CACHE / f"{tag}.tar"
    if not path.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.tar")
        words = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(partial), mirror()]
        subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        partial.rename(path)
    return path


def _context(base: str, mark: bytes) -> bytes:
    """Pack Dockerfile and engine."""
    lines = [
        f"FROM {base}",
        f"COPY site/ {PLACE}/",
        "COPY mark /mark",
        "ENV REPLAY_START_MS=50",
        "USER 10001:10001",
        "",
    ]
    files = {"Dockerfile": "\n".join(lines).encode(), "mark": mark}
    with tempfile.TemporaryDirectory() as folder:
        site = unpack(Path(folder))
        files |= {f"site/{path.relative_to(site)}": path.read_bytes() for path in site.rglob("*") if path.is_file()}
    return packed_context(files)


def packed_context(files: Mapping[str, bytes]) -> bytes:
    """Return the tar of a build's context; equal files make equal bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
