"""The parts of the page: a table under its charts, and on a page of many hosts what an earlier host already said."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from devstral_fleet.report.table import Table

KEYED = ("what", "value")
"""Columns of a table whose rows are values by name."""


class Part(NamedTuple):
    """One card of the page."""

    table: Table
    charts: tuple[str, ...] = ()
    """SVG elements whose numbers the table holds."""
    gist: str = ""
    """What a chart that stands alone says, beside it for those who see it."""
    like: str = ""
    """Host whose table says the same, beside the rows that stand here; '' where the table is whole."""


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
        """Return the part, or the rows in which its table is not the first host's."""
        table = part.table
        first, before = self.tables.setdefault(table.caption, (host, table))
        if not self.active or first == host or part.charts:
            return part
        if table.rows == before.rows:
            return Part(replace(table, rows=()), like=first)
        if table.columns == KEYED:
            return Part(replace(table, rows=tuple(row for row in table.rows if row not in before.rows)), like=first)
        return part

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
