"""Images on disk for the tests of this layer."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(image: NDArray[np.uint8] | Image.Image, form: str = "PNG", **options: object) -> bytes:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def save(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fill_class(folder: Path, count: int, seed: int = 0, shape: tuple[int, ...] = (10, 12, 3)) -> Path:
    for index in range(count):
        save(folder / f"{index:03}.png", encode(noise(1000 * seed + index, *shape)))
    return folder


def two_classes(root: Path, count: int = 4) -> Path:
    fill_class(root / "cat", count, seed=1)
    fill_class(root / "dog", count, seed=2)
    return root


def png_of_claimed_size(width: int, height: int) -> bytes:
    """A PNG with a sound header and hardly any pixels: cheap to store, ruinous to decode."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def photograph(number: int, height: int, width: int) -> Image.Image:
    """A part of one of scikit-learn's photographs, enlarged or reduced, with the noise of a camera."""
    random = np.random.default_rng(number)
    source = Image.fromarray(load_sample_images().images[number % 2])
    share = random.uniform(0.6, 1.0) * min(source.width / width, source.height / height)
    box = (0, source.height - share * height, share * width, source.height)
    pixels = np.asarray(source.resize((width, height), Image.Resampling.BICUBIC, box=box))
    return Image.fromarray((pixels + random.normal(0, 3, pixels.shape)).clip(0, 255).astype(np.uint8))


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif
