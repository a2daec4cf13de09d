"""The short way for an ordinary JPEG: its header read here, its pixels by simplejpeg, reduced where that is enough.

Pillow takes fifty microseconds to open a file, which is most of the time that a small image costs. The header is
therefore walked here, segment by segment. Whatever is unusual is left to Pillow; what is accepted chains without a
gap from the start of the file to the first scan and states one size, so the decoder cannot come to another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from convsmith.data.resample import Part

Enough = Callable[[int, int], tuple[int, int]]

_SEGMENTS: Final = 200
_WHOLE: Final = 8
_SHORTEST_REDUCED: Final = 64  # below, decoding costs next to nothing
_BASELINE: Final = 0xC0
_PROGRESSIVE: Final = 0xC2  # between them lies extended sequential
_START_OF_SCAN: Final = 0xDA
_APP1: Final = 0xE1  # EXIF and XMP
# Huffman and quantisation tables, restart interval, application data, comment.
_SKIPPED: Final = frozenset({0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE} - {_APP1})
# What simplejpeg refuses although no pixel is lost: padding between segments, and rare subsampling.
_HARMLESS: Final = ("extraneous bytes before marker", "subsampling level")


class Header(NamedTuple):
    """What an image file says of itself before it is decoded.

    Attributes:
        height: As stored, before EXIF orientation.
        width: As stored, before EXIF orientation.
        channels: 1 or 3.
        progressive: Whether it is a JPEG that may have many scans.
        tagged: Whether it is a JPEG with EXIF or XMP data, which may say how it is turned.
    """

    height: int
    width: int
    channels: int
    progressive: bool = False
    tagged: bool = False


def read_jpeg_header(data: bytes) -> Header | None:
    """The header of a JPEG of 8 bits, Huffman coded, grey or colour; None for any other and for what is damaged."""
    place, tagged, frame = 2, False, 0
    try:
        for _ in range(_SEGMENTS):
            mark, kind, high, low = data[place : place + 4]
            if mark != 0xFF:
                return None
            if kind not in _SKIPPED:
                if kind == _START_OF_SCAN:
                    break
                if kind == _APP1:
                    tagged = True
                elif _BASELINE <= kind <= _PROGRESSIVE and not frame:
                    frame = place
                else:
                    return None
            place += 2 + (high << 8 | low)
        if not frame:
            return None
        bits, top, height, left, width, components = data[frame + 4 : frame + 10]
    except ValueError:  # the bytes end
        return None
    height, width = top << 8 | height, left << 8 | width
    if bits != 8 or components not in (1, 3) or not (height and width):
        return None
    return Header(height, width, components, data[frame + 1] == _PROGRESSIVE, tagged)


def decode_jpeg(
    data: bytes, header: Header, enough: Enough | None, *, turned: bool = False
) -> tuple[NDArray[np.uint8], Part | None] | None:
    """The pixels (H, W, C) of a JPEG as stored, and the part of them that is the picture, if not all.

    Args:
        data: The file's bytes.
        header: What ``read_jpeg_header`` gave.
        enough: Height and width that suffice of an upright picture of the given height and width, if not all.
        turned: Whether the picture is stored lying on its side.

    Returns:
        None for a harmless oddity that Pillow can read.

    Raises:
        ValueError: If the file is cut or damaged.
    """
    height, width = header[:2]
    eighths = _eighths(height, width, enough, turned) if enough else _WHOLE
    space = "GRAY" if header.channels == 1 else "RGB"
    try:
        if eighths == _WHOLE:
            pixels = simplejpeg.decode_jpeg(data, space)
        else:
            rows, columns = ((size * eighths + _WHOLE - 1) // _WHOLE for size in (height, width))
            pixels = simplejpeg.decode_jpeg(data, space, min_height=rows, min_width=columns)
            if pixels.shape[:2] == (rows, columns):
                return pixels, Part(0, 0, height * eighths / _WHOLE, width * eighths / _WHOLE)
    except ValueError as error:
        if any(complaint in str(error) for complaint in _HARMLESS):
            return None
        raise
    if pixels.shape[:2] != (height, width):
        raise ValueError("two sizes in the header")
    return pixels, None


def _eighths(height: int, width: int, enough: Enough, turned: bool) -> int:
    """The fewest eighths of its size in which a picture has enough pixels; all eight where four are too few."""
    if height < _SHORTEST_REDUCED or width < _SHORTEST_REDUCED:
        return _WHOLE
    if turned:
        height, width = width, height
    rows, columns = enough(height, width)
    need = max(-(-_WHOLE * rows // height), -(-_WHOLE * columns // width), 1)
    return need if need <= _WHOLE // 2 else _WHOLE
