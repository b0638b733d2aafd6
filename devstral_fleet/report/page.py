"""The parts of the page: a table under its charts, and on a page of many hosts only what a reader cannot do without.

A browser reads a page in one go, and stands still meanwhile: a host costs as much as it has cells.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from devstral_fleet.report.table import Cell, Table
from devstral_fleet.report.tables_bench import BENCH, LATENCY, NOTHING, USAGE, VERDICT

KEYED = ("what", "value")
"""Columns of a table whose rows are values by name."""
KEPT: Mapping[str, tuple[Callable[[Sequence[Cell]], bool], str]] = {
    VERDICT: (lambda row: row[-1].state != "ok", "what passes"),
    USAGE: (lambda row: row[-1].text != NOTHING, "points at which nothing held the GPUs back"),
    LATENCY: (lambda _: False, "all points"),
}
"""By caption: the rows that stay where hosts are many, and what the others are."""


class Part(NamedTuple):
    """One card of the page."""

    table: Table
    charts: tuple[str, ...] = ()
    """SVG elements whose numbers the table holds."""
    gist: str = ""
    """What a chart that stands alone says, beside it for those who see it."""
    like: str = ""
    """Host whose table says the same, beside the rows that stand here; '' where the table stands alone."""


class Told(NamedTuple):
    """Values by name, of which some stood with an earlier host already."""

    values: Mapping[str, object]
    like: str = ""


@dataclass
class Shared:
    """What the hosts before said. Inactive, it lets every host say all."""

    active: bool
    tables: dict[str, tuple[str, Table]] = field(default_factory=dict)
    """Caption to the host that had such a table first, and the table."""
    first: Told = field(default_factory=lambda: Told({}))
    """The first host's values."""

    def part(self, host: str, part: Part) -> Part:
        """Return the part, or the rows in which its table is not the first host's, or the ones that matter."""
        table = part.table
        first, before = self.tables.setdefault(table.caption, (host, table))
        if not self.active or first == host or part.charts:
            return part
        if table.rows == before.rows:
            return Part(replace(table, rows=()), like=first)
        if table.columns == KEYED:
            return Part(replace(table, rows=tuple(row for row in table.rows if row not in before.rows)), like=first)
        return Part(_short(table))

    def told(self, host: str, values: Mapping[str, object]) -> Told:
        """Return values by name, or those that are not the first host's."""
        if not self.active or not values:
            return Told(values)
        before = self.first.values
        if not before:
            self.first = Told(values, host)
            return Told(values)
        other = {name: value for name, value in values.items() if name not in before or before[name] != value}
        return Told(other, self.first.like)


def _short(table: Table) -> Table:
    """Leave out rows that a reader of many hosts does not look for, and the spreads of a benchmark."""
    if table.caption == BENCH:
        return replace(table, rows=tuple(tuple(Cell(cell.text, cell.state) for cell in row) for row in table.rows))
    if table.caption not in KEPT:
        return table
    keeps, others = KEPT[table.caption]
    rows = tuple(row for row in table.rows if keeps(row))
    left_out = len(table.rows) - len(rows)
    note = f"{left_out} rows stand in report.md: {others}." if left_out else table.note
    return replace(table, rows=rows, note=note)
