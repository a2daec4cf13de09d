"""How a search stands, as plain values that a terminal can show: its rungs, the best so far, and the map of shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final, Literal

Standing = Literal["trained", "going on", "best"]
TESTED: Final = ("finals", "delivery")
"""Stretches whose networks are judged on the test images."""


@dataclasses.dataclass(frozen=True)
class Stretch:
    """A rung of a race, its finals, or the training of what it delivers.

    Attributes:
        name: ``rung 1``, ``finals``, ``delivery``.
        images: Images of each training.
        networks: How many networks train in it.
        trainings: How many trainings that are; more may come in the finals, where time is left.
        done: How many of them are done.
        best: Name of the best network so far: the least loss in a rung, the most images right in the finals.
        accuracy: What share of images that one gets right: of the select images in a rung, of the test images in
            those that are ``TESTED``, as the mean of its seeds.
    """

    name: str
    images: int
    networks: int
    trainings: int
    done: int = 0
    best: str = ""
    accuracy: float | None = None


@dataclasses.dataclass(frozen=True)
class Dot:
    """A network that has been trained, on the map of shares.

    Attributes:
        shares: Of depth, width and resolution in the logarithm of the budget.
        standing: ``going on`` for those of the last stretch, ``best`` for the best of it.
    """

    shares: Mapping[str, float]
    standing: Standing


@dataclasses.dataclass(frozen=True)
class Board:
    """What a search has done so far, and what is planned."""

    stretches: tuple[Stretch, ...] = ()
    dots: tuple[Dot, ...] = ()

    @property
    def leading(self) -> Stretch | None:
        """The last stretch in which a network has succeeded."""
        return next((one for one in reversed(self.stretches) if one.best), None)
