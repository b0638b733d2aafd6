"""A simulated host's files in a directory of a test, with the changes that a case asks for."""

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from devstral_fleet.lab import simulation
from devstral_fleet.layout import SIMULATION


@cache
def recorded(name: str) -> dict[str, bytes]:
    """Files of a simulated host."""
    return simulation.named(name).files()


@dataclass
class SimulatedRoot:
    """What probes look at, below `root`."""

    root: Path

    def fill(self, case: dict[str, Any]) -> None:
        """Write the files of the case's host ('none' has none), then its changes."""
        if case["host"] != "none":
            for path, content in recorded(case["host"]).items():
                if Path(path).is_relative_to(SIMULATION):
                    self.write(str(Path(path).relative_to(SIMULATION)), content.decode())
        for path, text in case.get("files", {}).items():
            self.write(path, text)

    def write(self, path: str, text: str | None) -> None:
        """Write a file; None removes it, or the folder that it is."""
        file = self.root / path
        if text is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        elif file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink()
