"""Pictures of the user's, decoded as the data layer does and handed out again as pixels only, by id."""

from __future__ import annotations

import io
import secrets
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convsmith.data.decode import Unreadable, convert_channels, decode
from convsmith.studio.bodies import StudioError

MOST_BYTES: Final = 32_000_000
"""Of a picture that is sent to the studio."""
LARGEST: Final = 2048
"""Pixels a side of a picture that is kept or handed out."""
SAMPLE: Final = "sample"
"""Id of the picture that is there before the user brings one."""

_KEPT: Final = 16
_MOST_FILES: Final = 3 * MOST_BYTES


class Pictures:
    """The last pictures of a session, in memory; several requests may use them at once.

    Args:
        kept: How many, at most.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._pictures: dict[str, NDArray[np.uint8]] = {}
        self._files: dict[str, bytes] = {}
        self._changing = Lock()

    def add(self, content: bytes) -> str:
        """Keep a picture; returns its id.

        Raises:
            StudioError: If it is none.
        """
        try:
            pixels = decode(content)
        except Unreadable as error:
            raise StudioError(
                f"not a picture: {error.reason}", remedy="bring a JPEG, PNG, WEBP, BMP, GIF or TIFF"
            ) from error
        return self._keep(_fitted(pixels, LARGEST), content)

    def put(self, pixels: NDArray[np.uint8]) -> str:
        """Keep pixels (H, W, C); returns their id."""
        return self._keep(pixels)

    def _keep(self, pixels: NDArray[np.uint8], content: bytes | None = None) -> str:
        name = secrets.token_urlsafe(12)
        with self._changing:
            self._pictures[name] = pixels
            if content is not None:
                self._files[name] = content
            while len(self._pictures) > self._kept:
                oldest = next(iter(self._pictures))
                del self._pictures[oldest]
                self._files.pop(oldest, None)
            while len(self._files) > 1 and sum(map(len, self._files.values())) > _MOST_FILES:
                del self._files[next(iter(self._files))]
        return name

    def file(self, name: str) -> bytes:
        """The file of a picture as it was brought.

        Raises:
            StudioError: If it is no longer kept.
        """
        if name == SAMPLE:
            height, width = sample().shape[:2]
            return self.png(SAMPLE, (height, width)) or b""
        content = self._files.get(name)
        if content is None:
            raise StudioError("the picture is no longer there", remedy="bring it again")
        return content

    def png(self, name: str, size: tuple[int, int]) -> bytes | None:
        """A picture of (height, width) as PNG, squashed to that size; None if there is none of this id."""
        pixels = sample() if name == SAMPLE else self._pictures.get(name)
        if pixels is None:
            return None
        target = io.BytesIO()
        picture = Image.fromarray(convert_channels(pixels, 3))
        picture.resize((size[1], size[0]), Image.Resampling.BOX).save(target, format="PNG")
        return target.getvalue()


def _fitted(pixels: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """A picture at most so many pixels a side."""
    if max(pixels.shape[:2]) <= most:
        return pixels
    picture = Image.fromarray(convert_channels(pixels, 3))
    picture.thumbnail((most, most))
    return np.asarray(picture)


def sample() -> NDArray[np.uint8]:
    """A drawn landscape: a sun, hills, a field with furrows; things of several sizes at known places."""
    side = 256
    y, x = np.mgrid[0:side, 0:side] / side
    sky = np.stack((150 + 90 * y, 190 + 40 * y, 235 - 30 * y), axis=-1)
    sun = np.hypot(x - 0.72, y - 0.24) < 0.1
    far, near = y > 0.5 + 0.08 * np.sin(7 * x), y > 0.66 + 0.06 * np.sin(4 * x + 2)
    furrows = np.sin(60 * (x - 0.5) / (y + 0.02)) > 0
    sky[sun] = (250, 205, 90)
    sky[far] = (105, 135, 120)
    sky[near] = (120, 140, 70)
    sky[near & furrows] = (95, 112, 52)
    hut = (abs(x - 0.26) < 0.07) & (abs(y - 0.6) < 0.06)
    roof = (y < 0.54) & (y > 0.54 - 0.9 * (0.1 - abs(x - 0.26))) & (abs(x - 0.26) < 0.1)
    sky[hut], sky[roof] = (225, 215, 195), (150, 60, 50)
    sky[(abs(x - 0.28) < 0.015) & (y > 0.6) & hut] = (70, 55, 45)
    return sky.clip(0, 255).astype(np.uint8)
