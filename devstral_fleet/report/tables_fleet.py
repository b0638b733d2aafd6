"""All hosts of a run beside each other: each point's throughput, its median, and the hosts that stand apart."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from devstral_fleet.catalog.schema import Tolerances
from devstral_fleet.report import comparison
from devstral_fleet.report import format as fmt
from devstral_fleet.report.comparison import Difference
from devstral_fleet.report.model import BenchRow, HostReport, RunReport
from devstral_fleet.report.table import Cell, Table, table

METRIC = "output_throughput"
FLEET = "Hosts beside each other"


class Strip(NamedTuple):
    """One point on all hosts of one kind."""

    name: str
    kind: str
    """Hardware and tensor parallelism."""
    hosts: tuple[tuple[str, float], ...]
    """Host and output tokens a second."""
    middle: float
    tolerance_percent: float
    """The catalog's; the repeats of a host may widen it for that one."""
    beyond: tuple[Difference, ...]

    def percent(self, value: float) -> float:
        """Return how far a value is from the median, in percent of it."""
        return (value - self.middle) / self.middle * 100


def strips(report: RunReport, tolerances: Tolerances) -> tuple[Strip, ...]:
    """Return a strip for each point that several hosts of a kind have measured."""
    apart = [each for each in comparison.fleet(report, tolerances).differences if each.metric == METRIC]
    found = (_strip(members, apart, tolerances) for members in comparison.alike(report) if len(members) > 1)
    return tuple(strip for strip in found if strip.middle)


def fleet(found: Sequence[Strip]) -> Table:
    """One row for each strip: its range, its median, and who is beyond the tolerance."""
    columns = ("point", "kind", "hosts", "lowest", "median", "highest", "tolerance", "beyond it")
    note = f"Output tokens a second. Hosts are named where at least {comparison.LEAST_HOSTS} have a median in common."
    return table(FLEET, columns, map(_row, found), numeric=range(2, 7), note=note)


def _row(strip: Strip) -> tuple[Cell | str, ...]:
    tolerance = f"± {fmt.percent(strip.tolerance_percent)}"
    count, speeds = str(len(strip.hosts)), map(fmt.throughput, _range(strip))
    return (strip.name, strip.kind, count, *speeds, tolerance, _beyond(strip))


def _strip(
    members: Sequence[tuple[HostReport, BenchRow]], differences: Sequence[Difference], tolerances: Tolerances
) -> Strip:
    first, row = members[0]
    hosts = tuple((host.host, one.medians[METRIC]) for host, one in members if METRIC in one.medians)
    names, plan = {name for name, _ in hosts}, first.plan
    point = row.workload, row.concurrency
    beyond = (
        each
        for each in differences
        if each.state != "same" and each.host in names and (each.workload, each.concurrency) == point
    )
    return Strip(
        name=f"{row.workload} at {row.concurrency}",
        kind=f"{plan.hardware}, tp {plan.tp}" if plan else "",
        hosts=hosts,
        middle=float(median(value for _, value in hosts)) if hosts else 0.0,
        tolerance_percent=tolerances.percent(plan.accelerator if plan else "nvidia"),
        beyond=tuple(sorted(beyond, key=lambda each: each.change_percent)),
    )


def _range(strip: Strip) -> tuple[float, float, float]:
    values = [value for _, value in strip.hosts]
    return min(values), strip.middle, max(values)


def _beyond(strip: Strip) -> Cell:
    told = tuple(f"{each.host} {fmt.change(each.change_percent)}" for each in strip.beyond)
    worst = any(each.state == "worse" for each in strip.beyond)
    return Cell(", ".join(told) or "none", "warn" if worst else "")
