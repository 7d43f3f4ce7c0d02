"""Charts as SVG, in the colours of the page: lines, points and bars of several models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 14, 46
LETTER = 6.4
"""About how wide one is."""
LINE = 12
"""How high one is."""
LOG_LABELS = (1, 2, 5)
"""Numbers, times a power of ten, that a logarithmic axis is labelled with."""


@dataclass(frozen=True)
class Axis:
    """From numbers to pixels: ``low`` is at ``start``, ``high`` at ``end``."""

    low: float
    high: float
    start: float
    end: float
    title: str
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; beyond the ends too."""
        low, high, value = (self._scaled(each) for each in (self.low, self.high, value))
        return self.start + (value - low) / ((high - low) or 1.0) * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value

    @property
    def ticks(self) -> list[float]:
        """Round numbers in the range, some five."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            every = [m * 10.0**power for power in powers for m in LOG_LABELS]
            return [each for each in every if self.low <= each <= self.high]
        return round_numbers(self.low, self.high)


def round_numbers(low: float, high: float, about: int = 5) -> list[float]:
    """
    >>> round_numbers(-92.0, -79.5)
    [-92.0, -90.0, -88.0, -86.0, -84.0, -82.0, -80.0]
    """
    rough = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda m: abs(m * power - rough))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]


def across(low: float, high: float, title: str, *, log: bool = False) -> Axis:
    """The axis from left to right."""
    return Axis(low, high, LEFT, WIDTH - RIGHT, title, log)


def upwards(low: float, high: float, title: str) -> Axis:
    """The axis from the bottom to the top."""
    return Axis(low, high, HEIGHT - BOTTOM, TOP, title)


def drawing(
    label: str, parts: Sequence[Markup], *, width: int = WIDTH, height: int = HEIGHT
) -> Markup:
    """A picture that a screen reader calls by its ``label``."""
    head = Markup(
        '<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
    ).format(width, height, width, height, label)
    return head + Markup("").join(parts) + Markup("</svg>")


def frame(x: Axis, y: Axis) -> list[Markup]:
    """The axes' lines, labels and titles."""
    parts = []
    for tick in x.ticks:
        at = x.at(tick)
        parts.append(line(at, y.start, at, y.end, "grid"))
        parts.append(text(at, y.start + 18, number(tick), "tick", "middle"))
    for tick in y.ticks:
        at = y.at(tick)
        parts.append(line(x.start, at, x.end, at, "grid"))
        parts.append(text(x.start - 8, at + 4, number(tick), "tick", "end"))
    parts.append(text((x.start + x.end) / 2, HEIGHT - 6, x.title, "title", "middle"))
    turned = Markup('<g transform="rotate(-90 14 {0:.0f})">{1}</g>')
    middle = (y.start + y.end) / 2
    return [*parts, turned.format(middle, text(14, middle, y.title, "title", "middle"))]


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line of a class."""
    pattern = '<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'
    return Markup(pattern).format(kind, x1, y1, x2, y2)


def text(x: float, y: float, said: str, kind: str, anchor: str) -> Markup:
    """Words at a place."""
    pattern = '<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>'
    return Markup(pattern).format(kind, x, y, anchor, said)


def of_model(name: str, hue: int, inside: Markup, said: str) -> Markup:
    """What belongs to a model: in its colour, hidden with it, and named where one points at it."""
    pattern = '<g class="series" data-model="{}" style="--i:{}">{}<title>{}</title></g>'
    return Markup(pattern).format(name, hue, inside, said)


class Box(NamedTuple):
    """Where words stand: their base line, and from where to where."""

    down: float
    left: float
    right: float

    def covers(self, other: Box) -> bool:
        """Whether the words of both would run into each other."""
        beside = self.left < other.right and self.right > other.left
        return beside and abs(self.down - other.down) < LINE


def apart(places: Mapping[str, tuple[float, float]]) -> dict[str, Markup]:
    """A name beside each place, moved down where it would cover another."""
    taken = [Box(y + 4, x - 6, x + 6) for x, y in places.values()]
    found = {}
    for name, (x, y) in sorted(places.items(), key=lambda item: item[1][1]):
        right = x < (LEFT + WIDTH) / 2
        width = LETTER * len(name)
        left, down = (x + 10 if right else x - 10 - width), y + 4
        while any(Box(down, left, left + width).covers(box) for box in taken):
            down += 3
        taken.append(Box(down, left, left + width))
        found[name] = text(x + 10 if right else x - 10, down, name, "name", ("end", "start")[right])
    return found


def number(value: float) -> str:
    """
    >>> number(-92.0), number(0.5), number(20000.0)
    ('−92', '0.5', '20,000')
    """
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}").replace("-", "−")


def path(places: Sequence[tuple[float, float]]) -> Markup:
    """A line through places."""
    through = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return Markup('<polyline points="{}"/>').format(escape(through))
