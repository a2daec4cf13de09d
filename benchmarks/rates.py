"""The learning rate of the range test beside those of a grid: what it gives away to the best of them.

Each network sees 10,000 photographs (or 25,000 digits) at every rate of the grid and at the rate that the range test
finds for that seed, and at half of that, which is where half of the fall was done, with the same first weights and
order. Of the grid all seeds but the first have only the rates that were the best three of the first.

python benchmarks/rates.py cifar10-20k    # goes on where it was stopped
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Mapping
from pathlib import Path

import harness
import trainings
from accuracy import SETUP, load
from recipe import CASES, OPTIMIZERS, images_of, recipe_for, trained

from convsmith.design import lower
from convsmith.interop.torch_module import build
from convsmith.training.evaluate import logits
from convsmith.training.initialise import initialise
from convsmith.training.metrics import accuracy
from convsmith.training.rate_finder import find_rate

SEEDS = range(5)
TESTED = {"found": 1.0, "half of it": 0.5}
FOUND, HALF = TESTED
KEPT = 3
GRID = {
    "sgd": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "muon": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "adamw": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
}
NAMES = ("digits", "residual, quarter width", "inverted residual")


def one(folder: Path, arm: str, seed: int) -> trainings.Row:
    name, kind, rate = arm.split(" | ")
    case = dataclasses.replace(CASES[name], images=min(CASES[name].images, 10_000 if name != "digits" else 25_000))
    learn, test = images_of(case, folder)
    recipe = recipe_for(case, OPTIMIZERS[kind])
    if rate in TESTED:
        module = initialise(build(lower(case.design)), seed)
        value = TESTED[rate] * find_rate(module, learn, recipe=recipe, seed=seed, setup=SETUP).rate
    else:
        value = float(rate)
    module = trained(case, dataclasses.replace(recipe, learning_rate=value), learn, seed)
    return {"rate": value, "accuracy": accuracy(logits(module, test.pixels, test.normalisation, SETUP), test.labels)}


def main() -> None:
    pairs = [(name, kind) for name in NAMES for kind in GRID]
    first = [(_arm(pair, rate), SEEDS[0]) for pair in pairs for rate in (*TESTED, *GRID[pair[1]])]
    gather = functools.partial(trainings.gather, "rates", __doc__, train=one, prepare=load, anew=False)
    found = gather(jobs=first)
    if missing := len(set(first) - found.keys()):
        sys.exit(f"the first seed says which rates the others are for: {missing} of its trainings are to be done")
    near = {
        pair: sorted(GRID[pair[1]], key=lambda rate, pair=pair: -_accuracy(found, pair, rate))[:KEPT] for pair in pairs
    }
    jobs = [
        *first,
        *((_arm(pair, rate), seed) for seed in SEEDS[1:] for pair in pairs for rate in (*TESTED, *near[pair])),
    ]
    found = {job: row for job, row in gather(jobs=jobs).items() if job in jobs}
    table: dict[str, dict[str, object]] = {}
    for pair in pairs:
        means = {str(rate): trainings.over_seeds(found, _arm(pair, rate), SEEDS)["mean"] for rate in GRID[pair[1]]}
        best = max(near[pair], key=lambda rate: means[str(rate)])
        table[" | ".join(pair)] = {
            "accuracy": means,
            "best of the grid": best,
            "rates found": [row["rate"] for (arm, _), row in found.items() if arm == _arm(pair, FOUND)],
            **{
                f"{rate} over best": trainings.over_seeds(found, _arm(pair, rate), SEEDS, above=_arm(pair, best))
                for rate in TESTED
            },
        }
    harness.write("rates", {"trainings": {"done": len(found), "planned": len(jobs)}, "networks": table})


def _arm(pair: tuple[str, str], rate: float | str) -> str:
    return " | ".join((*pair, str(rate)))


def _accuracy(found: Mapping[trainings.Job, trainings.Row], pair: tuple[str, str], rate: float) -> float:
    return found[_arm(pair, rate), SEEDS[0]]["accuracy"]


if __name__ == "__main__":
    main()
