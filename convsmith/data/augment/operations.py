"""The operations that RandAugment draws from; those on pixels give Pillow's very pixels, for many images at once.

Images are uint8 (N, H, W, C) and each has a level of its own, float64 (N,): the magnitude over 10, negative for the
other direction. Ranges are those of AutoAugment (Cubuk et al., 2019) at magnitude 10. The operations on places are in
``randaugment``, because all changes of place are made by one resampling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convsmith.data.augment.layout import as_bytes

Levels = NDArray[np.float64]
PixelOperation = Callable[[Tensor, Levels], Tensor]

_FACTOR: Final = 0.9  # of brightness, contrast, colour and sharpness: 1 ± 0.9
_POSTERIZE: Final = 4  # of the 8 bits go
_LUMA: Final = (19595, 38470, 7471)  # Rec. 601 in 1/65536, which round half up, as Pillow's conversion to grey does


def _autocontrast(pixels: Tensor, _: Levels) -> Tensor:
    count, height, width, channels = pixels.shape
    rows = pixels.numpy().reshape(
        count, height, width * channels
    )  # over whole rows first, which is several times faster
    low, high = (
        extreme(extreme(rows, axis=1).reshape(count, width, channels), axis=1)[..., None].astype(np.int64)
        for extreme in (np.min, np.max)
    )
    flat = low == high
    scale = 255 / np.where(flat, 1, high - low)
    table = np.trunc(np.arange(256) * scale - low * scale)
    return _looked_up(pixels, np.where(flat, np.arange(256), table))


def _equalize(pixels: Tensor, _: Levels) -> Tensor:
    counts = _histogram(pixels)
    last = 255 - (counts > 0)[..., ::-1].argmax(2, keepdims=True)
    step = (counts.sum(2, keepdims=True) - np.take_along_axis(counts, last, 2)) // 255
    before = np.cumsum(counts, 2) - counts
    table = (step // 2 + before) // np.maximum(step, 1)
    return _looked_up(pixels, np.where(step == 0, np.arange(256), table))


def _posterize(pixels: Tensor, levels: Levels) -> Tensor:
    dropped = np.rint(_POSTERIZE * np.abs(levels)).astype(np.uint8)
    return pixels & _per_image((255 >> dropped << dropped).astype(np.uint8))


def _solarize(pixels: Tensor, levels: Levels) -> Tensor:
    threshold = _per_image(256 * (1 - np.abs(levels)))
    return torch.where(pixels < threshold, pixels, 255 - pixels)


def _brightness(pixels: Tensor, levels: Levels) -> Tensor:
    return _blended(torch.zeros_like(pixels[:, :1, :1, :1]), pixels, levels)


def _contrast(pixels: Tensor, levels: Levels) -> Tensor:
    total = _grey(pixels).sum((1, 2, 3), keepdim=True, dtype=torch.int64)
    size = pixels.shape[1] * pixels.shape[2]
    return _blended((2 * total + size) // (2 * size), pixels, levels)


def _color(pixels: Tensor, levels: Levels) -> Tensor:
    return _blended(_grey(pixels), pixels, levels)


def _sharpness(pixels: Tensor, levels: Levels) -> Tensor:
    """Away from, or towards, the image smoothed by a 3 by 3 kernel; pixels at the border stay."""
    smooth = pixels.float()
    if min(pixels.shape[1:3]) > 2:
        rows = smooth[:, :-2] + smooth[:, 1:-1] + smooth[:, 2:]
        inner = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * smooth[:, 1:-1, 1:-1]
        smooth[:, 1:-1, 1:-1] = inner.div_(13).add_(0.5).floor_()  # never half way between two levels
    return _blended(smooth, pixels, levels)


def _blended(origin: Tensor, pixels: Tensor, levels: Levels) -> Tensor:
    """Each pixel's distance from ``origin`` times 1 + 0.9 of the level; fractions are dropped, as Pillow does."""
    start = origin.float()
    factor = _per_image((1 + _FACTOR * levels).astype(np.float32))
    return as_bytes(((pixels.float() - start) * factor + start).clamp_(0, 255))


def _grey(pixels: Tensor) -> Tensor:
    """Luminance as int32 (N, H, W, 1)."""
    if pixels.shape[3] != len(_LUMA):
        return pixels.to(torch.int32)
    red, green, blue = (weight * pixels[..., channel].to(torch.int32) for channel, weight in enumerate(_LUMA))
    return ((red + green + blue + 32768) >> 16).unsqueeze(3)


def _per_image(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(values).view(-1, 1, 1, 1)


def _histogram(pixels: Tensor) -> NDArray[np.int64]:
    """How often each value occurs, (N, C, 256)."""
    count, channels = pixels.shape[0], pixels.shape[3]
    return torch.bincount(_places(pixels).view(-1), minlength=count * channels * 256).view(count, channels, 256).numpy()


def _looked_up(pixels: Tensor, table: NDArray[np.generic]) -> Tensor:
    """Each pixel's value in its image's and channel's table (N, C, 256), cut off at 0 and 255."""
    values = torch.from_numpy(np.clip(table, 0, 255).astype(np.uint8)).view(-1)
    return values.index_select(0, _places(pixels).view(-1)).view(pixels.shape)


def _places(pixels: Tensor) -> Tensor:
    """Where each pixel's value stands in tables (N, C, 256) laid out flat."""
    count, channels = pixels.shape[0], pixels.shape[3]
    first = 256 * torch.arange(count * channels, dtype=torch.int32)
    return pixels.to(torch.int32) + first.view(count, 1, 1, channels)


PIXEL_OPERATIONS: Final[dict[str, PixelOperation]] = {
    "identity": lambda pixels, _: pixels,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "posterize": _posterize,
    "solarize": _solarize,
    "brightness": _brightness,
    "contrast": _contrast,
    "color": _color,
    "sharpness": _sharpness,
}
PLACE_OPERATIONS: Final = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
OPERATIONS: Final = (*PIXEL_OPERATIONS, *PLACE_OPERATIONS)
RANDAUGMENT: Final = OPERATIONS
