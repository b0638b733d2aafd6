"""The replay engine's wheels are installable from their lock, as the product installs them."""

import subprocess
import sys
from pathlib import Path

from tests.support.engine.wheel import requirements, versions


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
