"""The learning rate as a function of the share of the budget that is spent.

The number of steps is never asked for: a run limited by the clock and a run limited by images follow the same curve,
and both end at zero however fast the machine turns out to be.
"""

from __future__ import annotations

import math
from typing import Final

from convsmith.training.recipe import Recipe

START: Final = 0.1  # of the peak; starting at zero would waste the first step


def learning_rate(progress: float, recipe: Recipe) -> float:
    """The factor in [0, 1] on ``recipe.learning_rate`` when ``progress`` in [0, 1] of the budget is spent."""
    if progress < recipe.warmup:
        return START + (1.0 - START) * max(progress, 0.0) / recipe.warmup
    left = min(max((1.0 - progress) / (1.0 - recipe.warmup), 0.0), 1.0)
    return left if recipe.schedule == "one-cycle" else 0.5 - 0.5 * math.cos(math.pi * left)
