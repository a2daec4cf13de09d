"""A task learnt in a second: is the bright blob in the upper left or the lower right?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from convsmith.data.augment import Normalisation, Policy
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.events import EventLog, read_events, without_undone
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


class Crash(Exception):
    """Ends a training as a kill does: nothing is saved on the way out."""


def stop_after(steps: int, error: type[BaseException] = KeyboardInterrupt) -> Callable[[Progress], None]:
    """Progress that ends a training after so many steps of this process."""
    calls: list[Progress] = []

    def stop(progress: Progress) -> None:
        calls.append(progress)
        if len(calls) == steps:
            raise error

    return stop


def assert_same(a: Trained, b: Trained) -> None:
    """To the last bit, but for the clock."""
    mine, theirs = a.module.state_dict(), b.module.state_dict()
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    assert (a.images_seen, a.steps, a.loss, a.history) == (b.images_seen, b.steps, b.loss, b.history)
    assert a.incidents == b.incidents


def logged(folder: Path, **changes: Any) -> Trained:
    """Train the toy with checkpoints and log in ``folder``."""
    with EventLog(folder / "events.ndjson") as log:
        return run(**({"events": log, "checkpoints": folder / "checkpoints"} | changes))


def told(folder: Path) -> list[dict[str, Any]]:
    """The events of a training that hold, without what the clock decides."""
    return without_clock(without_undone(read_events(folder / "events.ndjson")))


def without_clock(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events that follow from the training alone."""
    return [{k: v for k, v in e.items() if k not in ("time", "seconds")} for e in events if "number" in e]
