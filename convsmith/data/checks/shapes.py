"""Images whose size or shape is unlike that of the others."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

ODD_SCALE: Final = 4.0
ODD_ELONGATION: Final = 2.0


def odd_sizes(height: NDArray[np.int64], width: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Images over four times smaller or larger than the median, by the side of a square of their area.

    Sizes of zero are of no image and are never odd.
    """
    known = (height > 0) & (width > 0)
    if not known.any():
        return known
    side = np.sqrt(np.maximum(height * width, 1).astype(np.float64))
    ratio = side / np.median(side[known])
    return known & ((ratio > ODD_SCALE) | (ratio < 1 / ODD_SCALE))


def odd_shapes(height: NDArray[np.int64], width: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Images over twice as long for their width as the median, or less than half as long; lying or standing."""
    known = (height > 0) & (width > 0)
    if not known.any():
        return known
    elongation = np.maximum(height, width) / np.maximum(np.minimum(height, width), 1)
    ratio = elongation / np.median(elongation[known])
    return known & ((ratio > ODD_ELONGATION) | (ratio < 1 / ODD_ELONGATION))
