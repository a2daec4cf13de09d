"""The search space: networks that all cost the same and spend it differently, constructed and never rejected.

A candidate is a shape (how deep, how the blocks are spread, how fast the widths grow, how large the images are) whose
widths are solved for, so that it lies on the surface of equal cost. The published rules are candidates like any other:
they scale one base network up to the budget. What a rung then measures is which way of spending is best here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import itertools
import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from scipy.stats import qmc

from convsmith.design import Design, make_design, parse_design, write_design
from convsmith.design.blocks import BLOCKS
from convsmith.errors import BudgetError, DesignError
from convsmith.scaling import RULES, Limits, price, solve
from convsmith.scaling.axes import total_depth, widths_of, with_resolution
from convsmith.scaling.solve import narrowest
from convsmith.search.candidate import Candidate, design_key
from convsmith.search.draw import Draw, Grid, draw, pick, split, spread
from convsmith.search.space_file import Declaration, SpaceError, default_space

BASE_COST: Final = 4
"""The base costs this fraction of the budget, so that every rule scales it by the same factor."""

_DRAWN: Final = 4
_MORE: Final = 6
_ATTEMPTS: Final = 24
_GROWTH: Final = 1.2


@dataclasses.dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes:
        limits: The budget.
        channels: Channels of the images.
        native: Side of the images, in pixels.
        classes: Number of classes.
        declared: What does not depend on images and budget.
    """

    limits: Limits
    channels: int
    native: int
    classes: int
    declared: Declaration = dataclasses.field(default_factory=default_space)

    @property
    def stages(self) -> int:
        """Resolutions that a network works at: as declared, or as many as leave a last map of about 4x4."""
        return self.declared.depth.stages or (2 if self.native < 16 else 3 if self.native < 48 else 4)

    @property
    def stem_strides(self) -> tuple[int, ...]:
        """Strides of the stem to choose from; by itself, large images are halved at once."""
        return tuple(stride or (1 if self.native < 48 else 2) for stride in self.declared.stem.stride)

    @property
    def quantum(self) -> int:
        """Widths are multiples of this where that fills the budget; small networks need finer steps."""
        limits = self.limits
        macs = limits.macs or 16 * (limits.params or 0) or min(measure.macs for measure in limits.others)
        return self.declared.width.multiple or (8 if macs >= 16_000_000 else 4 if macs >= 1_000_000 else 2)

    @property
    def pixels(self) -> int:
        """How far a resolution may move to fill the budget."""
        return 2 if self.native >= 24 else 0

    @property
    def totals(self) -> range:
        """Numbers of blocks that are drawn.

        Raises:
            SpaceError: If there are more stages than blocks.
        """
        least, most = self.declared.depth.blocks
        if most < self.stages:
            rule = f"'depth.blocks' must allow a block in each of {self.stages} stages"
            raise SpaceError(rule, received=[least, most], where="space", remedy="raise it or set 'depth.stages'")
        return range(max(least, self.stages), most + 1)

    def resolutions(self, stem_stride: int) -> tuple[int, ...]:
        """Sides of the images that drawn networks see, ascending: from where every stage has pixels left.

        Raises:
            SpaceError: If there is none.
        """
        scale = self.declared.resolution.scale
        step = self.declared.resolution.step or (4 if self.native >= 24 else 2)
        needed, most = 2 ** (self.stages - 1) * stem_stride, math.floor(self.native * scale[1] + 1e-9)
        least = max(needed, math.ceil(self.native * scale[0] - 1e-9))
        if least > most:
            rule = f"{self.stages} stages behind a stem of stride {stem_stride} need images of {needed} px"
            remedy = "set 'depth.stages' or 'stem.stride' lower or 'resolution.scale' higher"
            raise SpaceError(rule, received=f"{most} px at most", where="space", remedy=remedy)
        return tuple(reversed(range(most, least - 1, -step)))

    def shape(self, choices: Draw, total: int, side: int) -> Design:
        """A design of this shape; its widths only set the proportions."""
        depths = spread(total, self.stages, choices.tilt, choices.bulge)
        stages = [
            {
                "block": family,
                "depth": depth,
                "width": round(64 * choices.growth**number),
                "stride": 1 if number == 0 else 2,
                **self._options(family, choices),
            }
            for number, (family, depth) in enumerate(zip(choices.families, depths, strict=True))
        ]
        return make_design(
            {
                "name": "shape",
                "input": [self.channels, side, side],
                "stem": {"block": "conv", "width": 64, "stride": choices.stem_stride},
                "stage": stages,
                "head": {"task": "classify", "classes": self.classes},
            }
        )

    def _options(self, family: str, choices: Draw) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if family in type(self.declared.expansion).model_fields:
            options["expansion"] = pick(getattr(self.declared.expansion, family), choices.expansion)
        if choices.se_ratio and "se_ratio" in inspect.signature(BLOCKS[family]).parameters:
            options["se_ratio"] = choices.se_ratio
        return options


