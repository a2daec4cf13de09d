"""Pixels in a .npy file that is written row by row and read through a memory map.

Rows are appended to an ordinary file and never written through a map: on a full disk the first raises an error that
can be told to the user, the second kills the process.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

RowShape = tuple[int, int, int]


class PixelWriter:
    """Appends images to a stream whose number is known only at the end.

    Args:
        stream: Open for writing in binary, at its start.
        shape: (H, W, C) of every image.
    """

    def __init__(self, stream: IO[bytes], shape: RowShape) -> None:
        self._stream = stream
        self._shape = shape
        self._count = 0
        self._write_header()

    def append(self, rows: bytes | bytearray | memoryview) -> None:
        """Write the pixels of whole images."""
        self._count += self._stream.write(rows) // math.prod(self._shape)

    def finish(self) -> None:
        """Put the number in, and the file on the disk."""
        self._write_header()
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _write_header(self) -> None:
        """Write the .npy header at the start; NumPy pads it, so that one for another count is as long."""
        self._stream.seek(0)
        shape = (self._count, *self._shape)
        np.lib.format.write_array_header_1_0(self._stream, {"descr": "|u1", "fortran_order": False, "shape": shape})


def read_pixels(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The pixels of a file as a read-only memory map; None if there is none of that shape, or it is damaged."""
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None
