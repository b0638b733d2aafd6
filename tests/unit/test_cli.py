"""Tasks as a person meets them: their help, their exit codes, what they print."""

import copy
import json as json_module
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from invoke import Argument, Collection, Context, Exit, Task

from devstral_fleet.cli import namespace
from devstral_fleet.cli.verb import Body, verb
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode, FleetError, PlanError, PlaybookError

VERBS = {
    *(
        "plan",
        "command",
        "compare",
        "init",
        "build",
        "images",
        "models",
        "provision",
        "deploy",
        "rollback",
        "stop",
        "verify",
        "bench",
        "bundle.create",
        "bundle.install",
        "accuracy",
        "report",
    ),
    *("doctor", "status", "logs", "audit", "connect", "lock.status", "lock.release", "lab.up", "lab.down"),
}


def tasks() -> dict[str, Task[Any]]:
    root: Collection = namespace()
    return {name: root[name] for name in root.task_names}


def arguments(name: str) -> list[Argument]:
    """The arguments of a task's copy: Invoke takes each help text out of the task as it reads it."""
    task = copy.copy(tasks()[name])
    task.help = dict(task.help)
    return list(task.get_arguments())


def error_classes(root: type[FleetError] = FleetError) -> Iterator[type[FleetError]]:
    yield root
    for child in root.__subclasses__():
        yield from error_classes(child)


def an_error(kind: type[FleetError]) -> FleetError:
    if kind is PlaybookError:
        return PlaybookError(host="gpu01", task="switch", reason="no space", fix="make room", evidence=["df"])
    if kind is PlanError:
        return PlanError(["no space"], fix="make room")
    return kind("no space", fix="make room", evidence=["df"])


def ended(body: Body, **options: object) -> int:
    """Run a task of this body; return the exit code that Invoke would end with."""
    try:
        verb()(body)(Context(), **options)
    except Exit as end:
        return int(end.code)
    return 0


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A verb takes these for its process; a test gives them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_verbs() -> None:
    assert set(tasks()) == VERBS


HOSTLESS = {"command", "compare", "report", "lab.up", "lab.down", "bundle.create", "bundle.install"}


@pytest.mark.parametrize("name", sorted(VERBS))
def test_a_task_says_what_it_is_and_every_option_what_it_does(name: str) -> None:
    task = tasks()[name]
    assert task.__doc__
    assert task.__doc__.endswith(".")
    assert [argument.name for argument in arguments(name) if not argument.help] == []
    assert [argument.names for argument in arguments(name) if any(len(each) == 1 for each in argument.names)] == []
    assert not task.is_default


@pytest.mark.parametrize("name", sorted(VERBS - HOSTLESS))
def test_a_verb_on_hosts_takes_host_and_inventory(name: str) -> None:
    kinds = {argument.name: argument.kind for argument in arguments(name)}
    assert (kinds["host"], kinds["inventory"]) == (str, str)


@pytest.mark.parametrize("kind", sorted(error_classes(), key=str))
def test_an_error_is_shown_once_and_ends_with_its_code(
    kind: type[FleetError], capsys: pytest.CaptureFixture[str]
) -> None:
    def body(_console: Console) -> ExitCode:
        raise an_error(kind)

    assert ended(body) == kind.code != 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("error: ") == 1
    assert "no space" in err
    assert "fix: make room" in err


@pytest.mark.parametrize("code", list(ExitCode))
def test_what_a_workflow_returns_is_the_exit_code(code: ExitCode) -> None:
    def body(_console: Console) -> ExitCode:
        return code

    assert ended(body) == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_is_130(number: signal.Signals) -> None:
    def body(_console: Console) -> ExitCode:
        signal.raise_signal(number)
        return ExitCode.OK

    assert ended(body) == 130


def test_what_nohup_ignores_interrupts_nothing() -> None:
    def body(_console: Console) -> ExitCode:
        signal.raise_signal(signal.SIGHUP)
        return ExitCode.OK

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert ended(body) == 0


def test_a_full_disk_of_this_machine_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    def body(_console: Console) -> ExitCode:
        with Path("/dev/full").open("w") as full:
            full.write("a report")
        return ExitCode.OK

    assert ended(body) == 2
    assert capsys.readouterr().err.startswith("error: this machine has no room: No space left on device\n  fix: make")


def test_a_bug_is_not_hidden() -> None:
    def body(_console: Console) -> ExitCode:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        ended(body)


def test_json_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    def body(console: Console, json: bool = False) -> ExitCode:
        console.say("on the way")
        console.document({"json": json})
        return ExitCode.OK

    assert ended(body, json=True) == 0
    out, err = capsys.readouterr()
    assert json_module.loads(out) == {"json": True}
    assert err == "on the way\n"
    assert ended(body) == 0
    assert capsys.readouterr().out == "on the way\n"


def test_options_reach_the_body() -> None:
    seen: list[object] = []

    def body(_console: Console, host: str = "", lock_wait: int = 0) -> ExitCode:
        seen.extend((host, lock_wait))
        return ExitCode.OK

    assert ended(body, host="gpu01", lock_wait=5) == 0
    assert seen == ["gpu01", 5]
