"""What a bundle says of itself: `manifest.json`, read by `install.py` on the other side, which has no pydantic."""

from typing import Literal

from pydantic import Field

from devstral_fleet.intent import Accelerator
from devstral_fleet.model import Value

NAME = "manifest.json"
SIGNATURE = "manifest.json.sig"
NAMESPACE = "devstral-fleet"
"""Of ssh-keygen's signatures: one made for something else does not count."""


class FileDigest(Value):
    """One file, by its content."""

    name: str
    """Relative, with `/`."""
    sha256: str
    size_bytes: int


class Manifest(Value):
    """A bundle: what it is for, its parts, and what they unpack to."""

    schema_version: Literal[1] = 1
    id: str
    """Eight hex digits of SHA-256 over all that is in it; the parts carry it in their names."""
    created: str
    """UTC, ISO 8601."""
    toolkit_version: str
    git_commit: str
    accelerator: Accelerator
    sglang_version: str
    python: str
    """Of the toolkit and the engine, such as '3.12': wheels are for one."""
    machine: str
    """`uname -m` of the other side."""
    driver_minimum: str
    """NVIDIA's driver that the engine needs; '' where none is asked for."""
    host_torch: str
    """Version of the torch that the other side has and this bundle leaves out; '' where it brings its own or none."""
    has_lock: bool
    """Whether the engine's lock is the bundle's own (`wheels/engine.lock`), not the project's."""
    images: dict[str, str] = Field(default_factory=dict)
    """File -> image that `docker load` makes of it; with one of them the other side needs no native engine."""
    unpacked_bytes: int
    tool: FileDigest
    """The wheel that reads zstd, carried beside the parts: Python's own library cannot."""
    installer: FileDigest
    parts: tuple[FileDigest, ...] = Field(min_length=1)
    """In the order in which they are joined."""
    files: tuple[FileDigest, ...] = Field(min_length=1)
    """What the joined parts unpack to, by name."""


def part_name(bundle: str, number: int, count: int) -> str:
    """Name a part: 'devstral-fleet-1a2b3c4d.part-03-of-07'."""
    return f"devstral-fleet-{bundle}.part-{number:02d}-of-{count:02d}"
