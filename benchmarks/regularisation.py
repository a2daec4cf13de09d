"""How much regularisation a network wants, by its size and by how often it sees each image.

The same network at three widths, trained for 4 and for 20 passes over 5,000 photographs, with rising strength: from
mirroring and shifts alone to cutout, RandAugment and mixup on top of label smoothing. The narrowest and the widest are
also trained for 100 passes, with what is not far behind after 20.

python benchmarks/regularisation.py cifar10-20k    # goes on where it was stopped; --so-far writes what is done
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import harness
import numpy as np
import trainings
from accuracy import NATURAL, load
from nets import net
from recipe import Case, judged

from convsmith.analysis import cost
from convsmith.data.augment import RANDAUGMENT
from convsmith.design import lower
from convsmith.training.recipe import Recipe

SEEDS = range(3)
PASSES = (4, 20)
MANY = 100
IMAGES = 5_000
NETWORKS = {
    name: net("residual", depth=1, widths=widths)
    for name, widths in {"quarter": (4, 8, 16), "half": (8, 16, 32), "whole": (16, 32, 64)}.items()
}
BASE = Recipe(policy=NATURAL)
USUAL = "label smoothing"
CUTOUT = dataclasses.replace(NATURAL, cutout=8)
STRENGTHS = {
    "mirrored and shifted": dataclasses.replace(BASE, label_smoothing=0.0),
    USUAL: BASE,
    "cutout": dataclasses.replace(BASE, policy=CUTOUT),
    "RandAugment": dataclasses.replace(
        BASE, policy=dataclasses.replace(CUTOUT, operations=RANDAUGMENT, draws=1, magnitude=5.0)
    ),
    "stronger RandAugment and mixup": dataclasses.replace(
        BASE, policy=dataclasses.replace(CUTOUT, operations=RANDAUGMENT, draws=2, magnitude=9.0, mixup=0.2)
    ),
}
"""Each has all of the one before."""
ARMS = [f"{name} | {passes} | {strength}" for passes in PASSES for name in NETWORKS for strength in STRENGTHS]
LONG = [f"{name} | {MANY} | {strength}" for name in ("quarter", "whole") for strength in list(STRENGTHS)[1:4]]


def one(folder: Path, arm: str, seed: int) -> trainings.Row:
    name, passes, strength = arm.split(" | ")
    whole, test = load(folder)
    rows = np.random.default_rng(0).permutation(len(whole.labels))[:IMAGES]
    learn = dataclasses.replace(whole, pixels=np.asarray(whole.pixels)[rows], labels=whole.labels[rows])
    case = Case(NETWORKS[name], images=int(passes) * len(learn.labels))
    return judged(case, STRENGTHS[strength], learn, test, seed)


def main() -> None:
    jobs = [(arm, seed) for arms in (ARMS, LONG) for seed in SEEDS for arm in arms]
    found = trainings.gather("regularisation", __doc__, jobs, one, load)
    harness.write(
        "regularisation",
        {
            "trainings": {"done": len(found), "planned": len(jobs)},
            "macs": {name: cost(lower(design)).macs for name, design in NETWORKS.items()},
            "accuracy": {arm: trainings.over_seeds(found, arm, SEEDS) for arm in (*ARMS, *LONG)},
            "above label smoothing": {
                arm: trainings.over_seeds(found, arm, SEEDS, above=f"{arm.rpartition(' | ')[0]} | {USUAL}")
                for arm in (*ARMS, *LONG)
            },
        },
    )


if __name__ == "__main__":
    main()
