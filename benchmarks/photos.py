"""Photographs for the benchmarks of the data layer, made from the two that scikit-learn ships."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

QUALITY = 90
NOISE = 3.0
"""Grey levels of the noise that a sensor adds; without it an enlarged photograph compresses better than a real one."""


def photograph(number: int, width: int, height: int) -> bytes:
    """A part of one of the photographs, brought to this size, as JPEG."""
    random = np.random.default_rng(number)
    photos = load_sample_images().images
    source = Image.fromarray(photos[number % len(photos)])
    share = random.uniform(0.5, 1.0) * min(source.width / width, source.height / height)
    left, top = (
        random.uniform(0, whole - share * part) for whole, part in ((source.width, width), (source.height, height))
    )
    box = (left, top, left + share * width, top + share * height)
    pixels = np.asarray(source.resize((width, height), Image.Resampling.BICUBIC, box=box), np.float32)
    noisy = pixels + random.normal(0, NOISE, pixels.shape).astype(np.float32)
    stream = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def class_folders(root: Path, count: int, distinct: int, width: int, height: int) -> Path:
    """``count`` files in two class folders; each of the ``distinct`` photographs stands there under several names."""
    for number in range(count):
        path = root / f"class{number % 2}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < distinct:
            path.write_bytes(photograph(number, width, height))
        else:
            first = number % distinct
            path.hardlink_to(root / f"class{first % 2}" / f"{first:05}.jpg")
    return root
