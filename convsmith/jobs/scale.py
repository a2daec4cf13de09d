"""``scale``: a network made larger or smaller along depth, width and resolution, or up to a budget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from convsmith.design import Design, parse_design, write_design
from convsmith.errors import BudgetError, DesignError, OpError
from convsmith.jobs.references import read_reference
from convsmith.quantities import in_units, parse_count
from convsmith.scaling import Factors, Limits, price
from convsmith.scaling import scale as scale_by
from convsmith.scaling.axes import factors_between
from convsmith.scaling.rules import rule as rule_called

DEFAULT_RULE: Final = "efficientnet"
MOST: Final = 1000.0
"""Largest factor of a dimension."""


@dataclass(frozen=True)
class Scaling:
    """A scaled design beside the one it came from."""

    before: Design
    design: Design

    @property
    def factors(self) -> Factors:
        """What depth, width and resolution were multiplied by, all rounding included."""
        return factors_between(self.before, self.design)

    def to_dict(self) -> dict[str, Any]:
        """The ``--json`` contract."""
        before, after, shares = price(self.before), price(self.design), self.factors.shares()
        return {
            "macs": after.macs,
            "params": after.params,
            "factors": dict(vars(self.factors)),
            "shares": dict(zip(("depth", "width", "resolution"), shares, strict=True)),
            "design": write_design(self.design),
            "before": {"macs": before.macs, "params": before.params},
        }


def scale(
    design: str | Path | Design,
    *,
    depth: float = 1.0,
    width: float = 1.0,
    resolution: float = 1.0,
    macs: int | str | None = None,
    params: int | str | None = None,
    rule: str | None = None,
) -> Scaling:
    """Scale by factors, or by a named rule up to a budget.

    Args:
        design: What to scale.
        depth: Factor of the number of blocks.
        width: Factor of the channels.
        resolution: Factor of height and width of the input.
        macs: Most multiply-adds, also as ``"300M"``; needs the factors left at one.
        params: Most parameters; the same.
        rule: How a budget is split, by default as EfficientNet does.

    Raises:
        BudgetError: If factors and a budget are both given, the rule is not known, or the budget cannot be met.
        DesignError: If a factor is not above zero, or the scaled network does not fit its input.
    """
    before = design if isinstance(design, Design) else read_reference(design)
    factors = Factors(depth, width, resolution)
    if macs is None and params is None:
        if rule is not None:
            raise BudgetError("a rule splits a budget", received=rule, remedy="give --macs or --params with it")
        return Scaling(before, _checked(scale_by(before, _within(factors, before.name))))
    if factors != Factors():
        remedy = "give either factors or --macs/--params with --rule"
        raise BudgetError("a network is scaled by factors or up to a budget, not both", remedy=remedy)
    called = rule_called(rule or DEFAULT_RULE)
    limits = Limits(in_units(macs, parse_count), in_units(params, parse_count))
    try:
        return Scaling(before, called.apply(before, limits))
    except (DesignError, OpError) as error:
        told = f"cannot be {limits}: the rule {called.name} asks for an image that its strides shrink to nothing"
        remedy = "raise the budget, or keep the image with --rule width_only"
        raise BudgetError(told, where=before.name, remedy=remedy) from error


def _within(factors: Factors, where: str) -> Factors:
    for name, factor in vars(factors).items():
        if not 0 < factor <= MOST:
            rule = f"factor of {name} must be above zero and at most {MOST:g}"
            raise DesignError(rule, received=factor, where=where)
    return factors


def _checked(design: Design) -> Design:
    """The design, if its own file could be read and its layers fit: scaling may round a size to nothing."""
    where = f"{design.name}, scaled"
    checked = parse_design(write_design(design), where=where)
    try:
        price(checked)
    except OpError as error:
        raise DesignError(str(error), where=where) from error
    return checked
