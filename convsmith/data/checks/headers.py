"""What the files of a set say of themselves: size, mode and format, of every image, without decoding any."""

from __future__ import annotations

import contextlib
import io
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convsmith.data.crew import in_order
from convsmith.data.decode import FORMATS, ORIENTATION, TURNED, Unreadable, decode, read_content
from convsmith.processor import available_threads

Progress = Callable[[int, int], None]
_Row = Sequence[Any]  # height, width, size, mode, format, reason

_BLOCK: Final = 64  # files to a call: what passes between processes costs as much as a small file


@dataclass(frozen=True, eq=False)
class Headers:
    """A row for each image; zeros and empty text where a file cannot be read.

    Attributes:
        height: (N,) int64, pixels, upright.
        width: (N,) int64, pixels, upright.
        size: (N,) int64, bytes of the file.
        modes: Pillow's name of the pixels' kind: ``RGB``, ``L``, ``P``, ``CMYK`` ...
        formats: ``JPEG``, ``PNG``, ...; empty for images that come from no file.
        reasons: Why a file cannot be read; empty where it can.
    """

    height: NDArray[np.int64]
    width: NDArray[np.int64]
    size: NDArray[np.int64]
    modes: tuple[str, ...]
    formats: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Which of the files could be read, (N,)."""
        return np.array([not reason for reason in self.reasons], np.bool_)

    def at(self, indices: NDArray[np.int64]) -> Headers:
        """The headers of chosen images."""
        chosen = indices.tolist()
        return Headers(
            self.height[indices],
            self.width[indices],
            self.size[indices],
            tuple(self.modes[index] for index in chosen),
            tuple(self.formats[index] for index in chosen),
            tuple(self.reasons[index] for index in chosen),
        )

    def count_sizes(self) -> list[tuple[tuple[int, int], int]]:
        """Height and width with the number of images of that size, the most frequent first."""
        return Counter(zip(self.height.tolist(), self.width.tolist(), strict=True)).most_common()


def count_kinds(kinds: Iterable[str]) -> dict[str, int]:
    """How many images there are of each mode or format, the most frequent first."""
    return dict(Counter(kind for kind in kinds if kind).most_common())


def read_headers(root: str, paths: Sequence[str], *, whole: bool = False, progress: Progress | None = None) -> Headers:
    """Read the header of every file.

    Args:
        root: The folder that the paths are relative to.
        paths: Files, or members of tar archives.
        whole: Decode every image as well, to find those that are damaged behind the header.
        progress: Called with (done, total) after every few files.
    """
    rows: list[_Row] = []
    total, threads = len(paths), available_threads()

    def read(block: int) -> list[bytes]:
        chosen = paths[block * _BLOCK : (block + 1) * _BLOCK]
        return [json.dumps([_read(os.path.join(root, path), whole) for path in chosen]).encode()]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow's, about oddities that stop nobody
        workers = threads if total > _BLOCK * threads else 1
        with contextlib.closing(in_order(read, -(-total // _BLOCK), workers)) as blocks:
            for (part,) in blocks:
                rows += json.loads(bytes(part))
                if progress:
                    progress(len(rows), total)
    return _headers(rows)


def uniform_headers(count: int, height: int, width: int, channels: int) -> Headers:
    """The headers of images that come from no file and are all alike."""
    return _headers([(height, width, height * width * channels, "L" if channels == 1 else "RGB", "", "")] * count)


def _read(path: str, whole: bool) -> _Row:
    try:
        content = read_content(path)
        if whole:
            decode(content)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            turned = image.getexif().get(ORIENTATION) in TURNED
            height, width = (image.width, image.height) if turned else (image.height, image.width)
            return height, width, len(content), image.mode, image.format or "", ""
    except Unreadable as error:
        return 0, 0, 0, "", "", error.reason
    except Exception as error:  # Pillow raises nearly anything on damaged bytes
        return 0, 0, 0, "", "", f"damaged: {type(error).__name__}"


def _headers(rows: Sequence[_Row]) -> Headers:
    height, width, size = (np.array([row[column] for row in rows], np.int64) for column in range(3))
    modes, formats, reasons = (tuple(str(row[column]) for row in rows) for column in range(3, 6))
    return Headers(height, width, size, modes, formats, reasons)
