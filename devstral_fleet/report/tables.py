"""The tables of a host's report, as text cells. Markdown and HTML show the same ones, so their numbers are the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devstral_fleet.catalog.schema import Baseline
from devstral_fleet.findings import Finding, MetricVerdict, Verdict
from devstral_fleet.plan import DeploymentPlan, MemoryArithmetic
from devstral_fleet.report import format as fmt
from devstral_fleet.report.model import BenchRow, HostReport, RunReport

BENCH_COLUMNS = (
    "output_throughput",
    "mean_ttft_ms",
    "median_ttft_ms",
    "p99_ttft_ms",
    "median_tpot_ms",
    "median_itl_ms",
    "p99_itl_ms",
    "duration",
)
REFERENCE_COLUMNS = ("output_throughput", "median_ttft_ms", "median_tpot_ms")
VERDICT_STATES = {"pass": "ok", "fail": "fail", "no-baseline": "warn", "not-comparable": "warn"}


@dataclass(frozen=True)
class Cell:
    """Text, with a state where it is a judgement ('ok', 'warn', 'fail') and lines below it (evidence, fix)."""

    text: str
    state: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A captioned table. `numeric`: indices of the columns whose numbers stand to the right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    note: str = ""


def host_tables(report: RunReport, host: HostReport) -> tuple[Table, ...]:
    """Return every table of a host that has rows, in the order they are read."""
    tables = (
        bench(host.bench),
        verdicts(host.verdicts),
        references(host),
        findings("Smoke checks", host.smoke),
        findings("Findings before", host.findings_before),
        findings("Findings after", host.findings_after),
        phases(host),
        fingerprint(report, host),
        *((plan(host.plan), arithmetic(host.plan.memory)) if host.plan else ()),
        tasks(host),
    )
    return tuple(table for table in tables if table.rows)


def bench(rows: Sequence[BenchRow]) -> Table:
    """One row for each point: medians over the repeats, the spread below."""
    columns = ("workload", "concurrency", "requests", "lost", *(fmt.label(name) for name in BENCH_COLUMNS))
    return _table(
        "Benchmark",
        columns,
        (_bench_row(row) for row in rows),
        numeric=range(1, len(columns)),
        note="Medians over the repeats; the spread is (largest - smallest) / median.",
    )


def verdicts(items: Sequence[Verdict]) -> Table:
    """One row for each judged metric, one for each point that was not judged."""
    columns = ("workload", "concurrency", "metric", "baseline", "now", "change", "tolerance", "verdict")
    rows = (row for verdict in items for row in _verdict_rows(verdict))
    return _table("Verdict", columns, rows, numeric=(1, 3, 4, 5, 6))


def references(host: HostReport) -> Table:
    """Other hardware's numbers for the same model and workload."""
    metrics = tuple(fmt.label(name) for name in REFERENCE_COLUMNS)
    return _table(
        "Other hardware, for reference",
        ("baseline", "hardware", "tp", "workload", "concurrency", *metrics),
        (_reference_row(row) for row in host.references),
        numeric=(2, 4, 5, 6, 7),
        note="Shown only; no part of the verdict.",
    )


def findings(caption: str, items: Sequence[Finding]) -> Table:
    """One row for each finding; what is not ok with its evidence and fix."""
    rows = ((Cell(item.state, item.state), item.check, Cell(item.summary, notes=_notes(item))) for item in items)
    return _table(caption, ("state", "check", "what was seen"), rows)


def phases(host: HostReport) -> Table:
    """Time by phase, and the whole."""
    rows = [(phase.name, fmt.duration(phase.offset_s), fmt.duration(phase.seconds)) for phase in host.phases]
    total = [("whole run", "", fmt.duration(host.seconds))] if rows else []
    return _table("Time by phase", ("phase", "began after", "took"), [*rows, *total], numeric=(1, 2))


def fingerprint(report: RunReport, host: HostReport) -> Table:
    """What ran where: enough to say later why two runs differ."""
    rows = [("toolkit", " ".join(filter(None, (report.toolkit_version, report.git_commit))))]
    if host.facts:
        facts = host.facts
        rows.append(("operating system", f"{facts.os_id} {facts.os_version}, {facts.kernel}, {facts.architecture}"))
        rows.append(("resources", f"{facts.cpu_count} CPUs, {fmt.gib(facts.memory_gib)} memory"))
    if host.gpus and host.gpus.driver:
        rows.append(("GPUs", f"{len(host.gpus.gpus)}, driver {host.gpus.driver}"))
    if host.versions:
        rows += [("SGLang", host.versions.sglang), ("transformers", host.versions.transformers)]
        rows.append(("torch", host.versions.torch))
    if host.plan:
        rows += _plan_fingerprint(host.plan)
    rows += [("release", host.release), ("previous release", host.previous_release)]
    return _table("Fingerprint", ("what", "value"), (row for row in rows if row[1]))


