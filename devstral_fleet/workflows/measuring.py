"""Measure beside the engine, as a job that survives a dropped connection, and judge by the baseline."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from devstral_fleet import catalog as catalogs
from devstral_fleet import job
from devstral_fleet.bench import baselines, command, parse, progress, selection, verdict
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.parse import BenchResult
from devstral_fleet.bench.selection import Chosen
from devstral_fleet.catalog.schema import Workload, WorkloadPoint
from devstral_fleet.errors import FleetError, PerformanceError, VerificationError
from devstral_fleet.findings import Verdict
from devstral_fleet.report.model import BenchRow
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import inventory_directory

BENCH_DEADLINE_S = 3600.0
SHOWN_LINES = 20


def smoke_bench(host: Host, run_id: str, inventory: Path) -> None:
    """Run the deploy's own benchmark; raise PerformanceError when its verdict is `fail`."""
    workload = catalogs.load().workload(host.plan.smoke_workload)
    measured = measure(host, run_id, (Chosen(workload, workload.smoke_point),), workload.smoke_repeats)
    require(host, measured, judge(host, measured, inventory))


def require_readable_baselines(inventory: Path, hosts: Iterable[str]) -> None:
    """Read what verdicts will need before anything is changed: a slip in a file here must not end a good deploy.

    Raises:
        CatalogError: a host's own baselines are no JSON or break the schema.
    """
    for host in hosts:
        baselines.load(inventory if inventory.is_dir() else inventory.parent, host)


def measure(
    host: Host,
    run_id: str,
    points: Sequence[Chosen],
    repeats: int,
    *,
    time_limit_s: float = 0.0,
    already: Sequence[Measurement] = (),
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Measurement, ...]:
    """Measure each point `repeats` times and put the rows into the record; no job's files stay on the host.

    Args:
        time_limit_s: a point that would end after it is left out, and so is the rest of the longer ones; 0 for none.
        already: what an earlier run measured, which is not measured again.
    """
    measured, began, around_s = list(already), clock(), 0.0
    done = {one.key for one in already}
    wanted = [one for one in points if one.key not in done]
    process = host.service().pid
    job.clear(host.shell, host.layout.jobs)  # of a controller that died while it measured
    try:
        for number, chosen in enumerate(wanted):
            start, needed_s = clock(), selection.estimate_s(measured, chosen, repeats, around_s=around_s)
            left_s = time_limit_s - (start - began)
            if time_limit_s and needed_s > left_s:
                host.record.add("findings_after", selection.left_out(wanted[number:], needed_s, left_s, run_id))
                break
            measured.append(_point(host, run_id, chosen, repeats))
            requests_s = sum(result.duration for result in measured[-1].results)
            around_s = max(around_s, (clock() - start - requests_s) / repeats)
            host.record.known["bench"] = tuple(BenchRow.of(one) for one in measured)
    except BaseException as error:
        if len(wanted) > 1 and isinstance(error, FleetError):
            host.record.add("findings_after", selection.partial(len(measured), len(already) + len(wanted), run_id))
        with suppress(FleetError):  # a host that is away must not hide what ended the measurement
            job.clear(host.shell, host.layout.jobs)
        raise
    job.clear(host.shell, host.layout.jobs)
    require_same_engine(host, process)
    return tuple(measured)


def _point(host: Host, run_id: str, chosen: Chosen, repeats: int) -> Measurement:
    workload, point = chosen
    with host.record.phase(f"bench {chosen.name}"):
        ids = [f"{run_id}-{workload.name}-{point.concurrency}-{number}" for number in range(1, repeats + 1)]
        measured = Measurement.of(host.plan, workload, point, [_one(host, job_id, workload, point) for job_id in ids])
        host.record.console.result(f"{measured.median('output_throughput') or 0:.0f} tok/s")
    return measured


