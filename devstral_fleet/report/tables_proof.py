"""The tables of what was proven: findings, acceptance, tool calls, accuracy, and the way to the first token."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from devstral_fleet.bench.accuracy import AccuracyResult
from devstral_fleet.findings import Finding
from devstral_fleet.report import format as fmt
from devstral_fleet.report.model import HostReport
from devstral_fleet.report.proofs import LOOKED, TOOL_CASE, told
from devstral_fleet.report.table import Cell, Table, table
from devstral_fleet.report.tables_bench import VERDICT_STATES
from devstral_fleet.startup import Startup

STARTUP = "Start-up"
UNKNOWN_CASES = "other cases"
"""Cases that this version does not know: the report of another one."""


def tables(host: HostReport) -> Iterable[Table]:
    """Return them in the order they are read, empty ones among them."""
    asked, asked_by = told(host, "tool_cases")
    answered, answered_by = told(host, "accuracy")
    measured, measured_by = told(host, "acceptance")
    started, started_by = told(host, "startup")
    yield _by(accuracy(answered.accuracy), answered_by)
    yield _by(tool_groups(asked.tool_cases), asked_by)
    yield _by(findings("Tool call cases", asked.tool_cases, folded=True), asked_by)
    yield _by(findings("Acceptance", measured.acceptance, evidence=True), measured_by)
    yield findings("Smoke checks", [item for item in host.smoke if not item.check.startswith(TOOL_CASE)])
    yield findings("Findings before", host.findings_before)
    yield findings("Findings after", [item for item in host.findings_after if item.check not in LOOKED])
    yield _by(startup(started.startup), started_by)
    yield _by(startups(started.startup, started.earlier_startups), started_by)


def _by(value: Table, run: str) -> Table:
    """Say below a table which earlier run it is of."""
    return replace(value, note=" ".join(filter(None, (value.note, run))))


def findings(caption: str, items: Sequence[Finding], *, evidence: bool = False, folded: bool = False) -> Table:
    """One row for each finding; what is not ok with its evidence and fix, what is ok with its evidence on demand."""
    rows = (
        (Cell(item.state, item.state), item.check, Cell(item.summary, notes=_notes(item, evidence))) for item in items
    )
    return table(caption, ("state", "check", "what was seen"), rows, folded=folded)


def tool_groups(cases: Sequence[Finding]) -> Table:
    """One row for each kind of case: how many passed, warned, failed."""
    kinds = _kinds() if cases else {}
    states: dict[str, Counter[str]] = {}
    for item in cases:
        kind = kinds.get(item.check.removeprefix(TOOL_CASE), UNKNOWN_CASES)
        states.setdefault(kind, Counter())[item.state] += 1
    rows = (
        (kind, _count(seen, "ok"), _count(seen, "warn"), _count(seen, "fail"), str(seen.total()))
        for kind, seen in states.items()
    )
    return table("Tool calls", ("cases", "passed", "warned", "failed", "asked"), rows, numeric=(1, 2, 3, 4))


def accuracy(results: Sequence[AccuracyResult]) -> Table:
    """One row for each benchmark that was run."""
    columns = ("benchmark", "shots", "questions", "right", "no number", "accuracy", "baseline", "took", "speed")
    return table(
        "Accuracy",
        (*columns, "verdict"),
        (_accuracy_row(each) for each in results),
        numeric=range(1, len(columns)),
        note="± is one standard error, for so many questions.",
    )


def startup(seen: Startup | None) -> Table:
    """One row for each stage of the start."""
    stages = seen.stages if seen else ()
    rows = ((each.name, fmt.duration(each.offset_s), fmt.duration(each.seconds), each.source) for each in stages)
    return table(
        STARTUP,
        ("stage", "began after", "took", "timed by"),
        rows,
        numeric=(1, 2),
        note=f"The process answered its health check {fmt.duration(seen.ready_s)} after it began." if seen else "",
    )


def startups(newest: Startup | None, earlier: Sequence[Startup]) -> Table:
    """One row for each start on this host, newest first; none where there was one."""
    every = (*((newest,) if newest else ()), *earlier) if earlier else ()
    rows = ((each.started, each.release, fmt.duration(whole_s(each)), fmt.duration(each.ready_s)) for each in every)
    return table("Starts on this host", ("started", "release", "whole", "process to ready"), rows, numeric=(2, 3))


def whole_s(start: Startup) -> float:
    """Seconds from the first stage's beginning to the last one's end."""
    return max((each.offset_s + each.seconds for each in start.stages), default=start.ready_s)


def _accuracy_row(result: AccuracyResult) -> tuple[Cell | str, ...]:
    before = result.baseline_accuracy
    return (
        Cell(result.benchmark, notes=(f"data {result.data_sha256[:12]}",)),
        fmt.count(result.num_shots),
        fmt.count(result.num_questions),
        fmt.count(result.correct),
        fmt.count(result.invalid),
        f"{fmt.number(result.accuracy, 3)} ± {fmt.number(result.standard_error, 3)}",
        Cell(fmt.number(before, 3), notes=(result.baseline,) if result.baseline else ()),
        fmt.duration(result.seconds),
        fmt.throughput(result.output_throughput),
        Cell(result.state, VERDICT_STATES[result.state], (result.reason,) if result.reason else ()),
    )


def _notes(finding: Finding, evidence: bool) -> tuple[str, ...]:
    if finding.state == "ok":
        return finding.evidence if evidence else ()
    return (*finding.evidence, *((f"fix: {finding.fix}",) if finding.fix else ()))


def _count(seen: Counter[str], state: str) -> Cell:
    number = seen[state]
    return Cell(str(number), state if number and state != "ok" else "")


@cache
def _kinds() -> dict[str, str]:
    """What each case of tool_cases.yml expects; the file alone is read, for what asks the cases is an edge."""
    text = (files("devstral_fleet") / "smoke" / "tool_cases.yml").read_text()
    return {case["name"]: _kind(case) for case in yaml.safe_load(text)["cases"]}


def _kind(case: dict[str, Any]) -> str:
    if case.get("weights") == "trained":
        return "the model's own choice"
    expect = case["expect"]
    if "calls" in expect:
        return "calls that a grammar writes"
    return "words and no call" if expect.get("text") else "requests to refuse"
