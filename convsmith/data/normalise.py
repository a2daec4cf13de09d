"""Mean and deviation of the training pixels, exact, in units of 0 to 255."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convsmith.data.images import Images

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK = 1024


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
        for start in range(0, len(indices), _CHUNK):
            chunk = images.pixels[indices[start : start + _CHUNK]]
            for channel in range(images.channels):
                counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
        moments = [_moments(channel) for channel in counts.tolist()]
        return Normalisation(tuple(mean for mean, _ in moments), tuple(std for _, std in moments))

    def apply(self, batch: Tensor) -> Tensor:
        """Normalise a float tensor (N, C, H, W) of pixels in 0 to 255."""
        mean, std = (batch.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (batch - mean) / std


def _moments(counts: list[int]) -> tuple[float, float]:
    total = sum(counts)
    first = sum(value * count for value, count in enumerate(counts))
    second = sum(value * value * count for value, count in enumerate(counts))
    variance = (total * second - first * first) / (total * total)
    return first / total, variance**0.5 or 1.0
