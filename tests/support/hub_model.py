"""A repository of a model as a hub has it, small, and the program that brings it, run as its job runs it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from devstral_fleet import catalog as catalogs
from devstral_fleet import weights
from devstral_fleet.project import MODEL_MAKERS
from devstral_fleet.weights import WeightFile, WeightPin
from tests.support.hub_server import REPOSITORY, Hub, hash_of

LARGE_BYTES = 24_000_000
WEIGHTS = "model-00001-of-00002.safetensors"
OTHER = "model-00002-of-00002.safetensors"
NAMES = ["config.json", WEIGHTS, OTHER, "tekken.json"]
CONTENT = {
    "README.md": b"# A card\n",
    "config.json": b'{"model_type": "mistral3"}\n',
    WEIGHTS: os.urandom(LARGE_BYTES),
    OTHER: os.urandom(LARGE_BYTES // 4),
    "consolidated.safetensors": bytes(LARGE_BYTES),  # a second copy, which nobody serves
    "tekken.json": os.urandom(40_000),
}
KEPT_FREE_BYTES = 1_000_000


def pin_of(hub: Hub) -> WeightPin:
    """What a hub says of the files that are served."""
    files = {name: WeightFile(size=len(hub.files[name]), hash=hash_of(hub.files[name])) for name in NAMES}
    return WeightPin(revision=hub.revision, files=files)


def is_whole(folder: Path, hub: Hub) -> bool:
    return all((folder / name).read_bytes() == hub.files[name] for name in NAMES)


def fetch(python: Path, hub: Hub, folder: Path, **changes: Any) -> "subprocess.CompletedProcess[str]":
    """Run the program that brings the files, as its job does, with this hub as it is."""
    return subprocess.run(fetching(python, hub, folder, **changes), capture_output=True, text=True, timeout=120)


def fetching(python: Path, hub: Hub, folder: Path, **changes: Any) -> list[str]:
    """Words of that program."""
    told = weights.wanted(
        pin_of(hub),
        catalogs.load().hub,
        repository=REPOSITORY,
        endpoint=hub.endpoint,
        directory=str(folder),
        mode="bring",
    )
    patience = {"attempts": 3, "longest_wait_s": 1, "reserve_bytes": KEPT_FREE_BYTES}
    program = (MODEL_MAKERS / "fetch_model.py").read_text()
    home = f"HF_HOME={folder}-home"
    return [
        "env",
        home,
        "HF_HUB_DISABLE_XET=1",
        str(python),
        "-c",
        program,
        json.dumps({**json.loads(told), **patience, **changes}),
    ]


def end_of(done: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    """The last line of what the program said."""
    last: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return last
