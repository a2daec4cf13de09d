"""Charts as plain values: every place from 0 to 1, every tick and point with its text, so the page only draws."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

Text = Callable[[float], str]

_ZEROS: Final = re.compile(r"\.0+(?=\D|$)|(?<=\.\d)0+(?=\D|$)|(?<=\.\d\d)0+(?=\D|$)")
"""Zeros that a count of four digits ends in, which a tick does not need."""
_TICKS: Final = 6
_STEPS: Final = (1, 2, 5, 10)
_ROOM: Final = 0.04
"""Of an axis that stays empty before the first and after the last value."""


@dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    Attributes:
        title: Key of its words, behind ``axis.``.
        low: Its first value.
        high: Its last value, above the first.
        text: Writes a value.
        log: Whether equal ratios are equally far apart.
        marks: Where its ticks are, if it has some of its own.
    """

    title: str
    low: float
    high: float
    text: Text
    log: bool = False
    marks: tuple[float, ...] = ()

    @staticmethod
    def over(
        title: str, values: Iterable[float], text: Text, *, log: bool = False, marks: Iterable[float] = ()
    ) -> Axis:
        """The axis that holds all finite values, and above zero all of a logarithmic one, with some room."""
        found = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        low, high = (min(found), max(found)) if found else (1.0, 10.0)
        if log:
            room = max(_ROOM * math.log(high / low), 0.02)
            return Axis(title, low * math.exp(-room), high * math.exp(room), text, log, tuple(marks))
        room = _ROOM * (high - low) or abs(high) * 0.05 or 1.0
        return Axis(title, low - room, high + room, text, log, tuple(marks))

    def place(self, value: float) -> float:
        """Where a value lies, 0 at the first end and 1 at the last."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Some round values within, or its own."""
        if self.marks:
            return list(self.marks)
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
                found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
                found = [value for value in found if self.low <= value <= self.high]
                if 3 <= len(found) <= _TICKS + 3:
                    return found
        least = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(least))
        step = next(factor * power for factor in _STEPS if factor * power >= least * 0.999)
        return [step * number for number in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        ticks = [[self.place(value), _ZEROS.sub("", self.text(value))] for value in self.ticks()]
        return {"title": self.title, "ticks": ticks}


@dataclass(frozen=True)
class Point:
    """A point of a chart, with its 95 % interval where it has one."""

    x: float
    y: float
    text: str
    interval: Sequence[float] | None = None


@dataclass(frozen=True)
class Line:
    """Points of one colour.

    Attributes:
        name: Key of its words, behind ``line.``.
        colour: Name of a colour of the page's style.
        points: In drawing order.
        breaks: Numbers of points that begin a new stretch.
        joined: Whether a line goes through them.
    """

    name: str
    colour: str
    points: Sequence[Point]
    breaks: frozenset[int] = frozenset()
    joined: bool = True


def chart(name: str, x: Axis, y: Axis, lines: Sequence[Line]) -> dict[str, Any]:
    """A chart as JSON values; ``name`` is the key of the words that say what it is, behind ``chart.``."""
    return {
        "name": name,
        "x": x.to_dict(),
        "y": y.to_dict(),
        "lines": [
            {
                "name": line.name,
                "colour": line.colour,
                "joined": line.joined,
                "breaks": sorted(line.breaks),
                "points": [_point(point, x, y) for point in line.points],
            }
            for line in lines
            if line.points
        ],
    }


def _point(point: Point, x: Axis, y: Axis) -> dict[str, Any]:
    found = {"at": [round(x.place(point.x), 5), round(y.place(point.y), 5)], "text": point.text}
    return found | ({"bar": [round(y.place(end), 5) for end in point.interval]} if point.interval else {})
