"""Locks: hashes, one resolution, and one SGLang version in every place that must name it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support.tree import PACKAGE, ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)", re.MULTILINE)


def pins(name: str) -> dict[str, set[str]]:
    """Versions of each package of a lock; a package may have two, split by a marker."""
    found: dict[str, set[str]] = {}
    for package, version in PIN.findall((ROOT / "requirements" / name).read_text()):
        found.setdefault(package, set()).add(version)
    return found


def project() -> dict[str, list[str]]:
    """Requirements of pyproject.toml: '' for the toolkit's, else the extra's."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": table["dependencies"], **table["optional-dependencies"]}


def names(requirements: list[str]) -> set[str]:
    """Normalised names of requirements: 'types-PyYAML>=6' is 'types-pyyaml'."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[=<>!~\[ ;]", each)[0]).lower() for each in requirements}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_of_a_lock_has_a_hash(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert entries
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]


def test_toolkit_lock_is_a_part_of_dev_lock() -> None:
    toolkit, dev = pins("toolkit.lock"), pins("dev.lock")
    assert toolkit == {name: dev[name] for name in toolkit}
    assert toolkit != dev


def test_locks_hold_what_pyproject_names() -> None:
    assert names(project()[""]) <= pins("toolkit.lock").keys()
    assert names(project()["dev"]) <= pins("dev.lock").keys()


def test_the_engine_is_in_no_toolkit_lock() -> None:
    assert not {"sglang", "torch", "transformers"} & pins("dev.lock").keys()


def test_sglang_has_one_version_for_the_cpu() -> None:
    extra = project()["engine"]
    images = yaml.safe_load((PACKAGE / "catalog" / "images.yml").read_text())
    locked = pins("engine-cpu.lock")["sglang"]
    assert extra == [f"sglang=={version}" for version in locked]
    assert {images["sglang"]["cpu"]} == locked


def test_engine_lock_is_made_from_its_list() -> None:
    listed = re.findall(
        r"^([A-Za-z0-9][\w.-]*)==(\S+)", (ROOT / "requirements" / "engine-cpu.in").read_text(), re.MULTILINE
    )
    assert {(*names([name]), version) for name, version in listed} == {
        (name, version) for name, versions in pins("engine-cpu.lock").items() for version in versions
    }
