"""RegNets from the few numbers that describe them (Radosavovic et al., "Designing Network Design Spaces", 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from convsmith.design.model import Design
from convsmith.design.toml_file import make_design
from convsmith.errors import DesignError

_QUANTUM: Final = 8
_STEM_WIDTH: Final = 32
_STRIDE: Final = 2


@dataclass(frozen=True)
class RegNet:
    """What a RegNet is made from (section 3.3 of the paper).

    Attributes:
        depth: Number of blocks in all stages.
        w_0: Width of the first block, a multiple of 8.
        w_a: Channels by which each block would be wider than the one before, if widths were continuous.
        w_m: Factor between the widths of neighbouring stages, before they are rounded.
        group_width: Channels in each group of the 3x3 convolutions.
        se_ratio: Of squeeze-and-excitation; RegNetY has 0.25, RegNetX none.
    """

    depth: int
    w_0: int
    w_a: float
    w_m: float
    group_width: int
    se_ratio: float = 0.0


PUBLISHED: Final[dict[str, RegNet]] = {
    "regnetx-200mf": RegNet(13, 24, 36.44, 2.49, 8),
    "regnetx-400mf": RegNet(22, 24, 24.48, 2.54, 16),
    "regnetx-600mf": RegNet(16, 48, 36.97, 2.24, 24),
    "regnetx-800mf": RegNet(16, 56, 35.73, 2.28, 16),
    "regnetx-1.6gf": RegNet(18, 80, 34.01, 2.25, 24),
    "regnetx-4.0gf": RegNet(23, 96, 38.65, 2.43, 40),
    "regnety-200mf": RegNet(13, 24, 36.44, 2.49, 8, 0.25),
    "regnety-400mf": RegNet(16, 48, 27.89, 2.09, 8, 0.25),
    "regnety-600mf": RegNet(15, 48, 32.54, 2.32, 16, 0.25),
    "regnety-800mf": RegNet(14, 56, 38.84, 2.40, 16, 0.25),
    "regnety-1.6gf": RegNet(27, 48, 20.71, 2.65, 24, 0.25),
    "regnety-4.0gf": RegNet(22, 96, 31.41, 2.24, 64, 0.25),
}
"""The networks of the zoo, by its names, as pycls describes them."""


def regnet(name: str, network: RegNet, *, input: tuple[int, int, int] = (3, 224, 224), classes: int = 1000) -> Design:
    """The design that a RegNet's numbers stand for.

    Widths grow along a straight line, are moved to the nearest power of ``w_m`` times ``w_0`` and rounded to a multiple
    of 8; blocks of one width are a stage, and each stage halves the map. A width that its groups do not divide is
    rounded to one that they do.

    Raises:
        DesignError: If the numbers describe no network.
    """
    _check(name, network)
    stages = [_stage(network, width, len([*blocks])) for width, blocks in groupby(_widths(network))]
    values: dict[str, Any] = {
        "name": name,
        "input": input,
        "stem": {"block": "conv", "width": _STEM_WIDTH, "stride": _STRIDE},
        "stage": stages,
        "head": {"task": "classify", "classes": classes},
    }
    return make_design(values, where=name)


def _widths(network: RegNet) -> list[int]:
    """The width of each block, before groups have a say."""
    widths: list[int] = []
    for block in range(network.depth):
        steps = round(math.log(1 + network.w_a * block / network.w_0) / math.log(network.w_m))
        widths.append(round(network.w_0 * network.w_m**steps / _QUANTUM) * _QUANTUM)
    return widths


def _stage(network: RegNet, width: int, depth: int) -> dict[str, Any]:
    group = min(network.group_width, width)
    groups = round(width / group)
    size = {"block": "bottleneck", "depth": depth, "width": groups * group, "stride": _STRIDE}
    return {**size, "expansion": 1.0, "groups": groups, "se_ratio": network.se_ratio}


def _check(name: str, network: RegNet) -> None:
    rules = {
        "depth": ("must be at least 1", network.depth >= 1),
        "w_0": (f"must be a multiple of {_QUANTUM} above zero", network.w_0 > 0 and network.w_0 % _QUANTUM == 0),
        "w_a": ("must not be below zero", network.w_a >= 0),
        "w_m": ("must be above one", network.w_m > 1),
        "group_width": ("must be at least 1", network.group_width >= 1),
    }
    for number, (rule, holds) in rules.items():
        if not holds:
            raise DesignError(f"{number} of a RegNet {rule}", received=getattr(network, number), where=name)
