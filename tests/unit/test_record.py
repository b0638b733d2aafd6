"""What a run remembers of a host, and how it ends with it."""

import json
from functools import partial
from pathlib import Path

import pytest

from devstral_fleet.errors import ExitCode, LockedError, PerformanceError, UnreachableError, VerificationError
from devstral_fleet.findings import Finding, FindingState
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask
from devstral_fleet.workflows.running import Run
from tests.support.hosts import host_of, quiet, target


def finding(state: FindingState, check: str = "disk") -> Finding:
    return Finding(
        check=check, state=state, summary=f"{check} is {state}", fix=f"fix {check}", evidence=(f"df {check}",)
    )


def test_phases_are_timed_from_the_runs_start_also_when_they_fail() -> None:
    record = host_of(target(), quiet()[0]).record
    with record.phase("look"):
        pass
    with pytest.raises(VerificationError), record.phase("start"):
        raise VerificationError("no")
    assert [(phase.name, phase.offset_s, phase.seconds) for phase in record.report().phases] == [
        ("look", 1.0, 1.0),
        ("start", 3.0, 1.0),
    ]


def test_findings_add_up_and_only_what_is_not_ok_is_shown() -> None:
    console, said = quiet()
    record = host_of(target(), console).record
    record.add("smoke", [finding("ok", "chat")])
    record.add("smoke", [finding("warn", "tools")])
    assert [one.check for one in record.report().smoke] == ["chat", "tools"]
    assert "tools is warn" in said.getvalue()
    assert "chat" not in said.getvalue()


def test_what_is_required_and_fails_is_an_error_with_every_reason() -> None:
    record = host_of(target(), quiet()[0]).record
    found = [finding("fail", "disk"), finding("ok", "port"), finding("fail", "memory"), finding("warn", "clock")]
    with pytest.raises(VerificationError) as caught:
        record.require("findings_before", found, "the host is not ready")
    assert caught.value.message == "local: the host is not ready: disk is fail; memory is fail"
    assert (caught.value.fix, caught.value.evidence) == ("fix disk", ("df disk", "df memory"))
    assert record.report().findings_before == tuple(found)


def test_a_warning_is_no_error() -> None:
    record = host_of(target(), quiet()[0]).record
    record.require("findings_before", [finding("warn")], "the host is not ready")
    assert record.report().exit_code == 0


def test_an_error_stands_in_the_report() -> None:
    record = host_of(target(), quiet()[0]).record
    record.fail(PerformanceError("slow", fix="wait", evidence=["1 tok/s"]))
    report = record.report()
    assert (report.exit_code, report.outcome) == (6, "failed")
    assert report.error is not None
    assert (report.error.kind, report.error.evidence) == ("PerformanceError", ("1 tok/s",))


class Ran:
    """A run over this machine, whose steps end with the given errors, one a host."""

    def __init__(self, directory: Path, *errors: BaseException | None) -> None:
        console, self.said = quiet()
        self.raised: BaseException | None = None
        try:
            with Run(console, RunDirectory.create(directory, "deploy"), "deploy", Ask("all")) as run:
                self.ended = [run.on(target(), partial(_end, error)) for error in errors]
        except BaseException as error:
            self.raised = error
        self.exit_code = run.exit_code
        self.report = json.loads((run.directory.path / "report.json").read_text())


def _end(error: BaseException | None, _host: Host) -> None:
    if error:
        raise error


def test_the_worst_host_decides_the_exit_code_and_none_stops_the_others(tmp_path: Path) -> None:
    ran = Ran(tmp_path, None, LockedError("held"), UnreachableError("away"), None)
    assert ran.ended == [True, False, False, True]
    assert (ran.exit_code, ran.report["exit_code"]) == (ExitCode.UNREACHABLE, 3)
    assert [host["exit_code"] for host in ran.report["hosts"]] == [0, 7, 3, 0]
    assert "error: held" in ran.said.getvalue()


def test_an_interrupted_run_writes_what_it_has(tmp_path: Path) -> None:
    ran = Ran(tmp_path, None, KeyboardInterrupt(), None)
    assert isinstance(ran.raised, KeyboardInterrupt)
    assert (ran.exit_code, ran.report["exit_code"]) == (ExitCode.INTERRUPTED, 130)
    assert [host["exit_code"] for host in ran.report["hosts"]] == [0, 130]


def test_an_interrupt_does_not_hide_what_had_failed(tmp_path: Path) -> None:
    interrupt = KeyboardInterrupt()
    interrupt.__cause__ = VerificationError("the old one does not start")
    ran = Ran(tmp_path, interrupt)
    assert ran.report["hosts"][0]["error"]["message"] == "the old one does not start"
    assert ran.report["exit_code"] == 130
    assert "the old one does not start" in ran.said.getvalue()


def test_a_bug_is_no_success_in_the_report(tmp_path: Path) -> None:
    ran = Ran(tmp_path, KeyError("a bug"))
    assert isinstance(ran.raised, KeyError)
    assert (ran.report["exit_code"], ran.report["hosts"][0]["exit_code"]) == (1, 1)
