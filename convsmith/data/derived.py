"""Other resolutions of a set, made from the one that was decoded: in memory if small, else in a file, once."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data.memory import fits
from convsmith.data.pixel_file import PixelWriter, read_pixels
from convsmith.data.resample import resample
from convsmith.data.rows import Pixels, chunks
from convsmith.files import write_atomically

MEMORY_SHARE: Final = 0.05
"""Of the free memory: a search keeps some resolutions at a time, and the training its own copy."""

FILES_KEPT: Final = 4
"""Resolutions kept beside one cache entry; the one unused for longest goes first."""

_PATTERN: Final = "resampled-{}.npy"
_CHUNK_BYTES: Final = 1 << 24


def derive(pixels: NDArray[np.uint8], resolution: int, folder: Path | None) -> Pixels:
    """Square images (N, S, S, C) as ``resample`` brings them to a resolution.

    Args:
        pixels: The images; may be a memory map.
        resolution: Height and width wanted.
        folder: Where a file may be put, or None to use memory whatever it takes.

    Raises:
        RunError: If the file cannot be written.
    """
    count, _, _, channels = pixels.shape
    shape = (count, resolution, resolution, channels)
    if folder is None or fits(int(np.prod(shape)), MEMORY_SHARE):
        return resample(pixels, resolution)
    path = folder / _PATTERN.format(resolution)
    found = read_pixels(path, shape)
    if found is None:
        write_atomically(path, lambda target: _write(target, pixels, resolution))
        found = read_pixels(path, shape)
        assert found is not None, "a file that was just written must be readable"
    with contextlib.suppress(OSError):  # a cache that is read-only by now
        os.utime(path)
        _keep_newest(folder)
    return found


def _write(path: Path, pixels: NDArray[np.uint8], resolution: int) -> None:
    with path.open("wb") as stream:
        writer = PixelWriter(stream, (resolution, resolution, pixels.shape[3]))
        for rows in chunks(pixels, _CHUNK_BYTES):
            writer.append(resample(rows, resolution).data)
        writer.finish()


def _keep_newest(folder: Path) -> None:
    files = sorted(folder.glob(_PATTERN.format("*")), key=lambda path: path.stat().st_mtime_ns)
    for path in files[:-FILES_KEPT]:
        path.unlink(missing_ok=True)  # a process that has it mapped keeps it
