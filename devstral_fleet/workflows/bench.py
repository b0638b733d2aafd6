"""bench: measure what serves, judge it, and record it as the host's baseline when asked to."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devstral_fleet import catalog as catalogs
from devstral_fleet import project
from devstral_fleet.bench import baselines, selection
from devstral_fleet.bench.goodput import Objective
from devstral_fleet.bench.measurement import Measurement
from devstral_fleet.bench.selection import Chosen
from devstral_fleet.console import Console
from devstral_fleet.errors import ConfigurationError, ExitCode
from devstral_fleet.report import proofs
from devstral_fleet.report.model import RunReport
from devstral_fleet.rundir import RunDirectory
from devstral_fleet.workflows import measuring, proving
from devstral_fleet.workflows.compare import newest, read
from devstral_fleet.workflows.host import Host
from devstral_fleet.workflows.planning import Ask, Target, inventory_directory, inventory_path, targets
from devstral_fleet.workflows.report import directory
from devstral_fleet.workflows.running import Run


@dataclass(frozen=True)
class Wish:
    """What the command line said about the measurement; '' and 0 leave the choice to the catalog."""

    workload: str
    repeats: int
    save_baseline: bool
    concurrency: tuple[int, ...] = ()
    time_limit_s: int = 0
    resume: str = ""
    objective: Objective | None = None
    """None for each workload's own."""
    lock_wait_s: int = 0

    @property
    def words(self) -> str:
        """The options that choose its points."""
        return selection.words(self.workload, self.concurrency)


def bench(console: Console, ask: Ask, wish: Wish) -> ExitCode:
    """Measure every host that was named, one after the other."""
    found, inventory = targets(ask), inventory_path(ask)
    earlier = read(directory(wish.resume)) if wish.resume else None
    works = {target.name: _work(target, wish, earlier) for target in found}
    measuring.require_readable_baselines(inventory, [target.name for target in found])
    with Run(console, RunDirectory.create(project.runs(), "bench"), "bench", ask) as run:
        for target in found:
            work = partial(bench_host, run_id=run.directory.id, inventory=inventory, wish=wish, work=works[target.name])
            run.on(target, work)
    return run.exit_code


def levels(text: str) -> tuple[int, ...]:
    """Read '1,16,100'.

    Raises:
        ConfigurationError: it is no list of whole numbers from 1 up.
    """
    words = [word.strip() for word in text.split(",")] if text else []
    wrong = next((word for word in words if not (word.isascii() and word.isdecimal() and int(word))), None)
    if wrong is not None:
        raise ConfigurationError(f"--concurrency '{text}': '{wrong}' is no number from 1 up", fix="--concurrency 1,16")
    return tuple(dict.fromkeys(map(int, words)))


@dataclass(frozen=True)
class Work:
    """What is to be measured on one host, and what an earlier run has measured of it."""

    points: tuple[Chosen, ...]
    already: tuple[Measurement, ...]


def _work(target: Target, wish: Wish, earlier: RunReport | None) -> Work:
    points = selection.choose(catalogs.load(), target.plan, workload=wish.workload, concurrency=wish.concurrency)
    if wish.objective:
        points = tuple(one.with_objective(wish.objective) for one in points)
    return Work(points, _already(target, points, earlier))


def _already(target: Target, points: tuple[Chosen, ...], earlier: RunReport | None) -> tuple[Measurement, ...]:
    """What an earlier run measured of these points on this host, with the same plan.

    Raises:
        ConfigurationError: the plan is another one now.
    """
    if earlier is None:
        return ()
    host = next((one for one in earlier.hosts if one.host == target.name), None)
    if host is None or not host.bench:
        return ()
    if host.plan is None or host.plan.digest != target.plan.digest:
        raise ConfigurationError(
            f"{target.name}: its plan is another one than in run {earlier.run}: what was measured then does not go on",
            fix="leave --resume out",
            host=target.name,
        )
    rows = {row.key: row for row in host.bench}
    known = ((one, rows.get(one.key)) for one in points)
    return tuple(
        Measurement.of(target.plan, *one, row.results, goodput=row.goodput, usage=row.usage)
        for one, row in known
        if row
    )


def bench_host(host: Host, run_id: str, inventory: Path, wish: Wish, work: Work) -> None:
    """Measure one host under its lock, so that no deploy changes what is measured; what serves must be the plan's.

    Its report tells what earlier runs proved of the same release, too: the start, tool calls, accuracy, acceptance.

    With --save-baseline the measurement becomes the baseline, whatever the old one says of it.
    """
    repeats = wish.repeats or work.points[0].workload.smoke_repeats
    with host.locked(run_id, "bench", wish.lock_wait_s):
        proving.compare(host, host.require_serving())
        measured = measuring.measure(
            host, run_id, work.points, repeats, time_limit_s=wish.time_limit_s, already=work.already
        )
    known = host.record.known
    known["proofs"] = proofs.earlier(host.name, known.get("release", ""), newest(project.runs()))
    judged = measuring.judge(host, measured, inventory, wish.words)
    if wish.save_baseline:
        rows = [baselines.record(one, repeats=len(one.results)) for one in measured]
        path = baselines.save(inventory_directory(inventory), host.name, rows)
        known["baseline_command"] = ""
        host.record.console.host(host.name, f"baseline recorded in {path}")
        host.record.outcome = "recorded"
    else:
        measuring.require(host, measured, judged, wish.words)
        host.record.outcome = "measured"
