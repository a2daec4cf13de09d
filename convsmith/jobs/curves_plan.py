"""What saturation curves can be had in a time: how long every training is, over how many seeds, up to which budget.

All points get the same number of images and, as far as the time goes, the same seeds. That number is one of a coarse
grid, so that a later run, which has other paces or more time, meets the same trainings again and need not repeat them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from convsmith.errors import TrainingError
from convsmith.quantities import format_count, format_seconds
from convsmith.search.policy import Load

MARGIN: Final = 0.03
"""Share of the time left free, because no prediction is exact."""
DEFAULT_SEEDS: Final = 3
MOST_SEEDS: Final = 15

_EPOCHS: Final = (2.0, 5.0, 20.0)
_IMAGES: Final = (5_000, 12_500, 50_000)
"""The shortest training that says anything, one that is long enough, the longest: whichever of the two is more."""
_LEAST_SEEDS: Final = 2
_PER_DECADE: Final = 10


@dataclasses.dataclass(frozen=True)
class CurvesPlan:
    """What will be trained.

    Attributes:
        images: Images that every training sees.
        seeds: Trainings of every network; more where time is left.
        keys: The networks, in the order of their trainings: the base first, then budget by budget.
        seconds: Predicted, without what is on record.
        notes: What had to give, in words.
    """

    images: int
    seeds: int
    keys: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**dataclasses.asdict(self), "keys": list(self.keys), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CurvesPlan:
        """The inverse of ``to_dict``."""
        return cls(**{**values, "keys": tuple(values["keys"]), "notes": tuple(values["notes"])})


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is wanted, if there is time.

    Attributes:
        steps: Keys of the networks: the base alone first, then those of each budget.
        seeds: Trainings of every network.
        epochs: Passes over the training images; as many as the time allows, up to 20, if None.
    """

    steps: Sequence[Sequence[str]]
    seeds: int
    epochs: float | None = None


def plan_curves(
    wish: Wish,
    available: float,
    paces: Mapping[str, float],
    load: Load,
    known: Callable[[str, int, int], bool] = lambda key, images, number: False,
) -> CurvesPlan:
    """The best that fits into ``available`` seconds.

    What gives first when time is short is the length of trainings down to 5 passes, then seeds down to two, then the
    dearest budgets, then length down to 2 passes, and at last the second seed.

    Args:
        wish: What is wanted.
        available: Seconds.
        paces: Seconds per training image, by key.
        load: What a training goes through; ``train`` are all images that are learnt from.
        known: Whether a training is on record and costs nothing: key, images, number of the seed from 1.

    Raises:
        TrainingError: If not even the base and one step fit; says the least time that works.
    """

    def seconds(keys: Sequence[str], images: int, seeds: int) -> float:
        return sum(
            load.seconds(paces[key], images, True)
            for key in keys
            for number in range(1, seeds + 1)
            if not known(key, images, number)
        )

    for (steps, seeds), lengths in _options(wish, load):
        keys = tuple(key for step in wish.steps[: steps + 1] for key in step)
        for images in lengths:
            needed = seconds(keys, images, seeds)
            if needed <= (1 - MARGIN) * available:
                return CurvesPlan(images, seeds, keys, needed, _notes(wish, steps, seeds, images, load))
    (steps, seeds), lengths = list(_options(wish, load))[-1]
    keys = [key for step in wish.steps[: steps + 1] for key in step]
    least = seconds(keys, lengths[-1], seeds) / (1 - MARGIN)
    raise TrainingError(
        f"the time must suffice for one training of the base and of each network of the first step: {len(keys)} "
        f"trainings of {format_count(lengths[-1])} images take {format_seconds(least)}",
        received=format_seconds(max(available, 0.0)),
        where="minutes",
        remedy=f"give about {format_seconds(math.ceil(least - available + 1))} more",
    )


def _options(wish: Wish, load: Load) -> Iterator[tuple[tuple[int, int], list[int]]]:
    """Steps, seeds and lengths, the longest first, in the order of preference."""
    few, all_steps = min(_LEAST_SEEDS, wish.seeds), len(wish.steps) - 1
    if wish.epochs is not None:
        fixed = [max(2, round(wish.epochs * load.train))]
        shapes = [*((all_steps, seeds) for seeds in range(wish.seeds, few - 1, -1))]
        shapes += [(steps, few) for steps in range(all_steps - 1, 0, -1)] + [(1, 1)]
        yield from ((shape, fixed) for shape in shapes)
        return
    shortest, enough, longest = (
        max(epochs * load.train, least) for epochs, least in zip(_EPOCHS, _IMAGES, strict=True)
    )
    good, poor = _grid(enough, longest), _grid(shortest, enough)
    yield from (((all_steps, seeds), good) for seeds in range(wish.seeds, few - 1, -1))
    yield from (((steps, few), good) for steps in range(all_steps - 1, 1, -1))
    yield from (((steps, few), poor) for steps in range(min(2, all_steps), 0, -1))
    yield (1, 1), poor


def _grid(least: float, most: float) -> list[int]:
    """Lengths from ``most`` down to ``least``, ten to a decade, always the same ones."""
    first, last = (round(math.log10(end) * _PER_DECADE, 6) for end in (least, most))
    lengths = (_rounded(10 ** (power / _PER_DECADE)) for power in range(math.ceil(last), math.floor(first) - 1, -1))
    return [length for length in lengths if least <= length <= most] or [math.ceil(least)]


def _rounded(value: float) -> int:
    """Two significant digits."""
    return int(round(value, 1 - math.floor(math.log10(value))))


def _notes(wish: Wish, steps: int, seeds: int, images: int, load: Load) -> tuple[str, ...]:
    left_out = len(wish.steps) - 1 - steps
    short = wish.epochs is None and images < max(_EPOCHS[1] * load.train, _IMAGES[1])
    budgets = f"{left_out} dearest budget{'s are' if left_out > 1 else ' is'}"
    notes = (
        (left_out > 0, f"time is short: the {budgets} left out"),
        (seeds < wish.seeds, f"time is short: {seeds} of {wish.seeds} seeds"),
        (short, f"time is short: trainings see {format_count(images)} images, which favours wide and shallow networks"),
    )
    return tuple(text for holds, text in notes if holds)
