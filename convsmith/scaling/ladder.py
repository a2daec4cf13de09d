"""One base design made dearer step by step along one axis, or along all of them: the points of a saturation curve.

Along depth, width or resolution alone, the axis takes the whole number of blocks, the widths or the side whose cost is
nearest to the budget; what its rounding leaves is taken up by the widths, so that every point fills its budget as all
solved designs do. Together the three grow as EfficientNet has it (Tan and Le, 2019, equation 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from convsmith.design import Design
from convsmith.errors import BudgetError
from convsmith.scaling.axes import total_depth, width_quantum, widths_of, with_resolution, with_total_depth
from convsmith.scaling.limits import Limits
from convsmith.scaling.price import price
from convsmith.scaling.rules import RULES
from convsmith.scaling.solve import solve

Axis = Literal["depth", "width", "resolution", "compound"]
AXES: Final[tuple[Axis, ...]] = ("depth", "width", "resolution", "compound")
COMPOUND: Final = RULES["efficientnet"]

_SLIGHT: Final = 0.1
"""A width that changes by no more, on a logarithmic scale, counts as kept."""
_AROUND: Final = 2
_WORTHWHILE: Final = 1.2
"""A last point at the native size is made where it costs this much more than the one before."""


@dataclass(frozen=True)
class Line:
    """The points of one axis without the base.

    Attributes:
        axis: What grows.
        points: Budgets, ascending, each with the design that fills it; of the resolution, the last may be the native
            size instead.
        stop: Why it ends before the last budget, or why points are missing; empty if it has them all.
    """

    axis: Axis
    points: tuple[tuple[int, Design], ...]
    stop: str = ""


def budgets(least: int, most: int, step: float = 2.0) -> tuple[int, ...]:
    """Budgets above ``least`` in equal ratios, about ``step``, that end at ``most``.

    Raises:
        BudgetError: If ``most`` is less than one such step above ``least``.
    """
    count = round(math.log(most / least, step)) if most > least else 0
    if count < 1:
        rule = "the largest budget must be well above what the base costs"
        raise BudgetError(rule, received=most, remedy=f"give at least {math.ceil(least * step):,}")
    return tuple(round(least * (most / least) ** (number / count)) for number in range(1, count + 1))


def raise_axis(base: Design, axis: Axis, steps: Sequence[int], *, native: int) -> Line:
    """The points of an axis.

    Args:
        base: Where it starts.
        axis: What grows.
        steps: Budgets in multiply-adds, ascending.
        native: The largest side that images have; more would cost and show nothing new.
    """
    points: list[tuple[int, Design]] = []
    stop = ""
    for budget in steps:
        shapes = _shapes(base, axis, budget)
        inside = [shape for shape in shapes if shape.input[1] <= native]
        if shapes[0].input[1] > native:
            stop = f"the images are {native} px, and more pixels than they have would show nothing new"
            points += _at_native(base, budget, points, native) if axis == "resolution" else []
            break
        try:
            points.append((budget, _solved(inside, budget, kept=axis in ("depth", "resolution"))))
        except BudgetError as error:
            stop = str(error)
    return Line(axis, tuple(points), stop)


def _at_native(
    base: Design, budget: int, points: Sequence[tuple[int, Design]], native: int
) -> Iterator[tuple[int, Design]]:
    """The base at the very size of the images, if that is well above the last point."""
    whole = with_resolution(base, native, native)
    last = price(points[-1][1] if points else base).macs
    if price(whole).macs >= _WORTHWHILE * last:
        yield budget, whole


def _shapes(base: Design, axis: Axis, budget: int) -> list[Design]:
    """What an axis may look like at a budget, the one whose widths need to change least first."""
    if axis == "width":
        return [base]
    if axis == "compound":
        return _beside(COMPOUND.template(base, Limits(macs=budget)))
    if axis == "depth":
        return _nearest(lambda total: with_total_depth(base, total), total_depth(base), budget)
    return _nearest(lambda side: with_resolution(base, side, side), base.input[1], budget)


def _beside(template: Design) -> list[Design]:
    """The design, and those with a pixel or a block more or less."""
    side, total = template.input[1], total_depth(template)
    sides = [with_resolution(template, one, one) for one in (side, side - 1, side + 1) if one > 0]
    return [*sides, *(with_total_depth(template, one) for one in (total - 1, total + 1) if one >= len(template.stage))]


def _nearest(make: Callable[[int], Design], first: int, budget: int) -> list[Design]:
    """Designs of the numbers above ``first`` around the one whose cost is nearest to the budget, by ratio."""

    def distance(design: Design) -> float:
        return abs(math.log(price(design).macs / budget))

    number = first + 1
    while price(make(number)).macs < budget:
        number += 1
    around = [make(one) for one in range(max(first + 1, number - _AROUND), number + _AROUND)]
    return sorted(around, key=distance)


def _solved(shapes: Sequence[Design], budget: int, *, kept: bool) -> Design:
    """The first of the shapes whose widths fill the budget and stay as they are, or in their proportions.

    Coarse widths are taken where they do, else finer ones; if none do, those that come nearest to it.

    Raises:
        BudgetError: If no whole widths fill the budget.
    """
    found: list[tuple[float, Design]] = []
    refused: list[BudgetError] = []
    for shape in shapes:
        for quantum in (step for step in (8, 4, 2, 1) if step <= width_quantum(shape)):
            try:
                design = solve(shape, Limits(macs=budget), quantum=quantum, pixels=0)
            except BudgetError as error:
                refused.append(error)
                continue
            change = _change(shape, design, kept=kept)
            if change <= _SLIGHT:
                return design
            found.append((change, design))
    if not found:
        raise refused[0]
    return min(found, key=lambda pair: pair[0])[1]


def _change(before: Design, after: Design, *, kept: bool) -> float:
    """The largest change of a width, or of a width against the others, as the logarithm of its ratio."""
    ratios = [math.log(b / a) for a, b in zip(widths_of(before), widths_of(after), strict=True)]
    middle = 0.0 if kept else sum(ratios) / len(ratios)
    return max(abs(ratio - middle) for ratio in ratios)