def plan(value: DeploymentPlan) -> Table:
    """What was decided."""
    rows = [
        ("model", f"{value.model} ({value.repository})"),
        ("served as", value.served_model_name),
        ("accelerator", f"{value.accelerator}, {value.hardware}"),
        ("GPUs", ", ".join(map(str, value.gpus)) or "none"),
        ("tensor parallelism", str(value.tp)),
        ("context length", f"{fmt.count(value.context_length)} tokens"),
        ("KV pool", f"{fmt.count(value.kv_pool_tokens)} tokens ({value.kv_cache_dtype})"),
        ("runtime", value.runtime),
        ("listens on", value.base_url),
        ("home", value.home),
        ("arguments", fmt.words(value.arguments)),
        ("environment", fmt.words([f"{name}={text}" for name, text in sorted(value.environment.items())])),
        *(("note", note) for note in value.notes),
    ]
    return _table("Plan", ("what", "value"), (row for row in rows if row[1]))


def arithmetic(memory: MemoryArithmetic | None) -> Table:
    """How the KV pool was computed, for one GPU."""
    rows: list[tuple[str, str]] = []
    if memory:
        rows = [
            ("memory of the GPU", f"{fmt.count(memory.gpu_memory_mib)} MiB"),
            ("fraction for weights and KV pool", fmt.number(memory.mem_fraction_static, 3)),
            ("weights", fmt.gib(memory.weights_gib)),
            ("context of the driver", fmt.gib(memory.context_gib)),
            ("one token's keys and values", f"{fmt.count(memory.kv_bytes_per_token)} bytes"),
            ("KV pool", fmt.gib(memory.kv_pool_gib)),
            ("KV pool, in tokens", f"{fmt.count(memory.kv_pool_tokens)} tokens"),
        ]
    return _table("Memory, for one GPU", ("what", "value"), rows, numeric=(1,))


def tasks(host: HostReport) -> Table:
    """The slowest tasks of the playbooks."""
    rows = ((task.name, "changed" if task.changed else "ok", fmt.duration(task.seconds)) for task in host.tasks)
    return _table("Slowest tasks", ("task", "result", "took"), rows, numeric=(2,))


def headline(host: HostReport) -> tuple[tuple[str, str], ...]:
    """The numbers that stand above the tables: label and text, of the first measured point."""
    figures = [("time", fmt.duration(host.seconds))] if host.phases else []
    for row in host.bench[:1]:
        for name in ("output_throughput", "median_ttft_ms", "median_tpot_ms"):
            figures.append((fmt.label(name), fmt.metric(name, row.medians.get(name))))
    return tuple(figures)


def _table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell | str]],
    *,
    numeric: Iterable[int] = (),
    note: str = "",
) -> Table:
    cells = tuple(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in rows)
    return Table(caption, tuple(columns), cells, frozenset(numeric), note)


def _bench_row(row: BenchRow) -> tuple[Cell | str, ...]:
    lost = Cell(fmt.count(row.failures), "fail" if row.failures else "")
    requests = f"{len(row.results)} x {fmt.count(row.num_prompts)}"
    return (row.workload, str(row.concurrency), requests, lost, *(_median(row, name) for name in BENCH_COLUMNS))


def _median(row: BenchRow, name: str) -> Cell:
    spread = row.spreads_percent.get(name)
    repeated = len(row.results) > 1 and spread is not None
    return Cell(fmt.metric(name, row.medians.get(name)), notes=(f"spread {fmt.percent(spread)}",) if repeated else ())


def _reference_row(row: Baseline) -> tuple[Cell | str, ...]:
    name = Cell(row.name, notes=("contaminated: only its medians count",) if row.contaminated else ())
    numbers = (fmt.metric(metric, row.metrics.get(metric)) for metric in REFERENCE_COLUMNS)
    return (name, row.hardware, str(row.tp), row.workload, str(row.concurrency), *numbers)


def _verdict_rows(verdict: Verdict) -> list[tuple[Cell | str, ...]]:
    here = (verdict.workload, str(verdict.concurrency))
    if not verdict.metrics:
        state = Cell(verdict.state, VERDICT_STATES[verdict.state], (verdict.reason,) if verdict.reason else ())
        return [(*here, fmt.NONE, verdict.baseline or fmt.NONE, fmt.NONE, fmt.NONE, fmt.NONE, state)]
    return [(*here, *_metric_cells(metric)) for metric in verdict.metrics]


def _metric_cells(metric: MetricVerdict) -> tuple[Cell | str, ...]:
    return (
        fmt.label(metric.metric),
        fmt.metric(metric.metric, metric.baseline),
        fmt.metric(metric.metric, metric.now),
        fmt.change(metric.change_percent),
        f"± {fmt.percent(metric.tolerance_percent)}",
        Cell(metric.state, VERDICT_STATES[metric.state]),
    )


def _notes(finding: Finding) -> tuple[str, ...]:
    if finding.state == "ok":
        return ()
    return (*finding.evidence, *((f"fix: {finding.fix}",) if finding.fix else ()))


def _plan_fingerprint(value: DeploymentPlan) -> list[tuple[str, str]]:
    image = value.image
    environment = value.engine_environment
    return [
        ("image", f"{image.reference} {image.digest or ''}".strip() if image else ""),
        ("engine environment", environment.digest if environment else ""),
        ("model files", " ".join(filter(None, (value.files.directory, value.files.revision)))),
        ("plan digest", value.digest),
    ]
