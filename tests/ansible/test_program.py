"""The module that runs our programs on a host, by Ansible itself: what a task returns, fails with, and foresees."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.tree import ROOT, program

ENVIRONMENT = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}


def played(folder: Path, *tasks: dict[str, Any], check: bool = False) -> list[dict[str, Any]]:
    """What each task returned."""
    names = [f"returned_{number}" for number in range(len(tasks))]
    lines = [{**task, "register": name, "failed_when": False} for task, name in zip(tasks, names, strict=True)]
    content = json.dumps(names).replace('"', "")
    keep = {"ansible.builtin.copy": {"content": f"{{{{ {content} | to_json }}}}", "dest": str(folder / "kept")}}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [*lines, {**keep, "check_mode": False}]}
    file = folder / "play.yml"
    file.write_text(yaml.safe_dump([play], sort_keys=False))
    words = [program("ansible-playbook"), "--inventory", "localhost,", "--connection", "local", str(file)]
    words += ["--extra-vars", f"ansible_python_interpreter={sys.executable}"]
    done = subprocess.run([*words, *(["--check"] if check else [])], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    returned: list[dict[str, Any]] = json.loads((folder / "kept").read_text())
    return returned


def test_what_it_prints_is_a_change_and_its_exit_status_is_the_tasks(tmp_path: Path) -> None:
    awkward = "quotes \"\"\" ''' and \\ and ä\n"
    silent, said, failed, absent, unknown, fed = played(
        tmp_path,
        {"fleet_program": {"argv": ["true"]}},
        {"fleet_program": {"argv": ["printf", "%s", "made it\n"]}},
        {"fleet_program": {"argv": ["sh", "-c", "echo out; echo why >&2; exit 3"]}},
        {"fleet_program": {"argv": ["/nowhere/program"]}},
        {"fleet_program": {"argv": ["true"], "chdir": "/"}},
        {"fleet_program": {"argv": ["cat"], "stdin": awkward}},
    )
    assert (silent["changed"], silent["rc"], silent["stdout"]) == (False, 0, "")
    assert (said["changed"], said["stdout_lines"]) == (True, ["made it"])
    assert (failed["rc"], failed["stdout"], failed["stderr"]) == (3, "out", "why")
    assert (absent["rc"], absent["msg"]) == (127, "/nowhere/program: No such file or directory")
    assert "not: ['chdir']" in unknown["msg"]
    assert fed["stdout"] == awkward.rstrip("\n")


@pytest.mark.parametrize("check", [False, True])
def test_it_runs_where_nothing_was_created_and_foresees_that_in_check_mode(tmp_path: Path, check: bool) -> None:
    (tmp_path / "there-1").touch()
    made = tmp_path / "made"
    done, missing, bare, forced = played(
        tmp_path,
        {"fleet_program": {"argv": ["false"], "creates": f"{tmp_path}/there-*"}},
        {"fleet_program": {"argv": ["touch", str(made)], "creates": str(made)}},
        {"fleet_program": {"argv": ["touch", f"{made}-2"]}},
        {"fleet_program": {"argv": ["echo", "looked"]}, "check_mode": False},
        check=check,
    )
    assert (done["changed"], done["rc"]) == (False, 0)
    assert missing["changed"]
    assert (made.exists(), Path(f"{made}-2").exists()) == (not check, not check)
    assert bare.get("skipped", False) == check
    assert forced["stdout"] == "looked"
