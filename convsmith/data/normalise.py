"""Mean and deviation of the training pixels, exact, in units of 0 to 255."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convsmith.data.images import Images
from convsmith.data.rows import chunks

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK_BYTES = 1 << 23  # counting takes eight times as much


@dataclass(frozen=True)
class Normalisation:
    """What makes pixels zero-mean and unit-variance.

    Attributes:
        mean: Per channel, in 0 to 255.
        std: Per channel, in 0 to 255; 1 for a channel that is constant.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @staticmethod
    def of(images: Images, indices: NDArray[np.int64]) -> Normalisation:
        """Measure it on the images at ``indices``: integer sums of a histogram, rounded once at the end."""
        counts = np.zeros((images.channels, 256), np.int64)
        for chunk in chunks(images.rows(indices), _CHUNK_BYTES):
            for channel in range(images.channels):
                counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
        moments = [_moments(channel) for channel in counts.tolist()]
        return Normalisation(tuple(mean for mean, _ in moments), tuple(std for _, std in moments))

    def apply(self, batch: Tensor) -> Tensor:
        """Normalise a float tensor (N, C, H, W) of pixels in 0 to 255, in place; returns it."""
        mean, std = (np.array(values) for values in (self.mean, self.std))
        last = batch.permute(0, 2, 3, 1)
        if not last.is_contiguous():
            return batch.sub_(batch.new_tensor(mean).view(1, -1, 1, 1)).div_(batch.new_tensor(std).view(1, -1, 1, 1))
        # The same on whole rows: a loop over three channels at a time takes several times longer.
        mean, std = (batch.new_tensor(np.tile(values, batch.shape[3])) for values in (mean, std))
        last.flatten(2).sub_(mean).div_(std)
        return batch


def _moments(counts: list[int]) -> tuple[float, float]:
    total = sum(counts)
    first = sum(value * count for value, count in enumerate(counts))
    second = sum(value * value * count for value, count in enumerate(counts))
    variance = (total * second - first * first) / (total * total)
    return first / total, variance**0.5 or 1.0
