"""From how few images batch norms can be computed anew where networks are only ranked.

Networks of 6M multiply-adds see 2,500 photographs, as in the first rung of a search. Then their batch norms are
computed from more and from fewer training images, and their losses on 1,500 others compared with those from 8,448.

python benchmarks/recalibration.py cifar10-20k
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Final

import harness
import numpy as np
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parent / "fit"))

from networks import CELLS, field_of, images_of

from convsmith.data import Normalisation, Rows
from convsmith.design import lower
from convsmith.interop.torch_module import build
from convsmith.jobs.settings import read_settings
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.evaluate import RANKING_IMAGES, RECALIBRATION_IMAGES, logits, recalibrate_batchnorm
from convsmith.training.initialise import initialise
from convsmith.training.loop import train
from convsmith.training.metrics import log_loss
from convsmith.training.setup import Setup

MANY: Final = 8_448
COUNTS: Final = (MANY, RECALIBRATION_IMAGES, 1024, 512, RANKING_IMAGES, 128)
SEEN: Final = 2_500
EVERY: Final = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    cell, setup = CELLS["photographs, 6M"], Setup(kernels=True, threads=1)
    images, split = images_of(cell, parser.parse_args().folder)
    designs = [one.design for one in list(field_of(cell).values())[::EVERY]]
    normalisation = Normalisation.of(images, split.train)
    losses: dict[int, list[float]] = {count: [] for count in COUNTS}
    for design in designs:
        side = design.input[1]
        pixels, recipe = images.at(side), read_settings(None)(side, design.input[0])
        data = TrainingSet(Rows(pixels, split.train), images.labels[split.train], normalisation, len(images.classes))
        module = initialise(build(lower(design)), 0)
        train(module, data, recipe=recipe, budget=Budget(images=SEEN), seed=0, setup=setup)
        for count, found in losses.items():
            recalibrate_batchnorm(module, data, setup, images=count)
            scores = logits(module, Rows(pixels, split.select), normalisation, setup)
            found.append(log_loss(scores, images.labels[split.select]))
    harness.write(
        "recalibration",
        {
            "networks": len(designs),
            "images seen": SEEN,
            "how far the losses of networks lie apart": statistics.stdev(losses[MANY]),
            "images": {
                str(count): {
                    "moved": float(np.sqrt(np.mean(np.square(np.subtract(found, losses[MANY]))))),
                    "rank correlation": float(spearmanr(found, losses[MANY]).statistic),
                }
                for count, found in losses.items()
                if count != MANY
            },
        },
    )


if __name__ == "__main__":
    main()
