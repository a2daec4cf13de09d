"""A task learnt in a second: is the bright blob in the upper left or the lower right? Run as a script: train on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from convsmith.data.augment import Normalisation, Policy
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.initialise import initialise
from convsmith.training.loop import train
from convsmith.training.progress import Progress, Trained
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

SETUP = Setup(threads=1, batch_forward=64)
NORMALISATION = Normalisation(mean=(64.0, 64.0, 64.0), std=(64.0, 64.0, 64.0))
POLICY = Policy(flip=False, translate=1, cutout=0, brightness=0.1, rotate=0.0)


def blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    y, x = np.mgrid[:12, :12]
    centres = np.where(labels == 0, 3, 8)[:, None, None] + rng.normal(0, 0.7, (count, 1, 1))
    heights = 160 * np.exp(-((y - centres) ** 2 + (x - centres) ** 2) / 6)
    pixels = heights[..., None] + rng.normal(40, 20, (count, 12, 12, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), labels.astype(np.int64)


def training_set(count: int = 203, seed: int = 0) -> TrainingSet:
    pixels, labels = blobs(count, seed)
    return TrainingSet(pixels=pixels, labels=labels, normalisation=NORMALISATION, classes=2)


def network(width: int = 8, seed: int = 0) -> nn.Module:
    """Without global pooling before the head: position is the question. Dropout draws chance in every step."""
    net = nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, 2, 1, groups=width),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(width * 9, 2),
    )
    return initialise(net, seed)


def run(**changes: Any) -> Trained:
    """Train the toy; ``changes`` replace arguments of ``train``."""
    arguments: dict[str, Any] = {
        "recipe": Recipe(batch=16, policy=POLICY),
        "budget": Budget(images=1600),
        "seed": 5,
        "setup": SETUP,
    }
    return train(changes.pop("module", None) or network(), training_set(), **(arguments | changes))


def tell(progress: Progress) -> None:
    sys.stdout.write(f"{progress.images}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(checkpoints=Path(sys.argv[1]), checkpoint_seconds=0.0, progress=tell)
