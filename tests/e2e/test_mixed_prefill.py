"""`--enable-mixed-chunk` with the real engine: who was computed in the company of whom changes no answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fleet import Site, succeeded
from tests.support.tree import ROOT

pytestmark = [pytest.mark.real_engine, pytest.mark.soak]  # two engines, one after the other
ENGINES_S = 900.0


def test_answers_in_mixed_steps_are_those_given_alone(real_site: Site, engine_home: Path, tmp_path: Path) -> None:
    assert engine_home == real_site.home
    succeeded(real_site.invoke("deploy", "--no-bench"))
    deployed = max(real_site.runs.glob("*/report.json"))
    plan = real_site.serving_plan()
    succeeded(real_site.invoke("stop"))

    options = ("--context-length", "8192", "--max-total-tokens", "65536", "--device", "cpu")
    bare = (*options, "--attention-backend", "torch_native", "--max-running-requests", "40")
    words = (sys.executable, "mixed.py", str(deployed), str(tmp_path), "--gpus", "0", "--bare", " ".join(bare))
    done = subprocess.run(
        words,
        cwd=ROOT / "tests" / "hardware",
        env={**os.environ, **plan["environment"]},
        capture_output=True,
        text=True,
        timeout=ENGINES_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 answers in company as alone: 24 by the command, 24 by the variant" in done.stdout
    assert "different answers: 24; failed: []" in done.stdout, "equal answers would show nothing"
