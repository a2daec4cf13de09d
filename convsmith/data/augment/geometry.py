"""Changes of place: one copy where pixels only move or mirror, else one bilinear resampling for all of them together.

Images are uint8 (N, H, W, C) before and after, as in any 8-bit pipeline.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from convsmith.data.augment.layout import as_bytes
from convsmith.data.augment.operations import PLACE_OPERATIONS
from convsmith.data.augment.placement import Placement
from convsmith.data.augment.policy import Policy
from convsmith.data.augment.randaugment import Round, operate_on_places
from convsmith.data.chance import Draws, Purpose
from convsmith.errors import DataError

_CROP_TRIES: Final = 10
_SPACING: Final = 1.5  # pixels of the source between bilinear samples, above which fine patterns would alias


def place(pixels: Tensor, draws: Draws, policy: Policy, rounds: list[Round], side: int | None) -> Tensor:
    """Move, mirror, crop, turn, slant and scale each image as drawn; (N, side, side, C) where a side is given."""
    source = (pixels.shape[1], pixels.shape[2])
    target = (side, side) if side else source
    if policy.translate >= min(source):
        rule = f"translate must be below the side of the images, which is {min(source)}"
        raise DataError(rule, received=policy.translate, where="policy.translate")
    bends = policy.crop or policy.rotate or policy.shear or policy.scale
    if not bends and target == source and not set(policy.operations) & set(PLACE_OPERATIONS):
        return _copied(pixels, draws, policy) if policy.flip or policy.translate else pixels
    placement = operate_on_places(Placement.same(len(draws.ids)), rounds, *target)
    placement = _bent(placement, draws, policy)
    placement = _cropped(placement, draws, policy, source, target)
    placement = placement.stretched(np.where(_mirrored(draws, policy), -1.0, 1.0), np.ones(1))
    shrunk = max(whole / part for whole, part in zip(source, target, strict=True)) * (1 + policy.scale)
    return _sampled(pixels, placement, target, max(1, math.ceil(shrunk / _SPACING)))


def _mirrored(draws: Draws, policy: Policy) -> NDArray[np.bool_]:
    if not policy.flip:
        return np.zeros(len(draws.ids), bool)
    first = Draws(draws.ids, draws.seed, 0).uniform(Purpose.FLIP) < 0.5
    return first ^ bool(draws.epoch % 2)


def _shifted(draws: Draws, policy: Policy) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels to the right and down."""
    reach = policy.translate
    if not reach:
        return np.zeros_like(draws.ids), np.zeros_like(draws.ids)
    return draws.below(2 * reach + 1, Purpose.SHIFT_X) - reach, draws.below(2 * reach + 1, Purpose.SHIFT_Y) - reach


def _copied(pixels: Tensor, draws: Draws, policy: Policy) -> Tensor:
    """Mirror the images that are to be, then move them: whole rows first, then the bytes of all rows of an image."""
    count, height, width, channels = pixels.shape
    right, down = _shifted(draws, policy)
    rows = _reflected(np.arange(height) - down[:, None], height) + height * np.arange(count)[:, None]
    columns = _reflected(np.arange(width) - right[:, None], width)
    columns = np.where(_mirrored(draws, policy)[:, None], width - 1 - columns, columns)
    places = channels * columns[:, :, None] + np.arange(channels)
    moved = pixels.view(count * height, width * channels).index_select(0, torch.from_numpy(rows.reshape(-1)))
    index = torch.from_numpy(places.reshape(count, 1, width * channels)).expand(-1, height, -1)
    return moved.view(index.shape).gather(2, index).view(pixels.shape)


def _reflected(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Indices up to ``size - 1`` outside on either side, mirrored at the centre of the edge pixel."""
    last = size - 1
    return last - np.abs(last - np.abs(index))


def _bent(placement: Placement, draws: Draws, policy: Policy) -> Placement:
    """The steps from the turned, slanted, scaled and moved image back to the cropped one."""
    right, down = _shifted(draws, policy)
    slant = np.tan(np.deg2rad(draws.within(policy.shear, Purpose.SHEAR)))
    factor = (1 + policy.scale) ** -draws.within(float(policy.scale > 0), Purpose.SCALE)
    placement = placement.turned(draws.within(policy.rotate, Purpose.ROTATE)).slanted(slant, np.zeros_like(slant))
    return placement.stretched(factor, factor).moved(-right.astype(np.float64), -down.astype(np.float64))


def _cropped(
    placement: Placement, draws: Draws, policy: Policy, source: tuple[int, int], target: tuple[int, int]
) -> Placement:
    """From the pixels of the result to those of a box in the source: the whole image where nothing is cropped."""
    height, width = (np.full(len(draws.ids), float(size)) for size in source)
    right = down = np.zeros(len(draws.ids))
    if policy.crop:
        height, width = _boxes(draws, policy, source)
        right = (source[1] - width) * (draws.uniform(Purpose.CROP_X) - 0.5)
        down = (source[0] - height) * (draws.uniform(Purpose.CROP_Y) - 0.5)
    return placement.stretched(width / target[1], height / target[0]).moved(right, down)


def _boxes(draws: Draws, policy: Policy, source: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights and widths of the crops: the first of ten drawn shapes that fits, else the largest of allowed aspect."""
    height, width = source
    most = policy.crop_aspect
    high, wide = np.full(len(draws.ids), float(height)), np.full(len(draws.ids), float(width))
    np.minimum(wide, height * most, out=wide)
    np.minimum(high, width * most, out=high)
    left = np.arange(len(draws.ids))
    for turn in range(_CROP_TRIES):
        some = Draws(draws.ids[left], draws.seed, draws.epoch)
        area = height * width * (policy.crop + (1 - policy.crop) * some.uniform(Purpose.CROP_AREA, turn))
        aspect = np.exp(some.within(math.log(most), Purpose.CROP_ASPECT, turn))
        drawn_high, drawn_wide = np.sqrt(area / aspect), np.sqrt(area * aspect)
        fits = (drawn_high <= height) & (drawn_wide <= width)
        high[left[fits]], wide[left[fits]] = drawn_high[fits], drawn_wide[fits]
        left = left[~fits]
        if not len(left):
            break
    return high, wide


def _sampled(pixels: Tensor, placement: Placement, target: tuple[int, int], fine: int) -> Tensor:
    """Read each image bilinearly where its map says, and reflected outside.

    Where images shrink, ``fine`` times ``fine`` places are read for each pixel and their mean is taken.
    """
    source = (pixels.shape[1], pixels.shape[2])
    # grid_sample wants -1 and 1 at the centres of the edge pixels.
    x, y = (
        torch.from_numpy((part / (max(size - 1, 1) / 2)).astype(np.float32)).unsqueeze(2)
        for part, size in zip((placement.x, placement.y), source[::-1], strict=True)
    )
    down, right = (((torch.arange(size * fine) + 0.5) / fine - size / 2) for size in target)
    # Places as complex numbers: those of all pixels are then one sum, several times faster than two that interleave.
    columns = torch.complex(x[0] * right, y[0] * right)
    rows = torch.complex(x[1] * down + x[2], y[1] * down + y[2])
    grid = torch.view_as_real(rows.unsqueeze(2) + columns.unsqueeze(1))
    images = pixels.float().permute(0, 3, 1, 2)
    images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
    if fine > 1:
        images = functional.avg_pool2d(images, fine)
    planes = as_bytes(images.add_(0.5))
    result = torch.empty_like(planes.permute(0, 2, 3, 1), memory_format=torch.contiguous_format)
    for channel, plane in enumerate(planes.unbind(1)):
        result[..., channel] = plane
    return result
