"""Findings and verdicts: the two kinds of judgement, as values."""

from typing import Literal

from devstral_fleet.errors import ProbeError
from devstral_fleet.model import Value

FindingState = Literal["ok", "warn", "fail"]
VerdictState = Literal["pass", "fail", "no-baseline", "not-comparable"]


class Finding(Value):
    """One thing that was checked on a host."""

    check: str
    """Stable name in kebab case: 'port-free', 'tool-call-streamed'."""
    state: FindingState
    summary: str
    evidence: tuple[str, ...] = ()
    fix: str = ""
    """Paste-ready command or one sentence; '' when ok."""
    duration_ms: float | None = None
    """How long the check took; None where time says nothing."""


def finding(check: str, state: FindingState, summary: str, fix: str = "", *evidence: str) -> Finding:
    """Return a finding, its words in the order in which a check says them."""
    return Finding(check=check, state=state, summary=summary, fix=fix, evidence=evidence)


def unread(check: str, error: ProbeError) -> Finding:
    """The finding of a probe that could not run: what was not looked at does not pass."""
    fix = error.fix or "run it again; where it stays, look on the host by hand"
    return finding(check, "fail", error.message, fix, *error.evidence)


def on_host(command: str) -> str:
    """Return a fix that is a command on the host itself."""
    return f"on the host: {command}"


class MetricVerdict(Value):
    """One metric against its baseline."""

    metric: str
    """Key of SGLang's JSONL, such as 'output_throughput' or 'median_ttft_ms'."""
    baseline: float
    now: float
    change_percent: float
    """(now - baseline) / baseline * 100; positive means a larger number, which may be worse."""
    tolerance_percent: float
    state: Literal["pass", "fail"]


class Verdict(Value):
    """One workload at one concurrency against its baseline."""

    workload: str
    concurrency: int
    state: VerdictState
    reason: str
    """Why there is no baseline, why it does not compare, or which metric failed; '' for pass."""
    baseline: str = ""
    """Name of the baseline it was judged by."""
    metrics: tuple[MetricVerdict, ...] = ()
