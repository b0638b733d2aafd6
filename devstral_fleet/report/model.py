"""The report of one run, as values. `report.json` is this model; Markdown, HTML and the screen are written from it.

Times are seconds unless the name says otherwise; dates are UTC in ISO 8601.
"""

from typing import Literal

from pydantic import Field

from devstral_fleet.bench.accuracy import AccuracyResult
from devstral_fleet.bench.goodput import Goodput
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.parse import BenchResult
from devstral_fleet.bench.usage import GpuUsage
from devstral_fleet.catalog.schema import Baseline
from devstral_fleet.errors import FleetError
from devstral_fleet.facts import AcceleratorFacts, HostFacts, VersionsFacts
from devstral_fleet.findings import Finding, FindingState, Verdict, VerdictState
from devstral_fleet.model import Value
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.startup import Startup

SLOWEST_TASKS = 10

Outcome = Literal[
    "deployed",
    "unchanged",
    "rolled-back",
    "restored",
    "failed",
    "checked",
    "verified",
    "measured",
    "recorded",
    "stopped",
    "brought",
    "fetched",
    "pruned",
    "provisioned",
    "untouched",
    "unknown",
]
"""How a host ended. `brought`: its image is there; `provisioned`: what an engine needs is;
`untouched`: the rollout ended before its turn;
`rolled-back`: as `rollback` was asked to; `restored`: it failed, the previous release serves."""

SHOWN_METRICS = (
    "output_throughput",
    "total_throughput",
    "mean_ttft_ms",
    "median_ttft_ms",
    "p90_ttft_ms",
    "p99_ttft_ms",
    "mean_tpot_ms",
    "median_tpot_ms",
    "p90_tpot_ms",
    "p99_tpot_ms",
    "median_itl_ms",
    "p99_itl_ms",
    "median_e2e_latency_ms",
    "p90_e2e_latency_ms",
    "p99_e2e_latency_ms",
    "request_throughput",
    "duration",
)
"""What is shown of a bench row: its medians and spreads stand in the report."""


class ErrorReport(Value):
    """An error as the report keeps it."""

    kind: str
    """Name of the error's class."""
    message: str
    fix: str
    evidence: tuple[str, ...]
    exit_code: int

    @classmethod
    def of(cls, error: FleetError) -> "ErrorReport":
        return cls(
            kind=type(error).__name__,
            message=error.message,
            fix=error.fix,
            evidence=error.evidence,
            exit_code=int(error.code),
        )


class PhaseReport(Value):
    """One phase of a host's run: when it began, counted from the run's start, and how long it took."""

    name: str
    offset_s: float
    seconds: float


class TaskReport(Value):
    """One task of a playbook on this host."""

    name: str
    seconds: float
    changed: bool = False


class ChangeReport(Value):
    """What a task changed, or would change (--check)."""

    task: str
    diff: str = ""
    """Unified diff, free of secrets; '' where the module gives none."""


class BenchRow(Value):
    """One workload at one concurrency: every repeat, their medians and what they differ by."""

    workload: str
    concurrency: int
    num_prompts: int
    failures: int
    """Requests without an answer, over all repeats."""
    results: tuple[BenchResult, ...]
    medians: dict[str, float]
    """Metric (JSONL key) -> median over the repeats."""
    spreads_percent: dict[str, float]
    """Metric -> (largest - smallest) / median of the repeats in percent."""
    goodput: Goodput | None = None
    """None where the workload has no objective."""
    usage: tuple[GpuUsage, ...] = ()
    """The GPUs that served it; () where there are none."""

    @property
    def key(self) -> tuple[str, int, int]:
        """What names the point that was measured."""
        return self.workload, self.concurrency, self.num_prompts

    @classmethod
    def of(cls, measurement: Measurement) -> "BenchRow":
        medians = {name: measurement.median(name) for name in SHOWN_METRICS}
        known = {name: value for name, value in medians.items() if value is not None}
        return cls(
            workload=measurement.workload,
            concurrency=measurement.concurrency,
            num_prompts=measurement.num_prompts,
            failures=measurement.failures,
            results=tuple(result.without_server_info() for result in measurement.results),
            medians=known,
            spreads_percent={name: measurement.spread_percent(name) for name in known},
            goodput=measurement.goodput,
            usage=measurement.usage,
        )


