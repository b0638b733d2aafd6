"""Where a lab lies and what its things are called. Two checkouts' labs live side by side: names carry the lab's id."""

import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LABEL = "devstral-fleet.lab"
"""Label of everything that a lab makes in the Docker engine; its value is the lab's id."""
HOST_LABEL = "devstral-fleet.lab.host"
SIMULATED_LABEL = "devstral-fleet.lab.simulated"
"""What a simulated host stands for."""


@dataclass(frozen=True)
class Lab:
    """One lab. `directory` is absolute and holds its inventory and its hosts' keys; nothing else is in it."""

    directory: Path

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that stand for the directory."""
        return hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]

    @property
    def inventory(self) -> Path:
        return self.directory / "hosts.yml"

    @property
    def labels(self) -> dict[str, str]:
        return {LABEL: self.id}

    @property
    def filters(self) -> dict[str, str]:
        """What the Docker engine is asked for to list this lab's things."""
        return {"label": f"{LABEL}={self.id}"}

    def folder(self, host: str) -> Path:
        """Directory of one host's keys."""
        return self.directory / "hosts" / host

    def name(self, host: str) -> str:
        """Name of the host's container and of its volume."""
        return f"devstral-fleet-lab-{self.id}-{host}"

    def remove_files(self) -> None:
        """Remove what the lab wrote, and baselines of its hosts; what someone else put there stays."""
        for folder in (self.directory / "hosts", self.directory / "baselines"):
            shutil.rmtree(folder, ignore_errors=True)
        self.inventory.unlink(missing_ok=True)
        with suppress(OSError):  # not empty, or not there
            self.directory.rmdir()
