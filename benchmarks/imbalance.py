"""What it is worth to weigh rare classes more, where classes are of very different sizes.

Each class of the photographs has fewer training images than the one before, the last one fewer by ``RATIO``: the long
tail of Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", 2019, section 5.1. The test images are
as many of each class. One small network sees 40,000 images with every weight, the same seeds for all.

python benchmarks/imbalance.py cifar10-20k    # goes on where it was stopped; --so-far writes what is done
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import harness
import numpy as np
import trainings
from accuracy import SETUP, load
from numpy.typing import NDArray
from recipe import CASES, MUON, trained

from convsmith.training.evaluate import logits
from convsmith.training.metrics import accuracy

SEEDS = range(5)
RATIO, RARE = 20.0, 3
BALANCES = (0.0, 0.5, 1.0)
ARMS = {f"balance {balance:g}": dataclasses.replace(MUON, balance=balance) for balance in BALANCES}
ALIKE = next(iter(ARMS))


def long_tail(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the images that are kept."""
    classes = int(labels.max()) + 1
    shares = RATIO ** -(np.arange(classes) / (classes - 1))
    rows = [np.flatnonzero(labels == one) for one in range(classes)]
    return np.concatenate([some[: round(share * len(some))] for some, share in zip(rows, shares, strict=True)])


def one(folder: Path, arm: str, seed: int) -> trainings.Row:
    whole, test = load(folder)
    rows = long_tail(whole.labels)
    learn = dataclasses.replace(whole, pixels=np.asarray(whole.pixels)[rows], labels=whole.labels[rows])
    scores = logits(trained(CASES["residual"], ARMS[arm], learn, seed), test.pixels, test.normalisation, SETUP)
    rare = test.labels >= test.classes - RARE
    return {"accuracy": accuracy(scores, test.labels), "rare": accuracy(scores[rare], test.labels[rare])}


def main() -> None:
    jobs = [(arm, seed) for seed in SEEDS for arm in ARMS]
    found = trainings.gather("imbalance", __doc__, jobs, one, load)
    rare = {job: {"accuracy": row["rare"]} for job, row in found.items()}
    harness.write(
        "imbalance",
        {
            "trainings": {"done": len(found), "planned": len(jobs)},
            "largest over smallest class": RATIO,
            "accuracy": {arm: trainings.over_seeds(found, arm, SEEDS) for arm in ARMS},
            "over each image alike": {arm: trainings.over_seeds(found, arm, SEEDS, above=ALIKE) for arm in ARMS},
            "over each image alike, rare classes": {
                arm: trainings.over_seeds(rare, arm, SEEDS, above=ALIKE) for arm in ARMS
            },
        },
    )


if __name__ == "__main__":
    main()
