"""A perceptual fingerprint: numbers that stay as they are when a picture is compressed, resized or made brighter.

The lowest frequencies of brightness, without the constant one, and still fewer of colour, each divided by how much it
varies over the set, so that what all pictures of the set have in common counts little. Their direction is the
fingerprint: a brighter copy adds a constant, one of more contrast a factor, and both leave the direction alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data.checks.colour import colour_differences, luma
from convsmith.data.rows import Pixels, chunks

NOISE: Final = 12.0
"""Levels by which strong compression changes a pixel: what varies less over the set tells pictures apart no more."""

_BRIGHTNESS: Final = 8  # frequencies along each axis
_COLOUR: Final = 4
_CHUNK_BYTES: Final = 1 << 22


def fingerprints(pixels: Pixels) -> NDArray[np.float32]:
    """The fingerprints of images (N, H, W, C) uint8: rows of length one, float32 (N, F); zeros for a blank image.

    The product of two rows is their similarity, from -1 to 1.
    """
    found = np.concatenate([_frequencies(chunk) for chunk in chunks(pixels, _CHUNK_BYTES)])
    found /= np.sqrt(found.var(axis=0) + NOISE**2)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.divide(found, length, out=np.zeros_like(found), where=length > 1e-3)


def _frequencies(chunk: NDArray[np.uint8]) -> NDArray[np.float32]:
    bright = _cosine_transform(luma(chunk)[..., None], _BRIGHTNESS)
    parts = [bright.reshape(len(chunk), -1)[:, 1:]]  # the first is the mean
    if chunk.shape[3] == 3:
        parts.append(_cosine_transform(colour_differences(chunk), _COLOUR).reshape(len(chunk), -1))
    return np.concatenate(parts, axis=1)


def _cosine_transform(maps: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """The lowest coefficients, at most (N, ``most``, ``most``, C), of the orthonormal DCT-II of maps (N, H, W, C)."""
    rows, columns = (_cosines(size, most) for size in maps.shape[1:3])
    return np.einsum("ky,nyxc,lx->nklc", rows, maps, columns, optimize=True)


def _cosines(size: int, most: int) -> NDArray[np.float32]:
    frequency = np.arange(min(size, most))[:, None]
    waves = np.cos(np.pi / size * (np.arange(size) + 0.5) * frequency) * np.sqrt(2 / size)
    return np.where(frequency == 0, waves / np.sqrt(2), waves).astype(np.float32)
