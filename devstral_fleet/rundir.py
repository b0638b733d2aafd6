"""The run directory: runs/<utc>-<verb>-<id>/, what one invocation of a verb leaves behind."""

import os
import re
import secrets
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from devstral_fleet.errors import ConfigurationError

KEPT_RUNS = 50
_NAME = re.compile(r"\d{8}T\d{6}Z-[a-z]+-[0-9a-f]{6}")
"""What a run's directory is called; $FLEET_RUNS may hold other things, which are not ours to remove."""


class RunDirectory:
    """One run's directory. Files appear whole (written beside, then renamed) and only their owner reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, root: Path, verb: str, *, now: datetime | None = None) -> "RunDirectory":
        """Make a new directory under `root` (0700), and remove all but the newest runs.

        Raises:
            ConfigurationError: it cannot be made.
        """
        stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        path = root / f"{stamp}-{verb}-{secrets.token_hex(3)}"
        try:
            path.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise ConfigurationError(
                f"the run directory {path} cannot be made: {error.strerror}",
                fix="set FLEET_RUNS to a directory that you may write",
            ) from error
        for old in sorted(entry for entry in root.iterdir() if _NAME.fullmatch(entry.name))[:-KEPT_RUNS]:
            with suppress(FileNotFoundError):  # another run removes the same one now
                shutil.rmtree(old)
        return cls(path)

    @property
    def id(self) -> str:
        """The run's id, which the lock, the audit log and the report carry."""
        return self.path.name

    def write_text(self, name: str, text: str) -> Path:
        """Write a file (0600) below the directory; `name` may hold folders."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = target.with_name(f".{target.name}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        partial.replace(target)
        return target
