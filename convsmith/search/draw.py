"""Drawing a shape: where its blocks are, and how many of them at which resolution the space allows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import numpy as np

from convsmith.search.space_file import Declaration

_T = TypeVar("_T")
_TOLERANCE: Final = 1e-9

Pair = tuple[int, int]
"""Blocks in all, and side of the images that the network sees."""


@dataclasses.dataclass(frozen=True)
class Draw:
    """The choices of one network, all but its widths.

    Attributes:
        families: Block of each stage.
        tilt: Where the blocks are, and ``bulge`` too; see ``spread``.
        growth: Width of a stage over that of the one before.
        depth: Place among the allowed numbers of blocks, 0 to 1.
        resolution: Place among the sides allowed with these, 0 to 1.
        expansion: Place among the expansions of each family, 0 to 1.
    """

    families: tuple[str, ...]
    tilt: float
    bulge: float
    growth: float
    depth: float
    resolution: float
    stem_stride: int
    se_ratio: float
    expansion: float


def draw(declared: Declaration, number: int, point: Sequence[float], stages: int, strides: Sequence[int]) -> Draw:
    """The choices at a point of the unit cube of ten dimensions; families and their changes go by turns."""
    depth, tilt, growth, resolution, stride, se_ratio, change, late, bulge, expansion = point
    least, most = declared.width.growth
    return Draw(
        families=_families(declared, number, change, late, stages),
        tilt=_between(declared.depth.tilt, tilt),
        bulge=_between(declared.depth.bulge, bulge),
        growth=least * (most / least) ** growth,
        depth=depth,
        resolution=resolution,
        stem_stride=pick(strides, stride),
        se_ratio=pick(declared.se_ratio, se_ratio),
        expansion=expansion,
    )


def _families(declared: Declaration, number: int, change: float, late: float, stages: int) -> tuple[str, ...]:
    """The block of every stage: one kind, or another from some stage on."""
    families = tuple(dict.fromkeys(declared.families))
    early = declared.families[number % len(declared.families)]
    others = [family for family in families if family != early]
    start = int(change * stages) if declared.family_changes and others else 0
    return (early,) * stages if start == 0 else (early,) * start + (pick(others, late),) * (stages - start)


def _between(ends: tuple[float, float], place: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * place


def pick(choices: Sequence[_T], place: float) -> _T:
    """The choice at a place from 0 to 1."""
    return choices[min(int(place * len(choices)), len(choices) - 1)]


def spread(total: int, stages: int, tilt: float, bulge: float) -> tuple[int, ...]:
    """``total`` blocks over the stages, at least one each, by largest remainders.

    The share of a stage is e^tilt in the last and e^-tilt in the first, on an exponential between; the stage before
    the last has e^bulge times that besides, where there are three or more.
    """
    assert total >= stages
    weights = np.exp(tilt * np.linspace(-1, 1, stages)) if stages > 1 else np.ones(1)
    if stages > 2:
        weights[-2] *= math.exp(bulge)
    exact = (weights / weights.sum() * total).tolist()
    depths = [max(1, math.floor(depth)) for depth in exact]
    while sum(depths) < total:
        depths[max(range(stages), key=lambda place: exact[place] - depths[place])] += 1
    while sum(depths) > total:
        depths[max(range(stages), key=lambda place: (depths[place] > 1, depths[place] - exact[place]))] -= 1
    return tuple(depths)


@dataclasses.dataclass(frozen=True)
class Grid:
    """The numbers of blocks and the sides that go together in a space.

    Attributes:
        sides: Sides that are drawn, for each number of blocks that has any; both ascending.
        free: All sides that are allowed with a number of blocks, to which the solver may move.
    """

    sides: dict[int, tuple[int, ...]]
    free: dict[int, frozenset[int]]

    @staticmethod
    def of(declared: Declaration, base: Pair, ratio: float, totals: Sequence[int], sides: Sequence[int]) -> Grid:
        """The pairs whose shares of the growth by ``ratio`` from ``base`` lie in the ranges of the space.

        Args:
            declared: The space.
            base: Blocks and side of the base.
            ratio: The budget over what the base takes of it.
            totals: Numbers of blocks, ascending.
            sides: Sides that are drawn, ascending.
        """
        ranges = declared.shares

        def allows(total: int, side: int) -> bool:
            depth, width, resolution = split(base, (total, side), ratio)
            pairs = ((depth, ranges.depth), (width, ranges.width), (resolution, ranges.resolution))
            return all(least - _TOLERANCE <= share <= most + _TOLERANCE for share, (least, most) in pairs)

        drawn = {total: tuple(side for side in sides if allows(total, side)) for total in totals}
        found = {total: allowed for total, allowed in drawn.items() if allowed}
        between = range(sides[0], sides[-1] + 1)
        free = {total: frozenset(side for side in between if allows(total, side)) for total in found}
        return Grid(found, free)

    def at(self, depth: float, resolution: float) -> Pair:
        """The pair at a place of the unit square: blocks evenly on a logarithmic scale, then sides evenly."""
        totals = list(self.sides)
        wanted = totals[0] * (totals[-1] / totals[0]) ** depth
        total = min(totals, key=lambda number: abs(number - wanted))
        return total, pick(self.sides[total], resolution)

    def near(self, total: int, side: int) -> Iterator[tuple[int, list[int]]]:
        """Sides, the nearest first, with the numbers of blocks that go with them, the largest up to ``total`` first."""
        every = sorted({one for sides in self.sides.values() for one in sides}, key=lambda one: (abs(one - side), one))
        for one in every:
            totals = [number for number, sides in self.sides.items() if one in sides]
            fewer = [number for number in reversed(totals) if number <= total]
            yield one, fewer or totals[:1]


def split(base: Pair, made: Pair, ratio: float) -> tuple[float, float, float]:
    """Shares of depth, width and resolution in the logarithm of ``ratio``; width takes what the others leave."""
    depth = math.log(made[0] / base[0]) / math.log(ratio)
    resolution = 2 * math.log(made[1] / base[1]) / math.log(ratio)
    return depth, 1 - depth - resolution, resolution
