"""A set of picture files with every defect that is looked for, each planted once, from the embedded digits."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from pathlib import Path

import numpy as np
from jobs_digits import digit_pixels
from PIL import Image
from sklearn.datasets import load_digits

SIDE = 24
PER_CLASS = {"train": 45, "test": 15}
CLASSES = ("0", "1", "2", "4")


pixels = cache(digit_pixels)


def picture(row: int) -> Image.Image:
    """A digit in colour on a ground of its own, so that none looks like another by chance."""
    digit = Image.fromarray(pixels()[row, ..., 0]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    ground = Image.fromarray(np.random.default_rng(row).integers(0, 256, (5, 5, 3), dtype=np.uint8))
    return Image.blend(ground.resize((SIDE, SIDE), Image.Resampling.BICUBIC), digit.convert("RGB"), 0.65)


def jpeg(image: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def sound_folder(root: Path) -> Path:
    """Train and test images of four digits, with nothing wrong."""
    labels = load_digits().target
    for name in CLASSES:
        rows = iter(np.flatnonzero(labels == int(name)).tolist())
        for split, count in PER_CLASS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                picture(next(rows)).save(folder / f"{number:03}.png")
    return root


def planted_folder(root: Path) -> Path:
    """The same with defects; their names say which."""
    sound_folder(root)
    train, test = root / "train", root / "test"

    def opened(path: Path) -> Image.Image:
        with Image.open(path) as image:
            return image.copy()

    (train / "0" / "exact.png").write_bytes((train / "0" / "003.png").read_bytes())
    (train / "1" / "near.jpg").write_bytes(jpeg(opened(train / "1" / "004.png"), 90))
    brighter = np.clip(np.asarray(opened(train / "4" / "008.png")).astype(int) + 25, 0, 255).astype(np.uint8)
    Image.fromarray(brighter).save(train / "4" / "brighter.png")
    (test / "2" / "leak.png").write_bytes((train / "2" / "005.png").read_bytes())
    (test / "4" / "near leak.jpg").write_bytes(jpeg(opened(train / "4" / "006.png"), 90))
    (train / "1" / "conflict.png").write_bytes((train / "0" / "007.png").read_bytes())
    (train / "4" / "020.png").rename(train / "0" / "wrong.png")
    Image.new("RGB", (SIDE, SIDE), (90, 20, 20)).save(train / "2" / "blank.png")
    Image.fromarray(np.asarray(opened(train / "2" / "009.png")) // 8).save(train / "2" / "dark.png")
    (train / "2" / "cut.jpg").write_bytes(jpeg(opened(train / "2" / "010.png"), 90)[:-60])
    (train / "2" / "notes.txt").write_text("no image")
    (train / "2" / "empty.png").write_bytes(b"")
    opened(train / "1" / "011.png").convert("L").save(train / "1" / "grey.png")
    opened(train / "0" / "012.png").resize((5, 5)).save(train / "0" / "tiny <b>.png")
    opened(train / "0" / "013.png").resize((60, 20)).save(train / "0" / "long.png")
    return root


def fingerprint(root: Path) -> dict[str, tuple[str, int]]:
    """Every file with a digest of its content and its time of modification."""
    return {
        str(path.relative_to(root)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
