"""What a training may spend, and how much of it is spent.

The meter is the only clock of a training: the schedule, the weight average and the moment to stop all read its
progress, so a budget in seconds needs no guess of how many steps will fit.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

from convsmith.errors import TrainingError


@dataclasses.dataclass(frozen=True)
class Budget:
    """Exactly one of: passes over the training set, images, seconds of wall-clock time.

    Raises:
        TrainingError: If none or several are given, or the one given is not positive (images: at least 2).
    """

    epochs: float | None = None
    images: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        given = self.to_dict()
        if len(given) != 1:
            raise TrainingError("give exactly one of epochs, images, seconds", received=given, where="budget")
        key, value = next(iter(given.items()))
        if not math.isfinite(value) or value <= 0:
            raise TrainingError(f"{key} must be above 0", received=value, where=f"budget.{key}")
        if key == "images" and (not isinstance(value, int) or value < 2):
            raise TrainingError("images must be a whole number of at least 2", received=value, where="budget.images")

    def to_dict(self) -> dict[str, float]:
        """The limit that was given, under its name."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Outside:
    """What a budget in seconds covers beside the training.

    Attributes:
        before: Seconds that were spent when the training began.
        after: Seconds that what follows takes, apart from judging.
        images: Images judged afterwards.
        pace: Seconds to judge one, as long as the training has not measured that itself.
    """

    before: float = 0.0
    after: float = 0.0
    images: int = 0
    pace: float = 0.0

    def seconds(self, pace: float | None = None) -> float:
        """All of it, with judging at a measured pace."""
        return self.before + self.after + self.images * (self.pace if pace is None else pace)


class Meter:
    """Counts images and seconds against a budget.

    Args:
        budget: What may be spent.
        count: Images in the training set, the length of an epoch.
        batch: Images per step.
        clock: Seconds that never go back.
        outside: Seconds of the budget that are not the training's.

    Raises:
        TrainingError: If the budget is shorter than two images, the smallest batch.
    """

    def __init__(
        self,
        budget: Budget,
        count: int,
        batch: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        outside: float = 0.0,
    ) -> None:
        self.outside = outside
        self._seconds_limit = budget.seconds
        self._image_limit = _whole_batches(budget, count, batch)
        self._batch = batch
        self._clock = clock
        self._started = clock()
        self.images = 0
        self.steps = 0

    @property
    def seconds(self) -> float:
        """Seconds spent, those before a resume included."""
        return self._clock() - self._started

    def progress(self) -> float:
        """The share of the budget spent, from 0 to 1."""
        if self._seconds_limit is not None:
            spent, left = self.seconds, self._seconds_limit - self.outside
            return min(spent / left, 1.0) if spent < left else 1.0
        return self.images / self._image_limit

    def next_batch(self) -> int:
        """Images of the next step; the last one is as small as the budget asks."""
        return self._batch if self._seconds_limit is not None else min(self._batch, self._image_limit - self.images)

    def add(self, images: int) -> None:
        """Book one step over ``images`` images."""
        self.images += images
        self.steps += 1

    def restore(self, *, images: int, steps: int, seconds: float) -> None:
        """Go on from what an interrupted run had spent."""
        self.images, self.steps = images, steps
        self._started = self._clock() - seconds


def _whole_batches(budget: Budget, count: int, batch: int) -> int:
    """The budget in images, less a lone last image, which batch norm cannot take; 0 for a budget in seconds."""
    if budget.seconds is not None:
        return 0
    total = budget.images if budget.images is not None else round((budget.epochs or 0) * count)
    total -= total % batch == 1
    if total < 2:
        raise TrainingError("a budget must allow at least 2 images", received=budget.to_dict(), where="budget")
    return total