@dataclasses.dataclass(frozen=True)
class Field:
    """The entrants of a search.

    Attributes:
        base: What the rules scale and the shares are counted from.
        candidates: Rules first, then ready-made networks, then drawn ones.
        rules: Key of the network that each rule makes; two rules may make the same one.
        refused: Rules, ready-made and drawn networks that cannot meet the budget, with the reason.
        ready: Key of each ready-made network; a rule may make the same one.
    """

    base: Design
    candidates: tuple[Candidate, ...]
    rules: dict[str, str]
    refused: dict[str, str]
    ready: dict[str, str] = dataclasses.field(default_factory=dict[str, str])

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the base as TOML text."""
        candidates = [candidate.to_dict() for candidate in self.candidates]
        return {**vars(self), "base": write_design(self.base), "candidates": candidates}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Field:
        """The inverse of ``to_dict``."""
        candidates = tuple(Candidate.from_dict(one) for one in values["candidates"])
        base, ready = parse_design(values["base"], where="base"), values.get("ready", {})
        return cls(base, candidates, values["rules"], values["refused"], ready)


def make_field(space: Space, draws: int, *, seed: int) -> Field:
    """All rules and ``draws`` networks spread evenly over the space.

    Raises:
        BudgetError: If not even the smallest network of the space meets the budget; says what it costs.
        SpaceError: If the space holds no network.
    """
    base = base_design(space)
    ratio = 1 / space.limits.taken(base)
    grids = {stride: _grid(space, base, ratio, stride) for stride in space.stem_strides}
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
        rules[name] = _enter(candidates, f"rule:{name}", design, base, space.limits)
    for number, point in enumerate(_points(8 * draws, seed)):
        if sum(1 for candidate in candidates.values() if not candidate.rule) >= draws:
            break
        choices = draw(space.declared, number, point, space.stages, space.stem_strides)
        try:
            design = construct(space, choices, grids[choices.stem_stride])
        except BudgetError as error:
            refused[f"draw:{number}"] = str(error)
            continue
        _enter(candidates, f"draw:{number}", design, base, space.limits)
    return Field(base, tuple(candidates.values()), rules, refused)


def construct(space: Space, choices: Draw, grid: Grid) -> Design:
    """The drawn network that fills the budget, or the one like it that does: shallower, then at another resolution.

    A shape that costs too much at one channel, or whose whole widths leave gaps in the budget, is not thrown away:
    the next one on its line is taken.

    Raises:
        BudgetError: If none of those near it fills the budget.
    """
    total, side = grid.at(choices.depth, choices.resolution)
    first: BudgetError | None = None
    for fewer, near in itertools.islice(_affordable(space, choices, grid, total, side), _ATTEMPTS):
        shape = space.shape(choices, fewer, near)
        try:
            return solve(shape, space.limits, quantum=space.quantum, pixels=space.pixels, sides=grid.free[fewer])
        except BudgetError as error:
            first = first or error
    raise first or BudgetError(f"no network of this kind meets {space.limits}", where="+".join(choices.families))


def _affordable(space: Space, choices: Draw, grid: Grid, total: int, side: int) -> Iterator[tuple[int, int]]:
    """Blocks and sides that are within budget at one channel, the nearest to those drawn first."""

    def fits(total: int, side: int) -> bool:
        return space.limits.guessed(narrowest(space.shape(choices, total, side))) <= 1

    for near, totals in grid.near(total, side):
        # Cost grows with the blocks, so all behind the first that fits do.
        low, high = 0, len(totals)
        while low < high:
            middle = (low + high) // 2 if low or high < len(totals) else 0
            low, high = (low, middle) if fits(totals[middle], near) else (middle + 1, high)
        yield from ((fewer, near) for fewer in totals[low : low + _ATTEMPTS // 3])


def _grid(space: Space, base: Design, ratio: float, stem_stride: int) -> Grid:
    grid = Grid.of(
        space.declared, (total_depth(base), base.input[1]), ratio, space.totals, space.resolutions(stem_stride)
    )
    if not grid.sides:
        rule = "no number of blocks and resolution of the space have shares in these ranges"
        ranges = {name: list(value) for name, value in space.declared.shares.model_dump().items()}
        raise SpaceError(rule, received=ranges, where="space", remedy="widen [shares], 'depth.blocks' or 'resolution'")
    return grid


def _points(count: int, seed: int) -> list[list[float]]:
    """Points of the unit cube, evenly spread; the second engine leaves the first one's points as they are."""
    many = _power_of_two(count)
    parts = ((_DRAWN, np.random.default_rng(seed)), (_MORE, np.random.default_rng([seed, 1])))
    return np.hstack([qmc.Sobol(size, rng=rng).random(many) for size, rng in parts]).tolist()


