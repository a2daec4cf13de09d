"""Means and covariances of channels, gathered batch by batch, and which channels are alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.linalg import get_blas_funcs
from scipy.spatial.distance import squareform

Array = NDArray[np.float64]

POSITIONS: Final = 64
"""Places of a map that are looked at in each image at most; neighbours say nearly the same."""

ALIKE: Final = 0.9
"""Correlation, up to its sign, from which on channels are called alike."""

_ORDERED: Final = 512  # channels up to which the tree is also put into its best order
_CONSTANT: Final = 1e-12

(_add_products,) = get_blas_funcs(("syrk",), dtype=np.float64)


class Moments:
    """Sums over samples of some channels, in float64.

    Products are taken about the mean of the first samples, so that a large mean costs no digits.

    Args:
        channels: How many.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self._pilot = np.zeros(channels)
        self._sums = np.zeros(channels)
        self._products = np.zeros((channels, channels), order="F")  # the upper half

    def add(self, rows: NDArray[np.floating]) -> None:
        """Take in samples (M, channels)."""
        rows = rows.astype(np.float64)
        if not self.count:
            self._pilot = rows.mean(axis=0)
        rows -= self._pilot
        self._sums += rows.sum(axis=0)
        self._products = _add_products(1.0, rows.T, beta=1.0, c=self._products, overwrite_c=True)
        self.count += len(rows)

    @property
    def mean(self) -> Array:
        """(channels,)."""
        return self._shift + self._pilot

    @property
    def covariance(self) -> Array:
        """(channels, channels)."""
        whole = np.triu(self._products)
        whole += np.triu(self._products, 1).T
        whole /= max(self.count, 1)
        whole -= np.outer(self._shift, self._shift)
        return whole

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Which channels vary at all."""
        variance = np.diagonal(self._products) / max(self.count, 1) - self._shift**2
        return variance > _CONSTANT * (variance + self.mean**2)

    def merged(self, other: Moments) -> Moments:
        """The moments of both sets of samples."""
        if not (self.count and other.count):
            return self if self.count else other
        merged = Moments(len(self._sums))
        merged._pilot, merged.count = self._pilot, self.count + other.count
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / merged.count)
        merged._sums = (mean - self._pilot) * merged.count
        covariance = (self.covariance * self.count + other.covariance * other.count) / merged.count
        covariance += np.outer(apart, apart) * (self.count * other.count / merged.count**2)
        merged._products = (covariance + np.outer(merged._shift, merged._shift)) * merged.count
        return merged

    @property
    def _shift(self) -> Array:
        """The mean about the pilot."""
        return self._sums / max(self.count, 1)


def sample_places(height: int, width: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Places of a map to look at, as flat indices in order: all of them, or ``POSITIONS`` drawn ones."""
    places = height * width
    return np.arange(places) if places <= POSITIONS else np.sort(random.choice(places, POSITIONS, replace=False))


def samples(values: NDArray[np.floating], places: NDArray[np.int64]) -> NDArray[np.floating]:
    """The channels at some places of each image: (N, C, H, W) to (N * places, C)."""
    flat = values.reshape(*values.shape[:2], -1)[:, :, places]
    return flat.transpose(0, 2, 1).reshape(-1, values.shape[1])


@dataclass(frozen=True, eq=False)
class Alike:
    """Which of some channels are alike.

    Attributes:
        correlation: Of all pairs, (C, C); 0 for a channel that is constant.
        order: The channels in an order in which those that are alike lie together, (C,).
        groups: The number of each channel's group, (C,), from 0; a group is what average linkage keeps together above
            ``ALIKE``.
        dead: Channels that are constant.
    """

    correlation: Array
    order: NDArray[np.int64]
    groups: NDArray[np.int64]
    dead: tuple[int, ...]

    @property
    def mean(self) -> float | None:
        """Mean correlation of two channels, without its sign; None with fewer than two that vary."""
        alive = np.delete(np.arange(len(self.order)), self.dead)
        part = np.abs(self.correlation[np.ix_(alive, alive)])[np.triu_indices(len(alive), 1)]
        return float(part.mean()) if len(part) else None

    def pairs(self, most: int) -> list[tuple[int, int, float]]:
        """The pairs that are most alike, with their correlation."""
        first, second = np.triu_indices(len(self.order), 1)
        values = self.correlation[first, second]
        best = np.argsort(-np.abs(values), kind="stable")[:most]
        return [(int(first[at]), int(second[at]), float(values[at])) for at in best if values[at]]

    @property
    def redundant(self) -> int:
        """Channels that are not the first of their group."""
        return len(self.groups) - len(self.dead) - len(set(np.delete(self.groups, self.dead).tolist()))


def alike(moments: Moments) -> Alike:
    """Correlate and cluster channels (average linkage over one minus the correlation without its sign)."""
    alive = moments.alive
    deviation = np.sqrt(np.where(alive, np.diagonal(moments.covariance), 1.0))
    correlation = moments.covariance
    correlation /= np.outer(deviation, deviation)
    np.clip(correlation, -1, 1, out=correlation)
    correlation[~alive] = correlation[:, ~alive] = 0
    np.fill_diagonal(correlation, alive)
    distance = 1 - np.abs(correlation)
    np.fill_diagonal(distance, 0)
    dead = tuple(np.flatnonzero(~alive).tolist())
    if len(alive) < 2:
        return Alike(correlation, np.arange(len(alive)), np.zeros(len(alive), np.int64), dead)
    tree = linkage(squareform((distance + distance.T) / 2), "average", optimal_ordering=len(alive) <= _ORDERED)
    groups = fcluster(tree, 1 - ALIKE, "distance").astype(np.int64) - 1
    return Alike(correlation, leaves_list(tree).astype(np.int64), groups, dead)
