"""The embedded digits as pixels and as picture files, and a network small enough to learn them in a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

TINY = """name = "tiny"
input = [1, 8, 8]
[stem]
block = "conv"
width = 8
[[stage]]
block = "residual"
depth = 1
width = 16
stride = 2
[head]
task = "classify"
classes = 10
"""


def digit_pixels() -> NDArray[np.uint8]:
    return np.rint(load_digits().images * 255 / 16).astype(np.uint8)[..., None]


def digit_folder(root: Path, rows: Sequence[int] | NDArray[np.int64]) -> Path:
    pixels, labels = digit_pixels(), load_digits().target
    for row in rows:
        folder = root / str(labels[row])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[row, ..., 0]).save(folder / f"{row}.png")
    return root
