"""How much of a layer could be made from a part of it by a cheap linear map, as GhostNet makes its ghost features.

Half the channels are kept, and the others are restored from them: by any linear map, a 1x1 convolution, or each from
the one kept channel that suits it best, as GhostNet's depthwise operation does with a kernel of one tap (Han et al.,
"GhostNet: More Features from Cheap Operations", 2020, arXiv 1911.11907, section 3.1). Channels are kept by the largest
variance that those before leave unexplained, which is Cholesky's decomposition with pivots. The map is fitted on one
half of the images and judged on the other, so a layer of many channels and few images gets no gift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from convsmith.explain.moments import Array, Moments
from convsmith.explain.points import Point

Indices = NDArray[np.int64]

RATIO: Final = 2
_RIDGE: Final = 1e-9


@dataclass(frozen=True)
class Ghostable:
    """What a layer could do without.

    Attributes:
        point: Where.
        kept: Number of channels that are computed as before.
        restored: The share of the others' variance that a linear map from all kept ones restores, on images that it
            was not fitted on; at least 0. None where the others do not vary.
        restored_single: The same where each is made from one kept channel.
        macs_saved: Multiply-adds saved with the first map, its own subtracted; below 0 where the map costs more than
            the channels.
        macs_saved_single: The same with the second map.
    """

    point: Point
    kept: int
    restored: float | None
    restored_single: float | None
    macs_saved: int
    macs_saved_single: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        facts = {key: value for key, value in vars(self).items() if key != "point"}
        return {"name": self.point.name, "section": self.point.section, "macs": self.point.macs, **facts}


def ghostable(point: Point, fitted: Moments, judged: Moments) -> Ghostable:
    """How much of a layer's variance half of its channels restore.

    Args:
        point: The layer, with two channels or more.
        fitted: Moments of its channels on the images that choose and fit.
        judged: The same on the images that judge.
    """
    covariance, shift = fitted.covariance, judged.mean - fitted.mean
    kept, left = choose(covariance, -(-point.channels // RATIO))
    maps = _fit(covariance, kept, left), _fit_single(covariance, kept, left)
    if judged.alive[left].any():
        restored, single = (_restored(judged.covariance, shift, kept, left, factors) for factors in maps)
    else:
        restored = single = None
    places = point.shape[1] * point.shape[2] if point.is_map else 1
    saved = point.macs * len(left) // point.channels
    costs = places * len(kept) * len(left), places * len(left)
    return Ghostable(point, len(kept), restored, single, saved - costs[0], saved - costs[1])


def choose(covariance: Array, count: int) -> tuple[Indices, Indices]:
    """Indices of ``count`` channels from which the others follow best, greedily, and of the others; both sorted."""
    (factorise,) = linalg.get_lapack_funcs(("pstrf",), dtype=np.float64)
    _, pivots, rank, _ = factorise(covariance, lower=1)
    first = np.asarray(pivots[:rank], np.int64) - 1
    order = np.concatenate([first, np.setdiff1d(np.arange(len(pivots)), first)])
    return np.sort(order[:count]), np.sort(order[count:])


def _fit(covariance: Array, kept: Indices, left: Indices) -> Array:
    """Least squares from the kept channels to the others, (kept, left)."""
    inner, cross = (covariance[np.ix_(kept, to)] for to in (kept, left))
    inner[np.diag_indices(len(kept))] += _RIDGE * np.trace(inner) / len(kept) or 1.0
    return linalg.solve(inner, cross, assume_a="pos")


def _fit_single(covariance: Array, kept: Indices, left: Indices) -> Array:
    """The same where each of the others is made from one kept channel."""
    variance, cross = np.diagonal(covariance)[kept], covariance[np.ix_(kept, left)]
    explained = np.divide(cross**2, variance[:, None], out=np.zeros_like(cross), where=variance[:, None] > 0)
    best = explained.argmax(axis=0)
    factors, columns = np.zeros_like(cross), np.arange(len(left))
    alive = variance[best] > 0
    factors[best[alive], columns[alive]] = cross[best[alive], columns[alive]] / variance[best[alive]]
    return factors


def _restored(covariance: Array, shift: Array, kept: Indices, left: Indices, factors: Array) -> float:
    """The share of the variance of ``left`` that a map restores on samples of which these are the moments.

    Args:
        covariance: Of all channels.
        shift: Their mean, less that of the samples that the map was fitted on.
        kept: Channels that the map reads.
        left: Channels that it gives.
        factors: The map, (kept, left).
    """
    total = float(np.diagonal(covariance)[left].sum())
    inner, cross = covariance[np.ix_(kept, kept)], covariance[np.ix_(kept, left)]
    missed = total - 2 * float((factors * cross).sum()) + float((factors * (inner @ factors)).sum())
    missed += float(((shift[left] - shift[kept] @ factors) ** 2).sum())
    return max(0.0, 1 - missed / total)
