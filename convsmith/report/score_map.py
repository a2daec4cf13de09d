"""A photograph beside the probability of a class in each of its places, as one picture."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from convsmith.report.embedded import png_bytes
from convsmith.report.tiles import INK, PAPER, as_color, blend, color_values, draw_box

_SIDE: Final = 560
"""Pixels that the longer side of a photograph should have at least."""
_MOST: Final = 1_200
_GAP, _TOP, _BOTTOM, _FONT, _SMALL = 16, 40, 44, 18, 13
_RAMP: Final = 200
_SHARE: Final = 0.6
"""Of the colours in what is laid over the photograph."""


def draw_score_map(
    pixels: NDArray[np.uint8],
    shares: NDArray[np.floating[Any]],
    *,
    place: tuple[int, int],
    centers: tuple[float, float],
    steps: tuple[float, float],
    window: tuple[int, int],
    title: str,
) -> bytes:
    """The content of a PNG file.

    Args:
        pixels: The photograph (H, W, 1 or 3).
        shares: Probabilities (rows, columns).
        place: The row and column whose window is framed.
        centers: Middle of the window of the first place, in pixels.
        steps: Pixels from one place to the next.
        window: Height and width of a window.
        title: What is shown.
    """
    photograph = as_color(pixels)
    highest = float(shares.max())
    colors = color_values(_spread(shares, photograph.shape[:2], centers, steps), "heat", 0.0, highest)
    middle = [center + index * step for center, index, step in zip(centers, place, steps, strict=True)]
    top, left = (round(at - (size - 1) / 2) for at, size in zip(middle, window, strict=True))
    box = (top, left, top + window[0], left + window[1])
    sides = [_fitted(draw_box(side, box)) for side in (photograph, blend(_grey(photograph), colors, _SHARE))]
    height, width = sides[0].shape[:2]
    sheet = np.full((_TOP + height + _BOTTOM, 3 * _GAP + 2 * width, 3), PAPER, np.uint8)
    for number, side in enumerate(sides):
        across = _GAP + number * (width + _GAP)
        sheet[_TOP : _TOP + height, across : across + width] = side
    return png_bytes(_labelled(sheet, title, window, highest))


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photograph without its colours, which would mix with those of the numbers."""
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def _spread(
    shares: NDArray[np.floating[Any]], size: tuple[int, ...], centers: tuple[float, float], steps: tuple[float, float]
) -> NDArray[np.floating[Any]]:
    """For every pixel the probability of the nearest place."""
    rows, columns = (
        np.clip(np.rint((np.arange(length) - center) / step), 0, places - 1).astype(np.int64)
        for length, center, step, places in zip(size, centers, steps, shares.shape, strict=True)
    )
    return shares[rows][:, columns]


def _fitted(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture large enough to be looked at, and not too large for a page."""
    longest = max(pixels.shape[:2])
    factor = _SIDE / longest if longest < _SIDE else min(1.0, _MOST / longest)
    high, wide = (round(side * factor) for side in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((wide, high), Image.Resampling.BILINEAR))


def _labelled(sheet: NDArray[np.uint8], title: str, window: tuple[int, int], highest: float) -> NDArray[np.uint8]:
    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(_FONT), ImageFont.load_default(_SMALL)
    draw.text((_GAP, _TOP // 2), _plain(title), fill=INK, font=large, anchor="lm")
    line = picture.height - _BOTTOM // 2
    draw.text((_GAP, line), f"frame: {window[0]} x {window[1]} pixels, where it is likeliest", fill=INK, font=small,
              anchor="lm")  # fmt: skip
    ramp = color_values(np.tile(np.linspace(0, 1, _RAMP), (_FONT, 1)), "heat", 0.0, 1.0)
    left = picture.width - _GAP - 48 - _RAMP
    picture.paste(Image.fromarray(ramp), (left, line - _FONT // 2))
    draw.text((left - 6, line), "0", fill=INK, font=small, anchor="rm")
    draw.text((left + _RAMP + 6, line), f"{highest:.1%}", fill=INK, font=small, anchor="lm")
    return np.asarray(picture)


def _plain(text: str) -> str:
    return text.encode("ascii", "replace").decode()
