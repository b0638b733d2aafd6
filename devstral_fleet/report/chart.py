"""What every chart is made of: scales, axes, marks and words, as SVG without a colour of its own (pure).

A chart is drawn in user units; its page decides how large it is, and style.css which colours and letters it has.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

SHAPES = ("circle", "square", "triangle", "diamond")
"""A mark's shape says the same as its colour."""
WIDE, PANEL = 460, 300
"""Widths: of a chart that stands alone, and of one of several beside each other."""
NICE = (1, 2, 2.5, 5, 10)
"""Steps that a reader can count in."""
ABOUT_LETTER = 7.4
"""Width of a letter of a chart's words, in user units, the larger letters of a phone among them."""


class Chart(NamedTuple):
    """One chart: what a screen reader says of it, its size in user units, and what is drawn."""

    title: str
    description: str
    width: int
    height: int
    body: str

    def svg(self, name: str) -> str:
        """Return the element, with every text escaped; `name` begins its ids, which a page has once."""
        size, kind = f"0 0 {self.width} {self.height}", "wide" if self.width == WIDE else "panel"
        return (
            f'<svg class="{kind}" role="img" viewBox="{size}" aria-labelledby="{name}t {name}d">'
            f'<title id="{name}t">{escape(self.title)}</title><desc id="{name}d">{escape(self.description)}</desc>'
            f"{self.body}</svg>"
        )


class Scale(NamedTuple):
    """From a value to a place on an axis."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, self.low))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def ticks(high: float, count: int = 5) -> tuple[float, ...]:
    """Return round numbers from 0 up to the first one that reaches `high`."""
    if high <= 0:
        return 0.0, 1.0
    rough = high / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in NICE if nice * power >= rough * (1 - 1e-9))
    return tuple(index * step for index in range(math.ceil(high / step - 1e-9) + 1))


def decades(low: float, high: float) -> tuple[float, ...]:
    """Return the powers of ten from the one below `low` to the one above `high`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return tuple(10.0**power for power in range(first, max(last, first + 1) + 1))


def n(value: float) -> str:
    """Write a place: a tenth of a unit is enough."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def short(value: float) -> str:
    """Write a round number at an axis: '2.5k' for 2500."""
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:,.10g}"


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Write words; `kind`: classes, such as 'e' (ends here), 'm' (middle), 'q' (quiet)."""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{n(x)}" y="{n(y)}"{named}>{escape(words, quote=False)}</text>'


def path(drawn: str, kind: str) -> str:
    """Draw a path."""
    return f'<path class="{kind}" d="{drawn}"/>'


def rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    """Draw a rectangle."""
    return f'<rect class="{kind}" x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}"/>'


def line(points: Iterable[tuple[float, float]]) -> str:
    """Return the path through points."""
    return "M" + "L".join(f"{n(x)} {n(y)}" for x, y in points)


def shape(index: int, x: float, y: float, size: float = 4) -> str:
    """Return the outline of a mark at a place."""
    at, r = f"M{n(x)} {n(y)}", n(size)
    double = n(2 * size)
    name = SHAPES[index % len(SHAPES)]
    if name == "circle":
        return f"{at}m-{r} 0a{r} {r} 0 1 0 {double} 0a{r} {r} 0 1 0-{double} 0z"
    if name == "square":
        return f"{at}m-{r}-{r}h{double}v{double}h-{double}z"
    if name == "triangle":
        return f"{at}m0-{n(size * 1.2)}l{n(size * 1.2)} {double}h-{n(size * 2.4)}z"
    far = n(size * 1.3)
    return f"{at}m0-{far}l{far} {far}l-{far} {far}l-{far}-{far}z"


def horizontal(scale: Scale, values: Sequence[float], left: float, right: float) -> str:
    """Draw the grid of a vertical axis, its numbers left of it."""
    places = [scale(value) for value in values]
    grid = "".join(f"M{n(left)} {n(y)}H{n(right)}" for y in places)
    return path(grid, "grid") + "".join(
        text(left - 5, y + 4, short(value), "e q") for value, y in zip(values, places, strict=True)
    )


def vertical(scale: Scale, values: Sequence[float], top: float, bottom: float) -> str:
    """Draw the grid of a horizontal axis, its numbers below it."""
    places = [scale(value) for value in values]
    grid = "".join(f"M{n(x)} {n(top)}V{n(bottom)}" for x in places)
    return path(grid, "grid") + "".join(
        text(x, bottom + 15, short(value), "m q") for value, x in zip(values, places, strict=True)
    )


def apart(places: Sequence[float], least: float) -> list[float]:
    """Move places that are too near to each other, in their order, as little as one pass can."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = list(places)
    for before, now in pairwise(order):
        moved[now] = max(moved[now], moved[before] + least)
    return moved


def legend(entries: Sequence[tuple[str, str]], width: float, top: float) -> tuple[str, float]:
    """Lay out a legend: a drawn sign 24 wide around (0, 0) and its words, in as many rows as they take.

    Returns:
        The drawing, and where it ends.
    """
    drawn, x, y = "", 0.0, top
    for sign, words in entries:
        needed = 36 + len(words) * ABOUT_LETTER
        if x and x + needed > width:
            x, y = 0.0, y + 18
        drawn += f'<g transform="translate({n(x + 14)} {n(y)})">{sign}{text(16, 4, words)}</g>'
        x += needed
    return drawn, y + 12


def joined(words: Iterable[str]) -> str:
    """Join sentences of a description, without empty ones."""
    return " ".join(filter(None, words))


def grouped(points: Iterable[tuple[str, float, float]]) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Gather places by their series, in the order in which these come."""
    found: dict[str, list[tuple[float, float]]] = {}
    for series, x, y in points:
        found.setdefault(series, []).append((x, y))
    yield from found.items()
