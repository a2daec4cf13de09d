"""The search space: networks that all cost the same and spend it differently, constructed and never rejected.

A candidate is a shape (how deep, how the blocks are spread, how fast the widths grow, how large the images are) whose
widths are solved for, so that it lies on the surface of equal cost. The published rules are candidates like any other:
they scale one base network up to the budget. What a rung then measures is which way of spending is best here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from scipy.stats import qmc

from convsmith.design import Design, make_design
from convsmith.errors import BudgetError, DesignError
from convsmith.scaling import RULES, Limits, price, solve
from convsmith.scaling.axes import total_depth, widths_of, with_resolution
from convsmith.search.candidate import Candidate, design_key

BASE_COST: Final = 4
"""The base costs this fraction of the budget, so that every rule scales it by the same factor."""

MOST_BLOCKS: Final = 28
"""Good networks of any size have no more (Radosavovic et al., 2020, section 4)."""

FAMILIES: Final[dict[str, dict[str, Any]]] = {
    "residual": {},
    "inverted_residual": {"expansion": 4.0},
    "bottleneck": {"expansion": 4.0},
    "depthwise": {},
    "plain": {},
}


@dataclasses.dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes:
        limits: The budget.
        channels: Channels of the images.
        native: Side of the images, in pixels; drawn networks see no larger ones.
        classes: Number of classes.
        families: Blocks of the drawn networks, in turn; the first is the block of the base and the rules.
    """

    limits: Limits
    channels: int
    native: int
    classes: int
    families: tuple[str, ...] = ("residual", "inverted_residual")

    @property
    def stages(self) -> int:
        """Resolutions that a network works at: as many as leave a last map of about 4x4."""
        return 2 if self.native < 16 else 3 if self.native < 48 else 4

    @property
    def stem_stride(self) -> int:
        """Large images are halved at once."""
        return 1 if self.native < 48 else 2

    @property
    def quantum(self) -> int:
        """Widths are multiples of this where that fills the budget; small networks need finer steps."""
        macs = self.limits.macs or 16 * (self.limits.params or 0)
        return 8 if macs >= 16_000_000 else 4 if macs >= 1_000_000 else 2

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Sides of the images that drawn networks see, from half the native one up."""
        step = 4 if self.native >= 24 else 2
        least = max(2 ** (self.stages - 1) * self.stem_stride, self.native // 2)
        sides = range(self.native, least - 1, -step)
        return tuple(reversed(sides))

    def shape(self, family: str, depths: Sequence[int], growth: float, side: int) -> Design:
        """A design of this shape; its widths only set the proportions."""
        stages = [
            {
                "block": family,
                "depth": depth,
                "width": round(64 * growth**number),
                "stride": 1 if number == 0 else 2,
                **FAMILIES[family],
            }
            for number, depth in enumerate(depths)
        ]
        return make_design(
            {
                "name": "shape",
                "input": [self.channels, side, side],
                "stem": {"block": "conv", "width": 64, "stride": self.stem_stride},
                "stage": stages,
                "head": {"task": "classify", "classes": self.classes},
            }
        )


@dataclasses.dataclass(frozen=True)
class Field:
    """The entrants of a search.

    Attributes:
        base: What the rules scale and the shares are counted from.
        candidates: Rules first, then drawn networks.
        rules: Key of the network that each rule makes; two rules may make the same one.
        refused: Rules and draws that cannot meet the budget, with the reason.
    """

    base: Design
    candidates: tuple[Candidate, ...]
    rules: dict[str, str]
    refused: dict[str, str]


def make_field(space: Space, draws: int, *, seed: int) -> Field:
    """All rules and ``draws`` networks spread evenly over the space.

    Raises:
        BudgetError: If not even the smallest network of the space meets the budget; says what it costs.
    """
    base = base_design(space)
    ratio = 1 / space.limits.use(price(base))
    candidates: dict[str, Candidate] = {}
    rules: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name, rule in RULES.items():
        try:
            start = with_resolution(base, space.native, space.native) if rule.keeps_images else base
            design = rule.apply(start, space.limits, quantum=space.quantum)
        except (BudgetError, DesignError) as error:
            refused[f"rule:{name}"] = str(error)
            continue
        rules[name] = _enter(candidates, f"rule:{name}", design, base, ratio)
    points = qmc.Sobol(4, rng=np.random.default_rng(seed)).random(_power_of_two(8 * draws))
    for number, point in enumerate(points.tolist()):
        if sum(1 for candidate in candidates.values() if not candidate.rule) >= draws:
            break
        family = space.families[number % len(space.families)]
        try:
            shape = _drawn(space, family, point)
            design = solve(shape, space.limits, quantum=space.quantum, pixels=2 if space.native >= 24 else 0)
        except (BudgetError, DesignError) as error:
            refused[f"draw:{number}"] = str(error)
            continue
        _enter(candidates, f"draw:{number}", design, base, ratio)
    return Field(base, tuple(candidates.values()), rules, refused)


def base_design(space: Space) -> Design:
    """The network that the rules scale: two blocks per stage, widths doubling, images at 0.7 of the native side.

    Starting below the native side leaves resolution room to grow: at four times the cost, resolution alone ends at
    1.4 times the native side and EfficientNet's rule about at it. Where the budget is too small for a quarter of it
    to be a network, the base is made shallower, then dearer.

    Raises:
        BudgetError: If not even the smallest network of the space meets the budget.
    """
    base = _base(space)
    if base is not None:
        return base
    larger = space
    while _base(larger) is None:
        larger = dataclasses.replace(larger, limits=_reduced(larger.limits, 1 / 1.2))
    raise BudgetError(
        f"no network for {space.native} px images and {space.classes} classes meets {space.limits}",
        remedy=f"the smallest budget that works is about {larger.limits}",
    )


def _base(space: Space) -> Design | None:
    side = min(space.resolutions, key=lambda side: abs(side - space.native / math.sqrt(2)))
    for share, depth in itertools.product((BASE_COST, 2, 1.25), (2, 1)):
        shape = space.shape(space.families[0], (depth,) * space.stages, 2.0, side)
        with contextlib.suppress(BudgetError):
            return solve(shape, _reduced(space.limits, share), quantum=space.quantum, pixels=0)
    return None


def _reduced(limits: Limits, share: float) -> Limits:
    return Limits(
        *(None if limit is None else max(1, math.ceil(limit / share)) for limit in (limits.macs, limits.params))
    )


def _drawn(space: Space, family: str, point: list[float]) -> Design:
    """The shape at a point of the unit cube: depth, where the depth goes, growth of the widths, resolution."""
    depth, tilt, growth, resolution = point
    total = round(space.stages * (MOST_BLOCKS / space.stages) ** depth)
    position = np.linspace(-1, 1, space.stages)
    weights = np.exp((2 * tilt - 1) * position)
    depths = np.maximum(1, np.floor(weights / weights.sum() * total)).astype(int)
    sides = space.resolutions
    side = sides[min(int(resolution * len(sides)), len(sides) - 1)]
    return space.shape(family, [int(number) for number in depths], 1.5 * 2**growth, side)


def _enter(candidates: dict[str, Candidate], origin: str, design: Design, base: Design, ratio: float) -> str:
    """Add a network and return its key; one that is there already keeps the origin it has."""
    named = design.model_copy(update={"name": describe(design)})
    cost = price(named)
    key = design_key(named)
    candidates.setdefault(key, Candidate(key, named, origin, shares(base, named, ratio), cost.macs, cost.params))
    return key


def shares(base: Design, design: Design, ratio: float) -> tuple[float, float, float]:
    """Shares of depth, width and resolution in the logarithm of ``ratio``; width takes what the others leave."""
    depth = math.log(total_depth(design) / total_depth(base)) / math.log(ratio)
    resolution = 2 * math.log(design.input[1] / base.input[1]) / math.log(ratio)
    return depth, 1 - depth - resolution, resolution


def describe(design: Design) -> str:
    """A name that says what the network is: block, depths, widths and side, as ``residual-2.2.2-w8.16.32-r24``."""
    depths = ".".join(str(stage.depth) for stage in design.stage)
    widths = ".".join(str(width) for width in widths_of(design)[1 : 1 + len(design.stage)])
    return f"{design.stage[0].block}-{depths}-w{widths}-r{design.input[1]}"


def _power_of_two(count: int) -> int:
    return 2 ** max(1, math.ceil(math.log2(max(count, 2))))
