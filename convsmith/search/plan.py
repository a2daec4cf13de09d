"""A time plan as data: what is trained in each rung and in the finals, for people and for the record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from convsmith.quantities import format_count, format_seconds


@dataclasses.dataclass(frozen=True)
class Step:
    """A rung of the ladder: its ``length`` relative to a full training, and the ``share`` of entrants it trains."""

    length: float
    share: float


@dataclasses.dataclass(frozen=True)
class RungPlan:
    """``candidates`` trainings of ``images`` images each, ``seconds`` in all."""

    images: int
    candidates: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class FinalsPlan:
    """``candidates`` times ``seeds`` trainings of ``images`` images each, ``seconds`` in all."""

    images: int
    candidates: int
    seeds: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class DeliveryPlan:
    """One training of the chosen network, of ``images`` images; none at all if that is 0."""

    images: int = 0
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the time is spent.

    Attributes:
        available: Seconds to be divided.
        entrants: Keys of the networks of the first rung.
        rungs: The rungs still to come, the next one first.
        finals: The finals.
        steps: The rungs relative to the finals.
        notes: What had to give, in words.
        delivery: The long training of the chosen network.
    """

    available: float
    entrants: tuple[str, ...]
    rungs: tuple[RungPlan, ...]
    finals: FinalsPlan
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    delivery: DeliveryPlan = DeliveryPlan()

    @property
    def seconds(self) -> float:
        """Predicted seconds in all."""
        return sum(rung.seconds for rung in self.rungs) + self.finals.seconds + self.delivery.seconds

    @property
    def shortest(self) -> int:
        """Images of the shortest training."""
        return self.rungs[0].images if self.rungs else self.finals.images

    def lines(self) -> tuple[str, ...]:
        """For people: one line per rung, one for the finals and the delivery each, then the notes."""
        rungs = (
            f"rung {number}: {rung.candidates} networks x {format_count(rung.images)} images, "
            f"{format_seconds(rung.seconds)}"
            for number, rung in enumerate(self.rungs, start=1)
        )
        finals = (
            f"finals: {self.finals.candidates} networks x {self.finals.seeds} seeds x "
            f"{format_count(self.finals.images)} images, {format_seconds(self.finals.seconds)}"
        )
        delivery = (
            f"delivery: the chosen network alone, {format_count(self.delivery.images)} images, "
            f"{format_seconds(self.delivery.seconds)}"
        )
        return (*rungs, finals, *([delivery] if self.delivery.images else []), *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        values = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of ``to_dict``."""
        return cls(
            available=values["available"],
            entrants=tuple(values["entrants"]),
            rungs=tuple(RungPlan(**rung) for rung in values["rungs"]),
            finals=FinalsPlan(**values["finals"]),
            steps=tuple(Step(**step) for step in values["steps"]),
            notes=tuple(values["notes"]),
            delivery=DeliveryPlan(**values["delivery"]),
        )
