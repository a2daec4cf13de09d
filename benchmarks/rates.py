"""The learning rate of the range test beside those of a grid: what it gives away to the best of them.

Each network sees 10,000 photographs (or 25,000 digits) at every rate of the grid and at the rate that the range test
finds for that seed, with the same first weights and order.

python benchmarks/rates.py cifar10-20k    # goes on where it was stopped
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import harness
import trainings
from accuracy import SETUP, load
from recipe import CASES, OPTIMIZERS, images_of, judged, recipe_for

from convsmith.design import lower
from convsmith.interop.torch_module import build
from convsmith.training.initialise import initialise
from convsmith.training.rate_finder import find_rate

SEEDS = range(5)
FOUND = "found"
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
    if rate == FOUND:
        module = initialise(build(lower(case.design)), seed)
        value = find_rate(module, learn, recipe=recipe, seed=seed, setup=SETUP).rate
    else:
        value = float(rate)
    recipe = dataclasses.replace(recipe, learning_rate=value)
    return {"rate": value, **judged(case, recipe, learn, test, seed)}


def main() -> None:
    pairs = [(name, kind) for name in NAMES for kind in GRID]
    jobs = [
        (f"{name} | {kind} | {rate}", seed) for seed in SEEDS for name, kind in pairs for rate in (FOUND, *GRID[kind])
    ]
    found = trainings.gather("rates", __doc__, jobs, one, load)
    table: dict[str, dict[str, object]] = {}
    for name, kind in pairs:
        arms = {str(rate): f"{name} | {kind} | {rate}" for rate in (FOUND, *GRID[kind])}
        seeds = [seed for seed in SEEDS if all((arm, seed) in found for arm in arms.values())]
        if not seeds:
            continue
        means = {rate: trainings.over_seeds(found, arm, seeds)["mean"] for rate, arm in arms.items()}
        best = max(map(str, GRID[kind]), key=means.__getitem__)
        table[f"{name} | {kind}"] = {
            "accuracy": means,
            "best of the grid": float(best),
            "rates found": [found[arms[FOUND], seed]["rate"] for seed in seeds],
            "found over best": trainings.over_seeds(found, arms[FOUND], seeds, above=arms[best]),
        }
    harness.write("rates", {"trainings": {"done": len(found), "planned": len(jobs)}, "networks": table})


if __name__ == "__main__":
    main()
