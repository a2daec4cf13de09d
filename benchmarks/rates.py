"""The learning rate of the range test beside those of a grid: what it gives away to the best of them.

Each network sees 10,000 photographs (or 25,000 digits) at every rate of the grid and at the rate that the range test
finds for that seed, with the same first weights and order.

python benchmarks/rates.py cifar10-20k    # goes on where it was stopped
"""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

import harness
import trainings
from accuracy import load
from recipe import CASES, OPTIMIZERS, images_of, judged, recipe_for

from convsmith.design import lower
from convsmith.interop.torch_module import build
from convsmith.training.initialise import initialise
from convsmith.training.rate_finder import find_rate
from convsmith.training.setup import Setup

SEEDS = range(3)
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
        setup = Setup(kernels=True, threads=1)
        value = find_rate(module, learn, recipe=recipe, seed=seed, setup=setup).rate
    else:
        value = float(rate)
    recipe = dataclasses.replace(recipe, learning_rate=value)
    return {"rate": value, **judged(case, recipe, learn, test, seed)}


def main() -> None:
    pairs = [(name, kind) for name in NAMES for kind in GRID]
    jobs = [
        (f"{name} | {kind} | {rate}", seed) for name, kind in pairs for seed in SEEDS for rate in (FOUND, *GRID[kind])
    ]
    found = trainings.gather("rates", __doc__, jobs, one, load)
    table: dict[str, dict[str, object]] = {}
    for name, kind in pairs:
        arms = [f"{name} | {kind} | {rate}" for rate in (FOUND, *GRID[kind])]
        done = [seed for seed in SEEDS if all((arm, seed) in found for arm in arms)]
        if not done:
            continue
        means = {
            str(rate): statistics.fmean(found[f"{name} | {kind} | {rate}", seed]["accuracy"] for seed in done)
            for rate in (FOUND, *GRID[kind])
        }
        best = max(GRID[kind], key=lambda rate, means=means: means[str(rate)])
        table[f"{name} | {kind}"] = {
            "accuracy": means,
            "best of the grid": best,
            "rates found": [found[f"{name} | {kind} | {FOUND}", seed]["rate"] for seed in done],
            "given away": means[str(best)] - means[FOUND],
        }
    harness.write("rates", {"trainings": {"done": len(found), "planned": len(jobs)}, "networks": table})


if __name__ == "__main__":
    main()
