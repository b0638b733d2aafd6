"""A bundle of a few small files, made by the product's own packer: its toolkit is one wheel, its lock names that."""

import hashlib
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from devstral_fleet.bundle import pack
from devstral_fleet.bundle.manifest import NAME, Manifest
from devstral_fleet.workflows import bundle as workflow
from tests.support.tree import ROOT

SETTLE = "devstral_fleet/bundle/carried/settle.py"
PART_BYTES = 2**20
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class SmallBundle:
    """A bundle in a folder, and where it is installed."""

    folder: Path
    target: Path

    @property
    def parts(self) -> list[Path]:
        return sorted(self.folder.glob("*.part-*"))

    def rewrite(self, **values: object) -> None:
        """Change the manifest."""
        path = self.folder / NAME
        changed = Manifest.model_validate_json(path.read_text()).model_copy(update=values)
        path.write_text(changed.model_dump_json())

    def install(self, *words: str, python: str = sys.executable) -> "subprocess.CompletedProcess[str]":
        """Run the bundle's own installer, as a person would."""
        argv = [python, str(self.folder / workflow.INSTALLER), "--to", str(self.target), *words]
        return subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)


def make(folder: Path, files: Mapping[str, str], **values: object) -> SmallBundle:
    """Write a bundle of text files {name: content} and of what every installation needs."""
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    pip, tool, own = (wheel_of(name, wheels) for name in ("pip", "zstandard", "iniconfig"))
    lock = f"iniconfig=={distribution('iniconfig').version} --hash=sha256:{sha256(own)}\n"
    content = {"requirements/toolkit.lock": lock, "inventory/hosts.yml": "all: {}\n", **files}
    paths = {f"wheels/toolkit/{wheel.name}": wheel for wheel in (pip, own)}
    paths[SETTLE] = ROOT / SETTLE
    for name, text in content.items():
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        paths[name] = path
    made = folder / "bundle"
    made.mkdir()
    shutil.copy(tool, made)
    shutil.copy(Path(pack.__file__).with_name("carried") / workflow.INSTALLER, made)
    digests = pack.digests(paths)
    identity = hashlib.sha256("".join(one.sha256 for one in digests).encode()).hexdigest()[: workflow.ID_DIGITS]
    manifest = Manifest(
        id=identity,
        created="2026-11-28T00:00:00Z",
        toolkit_version="0",
        git_commit="",
        accelerator="cpu",
        sglang_version="0",
        python=HERE,
        machine=platform.machine(),
        driver_minimum="",
        host_torch="",
        has_lock=False,
        unpacked_bytes=sum(one.size_bytes for one in digests),
        tool=pack.digest(made / tool.name, tool.name),
        installer=pack.digest(made / workflow.INSTALLER, workflow.INSTALLER),
        parts=pack.pack(paths, digests, made, identity, PART_BYTES),
        files=digests,
    )
    (made / NAME).write_text(manifest.model_copy(update=values).model_dump_json())
    return SmallBundle(made, folder / "installed")


def wheel_of(name: str, folder: Path) -> Path:
    """Write an installed package as the wheel that it came from, but for the hashes in its list of files."""
    found = distribution(name)
    tag = next(line[5:] for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: "))
    path = folder / f"{name}-{found.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in found.files or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.is_file() and "__pycache__" not in file.parts:
                wheel.write(source, str(file))
    return path


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
