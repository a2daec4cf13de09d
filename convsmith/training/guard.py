"""The last good state of a training that may diverge: one from which a step went well."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final

from torch import nn

from convsmith.errors import TrainingError
from convsmith.training.checkpoint import State
from convsmith.training.tensors import copy_tensors

SPIKE: Final = 4.0  # times the running loss, or the loss of guessing where that is more
GOOD_EVERY: Final = 64  # steps between good states; a fixed number, so that a resumed run goes back to the same one


class Divergence(TrainingError):
    """A loss or a gradient that a smaller learning rate might have prevented.

    Args:
        cause: What happened, as a sentence.
        rule: As of every error.
        about: As of every error.
    """

    def __init__(self, cause: str, rule: str, **about: Any) -> None:
        self.cause = cause
        super().__init__(rule, **about)


class Guard:
    """Holds a copy of the last good state in memory.

    Args:
        classes: Of the task.
        active: Whether states are kept and spikes count as divergence; a loss that is not finite always does.
    """

    def __init__(self, classes: int, *, active: bool) -> None:
        self._guessing = math.log(classes)
        self._active = active
        self._candidate: State | None = None
        self._spare: State | None = None
        self.good: State | None = None

    def is_due(self, steps: int) -> bool:
        """Whether the state before the next step is one to keep."""
        return self._active and steps % GOOD_EVERY == 0

    def offer(self, state: State) -> None:
        """Copy a state that becomes the good one if the step after it goes well."""
        self._candidate, self._spare = _copied(state, self._spare), None

    def confirm(self) -> None:
        """Say that a step went well."""
        if self._candidate is not None:
            self.good, self._spare, self._candidate = self._candidate, self.good, None

    def reject(self) -> State | None:
        """Say that a step did not go well; returns the state to go back to."""
        if self._candidate is not None:
            self._spare, self._candidate = self._candidate, None
        return self.good

    def spike(self, loss: float, level: float | None) -> float | None:
        """The limit that ``loss`` is above, if it is; ``level`` is the running loss, once there is one."""
        if not self._active or level is None:
            return None
        limit = SPIKE * max(level, self._guessing)
        return limit if loss > limit else None


def _copied(state: State, spare: State | None) -> State:
    if spare is None or spare.tensors.keys() != state.tensors.keys():
        return State({key: tensor.clone() for key, tensor in state.tensors.items()}, state.figures)
    copy_tensors((state.tensors[key] for key in spare.tensors), spare.tensors.values())
    return dataclasses.replace(spare, figures=state.figures)


def culprit(module: nn.Module) -> str:
    """Which parameter to look at when a loss is not finite."""
    for name, parameter in module.named_parameters():
        gradient = parameter.grad if parameter.grad is not None else parameter
        if not (parameter.isfinite().all() and gradient.isfinite().all()):
            return f"first non-finite parameter {name!r}"
    largest = max(module.named_parameters(), key=lambda pair: pair[1].abs().max().item())[0]
    return f"the parameters are finite, the largest is in {largest!r}"


def rate_factor(rollbacks: int) -> float:
    """What the learning rate of the recipe is multiplied by after so many rollbacks."""
    return 0.5**rollbacks
