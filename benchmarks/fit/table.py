"""Trains every network of the experiment at every length and seed, once: the table that all searches are replayed on.

Each is trained on the same 8,500 images by the recipe of ``fit``, with a complete schedule at each length, and judged
twice: by its loss on the 1,500 select images, and by which of 4,000 test images it gets right. Seconds are those of the
processor, so what else runs here plays no part. On two seeds each is also trained three times as long, as what a
search delivers is. Networks of the rules cost no search, and so may spend all of its time on one training: on one seed
they are trained eight times as long, which is all of the shortest time that searches have. A few networks were trained
three times longer still.

python benchmarks/fit/table.py cifar10-20k CELL    # goes on where it was stopped; --so-far says how far that is
python benchmarks/fit/table.py cifar10-20k CELL --beside KEY 540000    # this one alone, which is not planned
"""

from __future__ import annotations

import argparse
import base64
import functools
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import trainings
from networks import CELLS, Cell, field_of, file_name, images_of, time_networks
from numpy.typing import NDArray

from convsmith.data import Images, Normalisation, Rows, Split
from convsmith.design import Design, lower
from convsmith.errors import TrainingError
from convsmith.interop.torch_module import build
from convsmith.jobs.settings import read_settings
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.evaluate import logits, recalibrate_batchnorm
from convsmith.training.initialise import initialise
from convsmith.training.loop import train
from convsmith.training.metrics import accuracy, log_loss
from convsmith.training.setup import Setup

LENGTHS = (2_500, 7_500, 22_500)
LONG = 67_500
SEARCHED = (*LENGTHS, LONG)
"""The lengths that searches are replayed on, for seeds that all networks were trained with at each of them."""
WHOLE = 180_000
FURTHEST = 540_000
SEEDS = range(4)
JUDGED = 4_000


def jobs_of(cell: Cell) -> list[trainings.Job]:
    """What a cell needs, seed after seed, and of each the shorter ones first: what is done is of use at any time."""
    field = field_of(cell)
    rules = [key for key, one in field.items() if one.rule]

    def of_seed(seed: int) -> list[tuple[str, int]]:
        short = [(key, length) for key in field for length in LENGTHS]
        long = [(key, LONG) for key in field] if seed in SEEDS[:2] else []
        return [*short, *long, *((key, WHOLE) for key in rules if seed == SEEDS[0])]

    return [(f"{key} | {length}", seed) for seed in SEEDS for key, length in of_seed(seed)]


def one(cell: Cell, folder: Path, arm: str, seed: int) -> trainings.Row:
    key, length = arm.split(" | ")
    images, split = images_of(cell, folder)
    chosen = np.random.default_rng(0).permutation(split.test)[:JUDGED]
    return trained(field_of(cell)[key].design, images, split, chosen, int(length), seed)


def trained(
    design: Design, images: Images, split: Split, chosen: NDArray[np.int64], length: int, seed: int
) -> trainings.Row:
    """One training by the recipe of ``fit``, judged on the select images and on those ``chosen``."""
    pixels, setup = images.at(design.input[1]), Setup(kernels=True, threads=1)
    normalisation = Normalisation.of(images, split.train)
    recipe = read_settings(None)(design.input[1], design.input[0])
    data = TrainingSet(Rows(pixels, split.train), images.labels[split.train], normalisation, len(images.classes))
    started = time.process_time()
    module = initialise(build(lower(design)), seed)
    try:
        train(module, data, recipe=recipe, budget=Budget(images=length), seed=seed, setup=setup, rollbacks=0)
    except TrainingError as error:
        return {"failure": str(error), "seconds": time.process_time() - started}
    seconds = time.process_time() - started
    recalibrate_batchnorm(module, data, setup)
    select, test = (logits(module, Rows(pixels, rows), normalisation, setup) for rows in (split.select, chosen))
    right = test.argmax(1) == images.labels[chosen]
    labels = images.labels[split.select]
    return {
        "loss": round(log_loss(select, labels), 6),
        "select": accuracy(select, labels),
        "accuracy": float(right.mean()),
        "right": base64.b64encode(np.packbits(right).tobytes()).decode(),
        "seconds": round(seconds, 3),
    }


def bits(row: trainings.Row, count: int) -> NDArray[np.bool_]:
    """Which of the images that it was judged on a training gets right."""
    return np.unpackbits(np.frombuffer(base64.b64decode(row["right"]), np.uint8), count=count).astype(bool)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("cell", choices=CELLS)
    parser.add_argument("--so-far", action="store_true")
    parser.add_argument("--beside", nargs=2, metavar=("NETWORK", "IMAGES"), help="one training more than planned")
    given = parser.parse_args()
    cell, name = CELLS[given.cell], table_name(given.cell)
    jobs = [(" | ".join(given.beside), SEEDS[0])] if given.beside else jobs_of(cell)
    if not given.so_far:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["CONVSMITH_CACHE"] = cache
            time_networks(cell, given.folder)
            images, _ = images_of(cell, given.folder)
            for side in {one.design.input[1] for one in field_of(cell).values()}:
                images.at(side)
            trainings.run(name, jobs, functools.partial(one, cell, given.folder), anew=False)
    done = trainings.done(name)
    sys.stdout.write(f"{len([job for job in jobs if job in done])} of {len(jobs)} trainings of {given.cell}\n")


def table_name(cell: str) -> str:
    """Of the file of a cell's trainings, in ``benchmarks/results``."""
    return f"{file_name(cell)}_table"


if __name__ == "__main__":
    main()
