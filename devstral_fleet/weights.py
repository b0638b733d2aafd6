"""Which files of which revision a model is, by the hub's own words: `models.lock.yml` beside the inventory (pure).

A revision and its hashes come from a hub (`invoke models --pin`) or are not there; none is ever made up.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError, field_validator

from devstral_fleet.catalog.hub import Hub
from devstral_fleet.errors import ConfigurationError
from devstral_fleet.events import duration
from devstral_fleet.model import Value
from devstral_fleet.plan import ModelFiles

FILE = "models.lock.yml"
MANIFEST = ".weights.json"
"""Stands in a model's directory where every file of its pin is there and right. Written by fetch_model.py."""
HEAD = "# Repository: revision and files, as its hub said. Written by `invoke models --pin`; plans take these.\n"
BYTES_PER_GIB, GIGA, MEGA = 1024**3, 1e9, 1e6
FIX = ".venv/bin/invoke models --pin --host NAME writes it anew once it is removed"


class WeightFile(Value):
    """One file of a repository."""

    size: int = Field(ge=0)
    """Bytes."""
    hash: str = Field(pattern=r"^(sha256:[0-9a-f]{64}|git:[0-9a-f]{40})$")
    """What the hub says of its content: SHA-256 of a large file, git's blob id (SHA-1) of one that lies in git."""


class WeightPin(Value):
    """A repository at one commit."""

    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    files: dict[str, WeightFile] = Field(min_length=1)
    """By path in the repository; only what is served."""

    @field_validator("files")
    @classmethod
    def _stay_in_their_folder(cls, files: dict[str, WeightFile]) -> dict[str, WeightFile]:
        for name in files:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"'{name}' leads out of the model's folder")
        return files

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())

    @property
    def digest(self) -> str:
        """SHA-256 over paths, sizes and hashes: equal for equal files, whatever the revision."""
        content = {name: [file.size, file.hash] for name, file in self.files.items()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


Mode = Literal["bring", "copy", "accept", "verify"]
"""Download what is missing; copy it from another host; take files that somebody brought, if they are right; read again
what was brought."""
Pins = Mapping[str, WeightPin]
_PINS = TypeAdapter(dict[str, WeightPin])


def read(text: str, path: str) -> dict[str, WeightPin]:
    """Return {repository: pin}; '' for a file that is not there is no pins.

    Raises:
        ConfigurationError: the text is no such mapping; `path` and the key are named.
    """
    try:
        return _PINS.validate_json(json.dumps(yaml.safe_load(text) or {}))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: it is no YAML", fix=FIX, evidence=str(error).splitlines()) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise ConfigurationError(f"{path}: {where}: {first['msg']}", fix=FIX) from error


def written(pins: Pins) -> str:
    """Return the file's text, sorted."""
    held = {name: pin.model_dump(mode="json") for name, pin in pins.items()}
    return HEAD + yaml.safe_dump(held, sort_keys=True, width=1000)


def needed(paths: Iterable[str], exclude: Iterable[str]) -> list[str]:
    """Return the files that are served: all but those that one of the patterns names."""
    patterns = tuple(exclude)
    return sorted(path for path in paths if not any(fnmatchcase(path, pattern) for pattern in patterns))


def marker(files: ModelFiles) -> str:
    """Return the name of the file without which a model's directory is not complete."""
    if files.source != "hub":
        return ".complete"
    return MANIFEST if files.digest else "config.json"


def wanted(
    pin: WeightPin,
    hub: Hub,
    *,
    repository: str,
    endpoint: str,
    directory: str,
    mode: Mode,
    copy: Sequence[str] = (),
) -> str:
    """Return what fetch_model.py is told, as JSON.

    Args:
        copy: words that copy what is missing from another host; a list of files and the folder follow them.
    """
    return json.dumps(
        {
            "repository": repository,
            "revision": pin.revision,
            "endpoint": endpoint,
            "directory": directory,
            "files": {name: [file.size, file.hash] for name, file in pin.files.items()},
            "reserve_bytes": int(hub.reserve_gib * BYTES_PER_GIB),
            "attempts": hub.attempts,
            "longest_wait_s": hub.longest_wait_s,
            "mode": mode,
            "copy": list(copy),
        }
    )


class Said(Value):
    """One line of fetch_model.py: how far it is, or its end."""

    bytes: int | None = None
    total: int | None = None
    doing: str = ""
    end: Literal["complete", "there", "right", ""] = ""
    error: str = ""
    fix: str = ""


def said(text: str) -> Said:
    """Return the newest whole line of its standard output that can be read."""
    for line in reversed(text.splitlines()):
        with suppress(ValidationError):
            return Said.model_validate_json(line)
    return Said()


def words(now: Said, came_bytes: int, elapsed_s: float) -> str:
    """Say how far a download is, how fast it is, and about how long it will take.

    Args:
        came_bytes: what came since it was looked at first, `elapsed_s` seconds ago.
    """
    if now.bytes is None or now.total is None:
        return now.doing
    rate = came_bytes / elapsed_s if elapsed_s > 0 else 0.0
    text = f"{now.bytes / GIGA:.1f} of {now.total / GIGA:.1f} GB"
    if rate > 0:
        text += f", {rate / MEGA:.0f} MB/s, about {duration((now.total - now.bytes) / rate)} left"
    return f"{text} ({now.doing})" if now.doing else text
