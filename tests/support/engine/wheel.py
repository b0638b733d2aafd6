"""Builds the replay engine's wheels with the standard library alone, byte for byte the same each time.

`sglang` is the replay engine; `torch` and `transformers` are empty packages with the recorded versions, so that what
checks an engine's environment finds what it looks for. `requirements` writes the file for `fleet_engine_requirements`.
"""

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "source"
RECORDED = HERE / "recorded"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The zip format's first date."""
FILE_MODE = 0o644 << 16


def versions() -> dict[str, str]:
    """The recorded versions: {'sglang': …, 'transformers': …, 'torch': …}.

    Torch's carries a mark of its own: where pip's configuration offers the real file, it must not be taken instead.
    """
    recorded: dict[str, str] = json.loads((RECORDED / "flags.json").read_text())["versions"]
    return {**recorded, "torch": f"{recorded['torch']}.replay"}


def build_wheel(directory: Path) -> Path:
    """Build every wheel into `directory`; return the path of the replay engine's own."""
    return build_wheels(directory)["sglang"]


def build_wheels(directory: Path) -> dict[str, Path]:
    """Build the three wheels into `directory`, which is made when it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    return {name: _build(name, version, directory) for name, version in versions().items()}


def requirements(directory: Path, find_links: str = "") -> Path:
    """Build the wheels and write the locked requirements that install them, and nothing else, from `directory`.

    `find_links` is the folder's path where they get installed, when that is another machine.
    """
    lines = ["--no-index", f"--find-links {find_links or directory.resolve()}"]
    for name, wheel in sorted(build_wheels(directory).items()):
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name}=={versions()[name]} --hash=sha256:{digest}")
    file = directory / "replay-engine.lock"
    file.write_text("\n".join(lines) + "\n")
    return file


def unpack(directory: Path) -> Path:
    """Lay the wheels' files out in `directory`, for PYTHONPATH: an engine without an environment of its own."""
    for wheel in build_wheels(directory / "wheels").values():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(directory / "site")
    return directory / "site"


def _build(name: str, version: str, directory: Path) -> Path:
    information = f"{name}-{version}.dist-info"
    contents = dict(sorted(_contents(name, version, information)))
    record = [f"{path},{_digest(content)},{len(content)}" for path, content in contents.items()]
    contents[f"{information}/RECORD"] = "\n".join([*record, f"{information}/RECORD,,", ""]).encode()
    wheel = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.external_attr = FILE_MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return wheel


def _contents(name: str, version: str, information: str) -> Iterator[tuple[str, bytes]]:
    for file in (SOURCE / name).rglob("*.py"):
        yield str(file.relative_to(SOURCE)), file.read_bytes()
    if name == "sglang":
        for file in RECORDED.glob("*.json"):
            yield f"sglang/recorded/{file.name}", file.read_bytes()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: stand-in of the replay engine\n"
    yield f"{information}/METADATA", metadata.encode()
    yield f"{information}/WHEEL", b"Wheel-Version: 1.0\nGenerator: replay\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def _digest(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"
