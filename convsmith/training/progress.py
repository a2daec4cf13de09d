"""What a training tells while it runs and when it is done.

Plain values, so that a terminal, a page and a test can show or check the same numbers without knowing the loop.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from torch import nn


@dataclasses.dataclass(frozen=True)
class Progress:
    """The state after a step.

    Attributes:
        fraction: Share of the budget spent, 0 to 1.
        images: Training images seen, repetitions counted.
        images_per_second: Over the run so far, with everything that took time.
        seconds_left: Estimated from the share spent.
        loss: Training loss, smoothed over about twenty steps.
        accuracy: Last accuracy on the selection set, 0 to 1.
    """

    fraction: float
    images: int
    images_per_second: float
    seconds_left: float
    loss: float
    accuracy: float | None


@dataclasses.dataclass(frozen=True)
class Point:
    """One of about a hundred points of the training curve; without wall-clock, so equal runs have equal points."""

    fraction: float
    images: int
    learning_rate: float
    loss: float
    accuracy: float | None


@dataclasses.dataclass(frozen=True)
class Incident:
    """Something that went wrong in a training, and was mended.

    Attributes:
        kind: What was done: ``"rollback"`` to an earlier state with half the learning rate, or ``"smaller_parts"`` of
            a batch after memory had not sufficed.
        step: The step that went wrong, counted from 1.
        cause: What went wrong, as a sentence.
        remedy: What was done, as a sentence.
    """

    kind: Literal["rollback", "smaller_parts"]
    step: int
    cause: str
    remedy: str

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return f"Step {self.step:,}: {self.cause}; {self.remedy}."


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        module: The module given, in eval mode, holding the averaged weights where the recipe averages.
        images_seen: Training images seen, repetitions counted.
        steps: Optimizer steps.
        seconds: Wall-clock time, that before a resume included.
        images_per_second: ``images_seen / seconds``.
        loss: Training loss at the end, smoothed over about twenty steps, label smoothing included.
        accuracy: Accuracy on the selection set at the end, where one was given.
        history: The training curve.
        incidents: What went wrong and was mended, oldest first.
    """

    module: nn.Module
    images_seen: int
    steps: int
    seconds: float
    images_per_second: float
    loss: float
    accuracy: float | None
    history: tuple[Point, ...]
    incidents: tuple[Incident, ...] = ()