class Proof(Value):
    """What an earlier run proved of the same release on the same host, told again in the report of a later one."""

    run: str
    """Id of the run that proved it."""
    finished: str
    accuracy: tuple[AccuracyResult, ...] = ()
    tool_cases: tuple[Finding, ...] = ()
    acceptance: tuple[Finding, ...] = ()
    """Of the host and its GPUs, whatever served."""
    startup: Startup | None = None
    earlier_startups: tuple[Startup, ...] = ()
    tasks: tuple[TaskReport, ...] = ()
    """The slowest of the deploy that made the start."""


class HostReport(Value):
    """What one run did on one host, and what it found there."""

    host: str
    outcome: Outcome
    exit_code: int
    plan: DeploymentPlan | None = None
    release: str = ""
    """Id of the release that this run deployed or looked at."""
    previous_release: str = ""
    """Id of the release that was current before."""
    endpoint: str = ""
    """Base URL on the host, such as http://127.0.0.1:30000/v1."""
    curl: str = ""
    """A line to paste on the host; it reads the API key from its file."""
    phases: tuple[PhaseReport, ...] = ()
    findings_before: tuple[Finding, ...] = ()
    findings_after: tuple[Finding, ...] = ()
    smoke: tuple[Finding, ...] = ()
    bench: tuple[BenchRow, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    verdict: VerdictState | None = None
    """The worst of `verdicts`; None when nothing was measured."""
    references: tuple[Baseline, ...] = ()
    """Other hardware's numbers for the same model and workload: shown, never a verdict."""
    baseline_command: str = ""
    """Command that records this host's baseline, where it has none."""
    accuracy: tuple[AccuracyResult, ...] = ()
    startup: Startup | None = None
    """The start of what serves, where this run made it."""
    earlier_startups: tuple[Startup, ...] = ()
    """The starts on this host before it, newest first."""
    proofs: tuple[Proof, ...] = ()
    """What this run did not prove itself and earlier ones did, newest first; no part of `state`."""
    error: ErrorReport | None = None
    versions: VersionsFacts | None = None
    facts: HostFacts | None = None
    gpus: AcceleratorFacts | None = None
    server_info: dict[str, object] = Field(default_factory=dict)
    """The engine's resolved arguments, free of secrets."""
    tasks: tuple[TaskReport, ...] = ()
    """The slowest tasks, slowest first (`slowest`)."""
    changes: tuple[ChangeReport, ...] = ()
    image_sent_bytes: int = 0
    """What went from the controller to the host to bring the image; 0 where a registry gave it, or it was there."""
    next_commands: tuple[str, ...] = ()
    """Paste-ready commands that help from here."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding of the run, in the order it was made."""
        return (*self.findings_before, *self.findings_after, *self.smoke)

    @property
    def state(self) -> FindingState:
        """Say in one word how the host ended: fail with its exit code, warn when something should be looked at."""
        if self.exit_code:
            return "fail"
        verdicts = {self.verdict, *(result.state for result in self.accuracy)}
        unjudged = bool(verdicts & {"no-baseline", "not-comparable"}) or self.outcome == "untouched"
        return "warn" if unjudged or any(finding.state != "ok" for finding in self.findings) else "ok"

    @property
    def seconds(self) -> float:
        """From the first phase's start to the last one's end."""
        if not self.phases:
            return 0.0
        return max(phase.offset_s + phase.seconds for phase in self.phases) - self.phases[0].offset_s


class RunReport(Value):
    """One invocation of a verb, over all its hosts."""

    schema_version: Literal[1] = 1
    run: str
    """Run id, the run directory's name."""
    verb: str
    started: str
    finished: str
    toolkit_version: str
    git_commit: str = ""
    """'' when the toolkit does not run from a git checkout."""
    controller: str
    """Name of the machine that ran the toolkit."""
    options: dict[str, object] = Field(default_factory=dict)
    """The command line's options, free of secrets."""
    exit_code: int
    hosts: tuple[HostReport, ...] = ()
    error: ErrorReport | None = None
    """An error that concerns no single host."""


def slowest(tasks: tuple[TaskReport, ...], count: int = SLOWEST_TASKS) -> tuple[TaskReport, ...]:
    """Return the slowest tasks, slowest first."""
    return tuple(sorted(tasks, key=lambda task: task.seconds, reverse=True)[:count])


def json_schema() -> dict[str, object]:
    """Return the JSON schema of `report.json`."""
    return RunReport.model_json_schema(mode="serialization")
