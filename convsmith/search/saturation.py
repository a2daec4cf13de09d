"""Where does a curve of accuracy against cost stop rising? Said only as far as paired intervals tell it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from scipy.stats import t as student

from convsmith.search.candidate import Training
from convsmith.search.resampling import between_seeds
from convsmith.search.statistics import right

Point = Sequence[Training]
"""The trainings of one network, judged on the same test images."""

_UNSEEN: Final = 3.0
"""Of as many images that show no difference, a share of 3 / n may still do so, with 95 % confidence (Hanley and
Lippman-Hand, JAMA 1983, 249:1743)."""


@dataclasses.dataclass(frozen=True)
class Gain:
    """Accuracy of one point less that of another, with its 95 % interval, over ``seeds`` common seeds."""

    difference: float
    low: float
    high: float
    seeds: int

    @property
    def certain(self) -> bool:
        """Whether it is a gain, with 95 % confidence; one seed cannot tell."""
        return self.seeds > 1 and self.low > 0

    def within(self, margin: float) -> bool:
        """Whether it is no more than ``margin``, with 95 % confidence; one seed cannot tell."""
        return self.seeds > 1 and self.high <= margin


def gain(of: Point, over: Point) -> Gain:
    """What one point is better than another by, paired by seed and test image.

    The variance of the choice of images is added to that of the mean over seeds. With few seeds the latter is hardly
    known, so the interval is Student's, with the degrees of freedom of Satterthwaite (Biometrics 1946, 2:110);
    resampling so few, as is done for finals, gives intervals too narrow to say of a curve that it has ended. With one
    seed the interval holds for that seed alone.
    """
    ours, theirs = ({one.work.seed: right(one.outcome).astype(np.float64) for one in point} for point in (of, over))
    common = sorted(ours.keys() & theirs.keys())
    assert common, "points of a curve share their seeds"
    table = np.stack([ours[seed] - theirs[seed] for seed in common])
    seeds, images = table.shape
    by_images, by_seeds, freedom = float(np.var(table.mean(axis=0))) / max(images - 1, 1), 0.0, math.inf
    if seeds > 1:
        by_seeds, by_chance = (part / seeds for part in between_seeds(table))
        by_images = max(by_images - by_chance, 0.0)  # the seeds show that part, too
    variance = by_images + by_seeds
    if by_seeds:
        freedom = (seeds - 1) * (variance / by_seeds) ** 2
    quantile: Any = student.ppf(0.975, freedom) if math.isfinite(freedom) else 1.959963984540054
    half = max(float(quantile) * math.sqrt(variance), _UNSEEN / images)
    difference = float(table.mean())
    return Gain(difference, difference - half, difference + half, seeds)


@dataclasses.dataclass(frozen=True)
class Saturation:
    """What a curve does.

    Attributes:
        kind: ``"stops"``: no point behind ``at`` is better by more than the margin, with 95 % confidence.
            ``"pays"``: the last step is a gain for certain, and ``at`` is the last point.
            ``"unclear"``: neither; the steps up to ``at`` are gains, and what follows cannot be told.
            ``"short"``: there are not two points.
        at: Number of the point, from 0.
        gains: Of each point over the one before.
    """

    kind: Literal["stops", "pays", "unclear", "short"]
    at: int
    gains: tuple[Gain, ...]


def saturation(points: Sequence[Point], margin: float) -> Saturation:
    """Judge a curve.

    Args:
        points: Its points, cheapest first.
        margin: Differences of accuracy up to this do not matter in practice.
    """
    last = len(points) - 1
    if last < 1:
        return Saturation("short", 0, ())

    gains = tuple(gain(after, before) for before, after in itertools.pairwise(points))
    for at in range(last):
        if all(gain(later, points[at]).within(margin) for later in points[at + 1 :]):
            return Saturation("stops", at, gains)
    if gains[-1].certain:
        return Saturation("pays", last, gains)
    certain = (number for number, step in enumerate(gains, start=1) if step.certain)
    return Saturation("unclear", max(certain, default=0), gains)
