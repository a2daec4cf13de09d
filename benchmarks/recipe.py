"""What each part of the training recipe is worth: every part changed alone, the same seeds for all.

Small networks of one block a stage see 40,000 photographs, about what ``fit`` gives a network in its finals. A
difference is the mean over seeds of accuracy with the change less accuracy of the recipe as it is, on the same seed:
the same first weights, order and draws. The optimizer is compared on four networks, the rest on one.

python benchmarks/recipe.py cifar10-20k    # goes on where it was stopped; --so-far writes what is done
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import harness
import numpy as np
import trainings
from accuracy import NATURAL, SETUP, load
from nets import net
from numpy.typing import NDArray
from torch import nn

from convsmith.analysis import cost
from convsmith.data import Normalisation, open_images, split_images
from convsmith.data.augment import Policy, geometry
from convsmith.data.chance import Draws, Purpose
from convsmith.design import Design, lower
from convsmith.interop.torch_module import build
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.evaluate import logits, recalibrate_batchnorm
from convsmith.training.initialise import initialise
from convsmith.training.loop import train
from convsmith.training.metrics import accuracy
from convsmith.training.recipe import Recipe

SEEDS = range(5)
SGD = Recipe(policy=NATURAL, optimizer="sgd", learning_rate=0.3, batch=64)
MUON = Recipe(policy=NATURAL, optimizer="muon", learning_rate=0.1, batch=64)


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, how many images it sees, and whether they are photographs or the embedded digits."""

    design: Design
    images: int = 40_000
    digits: bool = False


CASES = {
    "residual": Case(net("residual", depth=1)),
    "inverted residual": Case(net("inverted_residual", depth=1, expansion=4.0)),
    "residual, quarter width": Case(net("residual", depth=1, widths=(4, 8, 16))),
    "digits": Case(net("residual", depth=1, widths=(8, 16), input=(1, 8, 8)), images=25_000, digits=True),
}
OPTIMIZERS = {
    "sgd": SGD,
    "sgd at 0.1": dataclasses.replace(SGD, learning_rate=0.1),
    "adamw": dataclasses.replace(SGD, optimizer="adamw", learning_rate=0.003, weight_decay=0.05),
    "muon": MUON,
}
"""AdamW's decay is decoupled, so it is larger by the ratio of the rates."""

PARTS: Mapping[str, Mapping[str, Any]] = {
    "no label smoothing": {"label_smoothing": 0.0},
    "no weight average": {"ema": 0.0},
    "norm biases 8 times faster": {"bias_rate": 8.0},
    "norm biases 64 times faster": {"bias_rate": 64.0},
    "whitened first layer": {"whiten": True},
    "rate halved": {"learning_rate": MUON.learning_rate / 2},
    "rate doubled": {"learning_rate": MUON.learning_rate * 2},
    "no mirroring": {"policy": dataclasses.replace(NATURAL, flip=False)},
    "no shifts": {"policy": dataclasses.replace(NATURAL, translate=0)},
    "mirrored by chance": {},
}
BASE = "residual | muon"


def mirrored_by_chance(draws: Draws, policy: Policy) -> NDArray[np.bool_]:
    """The usual way: each image in each epoch by the toss of a coin."""
    return draws.uniform(Purpose.FLIP) < 0.5 if policy.flip else np.zeros(len(draws.ids), bool)


def arms() -> dict[str, tuple[Case, Recipe]]:
    pairs = itertools.product(CASES.items(), OPTIMIZERS.items())
    found = {f"{name} | {kind}": (case, recipe) for (name, case), (kind, recipe) in pairs}
    parts = {name: (CASES["residual"], dataclasses.replace(MUON, **change)) for name, change in PARTS.items()}
    return {**found, **parts}


def load_digits() -> tuple[TrainingSet, TrainingSet]:
    images = open_images("digits")
    split = split_images(images, seed=0)
    normalisation = Normalisation.of(images, split.train)
    learn, judge = (
        TrainingSet(np.asarray(images.pixels[:])[rows], images.labels[rows], normalisation, len(images.classes))
        for rows in (split.train, np.concatenate([split.select, split.test]))
    )
    return learn, judge


def images_of(case: Case, folder: Path) -> tuple[TrainingSet, TrainingSet]:
    """What a network learns from and is judged on."""
    return load_digits() if case.digits else load(folder)


def recipe_for(case: Case, recipe: Recipe) -> Recipe:
    """The recipe with augmentation that suits the images."""
    return dataclasses.replace(recipe, policy=Policy.for_images(case.design.input[1], 1)) if case.digits else recipe


def trained(case: Case, recipe: Recipe, learn: TrainingSet, seed: int) -> nn.Module:
    """The network of a case after one training."""
    module = initialise(build(lower(case.design)), seed)
    train(module, learn, recipe=recipe, budget=Budget(images=case.images), seed=seed, setup=SETUP)
    return recalibrate_batchnorm(module, learn, SETUP)


def judged(case: Case, recipe: Recipe, learn: TrainingSet, test: TrainingSet, seed: int) -> trainings.Row:
    """Accuracy after one training, from each image and from both mirror images of it."""
    module = trained(case, recipe, learn, seed)
    plain, views = (logits(module, test.pixels, test.normalisation, SETUP, flip_tta=both) for both in (False, True))
    return {"accuracy": accuracy(plain, test.labels), "both views": accuracy(views, test.labels)}


def one(folder: Path, arm: str, seed: int) -> trainings.Row:
    case, recipe = arms()[arm]
    if arm == "mirrored by chance":
        geometry._mirrored = mirrored_by_chance  # pyright: ignore[reportPrivateUsage]
    return judged(case, recipe_for(case, recipe), *images_of(case, folder), seed)


def main() -> None:
    first = [f"{name} | {kind}" for name in CASES for kind in ("sgd", "muon")]
    rest = [arm for arm in arms() if arm not in (*first, *PARTS)]
    jobs = [(arm, seed) for some in (first, [*PARTS], rest) for seed in SEEDS for arm in some]
    found = trainings.gather("recipe", __doc__, jobs, one, load)
    views = [row["both views"] - row["accuracy"] for (arm, _), row in found.items() if arm == BASE]
    harness.write(
        "recipe",
        {
            "trainings": {"done": len(found), "planned": len(jobs)},
            "networks": {
                name: {"macs": cost(lower(case.design)).macs, "images seen": case.images}
                for name, case in CASES.items()
            },
            "optimizers": {
                name: {kind: trainings.over_seeds(found, f"{name} | {kind}", SEEDS) for kind in OPTIMIZERS}
                for name in CASES
            },
            "muon over sgd": {
                name: trainings.over_seeds(found, f"{name} | muon", SEEDS, above=f"{name} | sgd") for name in CASES
            },
            "muon, one thing changed": {
                **{name: trainings.over_seeds(found, name, SEEDS, above=BASE) for name in PARTS},
                "judged by both mirror images": trainings.interval(views),
            },
            "recipes": {kind: recipe.to_dict() for kind, recipe in OPTIMIZERS.items()},
        },
    )


if __name__ == "__main__":
    main()
