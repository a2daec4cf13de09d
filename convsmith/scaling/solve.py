"""Designs that meet a budget by construction: the widths are solved for, never drawn and thrown away.

Depths, strides, blocks and resolution stay; the widths keep their proportions as well as whole numbers allow. A
multiplier is found on the form of the cost, the widths are rounded, and every combination of small steps around them
is looked at until the exact cost lies just below the budget. Of several limits the one that allows the least decides.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from convsmith.design import Design, Head
from convsmith.errors import BudgetError
from convsmith.quantities import format_percent
from convsmith.scaling.axes import widths_of, with_resolution, with_widths
from convsmith.scaling.limits import Limits
from convsmith.scaling.measured import Slopes, largest
from convsmith.scaling.price import BlockForm, block_form, head_price, interpolate, stem_price

FILL = 0.97
"""A solved design uses at least this share of the tightest budget."""

_STEPS: Any = np.array([0, -1, 1, -2, 2])
_COARSE: Any = 2.0 ** np.arange(-12, 12.01, 0.25)
_FINE: Any = 2.0 ** np.linspace(0, 0.25, 33)
_AIM = 0.99
_TRIES = 6
_SAMPLES = (32, 64)
_MOVED = 10
"""Widths that move at most, the last ones: every combination of their steps is looked at."""
_PLAIN = {"depth": 1, "stride": 1, "width": 1}


def solve(
    template: Design, limits: Limits, *, quantum: int = 8, pixels: int = 2, sides: Container[int] | None = None
) -> Design:
    """The design with the widths of ``template`` multiplied so that it fills the budget and never exceeds it.

    Args:
        template: What to build; its widths only set the proportions.
        limits: The budget; the tightest limit decides.
        quantum: Widths are multiples of this where the budget can be filled so, else of a half, a quarter and so on.
        pixels: How far the resolution may move, up or down, if widths alone cannot fill the budget.
        sides: Sides that a moved resolution may have, or None for any.

    Raises:
        BudgetError: If even the narrowest network is over budget; says what it costs. Or if no whole widths
            fill at least 97 % of the budget.
        OpError: If a layer does not fit.
    """
    best: tuple[float, Design] | None = None
    for candidate, step in _attempts(template, quantum, pixels, sides):
        for found in _nearest(candidate, limits, step):
            use = limits.guessed(found)
            if FILL <= use <= 1:
                use = limits.taken(found)
            if FILL <= use <= 1:
                return found
            if use <= 1 and (best is None or use > best[0]):
                best = (use, found)
    if best is None:
        raise _refusal(template, limits)
    raise BudgetError(
        f"no whole widths fill {format_percent(FILL, 0)} of {limits}; the nearest uses {format_percent(best[0])}",
        where=_shape(template),
        remedy="allow another resolution or fewer blocks",
    )


def narrowest(template: Design) -> Design:
    """The design with every width at one channel: nothing of this shape costs less."""
    return with_widths(template, (1,) * len(widths_of(template)))


def _attempts(
    template: Design, quantum: int, pixels: int, sides: Container[int] | None
) -> Iterator[tuple[Design, int]]:
    """Templates and quanta in the order of preference: coarse widths first, the resolution moved last."""
    quanta = [q for q in (16, 8, 4, 2, 1) if q <= quantum]
    yield from ((template, step) for step in quanta)
    _, height, width = template.input
    for shift in (shift for size in range(1, pixels + 1) for shift in (-size, size)):
        moved = (height + shift, width + shift)
        if min(moved) > 0 and (sides is None or all(side in sides for side in moved)):
            yield from ((with_resolution(template, *moved), step) for step in quanta[-2:])


def _nearest(template: Design, limits: Limits, quantum: int) -> Iterator[Design]:
    """Designs around the rounded multiplier, most promising first by the form of the cost."""
    shape: Any = np.array(widths_of(template), dtype=np.float64)
    form = _Form(template)
    center = _center(template, limits, quantum, form, shape)
    if center is None:
        return
    axes = [middle + quantum * steps for middle, steps in zip(center, _steps(len(shape)), strict=True)]
    grid = np.ix_(*(axis for axis in axes if len(axis) > 1))
    moving = iter(grid)
    widths = [next(moving) if len(axis) > 1 else axis.reshape((1,) * len(grid)) for axis in axes]
    use = limits.use_of(*form(widths))
    if limits.others:
        use = np.maximum(use, Slopes(template, limits, tuple(map(int, center)), quantum)(widths))
    moved = sum(np.abs(np.log(np.maximum(w, 0.5) / middle)) for w, middle in zip(widths, center, strict=True))
    allowed = (use <= 1) & _grows(widths, shape)
    for width in widths:
        allowed = allowed & (width >= quantum)
    order = np.argsort(np.where(allowed, 20 * np.maximum(0.0, _AIM - use) + moved, np.inf), axis=None, kind="stable")
    for index in order[: min(_TRIES if quantum > 2 else 8 * _TRIES, int(allowed.sum()))]:
        yield with_widths(template, tuple(int(np.broadcast_to(width, allowed.shape).flat[index]) for width in widths))


def _center(template: Design, limits: Limits, quantum: int, form: _Form, shape: Any) -> Any:
    """The widest rounded widths in the template's proportions that are within budget; None if there are none."""

    def rounded(multiplier: Any) -> Any:
        return np.maximum(quantum, np.floor(multiplier * shape / quantum + 0.5) * quantum)

    def taken(multiplier: float) -> float:
        return limits.guessed(with_widths(template, tuple(map(int, rounded(multiplier)))))

    multiplier = 1.0
    if limits.macs is not None or limits.params is not None:
        for multipliers in (
            _COARSE,
            _FINE,
        ):  # the cost grows with the multiplier: the last within budget is the largest
            within = np.flatnonzero(limits.use_of(*form(rounded(multiplier * multipliers[:, None]).T)) <= 1)
            if len(within) == 0:
                return None
            multiplier *= multipliers[within[-1]]
    if not limits.others:
        return rounded(multiplier)
    found = largest(taken, multiplier, capped=limits.macs is not None or limits.params is not None)
    return None if found is None else rounded(found)


