"""Time to a fixed accuracy: what the usual recipe reaches with ResNet-20 in 30 epochs, and how soon convsmith does.

The same network, float32 and the same images. The usual recipe is that of He et al., 2016: SGD at 0.1, divided by ten
at half and at three quarters, momentum 0.9, decay 1e-4, batch 128, images shifted by up to 4 pixels and mirrored, read
by ``DataLoader`` and Pillow. Accuracy is a matter of images seen, speed one of the machine, so they are measured apart:
accuracy over seeds, one thread each, the usual recipe too with the kernels of convsmith, which give the same numbers
sooner; images per second of both in turn, on all cores, the usual loop with torch alone (``training.py``). Seconds are
images seen over images per second.

python benchmarks/accuracy.py cifar10-20k           # goes on where it was stopped
python benchmarks/accuracy.py cifar10-20k --rates   # the table of what is done, where nothing else runs
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import tempfile
from pathlib import Path

import harness
import numpy as np
import torch
import trainings
from nets import NETS
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from training import MEAN, SHIFT, STD, Files, ours, rates, usual

from convsmith.data import Normalisation, open_images
from convsmith.data.augment import Policy
from convsmith.design import lower
from convsmith.interop.torch_module import build
from convsmith.training.allocator import memory_kept
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.evaluate import logits, recalibrate_batchnorm
from convsmith.training.initialise import initialise
from convsmith.training.loop import train
from convsmith.training.metrics import accuracy
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

DESIGN = NETS["residual"]
USUAL, EPOCHS, DROPS = "usual", 30, (0.5, 0.75)
SEEDS = range(5)
NATURAL = Policy(flip=True, translate=SHIFT)
RECIPE = Recipe(policy=NATURAL)
OURS = [f"convsmith {epochs}" for epochs in (6, 8)]
JOBS = [(arm, seed) for seed in SEEDS for arm in (USUAL, *OURS)]
SETUP = Setup(kernels=True, threads=1)


def load(folder: Path) -> tuple[TrainingSet, TrainingSet]:
    """Training and test images, decoded."""
    images = open_images(folder / "train", side=32)
    normalisation = Normalisation.of(images, np.arange(len(images.labels)))
    test = open_images(folder / "test", side=32)
    return (
        TrainingSet(np.asarray(images.pixels[:]), images.labels, normalisation, len(images.classes)),
        TrainingSet(np.asarray(test.pixels[:]), test.labels, normalisation, len(images.classes)),
    )


def train_usual(folder: Path, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    random.seed(seed)
    module = SETUP.place(initialise(build(lower(DESIGN)), seed)).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    drops = [round(EPOCHS * share) for share in DROPS]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, drops)
    loader = DataLoader(Files(folder / "train"), 128, shuffle=True)
    with memory_kept():
        for _ in range(EPOCHS):
            for images, labels in loader:
                optimizer.zero_grad()
                functional.cross_entropy(SETUP.forward(module, images), labels).backward()
                optimizer.step()
            schedule.step()
    return module.eval()


def train_ours(data: TrainingSet, recipe: Recipe, epochs: float, seed: int) -> nn.Module:
    module = initialise(build(lower(DESIGN)), seed)
    train(module, data, recipe=recipe, budget=Budget(epochs=epochs), seed=seed, setup=SETUP)
    return recalibrate_batchnorm(module, data, SETUP)


def one(folder: Path, arm: str, seed: int) -> trainings.Row:
    learn, test = load(folder)
    if arm == USUAL:
        module, normalisation = train_usual(folder, seed), Normalisation((MEAN,) * 3, (STD,) * 3)
    else:
        module, normalisation = train_ours(learn, RECIPE, float(arm.split()[1]), seed), learn.normalisation
    scores = logits(module, test.pixels, normalisation, SETUP)
    return {"accuracy": accuracy(scores, test.labels)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rates", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["CONVSMITH_CACHE"] = cache
        learn, _ = load(arguments.folder)
        if not arguments.rates:
            trainings.run("accuracy", JOBS, functools.partial(one, arguments.folder))
            return
        rows = trainings.done("accuracy")
        found = {arm: trainings.over_seeds(rows, arm, SEEDS) for arm in (USUAL, *OURS)}
        found = {arm: row for arm, row in found.items() if row["seeds"] == found[USUAL]["seeds"]}
        segment, setup = ours(DESIGN, learn)
        train_folder = arguments.folder / "train"
        speeds = rates(
            {
                "usual, 0 workers": usual(DESIGN, train_folder, 0),
                "usual, 2 workers": usual(DESIGN, train_folder, 2),
                "convsmith": segment,
            },
            5,
        )
    median = {name: row["median"] for name, row in speeds.items()}
    usual_rate = max(rate for name, rate in median.items() if name != "convsmith")
    goal, images = found[USUAL]["mean"], len(learn.labels)
    seconds = {
        arm: images * (EPOCHS if arm == USUAL else float(arm.split()[1]))
        / (usual_rate if arm == USUAL else median["convsmith"])
        for arm in found
    }  # fmt: skip
    reached = [arm for arm in found if arm != USUAL and found[arm]["mean"] >= goal]
    soonest = min(reached, key=lambda arm: seconds[arm]) if reached else None
    harness.write(
        "accuracy",
        {
            "goals": {"times sooner": 5.0},
            "trainings": {"done": len(rows), "planned": len(JOBS)},
            "usual epochs": EPOCHS,
            "accuracy": found,
            "images_per_second": speeds,
            "setup": setup,
            "seconds": seconds,
            "recipe": RECIPE.to_dict(),
            "soonest": soonest,
            "times_sooner": seconds[USUAL] / seconds[soonest] if soonest else None,
        },
    )


if __name__ == "__main__":
    main()
