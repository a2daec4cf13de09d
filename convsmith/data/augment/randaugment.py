"""RandAugment (Cubuk et al., 2020): rounds of one drawn operation per image, made for all images of a kind at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convsmith.data.augment.operations import OPERATIONS, PIXEL_OPERATIONS, PLACE_OPERATIONS, Levels
from convsmith.data.augment.placement import Placement
from convsmith.data.augment.policy import Policy
from convsmith.data.chance import Draws, Purpose

# AutoAugment at magnitude 10 (Cubuk et al., 2019): degrees, pixels per pixel, and share of the side.
_ROTATE: Final = 30.0
_SHEAR: Final = 0.3
_TRANSLATE: Final = 150 / 331


@dataclass(frozen=True, eq=False)
class Round:
    """One operation for each image.

    Attributes:
        kinds: Indices into ``OPERATIONS``, (N,).
        levels: The magnitude over 10, negative for the other direction, (N,).
    """

    kinds: NDArray[np.int64]
    levels: Levels


def draw_rounds(draws: Draws, policy: Policy) -> list[Round]:
    """What each image gets, first round first; no rounds where the policy has no operations."""
    if not policy.operations:
        return []
    known = np.array([OPERATIONS.index(name) for name in policy.operations])
    return [
        Round(
            kinds=known[draws.below(len(known), Purpose.OPERATION, turn)],
            levels=policy.magnitude / 10 * np.where(draws.uniform(Purpose.DIRECTION, turn) < 0.5, -1.0, 1.0),
        )
        for turn in range(policy.draws)
    ]


def operate_on_places(placement: Placement, rounds: list[Round], height: int, width: int) -> Placement:
    """The steps of a placement, from the result of ``height`` by ``width`` pixels back to before the first round."""
    for drawn in reversed(rounds):
        turn, slant_x, slant_y, right, down = (
            np.where(drawn.kinds == OPERATIONS.index(name), drawn.levels, 0.0) for name in PLACE_OPERATIONS
        )
        placement = (
            placement.turned(_ROTATE * turn)
            .slanted(_SHEAR * slant_x, _SHEAR * slant_y)
            .moved(-_TRANSLATE * width * right, -_TRANSLATE * height * down)
        )
    return placement


def operate_on_pixels(pixels: Tensor, rounds: list[Round]) -> Tensor:
    """Make the operations on pixels, uint8 (N, H, W, C), round by round; places must have been dealt with."""
    for drawn in rounds:
        order = np.argsort(drawn.kinds, kind="stable")
        starts = np.searchsorted(drawn.kinds[order], np.arange(len(PIXEL_OPERATIONS) + 1)).tolist()
        grouped = pixels.index_select(0, torch.from_numpy(order))
        for operation, start, end in zip(PIXEL_OPERATIONS.values(), starts, starts[1:], strict=False):
            if start < end:
                grouped[start:end] = operation(grouped[start:end], drawn.levels[order[start:end]])
        pixels = grouped.index_select(0, torch.from_numpy(np.argsort(order)))
    return pixels
