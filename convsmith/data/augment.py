"""Random changes to a whole batch of training images at once, decided per sample by ``chance``.

There is no loop over images: flips and shifts are one gather, a rotation is one sampling grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from convsmith.data.chance import Purpose, epoch_order, uniform
from convsmith.data.normalise import Normalisation
from convsmith.data.resample import MID_GREY
from convsmith.errors import DataError

__all__ = ["Normalisation", "Policy", "augment", "epoch_order"]


@dataclass(frozen=True)
class Policy:
    """Which random changes, and how strong.

    Attributes:
        flip: Mirror left and right: half of the images in even epochs, the other half in odd ones, so that
            two epochs show each image both ways (Jordan, "94% on CIFAR-10 in 3.29 seconds", 2024).
        translate: Largest shift in pixels along each axis; what comes in is the image reflected.
        cutout: Side in pixels of a square that becomes mid grey, its centre anywhere (DeVries and Taylor, 2017).
        brightness: Largest relative change of all pixels, below 1.
        rotate: Largest turn in degrees, bilinear; what comes in is the image reflected.
    """

    flip: bool = False
    translate: int = 0
    cutout: int = 0
    brightness: float = 0.0
    rotate: float = 0.0

    def __post_init__(self) -> None:
        for name in ("translate", "cutout", "brightness", "rotate"):
            if getattr(self, name) < 0:
                raise DataError(f"{name} must not be negative", received=getattr(self, name), where="augmentation")
        if self.brightness >= 1:
            raise DataError("brightness must be below 1", received=self.brightness, where="augmentation")

    @staticmethod
    def for_images(side: int, channels: int) -> Policy:
        """A safe default: small shifts, and mirroring for colour only, since letters and digits do not survive it."""
        return Policy(flip=channels == 3, translate=side // 8)


def augment(batch: Tensor, ids: Tensor, *, seed: int, epoch: int, policy: Policy) -> Tensor:
    """Change a batch (N, C, H, W) of uint8 pixels at random; float32 in 0 to 255.

    ``ids`` (N,) are the samples' numbers in the data set. What happens to a sample depends on the seed, the
    epoch and its number alone. The order is: flip and shift, rotate, brightness, cutout.

    Raises:
        DataError: If the shift reaches beyond the image.
    """
    height, width = batch.shape[2:]
    if policy.translate >= min(height, width):
        raise DataError("translate must be below the side of the images", received=policy.translate)
    draw = partial(uniform, ids.cpu().numpy(), seed=seed, epoch=epoch)
    if policy.flip or policy.translate:
        down, right = (
            _whole(draw(purpose=purpose), 2 * policy.translate + 1) - policy.translate
            for purpose in (Purpose.SHIFT_Y, Purpose.SHIFT_X)
        )
        first = uniform(ids.cpu().numpy(), seed=seed, epoch=0, purpose=Purpose.FLIP) < 0.5
        mirrored = (first ^ bool(epoch % 2)) & policy.flip
        batch = _flip_and_shift(batch, down, right, mirrored)
    pixels = batch.float()
    if policy.rotate:
        pixels = _rotate(pixels, np.deg2rad(_signed(draw(purpose=Purpose.ROTATE), policy.rotate)))
    if policy.brightness:
        factors = 1 + _signed(draw(purpose=Purpose.BRIGHTNESS), policy.brightness)
        pixels = (pixels * _on(pixels, factors)).clamp(0, 255)
    if policy.cutout:
        top, left = (
            _whole(draw(purpose=purpose), size) - policy.cutout // 2
            for purpose, size in ((Purpose.CUTOUT_Y, height), (Purpose.CUTOUT_X, width))
        )
        pixels = _cut_out(pixels, top, left, policy.cutout)
    return pixels


def _whole(draws: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Draws in [0, 1) as integers in [0, count)."""
    return np.floor(draws * count).astype(np.int64)


def _signed(draws: NDArray[np.float64], largest: float) -> NDArray[np.float64]:
    """Draws in [0, 1) as numbers in [-largest, largest)."""
    return (2 * draws - 1) * largest


def _on(pixels: Tensor, values: NDArray[np.float64]) -> Tensor:
    """One number per sample, ready to be broadcast over its pixels."""
    return torch.from_numpy(values).to(pixels).view(-1, 1, 1, 1)


def _flip_and_shift(
    batch: Tensor, down: NDArray[np.int64], right: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> Tensor:
    """Mirror the images that are to be, then move them; one gather by flat pixel index."""
    count, channels, height, width = batch.shape
    rows = _reflect(np.arange(height) - down[:, None], height)
    columns = _reflect(np.arange(width) - right[:, None], width)
    columns = np.where(mirrored[:, None], width - 1 - columns, columns)
    index = torch.from_numpy((rows[:, :, None] * width + columns[:, None, :]).reshape(count, 1, height * width))
    index = index.to(batch.device).expand(-1, channels, -1)
    return batch.reshape(count, channels, height * width).gather(2, index).view(batch.shape)


def _reflect(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Indices up to ``size - 1`` outside on either side, mirrored at the centre of the edge pixel."""
    last = size - 1
    return last - np.abs(last - np.abs(index))


def _rotate(pixels: Tensor, angles: NDArray[np.float64]) -> Tensor:
    """Turn each image around its centre; in pixel units, so that images need not be square."""
    height, width = pixels.shape[2:]
    y = torch.arange(height, device=pixels.device).view(1, -1, 1) - (height - 1) / 2
    x = torch.arange(width, device=pixels.device).view(1, 1, -1) - (width - 1) / 2
    cosine, sine = (_on(pixels, values)[:, 0] for values in (np.cos(angles), np.sin(angles)))
    # grid_sample wants -1 and 1 at the centres of the edge pixels.
    grid_x = (cosine * x - sine * y) / (max(width - 1, 1) / 2)
    grid_y = (sine * x + cosine * y) / (max(height - 1, 1) / 2)
    grid = torch.stack([grid_x, grid_y], dim=-1)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


def _cut_out(pixels: Tensor, top: NDArray[np.int64], left: NDArray[np.int64], side: int) -> Tensor:
    height, width = pixels.shape[2:]
    rows, columns = (
        (np.arange(size) >= start[:, None]) & (np.arange(size) < start[:, None] + side)
        for size, start in ((height, top), (width, left))
    )
    square = torch.from_numpy(rows[:, None, :, None] & columns[:, None, None, :]).to(pixels.device)
    return pixels.masked_fill(square, MID_GREY)
