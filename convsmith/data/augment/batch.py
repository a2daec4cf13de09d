"""From stored pixels to what the network sees."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convsmith.data.augment.colour import recolour
from convsmith.data.augment.geometry import place
from convsmith.data.augment.layout import as_rows, boxes
from convsmith.data.augment.policy import Policy
from convsmith.data.augment.randaugment import draw_rounds, operate_on_pixels
from convsmith.data.chance import Draws, Purpose
from convsmith.data.normalise import Normalisation
from convsmith.data.resample import MID_GREY

_VALUES: Final = 1 << 22  # of pixels that go through all steps together: more would leave the processor's cache


def augment(
    pixels: NDArray[np.uint8],
    ids: NDArray[np.int64],
    *,
    seed: int,
    epoch: int,
    policy: Policy,
    normalisation: Normalisation | None = None,
    side: int | None = None,
) -> Tensor:
    """Change a batch of images at random, each by itself.

    What happens to a sample depends on the seed, the epoch and its number alone. The order is: mirror, crop, move,
    scale, shear, rotate (one resampling), the drawn operations (those on places first, in the same resampling),
    brightness, contrast, saturation, hue (one matrix), normalisation, cutout. Mixing is apart, in ``mix``.

    Args:
        pixels: uint8 (N, H, W, C); never written to.
        ids: The samples' numbers in the data set, (N,).
        seed: The run's seed.
        epoch: The epoch.
        policy: What to change.
        normalisation: Maps values in 0 to 255 to what the network sees; by default they stay.
        side: Height and width of the result; by default those of ``pixels``.

    Returns:
        float32 (N, C, side, side), with the channels last in memory.

    Raises:
        DataError: If the policy's shift reaches beyond the image.
    """
    stored = torch.from_numpy(np.require(pixels, requirements=("C", "W")))
    step = max(1, _VALUES * len(ids) // max(1, stored.numel()))
    parts = [
        _augmented(
            stored[start : start + step], Draws(ids[start : start + step], seed, epoch), policy, normalisation, side
        )
        for start in range(0, max(1, len(ids)), step)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _augmented(
    pixels: Tensor, draws: Draws, policy: Policy, normalisation: Normalisation | None, side: int | None
) -> Tensor:
    rounds = draw_rounds(draws, policy)
    images = operate_on_pixels(place(pixels, draws, policy, rounds, side), rounds).float()
    if policy.brightness or policy.contrast or policy.saturation or policy.hue:
        images = recolour(images, draws, policy)
    images = images.permute(0, 3, 1, 2)
    if normalisation is not None:
        images = normalisation.apply(images)
    return _cut_out(images, draws, policy.cutout, normalisation) if policy.cutout else images


def _cut_out(images: Tensor, draws: Draws, side: int, normalisation: Normalisation | None) -> Tensor:
    """Make a square in each image mid grey."""
    height, width = images.shape[2:]
    top, left = (
        draws.below(size, purpose) - side // 2
        for purpose, size in ((Purpose.CUTOUT_Y, height), (Purpose.CUTOUT_X, width))
    )
    sides = np.full(len(draws.ids), side)
    inside, _ = boxes(images, top, left, sides, sides)
    grey = torch.full((1, images.shape[1], 1, 1), float(MID_GREY))
    grey = (grey if normalisation is None else normalisation.apply(grey)).view(-1).repeat(width)
    as_rows(images).lerp_(grey, inside)
    return images
