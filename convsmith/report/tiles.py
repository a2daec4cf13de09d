"""Pictures made of pixels: numbers in colours, and contact sheets of small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

Ramp = Literal["heat", "signed"]

INK: Final = (27, 31, 36)
PAPER: Final = (255, 255, 255)
NOTHING: Final = (200, 205, 211)
"""Colour of what has no value."""

_RAMPS: Final[dict[Ramp, str]] = {"heat": "viridis", "signed": "RdBu_r"}
_GAP: Final = 6
_FONT: Final = 11
_LINE: Final = 15
_CHARACTER: Final = 6.4


def color_values(
    values: NDArray[np.floating[Any]], ramp: Ramp, low: float | None = None, high: float | None = None
) -> Pixels:
    """Numbers (H, W) as colours (H, W, 3), from ``low`` to ``high``; what is no number is grey.

    ``heat`` goes from dark to bright, ``signed`` from blue over white at 0 to red, as far down as up. Both can be told
    apart by people who see fewer colours.
    """
    finite = values[np.isfinite(values)]
    low = (float(finite.min()) if len(finite) else 0.0) if low is None else low
    high = (float(finite.max()) if len(finite) else 0.0) if high is None else high
    if ramp == "signed":
        high = max(abs(low), abs(high))
        low = -high
    span = high - low
    middle = 0.5 if ramp == "signed" else 0.0
    shares = (values - low) / span if span > 0 else np.full(values.shape, middle)
    colors = np.rint(255 * np.asarray(colormaps[_RAMPS[ramp]](np.clip(shares, 0, 1)))[..., :3]).astype(np.uint8)
    colors[~np.isfinite(values)] = NOTHING
    return colors


def as_color(pixels: Pixels) -> Pixels:
    """Pixels of 1 or 3 channels (H, W, C) as (H, W, 3)."""
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def enlarge(pixels: Pixels, side: int) -> Pixels:
    """A picture (H, W, 3) whose longer side is about ``side``: whole pixels where it grows, smooth where it shrinks."""
    longest = max(pixels.shape[:2])
    if longest <= side:
        factor = max(1, side // longest)
        return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = (max(1, round(size * side / longest)) for size in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def blend(pixels: Pixels, colors: Pixels, share: float | NDArray[np.float64] = 0.6) -> Pixels:
    """Colours laid over a picture of the same size."""
    return np.rint((1 - share) * pixels.astype(np.float64) + share * colors).astype(np.uint8)


def contact_sheet(tiles: Sequence[Pixels], captions: Sequence[str] = (), *, side: int = 64, columns: int = 8) -> Pixels:
    """Pictures (H, W, 3) in rows, each about ``side`` pixels long, with a line of text below each where given."""
    shown = [enlarge(tile, side) for tile in tiles]
    texts = [_cut(text, max(side, *(tile.shape[1] for tile in shown))) for text in captions]
    high, wide = (max([side, *(tile.shape[axis] for tile in shown)]) for axis in (0, 1))
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    step = high + _GAP + (_LINE if texts else 0)
    sheet = np.full((rows * step + _GAP, columns * (wide + _GAP) + _GAP, 3), PAPER, np.uint8)
    for number, tile in enumerate(shown):
        top, left = _GAP + number // columns * step, _GAP + number % columns * (wide + _GAP)
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    if not texts:
        return sheet
    picture = Image.fromarray(sheet)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_FONT)
    for number, text in enumerate(texts):
        top, left = _GAP + number // columns * step, _GAP + number % columns * (wide + _GAP)
        draw.text((left, top + shown[number].shape[0] + 1), text, fill=INK, font=font)
    return np.asarray(picture)


def draw_box(pixels: Pixels, box: tuple[int, int, int, int], color: tuple[int, int, int] = (200, 16, 46)) -> Pixels:
    """A frame (top, left, bottom, right) around whole pixels of a picture, cut to it."""
    drawn = pixels.copy()
    top, left, bottom, right = (
        min(max(edge, 0), size) for edge, size in zip(box, (*pixels.shape[:2], *pixels.shape[:2]), strict=True)
    )
    drawn[top:bottom, [left, right - 1]] = color
    drawn[[top, bottom - 1], left:right] = color
    return drawn


def _cut(text: str, width: int) -> str:
    """Text in about ``width`` pixels, in letters that the built-in font has."""
    most = max(1, int(width / _CHARACTER))
    plain = text.encode("ascii", "replace").decode()
    return plain if len(plain) <= most else f"{plain[: most - 1]}~"
