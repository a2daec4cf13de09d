"""Filling a budget of something that has no form, only a price for each design that is asked about: time, file size.

The multiplier of the widths is found by false position on logarithms, since such costs grow about as a power of it.
Around it each width has a slope of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from convsmith.design import Design
from convsmith.scaling.axes import with_widths
from convsmith.scaling.limits import Limits

_LEAST, _MOST = -12.0, 12.0
_CLOSE = 0.02
_QUESTIONS = 20
_POWER = 1.5
"""Costs grow with the widths between linearly and with their square."""
_REACH = 0.25
"""A slope is taken over this share of a width, for costs come in stairs."""


def largest(taken: Callable[[float], float], start: float, *, capped: bool) -> float | None:
    """About the largest multiplier at which ``taken``, which grows with it, is at most one.

    Args:
        taken: Share of the budget.
        start: Where to look first.
        capped: Whether nothing beyond ``start`` is wanted.

    Returns:
        None if it is above one even for the smallest.
    """
    x = math.log2(start)
    low, high = _LEAST, x if capped else _MOST
    below: float | None = None
    above: float | None = None
    reach = _CLOSE
    for question in range(_QUESTIONS):
        y = math.log2(max(taken(2.0**x), 1e-9))
        if y <= 0:
            low, below = x, y
            if capped and x >= high:
                return 2.0**x
        else:
            high, above = x, y
        if high - low <= _CLOSE:
            break
        if below is not None and above is not None:
            share = below / (below - above) if question % 2 else 0.5  # halving too, for the ends of curves
            x = low + (high - low) * min(max(share, 0.1), 0.9)
        else:
            step, reach = max(abs(y) / _POWER + _CLOSE, reach), 2 * reach
            x = min(max(x - math.copysign(step, y), low), high)
    if below is not None:
        return 2.0**low
    return 2.0**_LEAST if taken(2.0**_LEAST) <= 1 else None


class Slopes:
    """About what share of the measures of ``limits`` designs take whose widths are near those of one that was asked.

    Each measure is a power of each width.
    """

    def __init__(self, template: Design, limits: Limits, center: tuple[int, ...], quantum: int) -> None:
        self._center = center
        self._levels: list[tuple[float, list[float]]] = []
        for measure in limits.others:

            def log(widths: tuple[int, ...], cost: Callable[[Design], float] = measure.guessed) -> float:
                return math.log(max(cost(with_widths(template, widths)), 1e-12))

            level = log(center)
            powers: list[float] = []
            for place, width in enumerate(center):
                wider = width + quantum * max(1, round(_REACH * width / quantum))
                there = log((*center[:place], wider, *center[place + 1 :]))
                powers.append(max(0.0, (there - level) / math.log(wider / width)))
            self._levels.append((level - math.log(measure.limit), powers))

    def __call__(self, widths: Any) -> Any:
        """The share of the tightest measure, for arrays of widths that broadcast against each other."""
        logs = [np.log(np.maximum(w, 0.5) / middle) for w, middle in zip(widths, self._center, strict=True)]
        uses = [level + sum(p * x for p, x in zip(powers, logs, strict=True)) for level, powers in self._levels]
        return np.exp(np.maximum.reduce(np.broadcast_arrays(*uses)))
