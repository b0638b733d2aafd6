"""The script that builds an image, told by a docker of the test's own: which builder, with which words, and why not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tree import ROOT

SCRIPT = ROOT / "playbooks" / "roles" / "image_build" / "files" / "build_image.py"
DOCKER = """#!/bin/sh
[ "$*" != "buildx version" ] || exit "${BUILDX:-1}"
echo "$*" >>"$CALLS"
echo "DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-}" >>"$CALLS"
cat >>"$CALLS.context"
printf '%b' "$SAID"
exit "${STATUS:-0}"
"""
OPTIONS = "--network=host --tag=ours:1 --build-arg=BASE_IMAGE=base:1 --build-arg=HTTPS_PROXY --label=a=b c -"


class Machine:
    """A machine whose docker says what the test tells it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "docker").write_text(DOCKER)
        (path / "docker").chmod(0o755)
        (path / "context.tar").write_text("packed")

    def build(self, *options: str, **told: str) -> "subprocess.CompletedProcess[str]":
        wanted = {
            "reference": "ours:1",
            "context": str(self.path / "context.tar"),
            "arguments": {"BASE_IMAGE": "base:1"},
            "labels": {"a": "b c"},
            "inherited": ["HTTPS_PROXY"],
            "log": str(self.path / "build.log"),
        }
        environment = {"PATH": f"{self.path}:{os.environ['PATH']}", "CALLS": str(self.path / "calls"), **told}
        words = [sys.executable, str(SCRIPT), *options, json.dumps(wanted)]
        return subprocess.run(words, env=environment, capture_output=True, text=True)

    @property
    def calls(self) -> list[str]:
        file = self.path / "calls"
        return file.read_text().splitlines() if file.is_file() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(("buildx", "builder", "call", "kit"), [
    ("1", "the classic builder", "build --force-rm", "0"),
    ("0", "buildx", "buildx build --load --progress=plain", ""),
])  # fmt: skip
def test_buildx_where_it_is_else_the_classic_builder(
    machine: Machine, buildx: str, builder: str, call: str, kit: str
) -> None:
    done = machine.build(BUILDX=buildx, SAID="Step 1\\n", HTTPS_PROXY="http://me:secret@proxy")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"built ours:1 with {builder} in ")
    assert machine.calls == [f"{call} {OPTIONS}", f"DOCKER_BUILDKIT={kit}"]
    assert (machine.path / "calls.context").read_text() == "packed"
    assert (machine.path / "build.log").read_text() == "Step 1\n"


def test_check_foresees_and_calls_nobody(machine: Machine) -> None:
    assert machine.build("--check").stdout == "built ours:1 with the classic builder\n"
    assert machine.calls == []


@pytest.mark.parametrize(("said", "reason"), [
    ("\\033[91mERROR: transformers is 4\\033[0m\\nThe command returned a non-zero code: 1\\n", "transformers is 4"),
    ("#9 1.234 ERROR: old\\nERROR: failed to solve: process did not complete\\n", "old"),
    ("E: Unable to locate package tini\\nremoved\\n", "E: Unable to locate package tini"),
    ("pull access denied for base\\n\\n", "pull access denied for base"),
    ("", "the builder said nothing"),
])  # fmt: skip
def test_a_failed_build_ends_with_its_reason(machine: Machine, said: str, reason: str) -> None:
    done = machine.build(SAID=said, STATUS="1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ERROR: {reason}"
