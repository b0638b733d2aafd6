"""The tables of a host's report, as text cells. Markdown and HTML show the same ones, so their numbers are the same."""

from collections.abc import Callable

from devstral_fleet.facts import AcceleratorFacts
from devstral_fleet.plan import DeploymentPlan, MemoryArithmetic
from devstral_fleet.report import format as fmt
from devstral_fleet.report import tables_bench, tables_proof
from devstral_fleet.report.model import BenchRow, HostReport, RunReport
from devstral_fleet.report.proofs import told
from devstral_fleet.report.table import Table, table

BEST: dict[str, Callable[..., BenchRow]] = {"output_throughput": max, "median_ttft_ms": min, "median_tpot_ms": min}
"""What stands above all tables, and which of its points."""


def host_tables(report: RunReport, host: HostReport) -> tuple[Table, ...]:
    """Return every table of a host that has rows, in the order they are read."""
    tables = (
        tables_bench.speeds(host),
        tables_bench.latency(host.bench),
        tables_bench.bench(host.bench),
        tables_bench.verdicts(host),
        tables_bench.references(host),
        tables_bench.usage(host.bench),
        *tables_proof.tables(host),
        phases(host),
        fingerprint(report, host),
        *((plan(host.plan), arithmetic(host.plan.memory)) if host.plan else ()),
        tasks(host),
    )
    return tuple(each for each in tables if each.rows)


def phases(host: HostReport) -> Table:
    """Time by phase, and the whole."""
    rows = [(phase.name, fmt.duration(phase.offset_s), fmt.duration(phase.seconds)) for phase in host.phases]
    total = [("whole run", "", fmt.duration(host.seconds))] if rows else []
    return table("Time by phase", ("phase", "began after", "took"), [*rows, *total], numeric=(1, 2))


def fingerprint(report: RunReport, host: HostReport) -> Table:
    """What ran where: enough to say later why two runs differ."""
    rows = [("toolkit", " ".join(filter(None, (report.toolkit_version, report.git_commit))))]
    if host.facts:
        facts = host.facts
        rows.append(("operating system", f"{facts.os_id} {facts.os_version}, {facts.architecture}"))
        rows.append(("kernel", facts.kernel))
        rows.append(("resources", f"{facts.cpu_count} CPUs, {fmt.gib(facts.memory_gib)} memory"))
    if host.gpus and host.gpus.driver:
        rows += _gpu_fingerprint(host.gpus)
    if host.versions:
        rows += [("SGLang", host.versions.sglang), ("transformers", host.versions.transformers)]
        rows.append(("torch", host.versions.torch))
    if host.plan:
        rows += _plan_fingerprint(host.plan)
    rows += [("release", host.release), ("previous release", host.previous_release)]
    return table("Fingerprint", ("what", "value"), (row for row in rows if row[1]))


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
        *(("note", note) for note in value.notes),
    ]
    return table("Plan", ("what", "value"), (row for row in rows if row[1]))


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
    return table("Memory, for one GPU", ("what", "value"), rows, numeric=(1,))


def tasks(host: HostReport) -> Table:
    """The slowest tasks of the playbooks: of this run, or of the deploy that started what it looked at."""
    proof, run = told(host, "startup")
    seen, note = (host.tasks, "") if host.tasks else (proof.tasks, run)
    rows = ((task.name, "changed" if task.changed else "ok", fmt.duration(task.seconds)) for task in seen)
    return table("Slowest tasks", ("task", "result", "took"), rows, numeric=(2,), note=note)


def headline(host: HostReport) -> tuple[tuple[str, str], ...]:
    """The numbers that stand above the tables: label and text, the best of all points."""
    figures = [("time", fmt.duration(host.seconds))] if host.phases else []
    for name, best in BEST.items():
        rows = [row for row in host.bench if name in row.medians]
        if rows:
            row = best(rows, key=lambda each: each.medians[name])
            point = f", {row.workload} at {row.concurrency}" if len(host.bench) > 1 else ""
            figures.append((fmt.label(name) + point, fmt.metric(name, row.medians[name])))
    return tuple(figures)


def _gpu_fingerprint(gpus: AcceleratorFacts) -> list[tuple[str, str]]:
    titles = [gpu.title for gpu in gpus.gpus]
    kinds = ", ".join(f"{titles.count(title)} x {title}" for title in dict.fromkeys(titles))
    return [("GPUs", kinds), ("driver", gpus.driver), ("CUDA of the driver", gpus.cuda)]


def _plan_fingerprint(value: DeploymentPlan) -> list[tuple[str, str]]:
    image, environment, files = value.image, value.engine_environment, value.files
    return [
        ("image", image.reference if image else ""),
        ("image digest", (image.digest or "not pinned") if image else ""),
        ("engine environment", environment.digest if environment else ""),
        ("weights", files.repository),
        ("weights revision", files.revision or ""),
        ("weights SHA-256", files.digest),
        ("model files", files.directory),
        ("arguments", fmt.words(value.arguments)),
        ("environment", fmt.words([f"{name}={text}" for name, text in sorted(value.environment.items())])),
        ("plan digest", value.digest),
    ]
