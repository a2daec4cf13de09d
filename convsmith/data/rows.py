"""Pixels that are read when they are asked for, so that a set need not fit into memory.

A training reads a memory map in random order. On a disk that is slow for two reasons, and both are dealt with here:
a row that is not in memory is fetched page by page, each wait as long as a seek, and the kernel reads on after each of
them in the belief that what follows is wanted next. So all rows of a batch are announced to the kernel in the order of
the file before the first is touched (``MADV_WILLNEED``): the disk gets many requests at once, of just these bytes.
A loader that knows its next batch announces that one too, and computes while the disk reads (``announce``). Rows of 64
pixels a side came from a cold disk four times as fast for it (``benchmarks/large.py``).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from convsmith.data.resample import resample
from convsmith.errors import DataError

_WILL_NEED: Final = getattr(mmap, "MADV_WILLNEED", None)  # absent on Windows


class Pixels(Protocol):
    """What an array of images and a view of chosen ones have in common."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        ...

    @property
    def ndim(self) -> int:
        """4."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that all of them take in memory."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class Rows:
    """Images chosen by index from an array or a memory map; indexing it gives them as an array of their own.

    Args:
        pixels: uint8 (M, H, W, C).
        indices: Which of them, (N,), in any order.
        resolution: Height and width to which they are resampled each time they are asked for, if not their own.

    Raises:
        DataError: If an index is out of range.
    """

    def __init__(self, pixels: Pixels, indices: NDArray[np.int64], resolution: int | None = None) -> None:
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(pixels)):
            received = (int(indices.min()), int(indices.max()))
            raise DataError(f"indices must be from 0 to {len(pixels) - 1}", received=received)
        self._pixels = pixels
        self._indices = indices
        self._resolution = resolution

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        _, height, width, channels = self._pixels.shape
        return len(self._indices), self._resolution or height, self._resolution or width, channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels."""
        return self._pixels.dtype

    @property
    def ndim(self) -> int:
        """Axes of the pixels."""
        return self._pixels.ndim

    @property
    def nbytes(self) -> int:
        """Bytes that all of them take in memory."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, key: int | slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        chosen = take(self._pixels, np.atleast_1d(self._indices[key]))
        pixels = resample(chosen, self._resolution) if self._resolution else chosen
        return pixels[0] if isinstance(key, int | np.integer) else pixels

    def announce(self, indices: NDArray[np.int64]) -> None:
        """See ``announce``."""
        announce(self._pixels, self._indices[indices])


def take(pixels: Pixels, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The images at ``indices`` as an array of their own (N, H, W, C)."""
    if isinstance(pixels, Rows):
        return pixels[indices]
    announce(pixels, indices)
    return np.asarray(pixels)[indices]  # a memory map is slower to index than the array that it is


def announce(pixels: Pixels, indices: NDArray[np.int64]) -> None:
    """Let the disk begin to read the images at ``indices``, which changes no result and waits for nothing.

    Nothing happens for pixels that are in memory.
    """
    if isinstance(pixels, Rows):
        pixels.announce(indices)
    elif _WILL_NEED is not None and isinstance(pixels, np.memmap) and isinstance(pixels.base, mmap.mmap):
        row = pixels.nbytes // len(pixels)
        start = pixels.offset % mmap.ALLOCATIONGRANULARITY  # a map begins at a page, the pixels after a header
        for low, high in _runs(indices):
            begin = start + low * row
            begin -= begin % mmap.PAGESIZE
            pixels.base.madvise(_WILL_NEED, begin, start + high * row - begin)


def chunks(pixels: Pixels, size: int) -> Iterator[NDArray[np.uint8]]:
    """The images in order, some ``size`` bytes at a time."""
    step = max(1, size * len(pixels) // max(1, pixels.nbytes))
    for start in range(0, len(pixels), step):
        yield pixels[start : start + step]


def _runs(indices: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The stretches that the indices make when sorted, as first and one past the last."""
    wanted = np.unique(indices)
    first = np.diff(wanted, prepend=-2) > 1
    last = np.append(first[1:], True)[: len(wanted)]
    return list(zip(wanted[first].tolist(), (wanted[last] + 1).tolist(), strict=True))
