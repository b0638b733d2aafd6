"""A table of the report: text cells under a caption, the same in every form."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


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
    folded: bool = False
    """Whether the page shows it only when asked: its gist stands elsewhere."""


def table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell | str]],
    *,
    numeric: Iterable[int] = (),
    note: str = "",
    folded: bool = False,
) -> Table:
    """Make a table; a plain text is a cell without a state."""
    cells = tuple(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in rows)
    return Table(caption, tuple(columns), cells, frozenset(numeric), note, folded)
