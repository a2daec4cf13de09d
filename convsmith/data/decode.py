"""From the bytes of an image file to pixels, in one way for training, evaluation and prediction.

Files are hostile until proven otherwise: the size is read from the header before anything is decoded,
only six formats are tried, and every image is decoded to its last row so that a cut file is noticed.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ContainerIO import ContainerIO

from convsmith.data.stored import locate

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS: Final = 100_000_000
MAX_BYTES: Final = 200_000_000

_GREY_MODES: Final = frozenset({"1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N"})
_UNSCALED_MODES: Final = frozenset({"I", "F"})
_ORIENTATION: Final = 0x0112
# What simplejpeg refuses although no pixel is lost: padding between segments, and rare subsampling.
_HARMLESS: Final = ("extraneous bytes before marker", "subsampling level")
_TOO_LARGE: Final = f"more than {MAX_PIXELS // 10**6} megapixels"


class Unreadable(Exception):
    """An image that is left out; the argument is the short reason."""

    @property
    def reason(self) -> str:
        """Why, in a few words."""
        return str(self)


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before it is decoded: sizes as stored, before EXIF orientation."""

    height: int
    width: int
    channels: int


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read the header of an image file and nothing more.

    Raises:
        Unreadable: If it is no image of a known format, or too large.
    """
    with _opened(path) as stream, _open(stream) as image:
        return Header(image.height, image.width, 1 if image.mode in _GREY_MODES else 3)


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Decode an image file, or a member of a tar archive (see ``stored``), as ``decode`` does."""
    with _opened(path) as stream:
        content = stream.read(MAX_BYTES + 1)
    return decode(content)


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode an image file's bytes to (H, W, C) uint8 with C 1 or 3, upright.

    Grey (1, 8 or 16 bit, the last scaled by 1/257) has one channel. Palettes, CMYK and the rest become RGB,
    transparency is laid on white, an animation gives its first frame, and the EXIF orientation is applied.
    Ordinary JPEG goes through simplejpeg, everything else through Pillow.

    Raises:
        Unreadable: If the bytes are no complete image of a known format, or it is too large.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable(f"more than {MAX_BYTES // 10**6} MB")
    if not data:
        raise Unreadable("empty file")
    with _reasons(), _open(io.BytesIO(data)) as image:
        if image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB"):
            orientation = image.getexif().get(_ORIENTATION, 1)
            pixels = _decode_jpeg(data, image)
        else:
            image.load()
            # Read after loading: Pillow has then turned a TIFF already, and has seen a PNG's late EXIF chunk.
            orientation = image.getexif().get(_ORIENTATION, 1)
            pixels = _to_pixels(image)
    return np.ascontiguousarray(_upright(pixels, orientation))


def convert_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Turn (H, W, 1 or 3) into (H, W, channels): grey is repeated, colour becomes ITU-R 601 luma."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    with _reasons():
        place = locate(path)
        if place.size == 0:
            raise Unreadable("empty file")
        if place.size > MAX_BYTES:
            raise Unreadable(f"more than {MAX_BYTES // 10**6} MB")
        with open(place.file, "rb") as stream:
            yield ContainerIO(stream, place.offset, place.size) if place.offset else stream


def _open(stream: IO[bytes]) -> Image.Image:
    image = Image.open(stream, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(_TOO_LARGE)
    return image


@contextmanager
def _reasons() -> Iterator[None]:
    """Give every failure of a decoder a short reason; on damaged bytes they raise nearly anything."""
    try:
        yield
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(_TOO_LARGE) from error
    except UnidentifiedImageError as error:
        raise Unreadable("not a JPEG, PNG, WEBP, BMP, GIF or TIFF image") from error
    except OSError as error:
        raise Unreadable(error.strerror or _first_line(error)) from error
    except Exception as error:
        raise Unreadable(f"damaged: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _decode_jpeg(data: bytes, image: Image.Image) -> NDArray[np.uint8]:
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        if (height, width) != (image.height, image.width):
            raise Unreadable("damaged: two sizes in the header")
        return simplejpeg.decode_jpeg(data, colorspace="GRAY" if image.mode == "L" else "RGB")
    except ValueError as error:
        if not any(complaint in str(error) for complaint in _HARMLESS):
            raise
        image.load()  # which notices a cut file as well
        return _to_pixels(image)


def _to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in _UNSCALED_MODES:
        raise Unreadable("32-bit pixels have no known range")
    if image.mode.startswith("I;16"):
        return np.rint(np.asarray(image).astype(np.float32) / 257).astype(np.uint8)[..., None]
    grey = image.mode in _GREY_MODES
    if image.has_transparency_data:
        colour = image.convert("RGBA")
        white = Image.new("RGBA", colour.size, "white")
        image = Image.alpha_composite(white, colour)
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo EXIF orientations 2 to 8 (CIPA DC-008, section 4.6.4): mirror, turn, or both."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
