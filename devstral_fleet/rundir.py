"""The run directory: runs/<utc>-<verb>-<id>/, what one invocation of a verb leaves behind."""

import json
import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

KEPT_RUNS = 50


class RunDirectory:
    """One run's directory. Files appear whole (written beside, then renamed) and only their owner reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, root: Path, verb: str, *, now: datetime | None = None) -> "RunDirectory":
        """Make a new directory under `root` (0700), and remove all but the newest runs."""
        stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        path = root / f"{stamp}-{verb}-{secrets.token_hex(3)}"
        path.mkdir(mode=0o700, parents=True)
        for old in sorted(entry for entry in root.iterdir() if entry.is_dir())[:-KEPT_RUNS]:
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

    def write_json(self, name: str, value: object) -> Path:
        """Write a JSON file; `value` is plain data, already free of secrets."""
        return self.write_text(name, json.dumps(value, indent=2) + "\n")
