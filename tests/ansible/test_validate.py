"""What is not specified is refused by Ansible itself, before anything is changed."""

from pathlib import Path

import pytest

from devstral_fleet import rolevars
from devstral_fleet.errors import PlaybookError
from devstral_fleet.playbook import PlaybookCommand, run
from tests.support.plans import role_variables


def validate(variables: rolevars.RoleVariables, folder: Path) -> None:
    """Run validate.yml, which reaches no host, with these variables."""
    for name, text in rolevars.inventory_files({"nowhere": variables}).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    command = PlaybookCommand("validate.yml", (folder / "hosts.json",))
    run(command, log=folder / "log.jsonl", on_event=lambda _event: None).raise_for_failure()


def test_ansible_takes_the_variables(tmp_path: Path) -> None:
    validate(role_variables(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("role", "change", "words"),
    [
        ("service", {"colour": "red"}, "colour"),
        ("service", {"manager": "cron"}, "cron"),
        ("release", {"arguments": None}, "arguments"),
    ],
)
def test_ansible_refuses_what_is_not_specified(
    role: str, change: dict[str, object], words: str, tmp_path: Path
) -> None:
    variables = role_variables(tmp_path)
    variables[role] |= change
    with pytest.raises(PlaybookError, match=words):
        validate(variables, tmp_path)


def test_a_host_without_variables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="host_layout"):
        validate({}, tmp_path)
