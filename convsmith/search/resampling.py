"""The two sources of chance in an accuracy, drawn again: which images it is judged on, and which seed was trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
"""(seeds, images), 1 where right; or the difference of two such."""

RESAMPLES: Final = 4_000


def resampled_means(table: Table, seed: int) -> Table:
    """Means of ``RESAMPLES`` tables made by drawing images, and effects of seeds, with replacement, (RESAMPLES,).

    Drawing whole rows and columns would count three times what is due neither to the image nor to the seed alone, and
    that is most of a paired difference. So the images are drawn with their mean over seeds, and to that come drawn
    effects of seeds, shrunk by what chance alone would make of them (Davison and Hinkley 1997, section 3.8). One seed
    fewer than there are is drawn, which makes their variance unbiased (Rao and Wu 1988, JASA 83:231).
    """
    rng = np.random.default_rng(seed)
    seeds, images = table.shape
    sums, counts = np.unique(table.sum(axis=0), return_counts=True)
    means = rng.multinomial(images, counts / images, size=RESAMPLES) @ sums / (seeds * images)
    return means + seed_effects(table, rng)


def optimism(tables: Sequence[Table], choose: Callable[[Table], NDArray[np.intp]], seed: int) -> float:
    """What being chosen by these images adds to the mean of the chosen one (Efron and Tibshirani 1993, chapter 10).

    In every resample the choice is made anew; its mean there exceeds its mean here by what the resample flatters it.

    Args:
        tables: Of the networks to choose from.
        choose: Gives the index of the chosen one for each row of (RESAMPLES, networks) means.
        seed: Of the resampling.
    """
    if len(tables) == 1:
        return 0.0
    rng = np.random.default_rng(seed)
    images = tables[0].shape[1]
    sums, counts = np.unique(np.stack([table.sum(axis=0) for table in tables]), axis=1, return_counts=True)
    seeds = np.array([len(table) for table in tables])
    means = rng.multinomial(images, counts / images, size=RESAMPLES) @ sums.T / (seeds * images)
    means += np.stack([seed_effects(table, rng) for table in tables], axis=1)
    chosen = choose(means)
    observed = np.array([table.mean() for table in tables])
    return float(np.mean(means[np.arange(RESAMPLES), chosen] - observed[chosen]))


def seed_effects(table: Table, rng: np.random.Generator) -> Table:
    """Drawn effects of seeds on the mean of a table, (RESAMPLES,); see ``resampled_means``."""
    seeds = len(table)
    if seeds == 1:
        return np.zeros(RESAMPLES)
    between, by_chance = between_seeds(table)
    genuine = max(1 - by_chance / between, 0.0) if between > 0 else 0.0
    drawn = rng.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=RESAMPLES) / (seeds - 1)
    return drawn @ (table.mean(axis=1) - table.mean()) * math.sqrt(genuine)


def between_seeds(table: Table) -> tuple[float, float]:
    """Variance of the accuracy from seed to seed, and what of it the images alone would make."""
    seeds, images = table.shape
    effects = table.mean(axis=1) - table.mean()
    rest = table - table.mean(axis=0) - effects[:, np.newaxis]
    return float(np.var(effects, ddof=1)), float(np.sum(rest**2) / ((seeds - 1) * max(images - 1, 1)) / images)
