"""Playbooks, roles and every other YAML file."""

import os
from pathlib import Path

from tests.support.tree import ROOT, clean, matching, program


def test_ansible_lint_production_finds_nothing(tmp_path: Path) -> None:
    programs = str(Path(program("ansible-lint")).parent)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    playbooks = [str(path.relative_to(ROOT)) for path in matching("playbooks/*.yml")]
    assert playbooks, "no playbook to lint"
    clean(
        program("ansible-lint"),
        "--offline",
        "--profile",
        "production",
        "--strict",
        "-q",
        "--nocolor",
        environment=environment,
    )


def test_yamllint_finds_nothing() -> None:
    sources = [str(path.relative_to(ROOT)) for path in matching("*.yml", "*.yaml", ".yamllint", ".ansible-lint")]
    assert sources, "no YAML to lint"
    clean(program("yamllint"), "--strict", "--config-file", str(ROOT / ".yamllint"), *sources)
