"""Images per second from JPEG files to a cache that a training can read, against Pillow in one process.

The plain way is the loop that one writes: open, convert to RGB, resize to the side, stack the arrays. Ours includes
listing the folder, its key, hashes, writing the file with fsync and opening it. Both read files that the system has in
memory. They take turns, so that a slow moment of the machine hits both; ratios are of neighbours. The tolerance of the
reduced decoding is measured beside, against the plain way's pixels.

    python benchmarks/cache.py [TAR of images of 32 pixels]
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import harness
import numpy as np
import photos
from numpy.typing import NDArray
from PIL import Image

from convsmith.data import open_images
from convsmith.processor import available_threads

REPEATS = 5
GOAL = 4.0
PHOTOS = {"photos_500x375": (1600, 200, 500, 375), "photos_2000x1500": (160, 40, 2000, 1500)}
"""Files, distinct photographs, width and height."""
SIDE = 64


def plain(files: list[str], side: int) -> NDArray[np.uint8]:
    """The pixels as Pillow gives them, all in memory."""
    found: list[NDArray[np.uint8]] = []
    for file in files:
        with Image.open(file) as image:
            found.append(np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)))
    return np.stack(found)


def ours(root: Path, side: int) -> NDArray[np.uint8]:
    """A new cache of the folder; its pixels."""
    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        return open_images(root, side=side, cache=Path(folder) / "cache").pixels


def on_one_core(root: Path, side: int) -> None:
    """The same with one core to run on."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        ours(root, side)
    finally:
        os.sched_setaffinity(0, cores)


def compare(root: Path, side: int) -> dict[str, Any]:
    images = open_images(root, side=side, cache=root.parent / "kept")
    files = [os.path.join(root, name) for name in images.names]
    difference = np.abs(plain(files, side).astype(np.int16) - images.pixels)
    tasks = {
        "pillow": partial(plain, files, side),
        "cache": partial(ours, root, side),
        "cache_on_one_core": partial(on_one_core, root, side),
    }
    times = harness.interleaved(tasks, REPEATS)
    return {
        "images": len(files),
        "side": side,
        "bytes_per_file": round(sum(os.path.getsize(file) for file in files) / len(files)),
        "images_per_second": {name: round(len(files) / found["median"], 1) for name, found in times.items()},
        "seconds": times,
        "ratios": {name: round(times["pillow"]["median"] / times[name]["median"], 2) for name in list(tasks)[1:]},
        "difference": {
            "mean": round(float(difference.mean()), 3),
            "share_within_3": round(float((difference <= 3).mean()), 5),
            "largest": int(difference.max()),
        },
    }


def small_images(folder: Path, archive: str | None) -> Path:
    """Images of 32 pixels a side: those of the archive, else photographs reduced."""
    if archive is None:
        return photos.class_folders(folder / "small" / "files", 20_000, 2_000, 32, 32)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def main(archive: str | None) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results = {"small_32x32": compare(small_images(folder, archive), 32)}
        for name, figures in PHOTOS.items():
            results[name] = compare(photos.class_folders(folder / name / "files", *figures), SIDE)
    ratios = {name: result["ratios"] for name, result in results.items()}
    source = Path(archive).name if archive else "photographs"
    figures = {"threads": available_threads(), "goal": GOAL, "small": source, "ratios": ratios, "sets": results}
    harness.write("cache", figures)


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else None)
