"""The claim that layers of one stage are alike and layers of different stages are not, as a figure with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.explain.hsic import Array, cka

DRAWS: Final = 2000
FEWEST_BATCHES: Final = 8
"""Batches from which an interval is drawn; the bootstrap of fewer promises too much."""

_PART: Final = 100


@dataclass(frozen=True)
class Contrast:
    """How much more alike layers of one stage are than layers of different stages.

    Attributes:
        within: Mean CKA of two layers of one stage.
        between: Mean CKA of two layers of different stages.
        difference: ``within - between``.
        interval: 95 % of the difference, over draws of the batches; None with too few of them.
        at_same_distance: The difference between pairs that are equally many layers apart, averaged over the distances
            at which there are pairs of both kinds. Neighbours are alike in any network; this is what the border adds.
            None where no distance has both.
        at_same_distance_interval: 95 % of that.
    """

    within: float
    between: float
    difference: float
    interval: tuple[float, float] | None
    at_same_distance: float | None
    at_same_distance_interval: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}


def contrast(tables: Array, stages: Sequence[str], *, seed: int) -> Contrast | None:
    """Hold the claim against the layers of a network.

    The interval is the percentile bootstrap over batches of images: they are drawn with replacement, each time the
    criteria are averaged anew. It covers the choice of the images, not that of the network.

    Args:
        tables: The criterion of all pairs of layers in each batch, (B, L, L).
        stages: The stage of each layer, (L,); an empty name leaves the layer out.
        seed: Decides the draws.

    Returns:
        None where there are no two stages, or no two layers in one, that vary over the images.
    """
    whole = cka(tables.mean(axis=0))
    usable = [number for number, stage in enumerate(stages) if stage and not np.isnan(whole[number, number])]
    names = np.array([stages[number] for number in usable])
    apart = np.abs(np.subtract.outer(np.arange(len(usable)), np.arange(len(usable))))
    same = np.equal.outer(names, names)
    if not (same & (apart > 0)).any() or same.all():
        return None
    mine = tables[:, usable][:, :, usable]
    found = _figures(cka(mine.mean(axis=0))[None], same, apart)
    draws = _draws(mine, same, apart, seed) if len(mine) >= FEWEST_BATCHES else None
    within, between, difference, matched = (float(part[0]) for part in found)
    return Contrast(
        within,
        between,
        difference,
        None if draws is None else _interval(draws[2]),
        None if np.isnan(matched) else matched,
        None if draws is None or np.isnan(matched) else _interval(draws[3]),
    )


def _draws(tables: Array, same: NDArray[np.bool_], apart: NDArray[np.int64], seed: int) -> Array:
    """The figures of every draw of batches, (4, draws)."""
    random = np.random.default_rng(seed)
    weights = random.multinomial(len(tables), np.full(len(tables), 1 / len(tables)), DRAWS) / len(tables)
    parts = (np.tensordot(weights[start : start + _PART], tables, axes=1) for start in range(0, DRAWS, _PART))
    return np.concatenate([_figures(cka(part), same, apart) for part in parts], axis=1)


def _figures(alike: Array, same: NDArray[np.bool_], apart: NDArray[np.int64]) -> Array:
    """Within, between, their difference, and the same at equal distance, of each of (D, L, L)."""
    pairs = np.triu(np.ones_like(same), 1)
    within, between = (_mean(alike, pairs & choice) for choice in (same, ~same))
    matched = [
        _mean(alike, pairs & same & at) - _mean(alike, pairs & ~same & at)
        for at in (apart == distance for distance in range(1, len(same)))
        if (pairs & same & at).any() and (pairs & ~same & at).any()
    ]
    missing = np.full(len(alike), np.nan)
    return np.stack([within, between, within - between, np.mean(matched, axis=0) if matched else missing])


def _mean(alike: Array, chosen: NDArray[np.bool_]) -> Array:
    return alike[:, chosen].mean(axis=1)


def _interval(values: Array) -> tuple[float, float] | None:
    """Where 95 % of the draws lie; None where a layer's own criterion came out below zero in one of them."""
    if np.isnan(values).any():
        return None
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
