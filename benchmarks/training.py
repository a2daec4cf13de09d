"""Training speed from JPEG files to updated weights, beside plain PyTorch: the usual loop, and one tuned by hand.

The same network, images, augmentation (shift by up to 4 pixels and mirroring), optimizer and machine for all; each runs
a few steps in turn, round after round, so that a slow moment of the machine hits all of them.

* usual: ``DataLoader`` with 0 or 2 workers, Pillow per image, float32, batch 128.
* tuned: all images decoded in memory, augmented by batch, and the best of number type x layout x batch.
* convsmith: as ``train`` does it, with the setup that its probe chooses. Reading the files is in its cache: the time
  that building it takes is given apart.

python benchmarks/training.py cifar10-20k/train
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "ACTIVE")  # best for all of them where nothing else runs

import harness
import numpy as np
import torch
from nets import NETS
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from convsmith.analysis import cost
from convsmith.data import Normalisation, open_images
from convsmith.data.augment import Policy
from convsmith.deploy.peaks import measure_peaks
from convsmith.design import Design, lower
from convsmith.interop.torch_module import build
from convsmith.processor import available_threads
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.initialise import initialise
from convsmith.training.learner import Learner
from convsmith.training.probe import race_setups
from convsmith.training.recipe import Recipe

SHIFT = 4
MEAN, STD = 120.0, 64.0
ROUNDS = 7
SECONDS = 2.0
Segment = Callable[[], int]
"""Trains for one step and returns the number of images."""


class Files(Dataset[tuple[Tensor, int]]):
    """Images as one usually reads them: opened, changed and converted one by one."""

    def __init__(self, folder: Path) -> None:
        classes = sorted(path for path in folder.iterdir() if path.is_dir())
        self.items = [(path, label) for label, place in enumerate(classes) for path in sorted(place.iterdir())]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.items[index]
        image = ImageOps.expand(Image.open(path).convert("RGB"), SHIFT)
        left, top = random.randint(0, 2 * SHIFT), random.randint(0, 2 * SHIFT)
        image = image.crop((left, top, left + 32, top + 32))
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
        return (pixels - MEAN) / STD, label


def forever(loader: DataLoader[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


def plain_step(module: nn.Module, dtype: str, channels_last: bool) -> Callable[[Tensor, Tensor], None]:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    module.to(memory_format=layout).train()
    optimizer = torch.optim.SGD(
        module.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )

    def step(images: Tensor, labels: Tensor) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            scores = module(images.contiguous(memory_format=layout))
        loss = functional.cross_entropy(scores.float(), labels, label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def usual(design: Design, folder: Path, workers: int) -> Segment:
    loader = DataLoader(Files(folder), 128, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    batches, step = forever(loader), plain_step(build(lower(design)), "float32", channels_last=False)

    def segment() -> int:
        images, labels = next(batches)
        step(images, labels)
        return len(images)

    return segment


def tuned(design: Design, pixels: Tensor, labels: Tensor, dtype: str, channels_last: bool, batch: int) -> Segment:
    step = plain_step(build(lower(design)), dtype, channels_last)

    def segment() -> int:
        chosen = torch.randint(len(pixels), (batch,))
        images = functional.pad(pixels[chosen].float(), [SHIFT] * 4)
        down, right = (torch.randint(2 * SHIFT + 1, (batch, 1)) + torch.arange(32) for _ in range(2))
        right = torch.where(torch.rand(batch, 1) < 0.5, right.flip(1), right)
        rows = images.gather(2, down[:, None, :, None].expand(-1, 3, -1, images.shape[3]))
        images = rows.gather(3, right[:, None, None, :].expand(-1, 3, 32, -1))
        step((images - MEAN) / STD, labels[chosen])
        return batch

    return segment


def ours(design: Design, data: TrainingSet) -> tuple[Segment, dict[str, object]]:
    recipe = Recipe(policy=Policy(flip=True, translate=SHIFT))
    setup = race_setups(lambda: build(lower(design)), design.input, recipe.batch)
    learner = Learner(
        initialise(build(lower(design)), 0), data, recipe=recipe, budget=Budget(epochs=1000), seed=0, setup=setup
    )

    def segment() -> int:
        before = learner.meter.images
        with setup.threads_set():
            learner.step()
        return learner.meter.images - before

    return segment, {key: value for key, value in setup.to_dict().items() if key != "measured"}


def rates(segments: dict[str, Segment], rounds: int) -> dict[str, dict[str, float]]:
    """Images per second of each, in turn; the first step of each warms up."""
    for segment in segments.values():
        segment()
    found: dict[str, list[float]] = {name: [] for name in segments}
    for _ in range(rounds):
        for name, segment in segments.items():
            start, images = time.perf_counter(), 0
            while time.perf_counter() < start + SECONDS:
                images += segment()
            found[name].append(images / (time.perf_counter() - start))
    return {name: harness.summary(values) for name, values in found.items()}


def measure(design: Design, folder: Path, data: TrainingSet, peaks: dict[str, float | None]) -> dict[str, object]:
    pixels = torch.from_numpy(np.ascontiguousarray(np.asarray(data.pixels[:]).transpose(0, 3, 1, 2)))
    labels = torch.from_numpy(data.labels)
    grid = {
        f"tuned {dtype} {'NHWC' if layout else 'NCHW'} {batch}": tuned(design, pixels, labels, dtype, layout, batch)
        for dtype, layout, batch in itertools.product(("float32", "bfloat16"), (True, False), (32, 64, 128, 256))
    }
    screened = rates(grid, 1)
    best = sorted(grid, key=lambda name: -screened[name]["median"])[:2]
    segment, setup = ours(design, data)
    segments = {
        "usual, 0 workers": usual(design, folder, 0),
        "usual, 2 workers": usual(design, folder, 2),
        **{name: grid[name] for name in best},
        "convsmith": segment,
    }
    found = rates(segments, ROUNDS)
    median = {name: row["median"] for name, row in found.items()}
    macs = cost(lower(design)).macs
    return {
        "macs": macs,
        "setup": setup,
        "images_per_second": found,
        "screened": {name: row["median"] for name, row in screened.items()},
        "times_usual": median["convsmith"] / max(median["usual, 0 workers"], median["usual, 2 workers"]),
        "times_tuned": median["convsmith"] / max(median[name] for name in best),
        "share_of_peak": {
            name: 3 * macs * median["convsmith"] / peak for name, peak in peaks.items() if peak is not None
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    threads = available_threads()
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["CONVSMITH_CACHE"] = cache
        start = time.perf_counter()
        images = open_images(folder, side=32)
        building = time.perf_counter() - start
        everything = np.arange(len(images.labels))
        data = TrainingSet(images.pixels, images.labels, Normalisation.of(images, everything), len(images.classes))
        peaks = measure_peaks(threads)
        floors = {"float32": peaks.gemm_float32, "bfloat16": peaks.gemm_bfloat16}
        nets = {name: measure(design, folder, data, floors) for name, design in NETS.items()}
    harness.write(
        "training",
        {
            "unit": "images per second",
            "threads": threads,
            "waiting": os.environ["OMP_WAIT_POLICY"],
            "goals": {
                "inverted residual": {"times_usual": 3, "times_tuned": 2},
                "residual": {"times_usual": 2.5, "times_tuned": 1, "share_of_peak": 0.6},
            },
            "building the cache": {"seconds": building, "images": len(images.labels)},
            "peaks (multiply-adds per second)": floors,
            "networks": nets,
        },
    )


if __name__ == "__main__":
    main()
