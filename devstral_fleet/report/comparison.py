"""Compare what two runs measured, or the hosts of one run among themselves (pure)."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Literal

from devstral_fleet.bench.verdict import JUDGED_METRICS, higher_is_better
from devstral_fleet.catalog.schema import Tolerances
from devstral_fleet.model import Value
from devstral_fleet.plan import DeploymentPlan
from devstral_fleet.report import tables
from devstral_fleet.report.model import BenchRow, HostReport, RunReport

LEAST_HOSTS = 3
"""So many hosts of a kind have a median that one of them can be beside."""
SAME_PLAN = ("model", "accelerator", "hardware", "tp")


class Difference(Value):
    """One metric of one point, and what it is held against."""

    host: str
    workload: str
    concurrency: int
    metric: str
    """SGLang's JSONL key."""
    before: float
    """The earlier run's, or the fleet's median."""
    now: float
    change_percent: float
    tolerance_percent: float
    """The catalog's, or what the repeats' spread makes of it."""
    state: Literal["same", "better", "worse"]


class Comparison(Value):
    """What differs."""

    differences: tuple[Difference, ...] = ()
    changed: tuple[tuple[str, str, str], ...] = ()
    """What else is another thing: its name, before, now."""
    uncompared: tuple[str, ...] = ()
    """Sentences on what could not be compared."""


def between(before: RunReport, now: RunReport, tolerances: Tolerances) -> Comparison:
    """Compare two runs, host by host; one measured host each is compared whatever its name."""
    differences, changed, uncompared = list[Difference](), list[tuple[str, str, str]](), list[str]()
    pairs = list(_pairs(before, now))
    for old, new in pairs:
        problem = _other_plan(old.plan, new.plan)
        if problem:
            uncompared.append(f"{new.host}: {problem}")
            continue
        changed += _changed(before, old, now, new)
        for row in new.bench:
            earlier = next((one for one in old.bench if one.key == row.key), None)
            problem = _other_tokens(earlier, row)
            if earlier is None or problem:
                uncompared.append(f"{new.host}: {row.workload} at {row.concurrency}: {problem}")
            else:
                differences += _of_rows(new, row, earlier.medians, earlier.spreads_percent, tolerances)
    if not pairs:
        uncompared.append("no host was measured in both runs")
    return Comparison(differences=tuple(differences), changed=tuple(changed), uncompared=tuple(uncompared))


def fleet(report: RunReport, tolerances: Tolerances) -> Comparison:
    """Hold each host against the median of all hosts of its kind in the run."""
    kinds = alike(report)
    differences, uncompared = list[Difference](), list[str]()
    for members in kinds:
        if len(members) < LEAST_HOSTS:
            names, (_, row) = ", ".join(host.host for host, _ in members), members[0]
            uncompared.append(f"{row.workload} at {row.concurrency}: {names} alone; a median needs {LEAST_HOSTS} hosts")
            continue
        middle = _medians([row for _, row in members])
        for host, row in members:
            differences += _of_rows(host, row, middle, {}, tolerances)
    if not kinds:
        uncompared.append("nothing was measured in this run")
    return Comparison(differences=tuple(differences), uncompared=tuple(uncompared))


def alike(report: RunReport) -> tuple[tuple[tuple[HostReport, BenchRow], ...], ...]:
    """Gather the rows that have a median in common: one point, on hosts of one kind."""
    kinds: dict[tuple[object, ...], list[tuple[HostReport, BenchRow]]] = {}
    for host in report.hosts:
        for row in host.bench:
            kinds.setdefault((*_kind(host.plan), *row.key), []).append((host, row))
    return tuple(map(tuple, kinds.values()))


def _pairs(before: RunReport, now: RunReport) -> Iterator[tuple[HostReport, HostReport]]:
    old, new = ({host.host: host for host in report.hosts if host.bench} for report in (before, now))
    if len(old) == len(new) == 1:
        yield next(iter(old.values())), next(iter(new.values()))
        return
    yield from ((old[name], host) for name, host in new.items() if name in old)


def _kind(plan: DeploymentPlan | None) -> tuple[object, ...]:
    return tuple(getattr(plan, name) for name in SAME_PLAN) if plan else ()


def _other_plan(old: DeploymentPlan | None, new: DeploymentPlan | None) -> str:
    pairs = zip(SAME_PLAN, _kind(old), _kind(new), strict=False)
    return "; ".join(f"{name} was {was}, is {now}" for name, was, now in pairs if was != now)


def _other_tokens(earlier: BenchRow | None, row: BenchRow) -> str:
    if earlier is None:
        return "not measured in the earlier run"
    (was, now) = ((one.results[0].total_input_tokens, one.results[0].total_output_tokens) for one in (earlier, row))
    return "" if was == now else f"tokens were {was[0]}/{was[1]}, are {now[0]}/{now[1]}"


def _changed(before: RunReport, old: HostReport, now: RunReport, new: HostReport) -> Iterator[tuple[str, str, str]]:
    """Give what the fingerprints say differently; a release's id and a plan's digest differ by what is named anyway."""
    was, now_is = (_fingerprint(report, host) for report, host in ((before, old), (now, new)))
    for name in dict.fromkeys((*was, *now_is)):
        pair = was.get(name, ""), now_is.get(name, "")
        if pair[0] != pair[1] and name not in {"release", "previous release", "plan digest"}:
            yield (name, *pair)


def _fingerprint(report: RunReport, host: HostReport) -> dict[str, str]:
    found = (tables.fingerprint(report, host), *((tables.plan(host.plan),) if host.plan else ()))
    return {row[0].text: row[1].text for table in found for row in table.rows}


def _medians(rows: Sequence[BenchRow]) -> dict[str, float]:
    return {
        name: float(median(found))
        for name in JUDGED_METRICS
        if (found := [row.medians[name] for row in rows if name in row.medians])
    }


def _of_rows(
    host: HostReport, row: BenchRow, before: dict[str, float], spreads: dict[str, float], tolerances: Tolerances
) -> Iterator[Difference]:
    accelerator = host.plan.accelerator if host.plan else "nvidia"
    for metric in JUDGED_METRICS:
        was, now = before.get(metric), row.medians.get(metric)
        if not was or now is None:
            continue
        noise = max(row.spreads_percent.get(metric, 0.0), spreads.get(metric, 0.0)) * tolerances.spread_factor
        tolerance = max(tolerances.percent(accelerator), noise)
        change = (now - was) / was * 100
        gain = change if higher_is_better(metric) else -change
        yield Difference(
            host=host.host,
            workload=row.workload,
            concurrency=row.concurrency,
            metric=metric,
            before=was,
            now=now,
            change_percent=change,
            tolerance_percent=tolerance,
            state="worse" if gain < -tolerance else "better" if gain > tolerance else "same",
        )
