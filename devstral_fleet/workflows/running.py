"""One run over its hosts: each host's record, and the report that is written however the run ends."""

import platform
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

from devstral_fleet import __version__, project
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode, FleetError, worst
from devstral_fleet.redact import scrub
from devstral_fleet.report.model import HostReport, RunReport
from devstral_fleet.report.summary import COLUMNS, fleet, summary
from devstral_fleet.report.write import without_secrets, write_all
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows.host import Host, opened
from devstral_fleet.workflows.planning import Ask, Target
from devstral_fleet.workflows.record import HostRecord


class Ended(Protocol):
    """A host's part of a run: its record, or what its own process has sent of it."""

    @property
    def code(self) -> ExitCode: ...

    def report(self) -> HostReport: ...


class Run:
    """Runs a step on each host, keeps the records, and writes report.json, report.md and report.html at the end.

    An interrupted or broken run writes what it has so far.
    """

    def __init__(self, console: Console, directory: RunDirectory, verb: str, ask: Ask) -> None:
        self.console = console
        self.directory = directory
        self.verb = verb
        self.ask = ask
        self.records: list[Ended] = []
        self.interrupted = False
        self.started = utc_now()
        console.record_to(directory.path / "events.jsonl")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        report = without_secrets(self.report())
        paths = write_all(report, self.directory.path)
        if len(report.hosts) > 1:
            many = fleet(report, report_path=str(paths.html))
            self.console.table(COLUMNS, many.rows)
            self.console.pairs(many.lines)
        else:
            for host in report.hosts:
                self.console.pairs(summary(host, report_path=str(paths.html)).lines)
        self.console.document(report.model_dump(mode="json"))

    def on(self, target: Target, step: Callable[[Host], None]) -> bool:
        """Run one step on one host; an expected error is shown and remembered, and the answer is False."""
        return work(target, self.console, step, self.records.append) == ExitCode.OK

    @property
    def exit_code(self) -> ExitCode:
        """The worst of all hosts, or 130."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return worst(record.code for record in self.records)

    def report(self) -> RunReport:
        """Freeze the run as it stands."""
        return RunReport(
            run=self.directory.id,
            verb=self.verb,
            started=self.started,
            finished=utc_now(),
            toolkit_version=__version__,
            git_commit=git_commit(),
            controller=platform.node(),
            options=scrub(asdict(self.ask)),
            exit_code=int(self.exit_code),
            hosts=tuple(record.report() for record in self.records),
        )


def work(
    target: Target, console: Console, step: Callable[[Host], None], begun: Callable[[HostRecord], None]
) -> ExitCode:
    """Run one step on one host; an expected error is shown and remembered in its record, anything else goes on.

    `begun` gets the record before anything is done: it is there however this ends.
    """
    with opened(target, console) as host:
        begun(host.record)
        try:
            step(host)
        except FleetError as error:
            host.record.fail(error)
            console.error(error)
        except KeyboardInterrupt as interrupt:
            behind = interrupt.__cause__ or interrupt.__context__
            if isinstance(behind, FleetError):  # what had failed before, or on the way back
                host.record.fail(behind)
                console.error(behind)
            host.record.code = ExitCode.INTERRUPTED
            raise
        except Exception:
            host.record.code = ExitCode.BUG
            raise
    return host.record.code


def utc_now() -> str:
    """The time of day, UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def git_commit() -> str:
    """Commit of the checkout that the toolkit runs from, or that its bundle was made of; '' where neither says it."""
    if project.COMMIT.is_file():
        return project.COMMIT.read_text().strip()
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=project.ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
