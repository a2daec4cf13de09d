"""A learning rate from a range test (Smith, "Cyclical Learning Rates for Training Neural Networks", 2017).

The rate rises from step to step by a constant factor. Below some rate nothing is learnt, above another the loss grows;
between them it falls. The peak of the schedule is twice the rate at which half of that fall was done: where it is
steepest or ends depends on single batches, its middle does not. A whole training stands more than the test: at twice
the middle networks end as at the best rate of a grid, at the middle itself most fall short (``benchmarks/rates.py``).
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, Final

import torch
from torch import nn

from convsmith.errors import TrainingError
from convsmith.training.allocator import memory_kept
from convsmith.training.batches import TrainingSet
from convsmith.training.budget import Budget
from convsmith.training.device import cards
from convsmith.training.guard import Divergence
from convsmith.training.learner import Learner
from convsmith.training.recipe import Recipe
from convsmith.training.setup import Setup

LOWEST: Final = 1e-4
HIGHEST: Final = 10.0
STEPS: Final = 100
_MEMORY: Final = 0.9  # of the smoothed loss
_SHARE: Final = 0.5  # of the fall
_ABOVE: Final = 2.0  # times the rate at which that was done
_GROWN: Final = 2.0  # times the lowest loss: no need to look further


@dataclasses.dataclass(frozen=True)
class RateTest:
    """What a range test found.

    Attributes:
        rates: The learning rate of each step, rising.
        losses: The loss of each step, smoothed.
        rate: The one to train with.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    rate: float

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


def find_rate(module: nn.Module, data: TrainingSet, *, recipe: Recipe, seed: int, setup: Setup) -> RateTest:
    """Try rising learning rates on a copy of the network.

    Args:
        module: The network with its first weights, which it keeps.
        data: Images and labels to train on.
        recipe: All but the rate; the average of weights plays no part.
        seed: Of the order and the augmentation.
        setup: How this machine trains it.

    Raises:
        TrainingError: If the loss falls at no rate.
    """
    recipe = dataclasses.replace(recipe, ema=0.0)
    budget = Budget(images=STEPS * recipe.batch)
    learner = Learner(copy.deepcopy(module), data, recipe=recipe, budget=budget, seed=seed, setup=setup)
    rates: list[float] = []
    losses: list[float] = []
    sums = weights = 0.0
    with setup.threads_set(), torch.random.fork_rng(devices=cards(setup.device)), memory_kept():
        for step in range(STEPS):
            rate = LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
            try:
                loss = learner.step(rate)
            except Divergence:
                break
            sums, weights = _MEMORY * sums + loss, _MEMORY * weights + 1.0
            rates.append(rate)
            losses.append(sums / weights)
            if losses[-1] > _GROWN * min(losses):
                break
    if not losses or min(losses) >= losses[0]:
        rule = f"the loss must fall at some learning rate from {LOWEST:g} to {HIGHEST:g}"
        raise TrainingError(rule, received=losses[:1], remedy="give a recipe with a learning_rate")
    level = losses[0] - _SHARE * (losses[0] - min(losses))
    rate = next(rate for rate, loss in zip(rates, losses, strict=True) if loss <= level)
    return RateTest(tuple(rates), tuple(losses), float(f"{_ABOVE * rate:.2g}"))
