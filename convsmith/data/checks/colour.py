"""Brightness and colour of pixels, apart."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_LUMA: Final = np.array((0.299, 0.587, 0.114), np.float32)  # ITU-R BT.601


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Brightness of pixels (..., 1 or 3), float32 (...), 0 to 255."""
    if pixels.shape[-1] == 1:
        return pixels[..., 0].astype(np.float32)
    return pixels.astype(np.float32) @ _LUMA


def colour_differences(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far red and blue stand above the brightness of pixels (..., 3), float32 (..., 2)."""
    return pixels[..., ::2].astype(np.float32) - luma(pixels)[..., None]
