"""Wheels for another machine: fetched by pip, for its Python and its processor, each by the hash in its lock."""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement

from devstral_fleet.errors import ConfigurationError, DependencyError

EVIDENCE_LINES = 10
GLIBC = range(40, 16, -1)
"""Minor versions of glibc 2 whose wheels are taken, the newest first; 17 is manylinux2014's."""
LARGE_BYTES = 64 * 2**20
"""A wheel larger than this is kept uncompressed where the lock is the bundle's own: zstd packs it far smaller."""
DEADLINE_S = 3600.0


def requirements(lock: str, python: str, machine: str) -> tuple[str, ...]:
    """Return the lock's requirements that hold for a Python on Linux, with their hashes and without their markers.

    pip evaluates markers for the Python that runs it, whatever `--python-version` says.

    Raises:
        ConfigurationError: a line is no requirement, or has no hash.
    """
    return tuple(_holding(lock, python, machine))


def _holding(lock: str, python: str, machine: str) -> Iterator[str]:
    here = {name: str(value) for name, value in default_environment().items()}
    there = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": machine}
    there |= {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    for line in lock.replace("\\\n", " ").splitlines():
        words = line.split("#")[0].split("--hash=")
        if not words[0].strip():
            continue
        try:
            requirement = Requirement(words[0].strip())
        except InvalidRequirement as error:
            raise ConfigurationError(f"'{line.strip()[:60]}' is no requirement: {error}", fix="correct it") from error
        if len(words) == 1:
            what = f"'{line.strip()[:60]}' has no hash: what comes could be anything"
            raise ConfigurationError(what, fix="write the lock with hashes (uv pip compile --generate-hashes)")
        if requirement.marker is None or requirement.marker.evaluate({**here, **there}):
            requirement.marker = None
            yield " ".join((str(requirement), *(f"--hash={word.strip()}" for word in words[1:])))


def without(wanted: Iterable[str], have: Mapping[str, str]) -> tuple[str, ...]:
    """Return the requirements that `have` (canonical name -> version) does not fulfil."""
    return tuple(line for line in wanted if not _fulfilled(Requirement(line.split(" --hash")[0]), have))


def _fulfilled(requirement: Requirement, have: Mapping[str, str]) -> bool:
    version = have.get(_canonical(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def installed(listing: str) -> dict[str, str]:
    """Read `pip list --format=freeze` or `pip freeze`: {canonical name: version}."""
    pairs = (line.strip().partition("==") for line in listing.splitlines() if "==" in line)
    return {_canonical(name): version for name, _, version in pairs}


def fetch(lines: Sequence[str], folder: Path, *, python: str, machine: str, index: str = "") -> None:
    """Download wheels into a folder.

    Args:
        lines: requirements, with hashes or without. python: such as '3.12'. machine: `uname -m` of the other side.
        index: asked where what pip's own configuration names has not all of them.

    Raises:
        DependencyError: pip could not get one of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / ".requirements"
    listed.write_text("".join(f"{line}\n" for line in lines))
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC] + [f"manylinux2014_{machine}", f"linux_{machine}"]
    words = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "download", "--no-deps"]
    words += ["--only-binary", ":all:", "--python-version", python, "--implementation", "cp"]
    words += [word for name in platforms for word in ("--platform", name)]
    words += ["--dest", str(folder), "--requirement", str(listed)]
    done = _run(words)
    if done.returncode and index:
        done = _run([*words, "--index-url", index])
    listed.unlink()
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        raise DependencyError(
            f"pip could not fetch wheels for Python {python} on {machine}",
            fix="read pip's words; a package without a wheel for that Python must be left out or built",
            evidence=said[-EVIDENCE_LINES:],
        )


def _run(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=DEADLINE_S)
    except subprocess.TimeoutExpired as error:
        fix = "try again; an index or a proxy may be slow"
        raise DependencyError(f"pip fetched for {DEADLINE_S:.0f} s and did not end", fix=fix) from error


def lock(folder: Path) -> str:
    """Return a lock of the wheels as they lie in a folder: each by its version and its hash."""
    lines = []
    for path in sorted(folder.glob("*.whl")):
        name, version = path.name.split("-")[:2]
        lines.append(f"{_canonical(name)}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
    return "\n".join(lines) + "\n"


def store_large(folder: Path) -> None:
    """Write each large wheel anew with its files uncompressed; its content stays, its hash does not."""
    for path in sorted(folder.glob("*.whl")):
        if path.stat().st_size < LARGE_BYTES:
            continue
        stored = path.with_suffix(".stored")
        with zipfile.ZipFile(path) as packed, zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as plain:
            for member in packed.infolist():
                kept = zipfile.ZipInfo(member.filename, member.date_time)
                kept.external_attr = member.external_attr  # what may be executed stays so
                with packed.open(member) as source, plain.open(kept, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        stored.replace(path)


def _canonical(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")
