"""The one size, channel count and fit that all images of a set are brought to, chosen from their headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data.resample import Fit
from convsmith.errors import DataError

_DEFAULT_SIDE: Final = 64
_LARGEST_SIDE: Final = 4096
_LONG_ASPECT: Final = 2.0
_LONG_SHARE: Final = 0.10


@dataclass(frozen=True)
class Frame:
    """What every image becomes: (side, side, channels), and from what (``native``, the median shorter side)."""

    side: int
    channels: int
    fit: Fit
    native: int


def check_request(side: int | None, channels: int | None) -> None:
    """Refuse a side or a channel count that cannot be.

    Raises:
        DataError: If the side is not from 1 to 4096 or the channels are neither 1 nor 3.
    """
    if side is not None and not 1 <= side <= _LARGEST_SIDE:
        raise DataError(f"the side must be from 1 to {_LARGEST_SIDE} pixels", received=side)
    if channels not in (None, 1, 3):
        raise DataError("channels must be 1 (grey) or 3 (colour)", received=channels)


def choose_frame(shapes: NDArray[np.integer], side: int | None, channels: int | None) -> Frame:
    """Choose what was not asked for from the height, width and channels of all images (N, 3).

    The side is that of the images where all are the same square of at most 64 pixels, else their median
    shorter side rounded to a multiple of 4, at most 64. One channel if all are grey, else three. Letterbox if
    more than a tenth of the images is over twice as long as wide, else squash.
    """
    sizes = shapes[:, :2].astype(np.int64)
    shorter, longer = sizes.min(axis=1), sizes.max(axis=1)
    native = round(float(np.median(shorter)))
    if side is None:
        same_square = bool((sizes == sizes[0, 0]).all())
        side = native if same_square and native <= _DEFAULT_SIDE else min(max(4, 4 * round(native / 4)), _DEFAULT_SIDE)
    if channels is None:
        channels = 1 if (shapes[:, 2] == 1).all() else 3
    long = float(np.mean(longer > _LONG_ASPECT * shorter))
    return Frame(side, channels, "letterbox" if long > _LONG_SHARE else "squash", native)