def base_design(space: Space) -> Design:
    """The network that the rules scale: two blocks per stage, widths doubling, images at 0.7 of the native side.

    Starting below the native side leaves resolution room to grow: at four times the cost, resolution alone ends at
    1.4 times the native side and EfficientNet's rule about at it. Where the budget is too small for a quarter of it
    to be a network, the base is made shallower, then dearer.

    Raises:
        BudgetError: If not even the smallest network of the space meets the budget; says what it costs.
    """
    base = _base(space, space.limits)
    if base is not None:
        return base
    least = narrowest(_base_shape(space, 1, space.declared.families[0]))
    larger = Limits.joined([_enough(space, one, least) for one in space.limits.each()])
    raise BudgetError(
        f"no network for {space.native} px images and {space.classes} classes meets {space.limits}: the smallest "
        f"costs {space.limits.told(least)}",
        remedy=f"the smallest budget that works is about {_enough(space, larger, least)}",
    )


def _enough(space: Space, limits: Limits, least: Design) -> Limits:
    """The limits raised until a base can be made."""
    raised = limits if _base(space, limits) else limits.times(max(1.0, limits.taken(least)))
    while _base(space, raised) is None:
        raised = raised.times(_GROWTH)
    return raised


def smallest(space: Space) -> list[Design]:
    """The networks that cost least: of every family the fewest blocks, of one channel, at the lowest resolution."""
    stride = max(space.stem_strides)
    found: list[Design] = []
    for family in dict.fromkeys(space.declared.families):
        choices = Draw((family,) * space.stages, 0.0, 0.0, 1.5, 0.0, 0.0, stride, min(space.declared.se_ratio), 0.0)
        found.append(narrowest(space.shape(choices, space.totals[0], space.resolutions(stride)[0])))
    return found


def typical(space: Space) -> dict[str, Design]:
    """For every family, a network like the base that fills the whole budget, where there is one."""
    found: dict[str, Design] = {}
    for depth, family in itertools.product((1, 2), space.declared.families):
        with contextlib.suppress(BudgetError):
            found[family] = solve(_base_shape(space, depth, family), space.limits, quantum=space.quantum, pixels=0)
    return found


def _base_shape(space: Space, depth: int, family: str) -> Design:
    stride = space.stem_strides[0]
    side = min(space.resolutions(stride), key=lambda side: abs(side - space.native / math.sqrt(2)))
    choices = Draw((family,) * space.stages, 0.0, 0.0, 2.0, 0.0, 0.0, stride, space.declared.se_ratio[0], 0.0)
    return space.shape(choices, depth * space.stages, side)


def _base(space: Space, limits: Limits) -> Design | None:
    family = space.declared.families[0]
    for share, depth in itertools.product((BASE_COST, 2, 1.25), (2, 1)):
        with contextlib.suppress(BudgetError):
            return solve(_base_shape(space, depth, family), limits.times(1 / share), quantum=space.quantum, pixels=0)
    return None


def _enter(candidates: dict[str, Candidate], origin: str, design: Design, base: Design, limits: Limits) -> str:
    """Add a network and return its key; one that is there already keeps the origin it has."""
    key = design_key(design)
    if key not in candidates:
        candidates[key] = make_candidate(design, origin, shares(base, design, 1 / limits.taken(base)), limits)
    return key


def make_candidate(design: Design, origin: str, split: tuple[float, float, float], limits: Limits) -> Candidate:
    """A candidate named after what it is, with what it costs."""
    named = design.model_copy(update={"name": describe(design)})
    cost = price(named)
    return Candidate(design_key(named), named, origin, split, cost.macs, cost.params, limits.costs(named))


def shares(base: Design, design: Design, ratio: float) -> tuple[float, float, float]:
    """Shares of depth, width and resolution in the logarithm of ``ratio``; width takes what the others leave."""
    return split((total_depth(base), base.input[1]), (total_depth(design), design.input[1]), ratio)


def describe(design: Design) -> str:
    """A name that says what the network is: blocks, depths, widths and side, as ``residual-2.2.2-w8.16.32-r24``."""
    blocks = "+".join(dict.fromkeys(stage.block for stage in design.stage))
    excited = "-se" if any(stage.options.get("se_ratio") for stage in design.stage) else ""
    depths = ".".join(str(stage.depth) for stage in design.stage)
    widths = ".".join(str(width) for width in widths_of(design)[1 : 1 + len(design.stage)])
    return f"{blocks}{excited}-{depths}-w{widths}-r{design.input[1]}"


def _power_of_two(count: int) -> int:
    return 2 ** max(1, math.ceil(math.log2(max(count, 2))))
