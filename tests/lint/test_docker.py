"""Dockerfiles, as soon as there is one."""

from pathlib import Path

import pytest

from tests.support.tree import ROOT, clean, matching, program

BAD = "FROM debian\nRUN cd /tmp\nRUN apt-get install curl\n"


def hadolint(*dockerfiles: Path) -> None:
    clean(program("hadolint"), "--no-color", "--config", str(ROOT / ".hadolint.yaml"), *map(str, dockerfiles))


def test_hadolint_finds_nothing() -> None:
    dockerfiles = matching("Dockerfile", "*.Dockerfile", "docker/*/Dockerfile*")
    if dockerfiles:
        hadolint(*dockerfiles)


def test_hadolint_runs_and_refuses_a_bad_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(BAD)
    with pytest.raises(AssertionError, match="DL3006"):
        hadolint(tmp_path / "Dockerfile")
