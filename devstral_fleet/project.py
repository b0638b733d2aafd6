"""Where the project's own files lie on the controller: a checkout is the installation."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLAYBOOKS = ROOT / "playbooks"
REQUIREMENTS = ROOT / "requirements"
CACHE = ROOT / ".cache"
SHIMS = PLAYBOOKS / "roles" / "engine_environment" / "files" / "shims"


def runs() -> Path:
    """Directory of the run directories: $FLEET_RUNS, else runs/ in the checkout."""
    return Path(os.environ.get("FLEET_RUNS") or ROOT / "runs")


def lab() -> Path:
    """Directory of the lab: $FLEET_LAB, else .lab/ in the checkout."""
    return Path(os.environ.get("FLEET_LAB") or ROOT / ".lab").absolute()
