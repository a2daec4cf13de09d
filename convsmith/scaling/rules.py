"""Published answers to "how do I split a budget between depth, width and resolution?", as shares of its logarithm.

A budget that is ``ratio`` times the base's cost is spent as ``depth = ratio ** d``, ``width = ratio ** (w / 2)`` and
``resolution = ratio ** (r / 2)``, for work grows with the square of the last two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from convsmith.design import Design
from convsmith.errors import BudgetError
from convsmith.scaling.axes import (
    Factors,
    scale,
    total_depth,
    width_quantum,
    widths_of,
    with_total_depth,
    with_widths,
)
from convsmith.scaling.limits import Limits
from convsmith.scaling.solve import solve

Shares = tuple[float, float, float]
"""Of depth, width and resolution; they add up to one."""


@dataclass(frozen=True)
class Rule:
    """A way to spend a budget.

    Attributes:
        shares: From the ratio of budget to base, since some rules change with it.
        source: Where it was published.
        reshape: What else the rule asks of a network, whatever the budget.
        keeps_images: The rule takes images as large as they come.
    """

    name: str
    shares: Callable[[float], Shares]
    source: str
    reshape: Callable[[Design], Design] = lambda design: design
    keeps_images: bool = False

    def factors(self, ratio: float) -> Factors:
        """What to multiply a base by to spend ``ratio`` times its work."""
        depth, width, resolution = self.shares(ratio)
        return Factors(ratio**depth, ratio ** (width / 2), ratio ** (resolution / 2))

    def template(self, base: Design, limits: Limits) -> Design:
        """The base with the rule's depths and resolution; its widths only set the proportions."""
        factors = self.factors(1 / limits.taken(base))
        depth = max(len(base.stage), round(total_depth(base) * factors.depth))
        return self.reshape(scale(with_total_depth(base, depth), replace(factors, depth=1.0), quantum=1))

    def apply(self, base: Design, limits: Limits, *, quantum: int = 0) -> Design:
        """Scale ``base`` by the rule, then solve the widths so that the rounded network fills the budget.

        Raises:
            BudgetError: If no network of these depths and this resolution fits.
        """
        return solve(self.template(base, limits), limits, quantum=quantum or width_quantum(base))


def _fixed(depth: float, width: float, resolution: float) -> Callable[[float], Shares]:
    total = depth + width + resolution
    shares = (depth / total, width / total, resolution / total)
    return lambda ratio: shares


def _efficientnet() -> Callable[[float], Shares]:
    """Exponents of 1.2, 1.1 and 1.15 per step of phi."""
    return _fixed(math.log(1.2), 2 * math.log(1.1), 2 * math.log(1.15))


_TINYNET: tuple[tuple[float, Shares], ...] = (
    (0.52, (-0.11, 0.69, 0.42)),
    (0.26, (0.09, 0.69, 0.22)),
    (0.13, (0.15, 0.52, 0.33)),
    (0.06, (0.15, 0.40, 0.45)),
)
"""Budget in units of EfficientNet-B0 and shares of TinyNet-B to E, from the multipliers of Han et al., 2020."""


def _tinynet(ratio: float) -> Shares:
    """Shares of the published network whose distance from its base, up or down, is nearest on a log scale."""
    size = min(ratio, 1 / ratio)
    return min(_TINYNET, key=lambda row: abs(math.log(row[0] / size)))[1]


REGNET_BLOCKS = 16
REGNET_GROWTH = 2.5


def _regnet(design: Design) -> Design:
    """Good RegNets have 12 to 28 blocks whatever their size, and each stage is 2.5 times as wide as the one before."""
    widths = widths_of(design)
    stages = tuple(round(design.stage[0].width * REGNET_GROWTH**number) for number in range(len(design.stage)))
    grown = with_widths(design, (widths[0], *stages, *widths[1 + len(stages) :]))
    return with_total_depth(grown, max(REGNET_BLOCKS, len(stages)))


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("depth_only", _fixed(1, 0, 0), "He et al., 2016"),
        Rule("width_only", _fixed(0, 1, 0), "Zagoruyko and Komodakis, 2016"),
        Rule("resolution_only", _fixed(0, 0, 1), "Howard et al., 2017"),
        Rule("uniform", _fixed(1, 1, 1), "Dollár et al., 2021, dwr"),
        Rule("efficientnet", _efficientnet(), "Tan and Le, 2019"),
        Rule("dwr", _fixed(0.1, 0.8, 0.1), "Dollár et al., 2021, dWr"),
        Rule("regnet", _fixed(0, 1, 0), "Radosavovic et al., 2020", _regnet, keeps_images=True),
        Rule("tinynet", _tinynet, "Han et al., 2020"),
    )
}


def rule(name: str) -> Rule:
    """The rule called ``name``.

    Raises:
        BudgetError: If there is none.
    """
    if name not in RULES:
        raise BudgetError("no scaling rule has this name", received=name, remedy=f"use one of {', '.join(RULES)}")
    return RULES[name]
