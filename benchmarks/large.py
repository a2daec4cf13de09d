"""A set larger than memory may be: 10 GB of tar shards read, normalised and trained on within 1 GB of memory.

The shards hold some hundred distinct photographs again and again, each member made different by a comment in its
header. The work is done by a process whose data the kernel limits to 1 GiB; from outside, the memory of it and its
workers that is no page of a file is sampled. Afterwards rows are read in random order from a cold file, as a training
reads them, with each batch announced to the kernel and without.

    python benchmarks/large.py [GIGABYTES [FOLDER]]
"""

from __future__ import annotations

import io
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import numpy as np
import photos

from convsmith.data import Normalisation, Rows, open_images, split_images
from convsmith.data.augment import Policy
from convsmith.data.rows import take
from convsmith.design import lower
from convsmith.interop.torch_module import build
from convsmith.scaling import Limits
from convsmith.search.space import Space, make_field
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.initialise import initialise
from convsmith.training.loop import train
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

LIMIT = 1 << 30
SIDE = 64
DISTINCT = 200
SHARD_BYTES = 1 << 29
MACS = 3_000_000
STEPS = 30
BATCH = 128
READ_BATCHES = 100
REPEATS = 3


def write_shards(folder: Path, size: int) -> dict[str, int]:
    """Archives of about ``size`` bytes in all; how many, and of how many images."""
    pictures = [photos.photograph(number, 500, 375) for number in range(DISTINCT)]
    written = images = shards = 0
    while written < size:
        path = folder / f"train-{shards:04}.tar"
        with tarfile.open(path, "w") as tar:
            while tar.offset < min(SHARD_BYTES, size - written):
                picture, comment = pictures[images % DISTINCT], b"%012d" % images
                _add(tar, f"{images:08}.jpg", picture[:2] + b"\xff\xfe\x00\x0e" + comment + picture[2:])
                _add(tar, f"{images:08}.cls", b"%d" % (images % 10))
                images += 1
        written += path.stat().st_size
        shards += 1
    return {"bytes": written, "images": images, "shards": shards}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def work(folder: Path) -> dict[str, Any]:
    """Everything from the shards to updated weights; runs in the limited process."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    seconds: dict[str, float] = {}

    def timed(name: str, task: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = task()
        seconds[name] = time.perf_counter() - start
        return result

    images = timed("build", lambda: open_images(folder / "shards", side=SIDE, cache=folder / "cache"))
    timed("open_again", lambda: open_images(folder / "shards", side=SIDE, cache=folder / "cache"))
    split = timed("split", lambda: split_images(images, seed=0))
    normalisation = timed("normalise", lambda: Normalisation.of(images, split.train))
    design = make_field(Space(Limits(macs=MACS), 3, SIDE, 10), 1, seed=0).candidates[0].design
    resolution = design.input[1]
    pixels = Rows(timed("resample", lambda: images.at(resolution)), split.train)
    data = TrainingSet(pixels, images.labels[split.train], normalisation, len(images.classes))
    recipe, budget = Recipe(batch=BATCH, policy=Policy.for_images(resolution, 3)), Budget(images=STEPS * BATCH)
    module = initialise(build(lower(design)), 0)
    done = timed("train", lambda: train(module, data, recipe=recipe, budget=budget, seed=0, setup=Setup()))
    return {
        "images": len(images),
        "pixel_bytes": images.pixels.nbytes,
        "seconds": {name: round(spent, 3) for name, spent in seconds.items()},
        "images_per_second": {
            "build": round(len(images) / seconds["build"], 1),
            "normalise": round(len(split.train) / seconds["normalise"], 1),
            "resample": round(len(images) / seconds["resample"], 1),
            "train": round(done.images_per_second, 1),
        },
        "trained": {"steps": done.steps, "input": list(design.input)},
    }


def read_cold(pixels: Path, announced: bool, seed: int) -> float:
    """Rows per second in random order from a file of which nothing is in memory."""
    with pixels.open("rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    stored = np.load(pixels, mmap_mode="r")
    random = np.random.default_rng(seed)
    batches = [random.integers(0, len(stored), BATCH) for _ in range(READ_BATCHES)]
    source = stored if announced else np.asarray(stored)  # an array says nothing to the kernel
    start = time.perf_counter()
    for batch in batches:
        take(source, batch)
    return READ_BATCHES * BATCH / (time.perf_counter() - start)


def anonymous_bytes(process: int) -> int:
    """Memory of a process and its children that is no page of a file; what they share is counted once."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
    return 1024 * own + sum(anonymous_bytes(int(child)) for child in children)


def watched(folder: Path) -> tuple[dict[str, Any], int]:
    """What the limited process found, and the most memory it took."""
    process = subprocess.Popen([sys.executable, __file__, "--work", folder], stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, anonymous_bytes(process.pid))
        except (OSError, StopIteration):  # one of them has just ended
            continue
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"the limited process failed: {process.returncode}")
    return json.loads(process.communicate()[0]), peak


def main(gigabytes: float, parent: Path) -> None:
    free = shutil.disk_usage(parent).free
    size = int(min(gigabytes * 1e9, free / 4))
    with tempfile.TemporaryDirectory(dir=parent) as temporary:
        folder = Path(temporary)
        (folder / "shards").mkdir()
        shards = write_shards(folder / "shards", size)
        found, peak = watched(folder)
        (pixels,) = (folder / "cache").glob("*/pixels.npy")
        rates: dict[str, list[float]] = {"announced": [], "plain": []}
        for seed, (name, speeds) in itertools.product(range(REPEATS), rates.items()):
            speeds.append(read_cold(pixels, name == "announced", seed))
        cold = {name: harness.summary(speeds) for name, speeds in rates.items()}
        result = {
            "limit_bytes": LIMIT,
            "peak_anonymous_bytes": peak,
            "shards": shards,
            **found,
            "cold_rows_per_second": cold,
            "announced_over_plain": cold["announced"]["median"] / cold["plain"]["median"],
        }
    harness.write("large", result)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        print(json.dumps(work(Path(sys.argv[2]))))
    else:
        main(float((sys.argv[1:] or ["10"])[0]), Path((sys.argv[2:] or [tempfile.gettempdir()])[0]))
