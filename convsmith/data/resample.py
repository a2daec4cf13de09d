"""Changing the size of images: once into the cache with Pillow, and later by a matrix of our own.

The matrix exists because the same resampling must run in training and inside an exported graph. It is
computed from integers alone, so every machine gets the same bits.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convsmith.errors import DataError

Fit = Literal["squash", "letterbox"]

MID_GREY: Final = 128

LEVELS: Final = 256
"""Weights are multiples of one over this. A X Aᵀ is then a whole multiple of 1 / 65536 below 2**24 / 65536, which
float32 holds exactly: whatever the order of the sums, every runtime finds the same pixel and rounds it the same way."""

_CHUNK_ELEMENTS: Final = 1 << 22


class Part(NamedTuple):
    """Where in an array of pixels a picture lies: edges in pixels, between two of them where they are not whole."""

    top: float
    left: float
    bottom: float
    right: float


def resize(image: NDArray[np.uint8], side: int, fit: Fit, part: Part | None = None) -> NDArray[np.uint8]:
    """Bring one image (H, W, C), or a part of it, to (side, side, C) with Pillow's antialiased bilinear filter.

    ``squash`` scales both axes to ``side``; ``letterbox`` keeps the aspect ratio and fills the rest with
    mid grey, the image centred. ``reducing_gap=None`` keeps Pillow from shrinking in cheaper steps first.
    """
    height, width, channels = image.shape
    if part is None:
        if height == width == side:
            return image
        part = Part(0, 0, height, width)
    inner = inner_size(part.bottom - part.top, part.right - part.left, side, fit)
    scaled = _scale(image, inner, part)
    if inner == (side, side):
        return scaled
    boxed = np.full((side, side, channels), MID_GREY, np.uint8)
    top, left = ((side - size) // 2 for size in inner)
    boxed[top : top + inner[0], left : left + inner[1]] = scaled
    return boxed


def inner_size(height: float, width: float, side: int, fit: Fit) -> tuple[int, int]:
    """Height and width that ``resize`` scales a picture to within its square."""
    if fit == "squash":
        return side, side
    longest = max(height, width)
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def _scale(image: NDArray[np.uint8], size: tuple[int, int], part: Part) -> NDArray[np.uint8]:
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    box = (part.left, part.top, part.right, part.bottom)
    scaled = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box, reducing_gap=None)
    return np.asarray(scaled).reshape(*size, image.shape[2])


def resample_matrix(source: int, target: int) -> NDArray[np.float32]:
    """The antialiased triangle filter from ``source`` to ``target`` pixels, float32 (target, source).

    Pixel i of the target looks at the source around (i + 1/2) * source / target with a triangle of
    half-width max(source / target, 1). Weights are multiples of 1/256 and each row sums to one, the largest
    remainders rounded up; the matrix is the identity for equal sizes.
    """
    if source < 1 or target < 1:
        raise DataError("sizes must be at least 1", received=(source, target))
    # All distances are multiplied by 2 * target, which makes every weight an exact integer.
    centres = (2 * np.arange(target, dtype=np.int64) + 1) * source
    pixels = (2 * np.arange(source, dtype=np.int64) + 1) * target
    weights = np.maximum(0, 2 * max(source, target) - np.abs(pixels[None, :] - centres[:, None]))
    totals = weights.sum(axis=1, keepdims=True)
    levels, remainders = np.divmod(LEVELS * weights, totals)
    missing = LEVELS - levels.sum(axis=1, keepdims=True)
    ranks = np.argsort(np.argsort(-remainders, axis=1, kind="stable"), axis=1, kind="stable")
    return ((levels + (ranks < missing)) / LEVELS).astype(np.float32)


def resample(pixels: NDArray[np.uint8], target: int) -> NDArray[np.uint8]:
    """Bring square images (N, S, S, C) to (N, target, target, C): A X Aᵀ in float32, exact, rounded half to even.

    A is ``resample_matrix(S, target)``. Equal sizes give the very pixels back. Each image is multiplied on
    its own, so the result does not depend on its neighbours.
    """
    count, source, _, channels = pixels.shape
    if source == target:
        return pixels
    matrix = resample_matrix(source, target)
    result = np.empty((count, target, target, channels), np.uint8)
    step = max(1, _CHUNK_ELEMENTS // (source * source * channels))
    for start in range(0, count, step):
        chunk = pixels[start : start + step].transpose(0, 3, 1, 2).astype(np.float32, order="C")
        values = np.matmul(np.matmul(matrix, chunk), matrix.T)
        result[start : start + step] = np.rint(values).transpose(0, 2, 3, 1)
    return result
