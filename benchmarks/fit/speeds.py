"""Which networks learn fast, and how well short trainings tell who is ahead later, on the tables of the experiment.

Speeds are slopes of least squares: how much more the logarithm of the loss changes, by a unit of that of the images,
for each doubling of the depth, of the widths and of the resolution, and for depthwise convolutions in all blocks. From
22,500 images on they are given for depth and parameters alone: few networks were trained on 180,000 images.

Ranks are Spearman's, with the losses after the longer training: of the losses after a first rung of all networks, of
what the surrogate expects from these, and of what it expects when a third of them went on to a second rung, and a third
of those to another; and what it would expect if it knew no speeds beforehand.

python benchmarks/fit/speeds.py
"""

from __future__ import annotations

import itertools
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import numpy as np
import trainings
from networks import CELLS, Cell, field_of
from scipy.stats import spearmanr
from table import LENGTHS, LONG, SEARCHED, SEEDS, WHOLE, table_name

from convsmith.scaling.axes import total_depth, widths_of
from convsmith.search import surrogate
from convsmith.search.candidate import Candidate, Outcome, Training, Work

LEAST: Final = 16
"""Networks trained at both lengths below which a table tells nothing yet."""
FEW: Final = 8
"""The same where two slopes are asked for."""
EARLY: Final = ("depth", "width", "resolution", "depthwise")
LATE: Final = ("depth", "parameters")
Losses = Mapping[tuple[str, int], float]
"""Of one seed, by network and images."""


def losses_of(cell: Cell, seed: int) -> Losses:
    """Of the trainings that are done and did not fail."""
    split = ((arm.split(" | "), at, row) for (arm, at), row in trainings.done(table_name(cell.name)).items())
    return {(key, int(images)): row["loss"] for (key, images), at, row in split if at == seed and "loss" in row}


def place(candidate: Candidate, side: int) -> dict[str, float]:
    """What speeds go with."""
    design = candidate.design
    widths = widths_of(design)[1 : 1 + len(design.stage)]
    return {
        "depth": math.log2(total_depth(design)),
        "width": statistics.fmean(map(math.log2, widths)),
        "resolution": math.log2(surrogate.resolved(design, side)),
        "depthwise": surrogate.depthwise_share(design),
        "parameters": math.log2(candidate.params),
    }


def speeds(
    field: Sequence[Candidate], losses: Losses, side: int, first: int, last: int, by: Sequence[str] = EARLY
) -> dict[str, float]:
    """The slopes between two lengths."""
    places = [[1.0, *(place(one, side)[name] for name in by)] for one in field]
    fallen = [math.log(losses[one.key, last] / losses[one.key, first]) / math.log(last / first) for one in field]
    slopes = np.linalg.lstsq(np.array(places), np.array(fallen))[0].tolist()
    return dict(zip(by, slopes[1:], strict=True))


def late(field: Sequence[Candidate], losses: Losses, side: int) -> dict[str, Any]:
    """The slopes from 22,500 images on, as far as networks were trained."""
    found = dict[str, Any]()
    for last in (LONG, WHOLE):
        trained = [one for one in field if (one.key, last) in losses]
        if len(trained) >= FEW:
            found[str(last)] = {"networks": len(trained), **speeds(trained, losses, side, LENGTHS[-1], last, LATE)}
    return found


def ranks(field: Sequence[Candidate], losses: Losses, side: int, last: int) -> dict[str, float]:
    """How well each way tells the order after ``last`` images of a ``side``."""
    after = [losses[one.key, last] for one in field]

    def agreement(values: Mapping[str, float]) -> float:
        return float(spearmanr([values[one.key] for one in field], after).statistic)

    found = {f"loss after {LENGTHS[0]}": agreement({one.key: losses[one.key, LENGTHS[0]] for one in field})}
    left, done = list(field), list[Training]()
    for rung in itertools.takewhile(lambda images: images < last, LENGTHS):
        for one in left:
            outcome = Outcome(0.0, losses[one.key, rung], 0.0, rung, None, 1_500)
            done.append(Training(Work(one, rung, 0, final=False), outcome))
        expected = surrogate.Surrogate(done, last, side=side).expected(field)
        found[f"expected, rungs to {rung}"] = agreement(expected)
        left = sorted(left, key=lambda one: expected[one.key])[: math.ceil(len(left) / 3)]
    return found


def without_known_speeds(field: Sequence[Candidate], losses: Losses, side: int, last: int) -> dict[str, float]:
    """As ``ranks``."""
    known, surrogate.known_change = surrogate.known_change, lambda candidate, images, full, side: 0.0
    try:
        return ranks(field, losses, side, last)
    finally:
        surrogate.known_change = known


def main() -> None:
    found: dict[str, Any] = {}
    for cell, seed, last in itertools.product(CELLS.values(), SEEDS[:2], (LENGTHS[-1], LONG)):
        losses = losses_of(cell, seed)
        needed = [length for length in SEARCHED if length <= last]
        field = [one for one in field_of(cell).values() if all((one.key, images) in losses for images in needed)]
        if len(field) < LEAST:
            continue
        found[f"{cell.name}, seed {seed}, to {last}"] = {
            "networks": len(field),
            "speeds": speeds(field, losses, cell.side, LENGTHS[0], last),
            "late speeds": late(field, losses, cell.side) if last == LONG else {},
            "ranks": ranks(field, losses, cell.side, last),
            "ranks without known speeds": without_known_speeds(field, losses, cell.side, last),
        }
    harness.write("fit_speeds", {"tables": found})


if __name__ == "__main__":
    main()
