"""With `fleet_provision: false` nothing is set on a card: what tasks a deploy can run, and what it and doctor start."""

import os
import stat
from pathlib import Path

import pytest
import yaml

from devstral_fleet.lab import simulation
from devstral_fleet.project import ROOT
from tests.support.fleet import Site
from tests.support.ports import free_port

PLAYBOOKS = ROOT / "playbooks"
PROVISIONING = {"provision.yml", "reboot.yml"}
"""What `fleet_provision: false` keeps from being run."""
SETTING = (
    *("nvidia-smi", "nvidia-settings", "nvidia-persistenced", "nvidia-modprobe", "nvidia-cuda-mps-control", "dcgmi"),
    *("rocm-smi", "amd-smi", "modprobe", "rmmod", "setpci"),
)
"""Programs by which a card, or its driver, is set; the first one answers questions too."""
QUESTIONS = ("-q -x", "--id=", "--query-")


def roles_of(playbook: str) -> set[str]:
    """Names of the roles that a playbook and those that it imports can run."""
    found: set[str] = set()
    for play in yaml.safe_load((PLAYBOOKS / playbook).read_text()):
        if imported := play.get("ansible.builtin.import_playbook"):
            found |= roles_of(imported)
        found |= {role["role"] for role in play.get("roles", ())}
        tasks = (*play.get("tasks", ()), *play.get("pre_tasks", ()), *play.get("post_tasks", ()))
        found |= {
            task["ansible.builtin.import_role"]["name"] for task in tasks if "ansible.builtin.import_role" in task
        }
    return found


def named(playbooks: set[str], roles: set[str]) -> dict[Path, str]:
    """Files of playbooks, roles and our module that name a program of SETTING."""
    files = [path for role in roles for path in (PLAYBOOKS / "roles" / role).rglob("*") if path.is_file()]
    files += [*(PLAYBOOKS / "library").rglob("*.py"), *(PLAYBOOKS / name for name in playbooks)]
    return {path: word for path in files for word in SETTING if word in path.read_text(errors="replace")}


def test_no_task_but_provisioning_names_a_program_that_sets_a_card() -> None:
    playbooks = {path.name for path in PLAYBOOKS.glob("*.yml")} - PROVISIONING
    provisioning = set().union(*map(roles_of, PROVISIONING))
    roles = set().union(*map(roles_of, playbooks))
    assert {"engine_environment", "image", "model_files", "service"} <= roles
    assert "gpu_driver" in provisioning
    assert roles.isdisjoint(provisioning)
    assert named(playbooks, roles) == {}
    assert set(named(PROVISIONING, provisioning).values()) != set(), "the words find what sets a driver"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins of all those programs on the PATH; the file gets what each was started with. The first one answers."""
    said, folder = tmp_path / "asked", tmp_path / "bin"
    folder.mkdir()
    for name in SETTING:
        program = folder / name
        answer = f"exec cat {simulation.RECORDED / 'h100.xml'}" if name == "nvidia-smi" else "exit 1"
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>{said}\n{answer}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return said


@pytest.mark.parametrize("verb", ["doctor", "deploy"])
def test_a_card_is_only_asked(asked: Path, tmp_path: Path, verb: str) -> None:
    site = Site(tmp_path / "site", tmp_path / "home", free_port())
    site.set(accelerator="nvidia", hardware="h100", model="devstral-small-2", runtime="container", load_format="dummy")
    site.set(provision=False)
    ended = site.invoke(verb)
    assert ended.exit_code in {2, 5}, ended.text  # this machine has no such card on its bus
    lines = asked.read_text().splitlines()
    assert any(line.startswith("nvidia-smi -q -x") for line in lines)
    assert [line for line in lines if not line.removeprefix("nvidia-smi ").startswith(QUESTIONS)] == []
