"""A network of two stages that has learnt the embedded digits, and what it is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from convsmith.jobs.train import train
from convsmith.training.setup import Setup

DESIGN = """name = "digits"
input = [1, 8, 8]
[stem]
block = "conv"
width = 8
[[stage]]
block = "residual"
depth = 2
width = 8
[[stage]]
block = "residual"
depth = 2
width = 16
stride = 2
[head]
task = "classify"
classes = 10
"""


def train_digits(folder: Path) -> Path:
    """A finished run."""
    (folder / "digits.toml").write_text(DESIGN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVSMITH_CACHE", str(folder / "cache"))
        patch.setattr("convsmith.jobs.settings.choose_setup", lambda *_, **__: Setup(threads=1))
        train(folder / "digits.toml", "digits", out=folder / "run", epochs=6, seed=1)
    return folder / "run"


def draw_digit(path: Path, row: int = 0, *, size: tuple[int, int] = (8, 8)) -> Path:
    """A digit as a picture file of (width, height) pixels."""
    pixels = np.rint(load_digits().images[row] * 255 / 16).astype(np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(path)
    return path
