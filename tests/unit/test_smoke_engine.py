"""The replay engine's wheels: built the same each time, installable from a lock, free of this machine."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.engine.wheel import RECORDED, build_wheel, build_wheels, requirements, versions


def test_wheels_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    first, second = build_wheels(tmp_path / "a"), build_wheels(tmp_path / "b")
    assert {name: wheel.read_bytes() for name, wheel in first.items()} == {
        name: wheel.read_bytes() for name, wheel in second.items()
    }


def test_the_engines_own_wheel_carries_the_recorded_version(tmp_path: Path) -> None:
    assert build_wheel(tmp_path).name == f"sglang-{versions()['sglang']}-py3-none-any.whl"


def test_pip_installs_them_from_the_lock_alone(tmp_path: Path) -> None:
    lock = requirements(tmp_path / "wheels")
    target = tmp_path / "target"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install"]
    command = [*pip, "--require-hashes", "--target", str(target), "-r", str(lock)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    asked = "import importlib.metadata as m; print({n: m.version(n) for n in ('sglang', 'transformers', 'torch')})"
    printed = subprocess.run(
        [sys.executable, "-c", asked], env={"PYTHONPATH": str(target)}, check=True, capture_output=True, text=True
    )
    assert printed.stdout.strip() == str(versions())


def test_the_record_holds_no_path_of_the_machine_that_made_it() -> None:
    for file in RECORDED.glob("*.json"):
        assert not re.search(r"/(root|home|work|tmp|opt)/", file.read_text()), file.name
