"""What a search is told before it begins: what a training goes through, and the constants of the search."""

from __future__ import annotations

import dataclasses
import math
from typing import Final

from convsmith.search.surrogate import LEAST


@dataclasses.dataclass(frozen=True)
class Load:
    """What one training goes through.

    Attributes:
        train: Images of an epoch.
        select: Images judged after a training of the search.
        test: Images judged after a final.
        side: Of the images as they come, in pixels; 0 where any resolution may show more than a lower one.
        evaluation: Time to judge an image over time to train on it; a forward pass is a third of forward and backward.
        setup: Seconds before the first image.
        recalibrated: Images that batch norms are computed anew from after a training of the search.
        recalibrated_final: The same after a final.
    """

    train: int
    select: int
    test: int
    side: int = 0
    evaluation: float = 1 / 3
    setup: float = 0.0
    recalibrated: int = 0
    recalibrated_final: int = 0

    def seconds(self, pace: float, images: float, final: bool) -> float:
        """Predicted seconds of a training at ``pace`` seconds per image."""
        return self.setup + pace * (images + self._judging(final))

    def pace(self, seconds: float, images: int, final: bool) -> float:
        """The pace that a finished training shows."""
        return max(seconds - self.setup, 0.0) / (images + self._judging(final))

    def _judging(self, final: bool) -> float:
        return self.evaluation * (self.test + self.recalibrated_final if final else self.select + self.recalibrated)


@dataclasses.dataclass(frozen=True)
class Policy:
    """The constants of a search.

    Attributes:
        delivery: Share of the time for one long training of the network that the finals choose.
        reserve: Least share of the rest for the finals.
        worthwhile: Least times as long as the finals that this training is, or else it is not done.
        stretch: Times the longest training that it may be, where it is faster than time was kept for.
        margin: Share of the time left free, because no prediction is exact.
        min_images: Shortest training that says anything, in images. The losses of 36 networks of equal cost after 2,500
            images had a rank correlation of 0.60 with those after 22,500, and after 7,500 one of 0.79
            (``benchmarks/fit/compare.py``, "photographs, 6M").
        max_epochs: Longest training in passes; time beyond it goes to more seeds.
        max_images: A full training may be this long whatever the passes are.
        rungs: Most rungs, from 1 to 3.
        finalists: Best networks of the last rung that go to the finals, beside the best rule.
        min_seeds: Seeds of each finalist, if the time allows.
        max_seeds: Seeds at which the finals end even if time remains.
        draws: Most drawn networks that enter beside the rules.
        proposed: Share of their places in the first rung that is given away when the others have been trained.
        revived: Share of the places in each later rung that is given away so.
        informed: Share of the drawn networks that enter where trainings of earlier runs tell which.
        surrogate: Whether rungs are ranked, and places given away, by what all trainings together say.
        hopeless: Share of the shortest training below which a search is not begun.
        learnt: Error that is left after one pass over the images.
        slowness: The power of the passes by which it falls.
        spread: Standard deviation of the error among networks of one budget.
        foresight: How far the order of networks agrees with that after a training three times as long.
        proved: Error that the finals are thought to add, over their seeds: what a choice by chance costs, and doubt.
    """

    delivery: float = 0.0
    reserve: float = 0.35
    worthwhile: float = 1.5
    stretch: float = 1.5
    margin: float = 0.03
    min_images: int = 2_500
    max_epochs: float = 100.0
    max_images: int = 50_000
    rungs: int = 3
    finalists: int = 2
    min_seeds: int = 3
    max_seeds: int = 15
    draws: int = 16
    proposed: float = 1 / 2
    revived: float = 1 / 3
    informed: float = 1 / 2
    surrogate: bool = True
    hopeless: float = 0.0
    learnt: float = 0.7
    slowness: float = 0.25
    spread: float = 0.045
    foresight: float = 0.85
    proved: float = 0.15

    def held(self, drawn: int, rules: int) -> int:
        """How many of the drawn networks' places in the first rung are given away when the others are trained."""
        held = math.floor(self.proposed * drawn) if self.surrogate else 0
        return held if drawn + rules - held >= LEAST else 0

    def freed(self, places: int) -> int:
        """How many of the places of a later rung are given away so."""
        return math.floor(self.revived * places) if self.surrogate else 0

    def longest(self, load: Load) -> float:
        """Most images of a training."""
        return max(self.max_epochs * load.train, self.max_images)


_HOPELESS: Final = 0.4
"""Share of the shortest training. Between this and all of it a search goes on and says that it tells little: a machine
may be busy only now."""


_DELIVERY: Final = 0.5
"""Finals are many and short, since they compare. What three times the images add (9 to 19 points of accuracy from
22,500 photographs on, ``benchmarks/fit/table.py``) no choice among networks of equal cost does."""


def policy_for(seconds: float) -> Policy:
    """The policy of ``fit`` for a time: from two hours on there is time for a wider field."""
    return Policy(draws=32 if seconds >= 7200 else 16, hopeless=_HOPELESS, delivery=_DELIVERY)
