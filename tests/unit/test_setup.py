"""requirements/setup.sh: what it refuses, reuses and makes again. A stand-in for Python counts what it is asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.tree import ROOT

INTERPRETER = """#!/bin/bash
# Says what a Python says to setup.sh; OLD and BARE make it unfit, BROKEN makes its pip fail.
case "$*" in
    *"(3, 11)"*) exit ${OLD:-0} ;;
    *ensurepip*) exit ${BARE:-0} ;;
    --version) echo Python 3.10.9 ;;
    -VV) echo Python 3.12.1 ;;
    "-m venv .venv") echo venv >>calls; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    "-m pip install"*)
        echo "pip ${*: -1}" >>calls
        echo "WARNING: Location 'file:///nowhere/x/' is ignored: it is neither a file nor a directory." >&2
        echo "Collecting one"
        if [ -n "$BROKEN" ]; then echo "ERROR: no such wheel" >&2; exit 1; fi ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with two small locks and the stand-in, in a path with a space."""
    path = tmp_path / "a checkout"
    (path / "requirements").mkdir(parents=True)
    for name in ("setup.sh", "pip.sh"):
        shutil.copy(ROOT / "requirements" / name, path / "requirements")
    for name in ("toolkit", "dev"):
        (path / "requirements" / f"{name}.lock").write_text(f"{name}==1\n")
    (path / "python").write_text(INTERPRETER)
    (path / "python").chmod(0o755)
    return path


def setup(checkout: Path, name: str = "toolkit", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run setup.sh with the stand-in."""
    words = {**os.environ, "PYTHON": str(checkout / "python"), "BROKEN": "", **environment}
    return subprocess.run(
        [checkout / "requirements" / "setup.sh", name], env=words, capture_output=True, text=True, timeout=60
    )


def calls(checkout: Path) -> list[str]:
    path = checkout / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_it_makes_an_environment_and_reuses_it(checkout: Path) -> None:
    assert setup(checkout).returncode == 0
    assert "up to date" in setup(checkout).stdout
    assert calls(checkout) == ["venv", "pip requirements/toolkit.lock"]


def test_a_changed_lock_makes_it_again(checkout: Path) -> None:
    setup(checkout)
    (checkout / "requirements" / "toolkit.lock").write_text("toolkit==2\n")
    setup(checkout)
    assert calls(checkout) == ["venv", "pip requirements/toolkit.lock"] * 2


def test_a_moved_checkout_makes_it_again(checkout: Path) -> None:
    setup(checkout)
    moved = checkout.rename(checkout.with_name("elsewhere"))
    setup(moved)
    assert calls(moved).count("venv") == 2


def test_development_tools_are_added_to_a_complete_toolkit(checkout: Path) -> None:
    setup(checkout)
    setup(checkout, "dev")
    assert calls(checkout) == ["venv", "pip requirements/toolkit.lock", "pip requirements/dev.lock"]
    assert "up to date" in setup(checkout, "toolkit").stdout


def test_an_interrupted_setup_is_not_complete(checkout: Path) -> None:
    failed = setup(checkout, BROKEN="1")
    assert failed.returncode == 2
    assert "ERROR: no such wheel" in failed.stderr
    assert "fix:" in failed.stderr
    assert setup(checkout).returncode == 0
    assert calls(checkout).count("venv") == 2


def test_an_ignored_location_of_the_sites_pip_is_no_news(checkout: Path) -> None:
    assert "is ignored" not in setup(checkout).stderr


@pytest.mark.parametrize(
    ("environment", "message", "fix"),
    [
        ({"OLD": "1"}, "Python 3.10.9 is outside 3.11 to 3.13", "make setup PYTHON=python3.12"),
        ({"BARE": "1"}, "cannot make a virtual environment", "sudo apt-get install python3-venv"),
        ({"PYTHON": "no-such-python"}, "there is no no-such-python", "sudo apt-get install python3 python3-venv"),
    ],
)
def test_it_refuses_an_unfit_python(checkout: Path, environment: dict[str, str], message: str, fix: str) -> None:
    refused = setup(checkout, **environment)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert fix in refused.stderr
    assert calls(checkout) == []
