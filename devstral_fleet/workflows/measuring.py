"""Measure beside the engine, as a job that survives a dropped connection, and judge by the baseline."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from devstral_fleet import catalog as catalogs
from devstral_fleet import job
from devstral_fleet.bench import baselines, live, saturation, selection, usage, verdict
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.selection import Chosen
from devstral_fleet.errors import FleetError, PerformanceError, VerificationError
from devstral_fleet.findings import Verdict
from devstral_fleet.report.model import BenchRow
from devstral_fleet.workflows import point, sampling
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import inventory_directory


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
    measured = list(already)
    done = {one.key for one in already}
    wanted = [one for one in points if one.key not in done]
    process = host.service().pid
    job.clear(host.shell, host.layout.jobs)  # of a controller that died while it measured
    with sampling.unshared(host):
        try:
            _measure(host, run_id, wanted, repeats, measured, time_limit_s, clock)
        except BaseException as error:
            if len(wanted) > 1 and isinstance(error, FleetError):
                host.record.add("findings_after", selection.partial(len(measured), len(already) + len(wanted), run_id))
            with suppress(FleetError):  # a host that is away must not hide what ended the measurement
                job.clear(host.shell, host.layout.jobs)
            raise
    job.clear(host.shell, host.layout.jobs)
    require_same_engine(host, process)
    return tuple(measured)


def _measure(
    host: Host,
    run_id: str,
    wanted: Sequence[Chosen],
    repeats: int,
    measured: list[Measurement],
    time_limit_s: float,
    clock: Callable[[], float],
) -> None:
    """Add to `measured` one point after the other, so that what was measured is there whatever ends the next one."""
    began, around_s, places = clock(), 0.0, live.places(wanted, repeats)
    for number, chosen in enumerate(wanted):
        start, needed_s = clock(), selection.estimate_s(measured, chosen, repeats, around_s=around_s)
        left_s = time_limit_s - (start - began)
        if time_limit_s and needed_s > left_s:
            host.record.add("findings_after", selection.left_out(wanted[number:], needed_s, left_s, run_id))
            return
        measured.append(point.measure(host, run_id, chosen, places[number], began, clock))
        requests_s = sum(result.duration for result in measured[-1].results)
        around_s = max(around_s, (clock() - start - requests_s) / repeats)
        host.record.known["bench"] = tuple(BenchRow.of(one) for one in measured)


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


def judge(host: Host, measured: tuple[Measurement, ...], inventory: Path, words: str = "") -> tuple[Verdict, ...]:
    """Judge each measurement by the host's own baseline, else by the catalog's, and remember the verdicts.

    Args:
        words: the options by which `bench` measures the same points again.
    """
    catalog = catalogs.load()
    own = baselines.load(inventory_directory(inventory), host.name)
    judged = []
    for one in measured:
        findings = (verdict.failure_finding(one), *verdict.noise_findings(one, catalog.tolerances))
        host.record.add("findings_after", findings)
        chosen = verdict.choose(one, own, catalog.baselines)
        judged.append(verdict.judge(one, chosen, catalog.tolerances))
    host.record.add("findings_after", usage.throttled(measured, catalog.limits))
    host.record.add("findings_after", saturation.findings(measured, catalog.limits))
    references = (row for one in measured for row in verdict.references(one, catalog.baselines))
    host.record.known.update(verdicts=tuple(judged), verdict=verdict.worst(judged), references=tuple(references))
    if host.record.known["verdict"] == "no-baseline":
        host.record.known["baseline_command"] = selection.baseline_command(host.name, words)
    return tuple(judged)


def require(host: Host, measured: tuple[Measurement, ...], judged: tuple[Verdict, ...], words: str = "") -> None:
    """Raise VerificationError where more requests than may got no answer, PerformanceError where a verdict is `fail`.

    Args:
        words: as for `judge`.
    """
    tolerances = catalogs.load().tolerances
    lost = [one for one in measured if verdict.too_many_failures(one, tolerances)]
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
            fix=f"if this is the speed to expect: {selection.baseline_command(host.name, words)}",
            host=host.name,
        )
