"""Pictures as files and as parts of a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 1 or 3) as the content of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """A picture as part of a page."""
    return f"data:image/png;base64,{base64.b64encode(png_bytes(pixels)).decode()}"
