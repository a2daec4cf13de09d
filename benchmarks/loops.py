"""Training speed from JPEG files to updated weights, in the loops that people use: timm, Lightning, fastai, convsmith.

The same network, images, augmentation (shift by up to 4 pixels and mirroring), batch of 128 and machine; float32 for
all, as they do on a processor, and convsmith also with the setup that its probe chooses. Each trains for one pass over
1,280 images, in turn, round after round; the clock runs from the end of the first step to the end of the last, so that
no start-up counts. ``DataLoader`` has 0 and 2 workers; the better is given. convsmith reads its cache, whose building
is in ``training.json``.

make bench-loops FOLDER=cifar10-20k/train
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "ACTIVE")  # best for all of them where nothing else runs

import fastai.callback.progress  # gives a learner its no_bar,
import fastai.callback.schedule  # noqa: F401  # and its fit_one_cycle
import harness
import lightning
import numpy as np
import timm.data
import timm.loss
import timm.optim
import torch
from fastai.callback.core import Callback as FastaiCallback
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import RandomSplitter, get_image_files, parent_label
from fastai.learner import Learner as FastaiLearner
from fastai.losses import LabelSmoothingCrossEntropyFlat
from fastai.vision.augment import CropPad, FlipItem, RandomCrop
from fastai.vision.data import ImageBlock
from nets import NETS
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from training import SHIFT, Files, plain_step

from convsmith.data import Normalisation, open_images
from convsmith.data.augment import Policy
from convsmith.design import Design, lower
from convsmith.interop.torch_module import build
from convsmith.processor import available_threads
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.initialise import initialise
from convsmith.training.loop import train
from convsmith.training.probe import race_setups
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

BATCH, IMAGES, ROUNDS, SMOOTHING = 128, 1280, 3, 0.1
GOALS = {"inverted residual": 3.0, "residual": 2.5}
"""Times the plain loop."""
WORKERS = (0, 2)


class Stopwatch:
    """Images per second between the ends of the first and the last step."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def step(self, *_: object) -> None:
        self.ends.append(time.perf_counter())

    @property
    def rate(self) -> float:
        return BATCH * (len(self.ends) - 1) / (self.ends[-1] - self.ends[0])


def plain(design: Design, folder: Path, workers: int) -> float:
    watch, step = Stopwatch(), plain_step(build(lower(design)), "float32", channels_last=False)
    for images, labels in DataLoader(Files(folder), BATCH, shuffle=True, num_workers=workers, drop_last=True):
        step(images, labels)
        watch.step()
    return watch.rate


def with_timm(design: Design, folder: Path, workers: int) -> float:
    """As its training script does it, by what the package holds: data set, loader, loss, optimizer."""
    module = build(lower(design)).train()
    loader = timm.data.create_loader(
        timm.data.create_dataset("", root=str(folder), is_training=True),
        input_size=(3, 32, 32),
        batch_size=BATCH,
        is_training=True,
        use_prefetcher=False,
        no_aug=False,
        scale=(1.0, 1.0),
        ratio=(1.0, 1.0),
        train_crop_mode="rrc",
        hflip=0.5,
        color_jitter=0.0,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    loss = timm.loss.LabelSmoothingCrossEntropy(SMOOTHING)
    optimizer = timm.optim.create_optimizer_v2(module, opt="sgd", lr=0.05, momentum=0.9, weight_decay=5e-4)
    watch = Stopwatch()
    for images, labels in loader:
        optimizer.zero_grad()
        loss(module(images), labels).backward()
        optimizer.step()
        watch.step()
    return watch.rate


class Module(lightning.LightningModule):
    def __init__(self, net: nn.Module, watch: Stopwatch) -> None:
        super().__init__()
        self.net, self.watch = net, watch

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        images, labels = batch
        return functional.cross_entropy(self.net(images), labels, label_smoothing=SMOOTHING)

    def on_train_batch_end(self, *_: object) -> None:
        self.watch.step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)


def with_lightning(design: Design, folder: Path, workers: int) -> float:
    watch = Stopwatch()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(Files(folder), BATCH, shuffle=True, num_workers=workers, drop_last=True)
    trainer.fit(Module(build(lower(design)), watch), loader)
    return watch.rate


def with_fastai(design: Design, folder: Path, workers: int) -> float:
    watch = Stopwatch()

    class Watch(FastaiCallback):
        def after_batch(self) -> None:
            if self.training:
                watch.step()

    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=get_image_files,
        get_y=parent_label,
        splitter=RandomSplitter(valid_pct=0.0005),
        item_tfms=[CropPad(32 + 2 * SHIFT, pad_mode="zeros"), RandomCrop(32), FlipItem(0.5)],
    )
    loaders = block.dataloaders(folder, bs=BATCH, num_workers=workers, device=torch.device("cpu"))
    loss = LabelSmoothingCrossEntropyFlat(eps=SMOOTHING)
    learner = FastaiLearner(loaders, build(lower(design)), loss_func=loss, cbs=[Watch()])
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(1, 0.05)
    return watch.rate


def with_convsmith(design: Design, data: TrainingSet, setup: Setup) -> float:
    watch = Stopwatch()
    train(
        initialise(build(lower(design)), 0),
        data,
        recipe=Recipe(policy=Policy(flip=True, translate=SHIFT), batch=BATCH),
        budget=Budget(images=IMAGES),
        seed=0,
        setup=setup,
        progress=watch.step,
    )
    return watch.rate


def subset(folder: Path, where: Path) -> Path:
    """The first images of each class, as a folder of links."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    for place in classes:
        (where / place.name).mkdir(parents=True)
        for path in sorted(place.iterdir())[: IMAGES // len(classes)]:
            shutil.copy(path, where / place.name / path.name)
    return where


def measure(design: Design, folder: Path, data: TrainingSet) -> dict[str, Any]:
    chosen = race_setups(lambda: build(lower(design)), design.input, BATCH)
    loops = {"plain": plain, "timm": with_timm, "lightning": with_lightning, "fastai": with_fastai}
    runs: dict[str, Callable[[], float]] = {
        f"{name}, {workers} workers": lambda loop=loop, workers=workers: loop(design, folder, workers)
        for name, loop in loops.items()
        for workers in WORKERS
    }
    runs["convsmith, float32"] = lambda: with_convsmith(design, data, Setup(kernels=True, threads=available_threads()))
    runs["convsmith"] = lambda: with_convsmith(design, data, chosen)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            rates[name].append(run())
    found = {name: harness.summary(values) for name, values in rates.items()}
    best = {loop: max(found[f"{loop}, {workers} workers"]["median"] for workers in WORKERS) for loop in loops}
    ours = found["convsmith"]["median"]
    return {
        "images_per_second": found,
        "times": {name: ours / rate for name, rate in best.items()},
        "setup": {key: value for key, value in chosen.to_dict().items() if key != "measured"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(available_threads())
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CONVSMITH_CACHE"] = f"{scratch}/cache"
        folder = subset(arguments.folder, Path(scratch) / "images")
        images = open_images(folder, side=32)
        everything = np.arange(len(images.labels))
        data = TrainingSet(images.pixels, images.labels, Normalisation.of(images, everything), len(images.classes))
        nets = {name: measure(design, folder, data) for name, design in NETS.items()}
    loops = {name: version(name) for name in ("timm", "lightning", "fastai")}
    harness.write(
        "loops",
        {
            "unit": "images per second",
            "goals": GOALS,
            "loops": loops,
            "waiting": os.environ["OMP_WAIT_POLICY"],
            "networks": nets,
        },
    )


if __name__ == "__main__":
    main()
