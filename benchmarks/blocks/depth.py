"""Depth: plain blocks against residual ones, from 3 blocks to 48: gradients at the start, accuracy after training.

Widths stay, so each doubling of the depth about doubles the work. Gradients are those of the loss of one batch at the
first weights. For each stage: the norm of the gradient of its convolutions over the norm of their weights, since what
stands before a batch normalisation is only changed by its gradient relative to its size; the mean over seeds. The same
without any normalisation, where nothing is trained.

python benchmarks/blocks/depth.py cifar10-20k    # goes on where it was stopped; --so-far writes what is done
"""

from __future__ import annotations

import math
import statistics
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import trainings
from accuracy import load
from networks import small
from recipe import MUON, Case, judged
from torch.nn import functional

from convsmith.design import Design, lower
from convsmith.interop.torch_module import build
from convsmith.scaling import price
from convsmith.training.batches import Batches, TrainingSet
from convsmith.training.initialise import initialise

SEEDS = range(5)
IMAGES = 20_000
DEPTHS = (1, 2, 4, 8, 16)
WIDTHS = (8, 16, 32)
KINDS = ("plain", "residual")
BATCH = 128


def design_of(kind: str, depth: int, norm: str = "batch") -> Design:
    return small(kind, depth=depth, widths=WIDTHS, norm=norm)


def gradients(design: Design, data: TrainingSet, seed: int) -> dict[str, float]:
    """Norm of the gradient over norm of the weights, for stem, stages and head at their first weights."""
    module = initialise(build(lower(design)), seed).train()
    images, labels = Batches(data, MUON.policy, seed).at(0, BATCH)
    functional.cross_entropy(module(images), labels).backward()
    squares: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1 and parameter.grad is not None:
            pair = squares[name.split(".")[0]]
            pair[0] += float(parameter.grad.double().square().sum())
            pair[1] += float(parameter.detach().double().square().sum())
    return {section: math.sqrt(gradient / weight) for section, (gradient, weight) in squares.items()}


def one(folder: Path, arm: str, seed: int) -> trainings.Row:
    kind, depth = arm.split(" | ")
    learn, test = load(folder)
    at_start = {norm: gradients(design_of(kind, int(depth), norm), learn, seed) for norm in ("batch", "none")}
    row = judged(Case(design_of(kind, int(depth)), images=IMAGES), MUON, learn, test, seed)
    return {**row, "gradients": at_start}


def main() -> None:
    jobs = [(f"{kind} | {depth}", seed) for seed in SEEDS for depth in DEPTHS for kind in KINDS]
    found = trainings.gather("depth", __doc__, jobs, one, load)

    def gradients_of(arm: str, norm: str) -> dict[str, float]:
        rows = [found[arm, seed]["gradients"][norm] for seed in SEEDS if (arm, seed) in found]
        return {section: statistics.fmean(row[section] for row in rows) for section in (rows[0] if rows else ())}

    harness.write(
        "depth",
        {
            "trainings": {"done": len(found), "planned": len(jobs)},
            "images seen": IMAGES,
            "widths": WIDTHS,
            "recipe": MUON.to_dict(),
            "blocks a stage": {
                str(depth): {
                    kind: {
                        "macs": price(design_of(kind, depth)).macs,
                        "accuracy": trainings.over_seeds(found, f"{kind} | {depth}", SEEDS),
                        "gradient over weight at the start": gradients_of(f"{kind} | {depth}", "batch"),
                        "the same without normalisation": gradients_of(f"{kind} | {depth}", "none"),
                    }
                    for kind in KINDS
                }
                | {
                    "residual above plain": trainings.over_seeds(
                        found, f"residual | {depth}", SEEDS, above=f"plain | {depth}"
                    )
                }
                for depth in DEPTHS
            },
        },
    )


if __name__ == "__main__":
    main()