def _steps(count: int) -> list[Any]:
    """Steps to try for each width: fewer for the stem's, fewer for all where there are many, none for those beyond."""
    if count <= 6:
        return [_STEPS[:3], *([_STEPS] * (count - 1))]
    moved = min(count - 1, _MOVED)
    return [*([_STEPS[:1]] * (count - moved)), *([_STEPS[:3]] * moved)]


def _grows(widths: Any, shape: Any) -> Any:
    """Whether widths that grow along the template's stages still do."""
    pairs = zip(widths[1:], widths[2:], np.diff(shape[1:]) >= 0, strict=False)
    return np.logical_and.reduce(np.broadcast_arrays(*((b >= a) | ~grows for a, b, grows in pairs), np.True_))


class _Form:
    """The cost of a template as a function of its widths, which are arrays that broadcast against each other."""

    def __init__(self, template: Design) -> None:
        _, map = stem_price(template.stem, template.input)
        size = (map[1], map[2])
        stem = [stem_price(template.stem.model_copy(update={"width": w}), template.input)[0] for w in _SAMPLES]
        self._stem = interpolate([((1.0, w), price) for w, price in zip(_SAMPLES, stem, strict=True)])
        self._stages: list[tuple[BlockForm, BlockForm, int]] = []
        for stage in template.stage:
            first = block_form(stage.model_copy(update=_PLAIN), size, stage.stride)
            rest = block_form(stage.model_copy(update=_PLAIN), first.size, 1)
            self._stages.append((first, rest, stage.depth - 1))
            size = first.size
        self._head = _head_form(template.head, size)

    def __call__(self, widths: Any) -> Any:
        """MACs and parameters on a new first axis."""
        a, *rest = widths
        stem = self._stem.reshape(2, 2, *(1,) * np.ndim(a))
        total = stem[0] + stem[1] * a
        for b, (first, again, count) in zip(rest, self._stages, strict=False):
            total = total + first(a, b) + count * again(b, b)
            a = b
        head = self._head.reshape(4, 2, *(1,) * np.ndim(a))
        b = rest[-1]
        return total + head[0] + head[1] * a + (head[2] + head[3] * a) * b


@lru_cache(maxsize=2**10)
def _head_form(head: Head, size: tuple[int, int]) -> Any:
    """Coefficients of 1, a, b, ab for ``a`` channels in and a convolution to ``b``; the last two zero without one."""
    if not head.options.get("conv_width"):
        line = interpolate([((1.0, a), head_price(head, (a, *size))) for a in _SAMPLES])
        return np.vstack([line, np.zeros((2, 2))])
    wide = {b: head.model_copy(update={"conv_width": b}) for b in _SAMPLES}
    return interpolate([((1.0, a, b, a * b), head_price(wide[b], (a, *size))) for a in _SAMPLES for b in _SAMPLES])


def _shape(template: Design) -> str:
    blocks = sum(stage.depth for stage in template.stage)
    return f"{blocks} blocks at {template.input[1]}x{template.input[2]} px"


def _refusal(template: Design, limits: Limits) -> BudgetError:
    return BudgetError(
        f"cannot be {limits}: the narrowest costs {limits.told(narrowest(template))}",
        where=_shape(template),
        remedy="raise the budget, or take fewer blocks or a lower resolution",
    )
