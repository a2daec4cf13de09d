"""How alike two layers are: centred kernel alignment (CKA) by the unbiased estimator, in batches, in float64.

CKA compares what two layers say about the same images, whatever the number of their channels (Kornblith et al.,
"Similarity of Neural Network Representations Revisited", 2019, arXiv 1905.00414, section 3). With few images and many
features its plain estimate is near 1 for anything. So the Hilbert-Schmidt independence criterion behind it is estimated
without bias (Song et al., "Feature Selection via Dependence Maximization", 2012, equation 5) and averaged over batches
(Nguyen et al., "Do Wide and Deep Networks Learn the Same Things?", 2021, arXiv 2010.15327, section 3), which gives the
same expectation for every size of the batch.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST: Final = 4
"""Images of a batch at least: the unbiased estimate divides by n - 3."""

_CHUNK: Final = 1 << 21
_CONSTANT: Final = 1e-12  # of the sum of squares; float32 rounds to 6e-8, whose square is far below


def gram(features: NDArray[np.floating]) -> Array:
    """Inner products of the centred features of n images, (n, n) with zeros on the diagonal.

    Args:
        features: (n, ...) of any number type; what varies only by rounding counts as constant and gives zeros.
    """
    rows = features.reshape(len(features), -1)
    products, squares = np.zeros((len(rows), len(rows))), 0.0
    for start in range(0, rows.shape[1], step := max(1, _CHUNK // len(rows))):
        part = rows[:, start : start + step].astype(np.float64)
        squares += float(np.einsum("ij,ij->", part, part))
        part -= part.mean(axis=0)
        products += part @ part.T
    if np.trace(products) <= _CONSTANT * squares:
        products[:] = 0
    np.fill_diagonal(products, 0)
    return products


def hsic(grams: Array) -> Array:
    """The unbiased Hilbert-Schmidt independence criterion of all pairs of layers, (L, L).

    Args:
        grams: (L, n, n) with zero diagonals, n at least 4.
    """
    layers, n = grams.shape[:2]
    assert n >= FEWEST
    flat = grams.reshape(layers, -1)
    totals, rows = flat.sum(axis=1), grams.sum(axis=2)
    sums = flat @ flat.T + np.outer(totals, totals) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (rows @ rows.T)
    return sums / (n * (n - 3))


def cka(tables: Array) -> Array:
    """CKA of all pairs of layers from their criteria, (..., L, L) to (..., L, L).

    NaN where a layer does not vary over the images, or so little that its own criterion comes out as zero or less.
    """
    own = np.diagonal(tables, axis1=-2, axis2=-1)
    scale = np.sqrt(np.where(own > 0, own, np.nan))
    return tables / (scale[..., :, None] * scale[..., None, :])


def batch_sizes(images: int, batch: int) -> list[int]:
    """Sizes of nearly equal batches of at most ``batch`` images, each of at least ``FEWEST``."""
    assert images >= FEWEST
    count = min(-(-images // max(batch, FEWEST)), images // FEWEST)
    return [images // count + (number < images % count) for number in range(count)]