def require_same_engine(host: Host, process: int) -> None:
    """Raise VerificationError where the engine is another process than before the benchmark: it died in it.

    The service manager starts it again, and the benchmark waits until it is ready: the numbers alone do not show it.
    """
    now = host.service()
    if now.pid != process:
        raise VerificationError(
            f"{host.name}: the engine died during the benchmark (process {process} is gone, {now.pid or 'none'} runs)",
            fix=f".venv/bin/invoke logs --host {host.name} --lines 200",
            evidence=host.log_tail(),
            host=host.name,
        )


def judge(host: Host, measured: tuple[Measurement, ...], inventory: Path) -> tuple[Verdict, ...]:
    """Judge each measurement by the host's own baseline, else by the catalog's, and remember the verdicts."""
    catalog = catalogs.load()
    own = baselines.load(inventory_directory(inventory), host.name)
    judged = []
    for one in measured:
        findings = (verdict.failure_finding(one), verdict.noise_finding(one, catalog.tolerances))
        host.record.add("findings_after", findings)
        chosen = verdict.choose(one, own, catalog.baselines)
        judged.append(verdict.judge(one, chosen, catalog.tolerances))
    references = (row for one in measured for row in verdict.references(one, catalog.baselines))
    host.record.known.update(verdicts=tuple(judged), verdict=verdict.worst(judged), references=tuple(references))
    if host.record.known["verdict"] == "no-baseline":
        host.record.known["baseline_command"] = f".venv/bin/invoke bench --host {host.name} --save-baseline"
    return tuple(judged)


def require(host: Host, measured: tuple[Measurement, ...], judged: tuple[Verdict, ...]) -> None:
    """Raise VerificationError where requests got no answer, PerformanceError where a verdict is `fail`."""
    lost = [one for one in measured if one.failures]
    if lost:
        raise VerificationError(
            f"{host.name}: {'; '.join(verdict.failure_finding(one).summary for one in lost)}",
            fix=f"look at the engine's log: .venv/bin/invoke logs --host {host.name}",
            evidence=host.log_tail(),
            host=host.name,
        )
    failed = [one for one in judged if one.state == "fail"]
    if failed:
        raise PerformanceError(
            f"{host.name}: slower than its baseline: {'; '.join(one.reason for one in failed)}",
            fix=f"if this is the speed to expect: .venv/bin/invoke bench --host {host.name} --save-baseline",
            host=host.name,
        )


def _one(host: Host, job_id: str, workload: Workload, point: WorkloadPoint) -> BenchResult:
    """Run one benchmark as a job on the host and parse what it wrote."""
    directory = host.layout.jobs / job_id
    output = directory / "result.jsonl"
    environment = command.environment(host.plan)
    passed = [f"--env={name}" for name in (*environment, command.KEY_VARIABLE)]  # by name: no value is in an argv
    python = host.python("--user=0", *passed)
    words = command.argv(host.plan, workload, point, python=python, output_file=str(output), cache_key=job_id)
    key_file = str(host.layout.secrets / "api.key")
    running = job.start(
        host.shell,
        directory,
        words,
        environment=environment,
        secret_environment={command.KEY_VARIABLE: key_file},
    )

    def show(state: job.JobState) -> None:
        text = progress.parse(state.stdout_tail + state.stderr_tail).text
        host.record.console.step(f"{workload.name} at {point.concurrency}: {text}")

    state = job.wait(
        host.shell, running, deadline_s=BENCH_DEADLINE_S, clock=time.monotonic, sleep=time.sleep, on_progress=show
    )
    if state.exit_status != 0:
        raise VerificationError(
            f"{host.name}: the benchmark ended with exit status {state.exit_status}",
            fix=f".venv/bin/invoke logs --host {host.name}",
            evidence=(state.stderr_tail or state.stdout_tail).splitlines()[-SHOWN_LINES:],
            host=host.name,
        )
    text = host.shell.run(["cat", str(output)]).stdout
    return parse.parse(text, num_prompts=point.num_prompts, secrets=(host.api_key(),))
