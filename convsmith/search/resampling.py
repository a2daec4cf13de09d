"""The two sources of chance in an accuracy, drawn again: which images it is judged on, and which seed was trained."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

Table = NDArray[np.float64]
"""(seeds, images), 1 where right; or the difference of two such."""

RESAMPLES: Final = 4_000
_SURE: Final = 0.975


@dataclasses.dataclass(frozen=True)
class Spread:
    """How far accuracies lie apart from seed to seed.

    Attributes:
        genuine: Variance beyond what the images explain.
        observed: Variance with that.
        freedom: Degrees of freedom behind both.
    """

    genuine: float
    observed: float
    freedom: int

    @property
    def deviation(self) -> float:
        """Standard deviation beyond what the images explain."""
        return math.sqrt(self.genuine)

    def times(self, factor: float) -> Spread:
        """The same of a sum or a difference, whose variance is ``factor`` times this."""
        return Spread(factor * self.genuine, factor * self.observed, self.freedom)

    @staticmethod
    def of(tables: Sequence[Table]) -> Spread:
        """Pooled over the tables of several networks, which are taken to be spread alike."""
        parts = [(len(table) - 1, *between_seeds(table)) for table in tables if len(table) > 1]
        freedom = sum(degrees for degrees, _, _ in parts)
        if not freedom:
            return ALIKE
        observed = sum(degrees * found for degrees, found, _ in parts) / freedom
        by_chance = sum(degrees * images for degrees, _, images in parts) / freedom
        return Spread(max(observed - by_chance, 0.0), observed, freedom)


_TYPICAL: Final = 0.02
"""Standard deviation from seed to seed over that of a single image's answer: 1 point at 50 %, 0.3 at 98 %. Of 22 kinds
of short trainings it was 0.021, of 46 longer ones 0.013 to 0.015, with what chance on the images adds
(``blocks.ndjson``, ``recipe.ndjson`` and ``regularisation.ndjson`` in ``benchmarks/results``)."""
_SURMISED: Final = 20
"""Degrees of freedom of that: how far a guess is trusted."""


def assumed_spread(tables: Sequence[Table]) -> Spread:
    """What is assumed of seeds where every network has one: that they differ as those of other networks did."""
    images = tables[0].shape[1]
    accuracy = float(np.mean([(table.sum() + 1) / (table.size + 2) for table in tables]))
    by_image = accuracy * (1 - accuracy)
    genuine = _TYPICAL**2 * by_image
    return Spread(genuine, genuine + by_image / images, _SURMISED)


ALIKE: Final = Spread(0.0, 0.0, 0)
"""Of seeds that differ in nothing, or of which nothing is known."""


def resampled_means(table: Table, seed: int, spread: Spread | None = None) -> Table:
    """Means of ``RESAMPLES`` tables with other images and other seeds, (RESAMPLES,).

    Drawing whole rows and columns would count three times what is due neither to the image nor to the seed alone, and
    that is most of a paired difference. So the images are drawn with replacement, with their mean over seeds, and to
    that comes a normal effect of the seeds, as large as they differ beyond what chance alone would make of them
    (Davison and Hinkley 1997, section 3.8). Few seeds say little about how far seeds differ: all is drawn apart as
    Student's t is wider than the normal distribution, with the degrees of freedom of Satterthwaite (Biometrics 1946,
    2:110).

    Args:
        table: What is resampled.
        seed: Of the resampling.
        spread: Of such a table from seed to seed; its own where none is given.
    """
    rng = np.random.default_rng(seed)
    spread = Spread.of([table]) if spread is None else spread
    means = _image_means(table, rng) + seed_effects(len(table), spread, rng)
    centre = table.mean()
    return centre + widening(table, spread) * (means - centre)


def optimism(tables: Sequence[Table], choose: Callable[[Table], NDArray[np.intp]], seed: int, spread: Spread) -> float:
    """What being chosen by these images adds to the mean of the chosen one (Efron and Tibshirani 1993, chapter 10).

    In every resample the choice is made anew; its mean there exceeds its mean here by what the resample flatters it.

    Args:
        tables: Of the networks to choose from.
        choose: Gives the index of the chosen one for each row of (RESAMPLES, networks) means.
        seed: Of the resampling.
        spread: Of the networks from seed to seed.
    """
    if len(tables) == 1:
        return 0.0
    rng = np.random.default_rng(seed)
    images = tables[0].shape[1]
    sums, counts = np.unique(np.stack([table.sum(axis=0) for table in tables]), axis=1, return_counts=True)
    seeds = np.array([len(table) for table in tables])
    means = rng.multinomial(images, counts / images, size=RESAMPLES) @ sums.T / (seeds * images)
    means += np.stack([seed_effects(len(table), spread, rng) for table in tables], axis=1)
    chosen = choose(means)
    observed = np.array([table.mean() for table in tables])
    return float(np.mean(means[np.arange(RESAMPLES), chosen] - observed[chosen]))


def seed_effects(seeds: int, spread: Spread, rng: np.random.Generator) -> Table:
    """Drawn effects of ``seeds`` seeds on a mean, (RESAMPLES,)."""
    return math.sqrt(spread.genuine / seeds) * rng.standard_normal(RESAMPLES)


def between_seeds(table: Table) -> tuple[float, float]:
    """Variance of the accuracy from seed to seed, and what of it the images alone would make."""
    seeds, images = table.shape
    effects = table.mean(axis=1) - table.mean()
    rest = table - table.mean(axis=0) - effects[:, np.newaxis]
    return float(np.var(effects, ddof=1)), float(np.sum(rest**2) / ((seeds - 1) * max(images - 1, 1)) / images)


def widening(table: Table, spread: Spread) -> float:
    """How much wider than normal the distribution of the mean is, because the spread from seed to seed is estimated."""
    seeds, images = table.shape
    by_seeds = spread.observed / seeds
    if not by_seeds:
        return 1.0
    variance = float(table.mean(axis=0).var()) / images + spread.genuine / seeds
    freedom = spread.freedom * max(variance / by_seeds, 1.0) ** 2
    return float(t.ppf(_SURE, freedom) / norm.ppf(_SURE))


def _image_means(table: Table, rng: np.random.Generator) -> Table:
    seeds, images = table.shape
    sums, counts = np.unique(table.sum(axis=0), return_counts=True)
    return rng.multinomial(images, counts / images, size=RESAMPLES) @ sums / (seeds * images)
