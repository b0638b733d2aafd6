"""The order of a rollout, with processes that do nothing but say so."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from devstral_fleet.errors import ConfigurationError, ExitCode, UnreachableError
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.host_deploy import Turn
from devstral_fleet.workflows.planning import Ask, Target
from devstral_fleet.workflows.rollout import Rollout
from devstral_fleet.workflows.running import Run
from tests.support.hosts import quiet, target

HOSTS = ("h1", "h2", "h3", "h4", "h5")


def named(name: str) -> Target:
    """The CPU host under another name."""
    here = target()
    return Target(here.intent.model_copy(update={"name": name}), here.plan)


class Acted:
    """A rollout over five hosts, and what came of it. The sets name hosts that behave otherwise than well."""

    def __init__(self, folder: Path, *, size: int = 2, gated: bool = True) -> None:
        self.console, self.said = quiet()
        self.directory = RunDirectory(folder)
        self.run = Run(self.console, self.directory, "deploy", Ask("all"))
        self.unchanged: set[str] = set()
        self.unready: set[str] = set()
        self.broken: set[str] = set()
        self.buggy: set[str] = set()
        self.killed: set[str] = set()
        self.interrupting: set[str] = set()
        self.rollout = Rollout(self.run, [named(name) for name in HOSTS], self.step, size=size, gated=gated)

    def step(self, host: Host, turn: Turn) -> None:
        if host.name in self.unready:
            raise UnreachableError(f"{host.name} does not answer", host=host.name)
        turn(host.name not in self.unchanged)
        with host.record.phase("act"):
            if host.name in self.killed:
                os.kill(os.getpid(), signal.SIGKILL)
            if host.name in self.interrupting:
                os.kill(os.getppid(), signal.SIGINT)
                threading.Event().wait(30)
            if host.name in self.broken:
                raise ConfigurationError(f"{host.name} is broken", host=host.name)
            assert host.name not in self.buggy
        host.record.outcome = "deployed"

    def go(self) -> "Acted":
        with self.run:
            self.rollout.go()
        return self

    def outcomes(self) -> list[str]:
        return [host.outcome for host in self.run.report().hosts]

    def order(self) -> list[str]:
        """What happened with the phase 'act', in order: '+h1' begins it, '-h1' ends it."""
        lines = [json.loads(line) for line in (self.directory.path / "events.jsonl").read_text().splitlines()]
        acted = [line for line in lines if line.get("text") == "act"]
        return [("+" if line["kind"] == "phase" else "-") + line["host"] for line in acted]


def test_the_gate_goes_alone_then_the_batches(tmp_path: Path) -> None:
    acted = Acted(tmp_path).go()
    order = acted.order()
    assert order[:2] == ["+h1", "-h1"]
    assert set(order[2:6]) == {"+h2", "-h2", "+h3", "-h3"}
    assert set(order[6:]) == {"+h4", "-h4", "+h5", "-h5"}
    assert acted.outcomes() == ["deployed"] * 5
    assert acted.run.exit_code == ExitCode.OK


def test_a_gate_that_fails_leaves_the_rest_untouched(tmp_path: Path) -> None:
    acted = Acted(tmp_path)
    acted.broken = {"h1"}
    assert acted.go().outcomes() == ["failed"] + ["untouched"] * 4
    assert "h1 failed and gates the rest; not touched: h2, h3, h4, h5\n" in acted.said.getvalue()
    assert acted.run.exit_code == ExitCode.CONFIGURATION


def test_a_batch_with_a_failure_is_the_last_one_and_the_worst_code_counts(tmp_path: Path) -> None:
    acted = Acted(tmp_path)
    acted.broken = {"h2"}
    assert acted.go().outcomes() == ["deployed", "failed", "deployed", "untouched", "untouched"]
    assert "h2 failed; not touched: h4, h5\n" in acted.said.getvalue()
    assert acted.run.exit_code == ExitCode.CONFIGURATION


def test_a_host_that_is_not_ready_ends_it_before_the_gate(tmp_path: Path) -> None:
    acted = Acted(tmp_path)
    acted.unready = {"h4"}
    assert acted.go().outcomes() == ["untouched"] * 3 + ["failed", "untouched"]
    assert acted.order() == []
    assert acted.run.exit_code == ExitCode.UNREACHABLE


def test_hosts_on_which_nothing_changes_wait_for_nobody(tmp_path: Path) -> None:
    acted = Acted(tmp_path, size=1)
    acted.unchanged = set(HOSTS)
    assert acted.go().outcomes() == ["deployed"] * 5
    assert "wait" not in acted.said.getvalue()


def test_an_unchanged_gate_still_gates(tmp_path: Path) -> None:
    acted = Acted(tmp_path)
    acted.unchanged, acted.broken = {"h1"}, {"h1"}
    assert acted.go().outcomes() == ["failed"] + ["untouched"] * 4


def test_without_a_gate_a_failure_ends_nothing(tmp_path: Path) -> None:
    acted = Acted(tmp_path, gated=False)
    acted.broken = {"h1", "h3"}
    assert acted.go().outcomes() == ["failed", "deployed", "failed", "deployed", "deployed"]


def test_a_bug_on_one_host_is_shown_and_is_the_exit_code(tmp_path: Path) -> None:
    acted = Acted(tmp_path)
    acted.buggy = {"h1"}
    assert acted.go().outcomes() == ["failed"] + ["untouched"] * 4
    assert "h1: a bug: AssertionError" in acted.said.getvalue()
    assert acted.run.exit_code == ExitCode.BUG


def test_a_host_whose_process_is_killed_is_in_the_report(tmp_path: Path) -> None:
    acted = Acted(tmp_path)
    acted.killed = {"h2"}
    assert acted.go().outcomes() == ["deployed", "unknown", "deployed", "untouched", "untouched"]
    assert acted.run.exit_code == ExitCode.BUG


def test_ctrl_c_reaches_every_process_and_the_report_is_written(tmp_path: Path) -> None:
    acted = Acted(tmp_path)
    acted.interrupting = {"h2"}
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        acted.go()
    assert acted.outcomes()[::4] == ["deployed", "untouched"]
    assert acted.outcomes()[1] == "failed"
    assert json.loads((tmp_path / "report.json").read_text())["exit_code"] == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_more_hosts_than_processes_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devstral_fleet.workflows.rollout.AT_ONCE", 2)
    acted = Acted(tmp_path)
    assert acted.go().outcomes() == ["deployed"] * 5
    acted = Acted(tmp_path)
    acted.broken = {"h1"}
    assert acted.go().outcomes() == ["failed"] + ["untouched"] * 4
    assert "not touched: h2, h3, h4, h5" in acted.said.getvalue()
