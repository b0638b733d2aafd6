"""What a run remembers of one host while it goes on, until it becomes a HostReport."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode, FleetError, VerificationError
from devstral_fleet.findings import Finding
from devstral_fleet.report.model import ErrorReport, HostReport, Outcome, PhaseReport
from devstral_fleet.workflows.planning import Target


@dataclass
class HostRecord:
    """One host's part of a run; `report()` freezes what is known so far.

    `clock` is monotonic, in seconds.
    """

    target: Target
    console: Console
    clock: Callable[[], float] = time.monotonic
    outcome: Outcome = "failed"
    phases: list[PhaseReport] = field(default_factory=list)
    known: dict[str, Any] = field(default_factory=dict)
    """Fields of HostReport that single steps know: release, bench, verdicts, tasks, ..."""
    code: ExitCode = ExitCode.OK
    error: FleetError | None = None
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()

    @property
    def now_s(self) -> float:
        """Seconds since the run began on this host, as offsets of phases count them."""
        return self.clock() - self.begun

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase, and show it while it runs; one that ends in an error is remembered too."""
        start = self.clock()
        try:
            with self.console.phase(self.target.name, name):
                yield
        finally:
            self.phases.append(PhaseReport(name=name, offset_s=start - self.begun, seconds=self.clock() - start))

    def add(self, field_name: str, findings: Iterable[Finding]) -> None:
        """Append findings to a field of the report, and show each that is not ok."""
        found = tuple(findings)
        self.known[field_name] = (*self.known.get(field_name, ()), *found)
        for finding in found:
            if finding.state != "ok":
                self.console.finding(self.target.name, finding)

    def require(self, field_name: str, findings: Iterable[Finding], what: str) -> None:
        """Add findings; raise VerificationError naming those that failed, `what` being the first half sentence."""
        found = tuple(findings)
        self.add(field_name, found)
        failed = [finding for finding in found if finding.state == "fail"]
        if failed:
            raise VerificationError(
                f"{self.target.name}: {what}: {'; '.join(dict.fromkeys(finding.summary for finding in failed))}",
                fix=next((finding.fix for finding in failed if finding.fix), ""),
                evidence=[line for finding in failed for line in finding.evidence],
                host=self.target.name,
            )

    def fail(self, error: FleetError) -> None:
        """Remember the error this host ended with."""
        self.error = error
        self.code = error.code

    def report(self) -> HostReport:
        """Freeze what is known so far."""
        error = ErrorReport.of(self.error) if self.error else None
        return HostReport(
            host=self.target.name,
            outcome=self.outcome,
            exit_code=int(self.code),
            plan=self.target.plan,
            phases=tuple(self.phases),
            error=error,
            **self.known,
        )
