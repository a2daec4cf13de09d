"""The scale view: a design scaled along depth, width and resolution, and what each named rule makes of a budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from convsmith.design import Design, parse_design, write_design
from convsmith.errors import BudgetError, ConvsmithError
from convsmith.jobs.scale import scale
from convsmith.quantities import format_count, format_percent, parse_count
from convsmith.report.view import summary, title
from convsmith.scaling import Limits, price, solve
from convsmith.scaling.axes import (
    Factors,
    factors_between,
    total_depth,
    width_quantum,
    with_resolution,
    with_total_depth,
)
from convsmith.scaling.rules import RULES
from convsmith.studio.bodies import StudioError, Values, text_of, told
from convsmith.studio.designs import WHERE
from convsmith.studio.plot import Axis, Line, Point, chart
from convsmith.studio.ternary_map import Mark, ternary_map

AXES: Final[tuple[str, ...]] = ("depth", "width", "resolution")
_DEPTHS: Final = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""Factors of the number of blocks of an iso-cost curve."""
_SIDES: Final = (0.75, 1.0, 1.33)
"""Factors of the resolution, a curve for each."""
_COLOURS: Final = ("width", "depth", "resolution")


def scaled(values: Values) -> dict[str, Any]:
    """A design multiplied along its axes, beside what each rule makes of the same cost or of a budget.

    Args:
        values: ``text`` of the design, factors ``depth``, ``width``, ``resolution``, and ``macs``, a budget as a person
            writes it, or nothing for the cost of the scaled network.

    Raises:
        DesignError: If the text is no design, or the factors do not fit it.
        QuantityError: If the budget is none.
    """
    base = _design(text_of(values, "text"))
    depth, width, resolution = (_factor(values, axis) for axis in AXES)
    made = scale(base, depth=depth, width=width, resolution=resolution)
    figures = made.to_dict()
    asked = text_of(values, "macs", 40).strip()
    budget = parse_count(asked) if asked else figures["macs"]
    rules = [_ruled(name, base, budget) for name in RULES]
    marks = [Mark(row["shares"], "rule", row["text"], title(row["name"])) for row in rules if row["ok"]]
    now = dict(figures["shares"])
    if any(now.values()):
        marks.insert(
            0, Mark(now, "now", _shares(now), "×".join(f"{value:.3g}" for value in figures["factors"].values()))
        )
    return {
        "design": figures["design"],
        "summary": summary(figures["design"]),
        "before": {key: format_count(value) for key, value in figures["before"].items()},
        "after": {key: format_count(figures[key]) for key in ("macs", "params")},
        "times": {key: f"{figures[key] / figures['before'][key]:.3g}" for key in ("macs", "params")},
        "factors": {key: f"{value:.3g}" for key, value in figures["factors"].items()},
        "shares": {key: format_percent(value, 0) for key, value in now.items()},
        "budget": format_count(budget),
        "rules": rules,
        "map": ternary_map(marks),
    }


def iso_cost(values: Values) -> dict[str, Any]:
    """Networks of one cost: for each number of blocks and three resolutions the width that spends the budget.

    Raises:
        DesignError: If the text is no design.
        QuantityError: If the budget is none.
    """
    base, budget = _design(text_of(values, "text")), parse_count(text_of(values, "macs", 40))
    lines = [
        Line(f"side.{number}", colour, list(_curve(base, budget, side)))
        for number, (side, colour) in enumerate(zip(_SIDES, _COLOURS, strict=True))
    ]
    points = [point for line in lines for point in line.points]
    if not points:
        raise BudgetError("no network of these depths and sides fills this budget", received=format_count(budget))
    x = Axis.over("factor.depth", [point.x for point in points], "{:.3g}".format, log=True)
    y = Axis.over("factor.width", [point.y for point in points], "{:.3g}".format, log=True)
    return {"chart": chart("iso", x, y, lines)}


@lru_cache(maxsize=8)
def _design(text: str) -> Design:
    return parse_design(text, where=WHERE)


def _factor(values: Values, axis: str) -> float:
    value = values.get(axis, 1)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StudioError(f"the factor of {axis} must be a number", received=value)
    return float(value)


def _ruled(name: str, base: Design, budget: int) -> dict[str, Any]:
    """What a rule makes of a budget, or why it cannot."""
    rule = RULES[name]
    ratio = budget / price(base).macs
    shares: dict[str, float] = dict(zip(AXES, rule.shares(ratio), strict=True))
    row = {"name": name, "title": title(name), "source": rule.source, "shares": shares}
    try:
        found = rule.apply(base, Limits(macs=budget))
        cost = price(found)
    except ConvsmithError as error:
        return row | told(error)
    text = write_design(found)
    cells = [format_count(cost.macs), format_count(cost.params), *_factors(factors_between(base, found))]
    said = f"{title(name)} · {rule.source} · {_shares(shares)}"
    return row | {"ok": True, "design": text, "summary": summary(text), "cells": cells, "text": said}


def _factors(factors: Factors) -> list[str]:
    return [f"× {value:.3g}" for value in vars(factors).values()]


def _shares(shares: Mapping[str, float]) -> str:
    return " · ".join(f"{axis} {format_percent(share, 0)}" for axis, share in shares.items())


def _curve(base: Design, budget: int, side: float) -> Iterator[Point]:
    """Networks of one resolution, by their number of blocks."""
    _, height, width = base.input
    resized = with_resolution(base, round(height * side), round(width * side))
    seen: set[int] = set()
    for factor in _DEPTHS:
        blocks = max(len(base.stage), round(factor * total_depth(base)))
        if blocks in seen:
            continue
        seen.add(blocks)
        try:
            found = solve(with_total_depth(resized, blocks), Limits(macs=budget), quantum=width_quantum(base), pixels=0)
        except ConvsmithError:
            continue
        factors = factors_between(base, found)
        text = f"{summary(write_design(found))} · {format_count(price(found).macs)}"
        yield Point(factors.depth, factors.width, text)
