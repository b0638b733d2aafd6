"""Where the project's own files lie on the controller: a checkout is the installation."""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLAYBOOKS = ROOT / "playbooks"
REQUIREMENTS = ROOT / "requirements"
CACHE = ROOT / ".cache"
COMMIT = ROOT / ".commit"
"""The commit that a bundle was made of; a checkout asks git."""
MODEL_MAKERS = PLAYBOOKS / "roles" / "model_files" / "files"
SHIMS = PLAYBOOKS / "roles" / "engine_environment" / "files" / "shims"


def playbooks_digest() -> str:
    """SHA-256 of the names and contents of all files below playbooks/."""
    found = hashlib.sha256()
    for path in sorted(path for path in PLAYBOOKS.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        found.update(f"{path.relative_to(PLAYBOOKS)}\0{path.stat().st_size}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def runs() -> Path:
    """Directory of the run directories: $FLEET_RUNS, else runs/ in the checkout."""
    return Path(os.environ.get("FLEET_RUNS") or ROOT / "runs")


def lab() -> Path:
    """Directory of the lab: $FLEET_LAB, else .lab/ in the checkout."""
    return Path(os.environ.get("FLEET_LAB") or ROOT / ".lab").absolute()
