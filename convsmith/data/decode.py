"""From the bytes of an image file to pixels, in one way for training, evaluation and prediction.

Files are hostile until proven otherwise: the size is read from the header before anything is decoded,
only six formats are tried, and every image is decoded to its last row so that a cut file is noticed.
"""

from __future__ import annotations

import io
import os
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from convsmith.data.jpeg import Enough, Header, decode_jpeg, read_jpeg_header
from convsmith.data.resample import Part
from convsmith.data.stored import MAX_BYTES, TooLarge, read_bytes

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS: Final = 100_000_000
MAX_SCANS: Final = 200
"""Of a JPEG. Encoders write about ten; a few bytes can ask for one more pass over all pixels."""

GREY_MODES: Final = frozenset({"1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N"})
"""What Pillow calls pixels without colour."""
ORIENTATION: Final = 0x0112
"""EXIF's number for how a picture is turned."""
TURNED: Final = (5, 6, 7, 8)
"""What stands there for one that is stored lying on its side."""

_UNSCALED_MODES: Final = frozenset({"I", "F"})
_TOO_LARGE: Final = f"more than {MAX_PIXELS // 10**6} megapixels"
_EMPTY: Final = "empty file"
_JPEG: Final = b"\xff\xd8\xff"
_SCAN: Final = b"\xff\xda"


class Unreadable(Exception):
    """An image that is left out; the argument is the short reason."""

    @property
    def reason(self) -> str:
        """Why, in a few words."""
        return str(self)


class Decoded(NamedTuple):
    """A picture out of its file.

    Attributes:
        pixels: (H, W, C) uint8, C 1 or 3, upright.
        part: What of the pixels is the picture, if not all: a reduced one may end within its last row or column.
        header: What the file said of itself.
    """

    pixels: NDArray[np.uint8]
    part: Part | None
    header: Header


def read_header(data: bytes) -> Header:
    """What an image file says of itself.

    Raises:
        Unreadable: If the bytes are no image of a known format, or it is too large.
    """
    try:
        header = read_jpeg_header(data) if data.startswith(_JPEG) else None
        if header is None:
            with _open(data) as image:
                header = _header(image)
        _check_size(header.height, header.width)
        return header
    except Exception as error:
        raise _unreadable(error) from error


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Decode an image file, or a member of a tar archive (see ``stored``), as ``decode`` does."""
    return decode(read_content(path))


def read_content(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, or of a member of a tar archive.

    Raises:
        Unreadable: If there are none, or too many.
    """
    try:
        content = read_bytes(path)
    except Exception as error:
        raise _unreadable(error) from error
    if not content:
        raise Unreadable(_EMPTY)
    return content


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode an image file's bytes to (H, W, C) uint8 with C 1 or 3, upright.

    Grey (1, 8 or 16 bit, the last scaled by 1/257) has one channel. Palettes, CMYK and the rest become RGB,
    transparency is laid on white, an animation gives its first frame, and the EXIF orientation is applied.
    Ordinary JPEG goes through simplejpeg, everything else through Pillow.

    Raises:
        Unreadable: If the bytes are no complete image of a known format, or it is too large.
    """
    return np.ascontiguousarray(decode_picture(data).pixels)


def decode_picture(data: bytes, enough: Enough | None = None) -> Decoded:
    """Decode as ``decode`` does, but no more pixels of a JPEG than are of use.

    Args:
        data: The file's bytes.
        enough: Height and width that suffice of an upright picture of the given height and width. The pixels are
            then at least so many, in as few eighths of the picture's size as that takes, but never more than four.

    Raises:
        Unreadable: If the bytes are no complete image of a known format, or it is too large.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable(str(TooLarge()))
    if not data:
        raise Unreadable(_EMPTY)
    try:
        header = read_jpeg_header(data) if data.startswith(_JPEG) else None
        return (header and _plain_jpeg(data, header, enough)) or _decode_with_pillow(data)
    except Exception as error:
        raise _unreadable(error) from error


def _plain_jpeg(data: bytes, header: Header, enough: Enough | None) -> Decoded | None:
    """A JPEG by simplejpeg; None for one that Pillow must read."""
    _check_size(header.height, header.width)
    if header.progressive:
        _check_scans(data)
    if header.tagged:
        return _tagged_jpeg(data, header, enough)
    found = decode_jpeg(data, header, enough)
    return found and Decoded(*found, header)


def _tagged_jpeg(data: bytes, header: Header, enough: Enough | None) -> Decoded | None:
    with _open(data) as image:
        orientation = image.getexif().get(ORIENTATION, 1)
    found = decode_jpeg(data, header, enough, turned=orientation in TURNED)
    if found is None:
        return None
    pixels, part = found
    return Decoded(_upright(pixels, orientation), part and _part_upright(part, pixels.shape, orientation), header)


def _decode_with_pillow(data: bytes) -> Decoded:
    if data.startswith(_JPEG):
        _check_scans(data)
    with _open(data) as image:
        header = _header(image)
        image.load()  # which notices a cut file
        # Read after loading: Pillow has then turned a TIFF already, and has seen a PNG's late EXIF chunk.
        return Decoded(_upright(_to_pixels(image), image.getexif().get(ORIENTATION, 1)), None, header)


def convert_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Turn (H, W, 1 or 3) into (H, W, channels): grey is repeated, colour becomes ITU-R 601 luma."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def _open(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    _check_size(image.height, image.width)
    return image


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise Unreadable(_TOO_LARGE)


def _check_scans(data: bytes) -> None:
    if data.count(_SCAN) > MAX_SCANS:
        raise Unreadable(f"more than {MAX_SCANS} scans")


def _header(image: Image.Image) -> Header:
    return Header(image.height, image.width, 1 if image.mode in GREY_MODES else 3)


def _unreadable(error: Exception) -> Unreadable:
    """A failure with a short reason; on damaged bytes decoders raise nearly anything."""
    if isinstance(error, Unreadable):
        return error
    if isinstance(error, Image.DecompressionBombError):
        return Unreadable(_TOO_LARGE)
    if isinstance(error, UnidentifiedImageError):
        return Unreadable("not a JPEG, PNG, WEBP, BMP, GIF or TIFF image")
    if isinstance(error, OSError):
        return Unreadable(error.strerror or _first_line(error))
    if isinstance(error, MemoryError):
        return Unreadable("not enough memory to decode it")
    return Unreadable(f"damaged: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in _UNSCALED_MODES:
        raise Unreadable("32-bit pixels have no known range")
    if image.mode.startswith("I;16"):
        return np.rint(np.asarray(image).astype(np.float32) / 257).astype(np.uint8)[..., None]
    grey = image.mode in GREY_MODES
    if image.has_transparency_data:
        colour = image.convert("RGBA")
        white = Image.new("RGBA", colour.size, "white")
        image = Image.alpha_composite(white, colour)
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo EXIF orientations 2 to 8 (CIPA DC-008, section 4.6.4): mirror, turn, or both."""
    if orientation in TURNED:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _part_upright(part: Part, shape: tuple[int, ...], orientation: int) -> Part:
    """Where the part of a stored picture is once its pixels are upright."""
    (height, width), (bottom, right) = shape[:2], part[2:]
    if orientation in TURNED:
        height, width, bottom, right = width, height, right, bottom
    # The incomplete row or column comes last in the file and may have been turned to the front.
    top = height - bottom if orientation in (3, 4, 7, 8) else 0.0
    left = width - right if orientation in (2, 3, 6, 7) else 0.0
    return Part(top, left, top + bottom, left + right)
