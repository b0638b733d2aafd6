"""ansible-playbook's command as a value, and its events as typed values. Cases are recorded runs of Ansible."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from devstral_fleet import project
from devstral_fleet.errors import PlaybookError, UnreachableError
from devstral_fleet.playbook import PlaybookCommand
from devstral_fleet.playbook_events import (
    HostCounts,
    PlaybookFinished,
    PlaybookOutcome,
    PlayStarted,
    Reader,
    TaskFinished,
    TaskStarted,
    reason_of,
)

CASES = Path(__file__).parent / "cases" / "playbook"
PROGRAM = str(Path(sys.executable).parent / "ansible-playbook")


def read(text: str) -> tuple[Reader, list[object]]:
    reader = Reader()
    events: list[object] = [event for line in text.splitlines() for event in reader.read(line)]
    return reader, events


def outcome(*tasks: TaskFinished, exit_status: int = 0, stderr: tuple[str, ...] = ()) -> PlaybookOutcome:
    hosts = {task.host: HostCounts(1, 0, task.state == "failed", task.state == "unreachable") for task in tasks}
    return PlaybookOutcome("deploy.yml", exit_status, hosts, tasks, stderr)


@pytest.fixture
def mixed() -> PlaybookOutcome:
    """A play over five hosts: all well, a hidden failure, a failed command, a failed assertion, unreachable."""
    reader, _ = read((CASES / "mixed.jsonl").read_text())
    return PlaybookOutcome("p.yml", 4, reader.hosts, tuple(reader.tasks))


def test_the_shortest_command() -> None:
    command = PlaybookCommand("stop.yml", (Path("site/hosts.yml"),))
    assert command.argv() == (PROGRAM, str(project.PLAYBOOKS / "stop.yml"), "--inventory", "site/hosts.yml")


def test_the_longest_command() -> None:
    command = PlaybookCommand(
        "deploy.yml",
        (Path("hosts.yml"), Path("run/hosts.json")),
        limit=("gpu01", "gpu02"),
        check=True,
        diff=True,
        forks=2,
        extra=("--tags", "release"),
    )
    assert command.argv() == (
        *(PROGRAM, str(project.PLAYBOOKS / "deploy.yml"), "--inventory", "hosts.yml", "--inventory", "run/hosts.json"),
        *("--limit", "gpu01,gpu02", "--check", "--diff", "--forks", "2", "--tags", "release"),
    )


def test_the_environment_names_our_configuration_and_the_event_stream() -> None:
    assert PlaybookCommand("stop.yml", ()).environment() == {
        "ANSIBLE_CONFIG": str(project.ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }


def test_events_come_in_order() -> None:
    _, events = read((CASES / "mixed.jsonl").read_text())
    assert events[0] == PlayStarted("Fill the shelf")
    assert events[1] == TaskStarted("shelf", "Write a label")
    assert isinstance(events[-1], PlaybookFinished)


def test_counts_are_ansibles(mixed: PlaybookOutcome) -> None:
    assert mixed.hosts == {
        "away": HostCounts(ok=0, changed=0, failed=0, unreachable=1),
        "broken": HostCounts(ok=2, changed=2, failed=1, unreachable=0),
        "foolish": HostCounts(ok=2, changed=2, failed=1, unreachable=0),
        "good": HostCounts(ok=3, changed=2, failed=0, unreachable=0),
        "hidden": HostCounts(ok=2, changed=2, failed=1, unreachable=0),
    }
    assert mixed.changed == 8


def test_reasons_are_one_line_and_hidden_ones_stay_hidden(mixed: PlaybookOutcome) -> None:
    reasons = {task.host: (task.task, task.reason) for task in mixed.failures}
    assert reasons["broken"] == ("Install a thing", "ERROR: no such thing")
    assert reasons["foolish"] == ("Require sense", "it makes no sense")
    assert reasons["hidden"][1].startswith("the output has been hidden")
    assert "Connection refused" in reasons["away"][1]


def test_changes_show_text_before_and_after_or_a_scripts_lines(mixed: PlaybookOutcome) -> None:
    changes = {(task.host, task.task): task.diff for task in mixed.tasks if task.state == "changed"}
    label = changes["good", "Write a label"]
    assert "-old\n+new\n" in label
    assert changes["good", "Say what was made"] == "made one\nmade two\n"


def test_a_failed_task_counts_more_than_an_unreachable_host(mixed: PlaybookOutcome) -> None:
    assert mixed.failures[0].host == "away"
    with pytest.raises(PlaybookError) as caught:
        mixed.raise_for_failure()
    assert caught.value.host == "hidden"
    assert caught.value.task == "Hide a secret"


def test_an_unreachable_host_alone_is_unreachable(mixed: PlaybookOutcome) -> None:
    [away] = [task for task in mixed.failures if task.host == "away"]
    with pytest.raises(UnreachableError, match=r"away cannot be reached: .*Connection refused") as caught:
        outcome(away, exit_status=4).raise_for_failure()
    assert caught.value.fix.endswith("invoke doctor --host away")


def test_what_a_rescue_caught_is_not_what_failed() -> None:
    """A play whose first task fails on two hosts: the rescue mends one of them, and says more on the other."""
    reader, _ = read((CASES / "rescued.jsonl").read_text())
    rescued = PlaybookOutcome("p.yml", 2, reader.hosts, tuple(reader.tasks))
    assert [(task.host, task.task) for task in rescued.failures] == [("broken", "Try, after all")]
    with pytest.raises(PlaybookError, match="the first words; and the cause"):
        rescued.raise_for_failure()
    mended = replace(rescued, exit_status=0, hosts={"mended": reader.hosts["mended"]}, tasks=_of("mended", rescued))
    mended.raise_for_failure()


def _of(host: str, whole: PlaybookOutcome) -> tuple[TaskFinished, ...]:
    return tuple(task for task in whole.tasks if task.host == host)


def test_a_good_outcome_raises_nothing() -> None:
    outcome(TaskFinished("gpu01", "release", "Write", "ok", 0.1)).raise_for_failure()


def test_an_end_without_a_failed_task_says_what_stderr_said() -> None:
    stderr = ("[WARNING]: something", "[ERROR]: the playbook is not YAML", "more")
    with pytest.raises(PlaybookError, match="the playbook is not YAML") as caught:
        outcome(exit_status=1, stderr=stderr).raise_for_failure()
    assert caught.value.evidence == stderr


def test_a_playbook_that_found_no_host_has_failed() -> None:
    with pytest.raises(PlaybookError, match="no host was worked on"):
        outcome().raise_for_failure()


@pytest.mark.parametrize("line", ["", "not JSON", '{"_event": "v2_playbook_on_no_hosts_matched"}'])
def test_lines_that_are_no_event_of_ours_are_passed_over(line: str) -> None:
    assert Reader().read(line) == []


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"msg": "no space left"}, "no space left"),
        ({"rc": 1, "stderr": "first\nlast\n", "msg": "non-zero return code"}, "last"),
        ({"rc": 1, "stderr": "", "msg": "non-zero return code"}, "non-zero return code"),
        (
            {"results": [{"msg": "fine"}, {"failed": True, "msg": "this one"}], "msg": "One or more items failed"},
            "this one",
        ),
        ({"censored": "hidden", "stderr": "hunter2", "rc": 1}, "hidden"),
        ({}, "no reason was given"),
    ],
)
def test_a_reason_is_the_most_telling_line(result: dict[str, object], reason: str) -> None:
    assert reason_of(result) == reason
