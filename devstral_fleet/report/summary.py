"""The one screen at the end of a run. Every number on it is a number of the report, written by the same functions."""

from collections.abc import Sequence

from devstral_fleet.bench.accuracy import AccuracyResult
from devstral_fleet.model import Value
from devstral_fleet.report import format as fmt
from devstral_fleet.report.model import BenchRow, HostReport, RunReport

OUTCOMES = {
    "deployed": "deployed and proven",
    "unchanged": "unchanged: it already serves what was planned",
    "rolled-back": "rolled back",
    "restored": "failed; the previous release serves again",
    "failed": "failed",
    "checked": "checked; nothing was changed",
    "verified": "verified",
    "measured": "measured",
    "recorded": "measured and recorded as its baseline",
    "stopped": "stopped",
    "brought": "has its image",
    "fetched": "has its model's files",
    "pruned": "has no model that nobody uses",
    "provisioned": "has what an engine needs",
    "untouched": "not touched: the rollout ended before its turn",
    "unknown": "ended without an outcome",
}
VERDICTS = {
    "pass": "as fast as its baseline",
    "fail": "slower than its baseline allows",
    "no-baseline": "no baseline to judge by",
    "not-comparable": "not comparable with its baseline",
}
ANSWERS = {
    "pass": "answers as well as its baseline",
    "fail": "answers worse than its baseline allows",
    "no-baseline": "no baseline to judge its answers by",
    "not-comparable": "its answers are not comparable with a baseline's",
}

SATURATION = "bench-saturation"
"""The finding that says so; nothing is wrong with it, and it is shown."""
COLUMNS = ("host", "ended", "endpoint", "time", "speed", "verdict")
"""Of the screen of several hosts."""


class FleetSummary(Value):
    """The screen of several hosts: a row each, then what fits in no row."""

    rows: tuple[tuple[str, ...], ...]
    lines: tuple[tuple[str, str], ...]


class BenchLine(Value):
    """One measured point, as texts."""

    point: str
    output_throughput: str
    ttft: str
    tpot: str
    verdict: str


class Summary(Value):
    """One host's screen, as texts in the order they are printed; '' and () where there is nothing to say."""

    host: str
    sentence: str
    endpoint: str
    curl: str
    phases: tuple[tuple[str, str], ...]
    total: str
    bench: tuple[BenchLine, ...]
    saturation: tuple[str, ...]
    """Where the throughput of a workload saturates, a sentence each."""
    verdict: str
    accuracy: tuple[tuple[str, str], ...]
    """Benchmark, and what came of it."""
    attention: tuple[str, ...]
    """What warns or failed, one sentence each."""
    baseline_command: str
    report: str
    """Path of the HTML page."""
    next_commands: tuple[str, ...]

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Label and text of each line to print, without the empty ones."""
        bench = [(f"speed {row.point}", f"{row.output_throughput}, {row.ttft}, {row.tpot}") for row in self.bench]
        rows = [
            (self.host, self.sentence),
            ("endpoint", self.endpoint),
            ("try it", self.curl),
            ("time", _times(self.phases, self.total)),
            *bench,
            *(("saturation", text) for text in self.saturation),
            ("verdict", self.verdict),
            *((f"accuracy {name}", text) for name, text in self.accuracy),
            *(("look at", text) for text in self.attention),
            ("record a baseline", self.baseline_command),
            ("report", self.report),
            *(("next", command) for command in self.next_commands),
        ]
        return tuple((label, text) for label, text in rows if text)


def summary(host: HostReport, *, report_path: str = "") -> Summary:
    """Write one host's screen from its report."""
    return Summary(
        host=host.host,
        sentence=sentence(host),
        endpoint=host.endpoint,
        curl=host.curl,
        phases=tuple((phase.name, fmt.duration(phase.seconds)) for phase in host.phases),
        total=fmt.duration(host.seconds) if host.phases else "",
        bench=tuple(_bench(host, row) for row in host.bench),
        saturation=tuple(one.summary for one in host.findings if one.check == SATURATION),
        verdict=_verdict(host),
        accuracy=tuple((result.benchmark, _accuracy(result)) for result in host.accuracy),
        attention=attention(host),
        baseline_command=host.baseline_command,
        report=report_path,
        next_commands=host.next_commands,
    )


def fleet(report: RunReport, *, report_path: str = "") -> FleetSummary:
    """Write the screen of several hosts from their report."""
    lines = [
        *((host.host, host.error.message) for host in report.hosts if host.error),
        *((host.host, f"look at {text}") for host in report.hosts for text in attention(host)),
    ]
    lines += [("record baselines", command) for command in _baseline_commands(report.hosts)]
    return FleetSummary(rows=tuple(map(_row, report.hosts)), lines=(*lines, ("report", report_path)))


def _baseline_commands(hosts: Sequence[HostReport]) -> list[str]:
    """One command for all the hosts whose own ones differ in nothing but the host."""
    unrecorded: dict[tuple[str, str], list[str]] = {}
    for host in hosts:
        if host.baseline_command:
            before, _, after = host.baseline_command.partition(f"--host {host.host}")
            unrecorded.setdefault((before, after), []).append(host.host)
    return [f"{before}--host {','.join(names)}{after}" for (before, after), names in unrecorded.items()]


def _row(host: HostReport) -> tuple[str, ...]:
    speeds = (fmt.metric("output_throughput", row.medians.get("output_throughput")) for row in host.bench)
    took = fmt.duration(host.seconds) if host.phases else ""
    return host.host, OUTCOMES[host.outcome], host.endpoint, took, ", ".join(speeds), host.verdict or ""


def sentence(host: HostReport) -> str:
    """Say in one line how the host ended; a missing baseline is said here, not hidden further down."""
    words = OUTCOMES[host.outcome]
    if host.error:
        words += f": {host.error.message}"
    elif host.outcome != "recorded":
        words += f", {VERDICTS[host.verdict]}" if host.verdict else ""
        words += "".join(f", {ANSWERS[result.state]}" for result in host.accuracy)
    return words


def attention(host: HostReport) -> tuple[str, ...]:
    """Return what a reader should look at: every finding that is not ok."""
    return tuple(f"{finding.check}: {finding.summary}" for finding in host.findings if finding.state != "ok")


def _bench(host: HostReport, row: BenchRow) -> BenchLine:
    found = (
        item.state for item in host.verdicts if (item.workload, item.concurrency) == (row.workload, row.concurrency)
    )
    return BenchLine(
        point=f"{row.workload} at {row.concurrency}",
        output_throughput=fmt.metric("output_throughput", row.medians.get("output_throughput")),
        ttft=f"{fmt.label('median_ttft_ms')} {fmt.metric('median_ttft_ms', row.medians.get('median_ttft_ms'))}",
        tpot=f"{fmt.label('median_tpot_ms')} {fmt.metric('median_tpot_ms', row.medians.get('median_tpot_ms'))}",
        verdict=next(found, ""),
    )


def _verdict(host: HostReport) -> str:
    if host.verdict is None:
        return ""
    reasons = [item.reason for item in host.verdicts if item.state == host.verdict and item.reason]
    return f"{host.verdict}: {reasons[0]}" if reasons else host.verdict


def _accuracy(result: AccuracyResult) -> str:
    judged = f"{result.state}: {result.reason}" if result.reason else result.state
    return f"{result.correct} of {result.num_questions} right ({result.accuracy:.3f}); {judged}"


def _times(phases: tuple[tuple[str, str], ...], total: str) -> str:
    return f"{total} ({', '.join(f'{name} {took}' for name, took in phases)})" if phases else ""
