"""What a network says of the pixels that it was given, laid over the picture as a person has it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convsmith.data.resample import Fit, inner_size
from convsmith.report.tiles import Pixels, as_color, blend, color_values

_STRONGEST: Final = 0.85  # share of the colour where the value is largest; where there is nothing the picture stays


def overlay(native: Pixels, values: NDArray[np.float64], fit: Fit, side: int) -> Pixels:
    """Signed values over the grey picture that they belong to.

    Args:
        native: The picture (H, W, C) in its own size.
        values: (S, S), of the square that the picture was brought to.
        fit: How it was brought there.
        side: Length of the longer side of the result, about.
    """
    height, width = native.shape[:2]
    size = values.shape[0]
    rows, columns = inner_size(height, width, size, fit)
    top, left = (size - rows) // 2, (size - columns) // 2
    inner = values[top : top + rows, left : left + columns]
    factor = side / max(height, width)
    shown = (max(1, round(width * factor)), max(1, round(height * factor)))
    way = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BILINEAR
    picture = Image.fromarray(as_color(native)).convert("L").resize(shown, way)
    largest = float(np.abs(inner).max())
    coarse = Image.fromarray(inner.astype(np.float32)).resize(shown, Image.Resampling.BILINEAR)
    strength = np.asarray(coarse, np.float64)
    colors = color_values(strength, "signed", -largest, largest)
    shares = _STRONGEST * np.abs(strength) / (largest or 1.0)
    return blend(as_color(np.asarray(picture)[..., None]), colors, shares[..., None])
