"""bench: measure what serves, judge it, and record it as the host's baseline when asked to."""

from dataclasses import dataclass
from pathlib import Path

from devstral_fleet import catalog as catalogs
from devstral_fleet import project
from devstral_fleet.bench import baselines
from devstral_fleet.console import Console
from devstral_fleet.errors import ExitCode
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import measuring, proving
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask, inventory_directory, inventory_path, targets
from devstral_fleet.workflows.running import Run


@dataclass(frozen=True)
class Wish:
    """What the command line said about the measurement; '' and 0 leave the choice to the catalog."""

    workload: str
    repeats: int
    save_baseline: bool
    lock_wait_s: int = 0


def bench(console: Console, ask: Ask, wish: Wish) -> ExitCode:
    """Measure every host that was named, one after the other."""
    found, inventory = targets(ask), inventory_path(ask)
    if wish.workload:
        catalogs.load().workload(wish.workload)
    measuring.require_readable_baselines(inventory, [target.name for target in found])
    with Run(console, RunDirectory.create(project.runs(), "bench"), "bench", ask) as run:
        for target in found:
            run.on(target, lambda host: bench_host(host, run.directory.id, inventory, wish))
    return run.exit_code


def bench_host(host: Host, run_id: str, inventory: Path, wish: Wish) -> None:
    """Measure one host under its lock, so that no deploy changes what is measured; what serves must be the plan's.

    With --save-baseline the measurement becomes the baseline, whatever the old one says of it.
    """
    workload = catalogs.load().workload(wish.workload or host.plan.smoke_workload)
    points = workload.points if wish.workload else (workload.smoke_point,)
    repeats = wish.repeats or workload.smoke_repeats
    with host.locked(run_id, "bench", wish.lock_wait_s):
        proving.compare(host, host.require_serving())
        measured = measuring.measure(host, run_id, workload, points, repeats)
    judged = measuring.judge(host, measured, inventory)
    if wish.save_baseline:
        rows = [baselines.record(one, repeats=repeats) for one in measured]
        path = baselines.save(inventory_directory(inventory), host.name, rows)
        host.record.known["baseline_command"] = ""
        host.record.console.host(host.name, f"baseline recorded in {path}")
        host.record.outcome = "recorded"
    else:
        measuring.require(host, measured, judged)
        host.record.outcome = "measured"
