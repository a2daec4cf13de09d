"""Images without a picture: blank, too dark, too bright, or without contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data.checks.colour import luma
from convsmith.data.resample import MID_GREY, Fit
from convsmith.data.rows import Pixels, chunks

BLANK_SPREAD: Final = 2.0
DARK_LEVEL: Final = 64
BRIGHT_LEVEL: Final = 192
FLAT_RANGE: Final = 26

_LOW, _HIGH = 0.01, 0.99
_CHUNK_BYTES: Final = 1 << 22
_LEVELS: Final = 256


@dataclass(frozen=True, eq=False)
class Tone:
    """Brightness of each image, in levels of 0 to 255; the grey bars of letterboxed images do not count.

    Attributes:
        low: (N,) int64; one pixel in a hundred is at least as dark.
        high: (N,) int64; one pixel in a hundred is at least as bright.
        spread: (N,) float64, standard deviation of the channel that varies most.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    spread: NDArray[np.float64]

    @property
    def blank(self) -> NDArray[np.bool_]:
        """One colour all over, but for what compression adds."""
        return self.spread < BLANK_SPREAD

    @property
    def dark(self) -> NDArray[np.bool_]:
        """Next to nothing is brighter than a quarter of the scale."""
        return (self.high < DARK_LEVEL) & ~self.blank

    @property
    def bright(self) -> NDArray[np.bool_]:
        """Next to nothing is darker than three quarters of the scale."""
        return (self.low > BRIGHT_LEVEL) & ~self.blank

    @property
    def flat(self) -> NDArray[np.bool_]:
        """All but a few pixels lie within a tenth of the scale, somewhere in its middle."""
        return (self.high - self.low < FLAT_RANGE) & ~(self.blank | self.dark | self.bright)


def measure_tone(pixels: Pixels, fit: Fit) -> Tone:
    """Measure images (N, H, W, C) uint8 that were brought to a square by ``fit``."""
    parts = [_measure(chunk, _content(chunk, fit)) for chunk in chunks(pixels, _CHUNK_BYTES)]
    return Tone(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _measure(
    chunk: NDArray[np.uint8], content: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    drawn = np.ones(chunk.shape[:3], np.bool_) if content is None else content
    count = np.maximum(drawn.sum(axis=(1, 2)), 1)
    cumulative = np.cumsum(_histograms(np.rint(luma(chunk)).astype(np.int64), drawn), axis=1)
    low, high = ((cumulative >= np.ceil(share * count)[:, None]).argmax(axis=1) for share in (_LOW, _HIGH))
    values = chunk.astype(np.float32) - MID_GREY  # which keeps the sums small
    if content is not None:
        values *= content[..., None]
    mean = np.einsum("nyxc->nc", values) / count[:, None]
    square = np.einsum("nyxc,nyxc->nc", values, values) / count[:, None]
    return low, high, np.sqrt(np.maximum(square - mean**2, 0).max(axis=1))


def _content(chunk: NDArray[np.uint8], fit: Fit) -> NDArray[np.bool_] | None:
    """Which pixels (N, H, W) are the picture: not the rows and columns of grey that letterboxing adds; None if all."""
    if fit != "letterbox":
        return None
    drawn = (chunk != MID_GREY).any(axis=3)
    return drawn.any(axis=2)[:, :, None] & drawn.any(axis=1)[:, None, :]


def _histograms(levels: NDArray[np.int64], content: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many pixels of each image have each level, (N, 256)."""
    count = len(levels)
    places = levels + _LEVELS * np.arange(count)[:, None, None]
    return np.bincount(places[content], minlength=count * _LEVELS).reshape(count, _LEVELS)
