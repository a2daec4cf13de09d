"""Copies of a picture in a set: the very same pixels, and pictures that were saved again, resized or made brighter.

Every picture is compared with every other, a tile of the similarity matrix at a time; at the size of a fingerprint
that takes a minute for a hundred thousand, misses nothing and needs no table of hashes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from convsmith.data.checks.fingerprint import fingerprints
from convsmith.data.images import Images
from convsmith.data.rows import Rows

ALIKE: Final = 0.9
"""Least similarity of a copy."""
SAME: Final = 0.99
"""Similarity of a copy whatever the others are like."""
STANDS_OUT: Final = 0.4
"""Between these two, a copy is nearer than this share of the distance to the picture's thirtieth neighbour or so. In a
set of look-alikes, such as digits or trousers, different pictures are as similar as that; copies still stand out."""

_NEIGHBOUR: Final = 30
_SAMPLE: Final = 3000
_TILE: Final = (2048, 4096)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Cluster:
    """Images that show one picture.

    Attributes:
        members: Their indices, ascending; two or more.
        similarity: Of the member that is least like the first, 1 at most.
        exact: Whether all have the same pixels at the size of the cache.
    """

    members: tuple[int, ...]
    similarity: float
    exact: bool


def find_copies(images: Images, *, progress: Progress | None = None) -> tuple[Cluster, ...]:
    """Find all clusters of copies, exact or near, by their first member.

    Mirrored, turned or cropped pictures are not found, but for crops of a pixel or two; blank images only where they
    are exactly alike.
    """
    firsts, place = np.unique(images.groups, return_inverse=True)
    prints = fingerprints(Rows(images.pixels, firsts))
    roots = link(prints, progress=progress)
    cluster_of = roots[place]
    order = np.argsort(cluster_of, kind="stable")
    starts = np.flatnonzero(np.diff(cluster_of[order], prepend=-1))
    clusters = [members for members in np.split(order, starts[1:]) if len(members) > 1]
    found = [_cluster(members, place[members], prints) for members in clusters]
    return tuple(sorted(found, key=lambda cluster: cluster.members))


def _cluster(members: NDArray[np.int64], prints_of: NDArray[np.int64], prints: NDArray[np.float32]) -> Cluster:
    if (prints_of == prints_of[0]).all():
        return Cluster(tuple(members.tolist()), 1.0, True)
    least = float((prints[prints_of] @ prints[prints_of[0]]).min())
    return Cluster(tuple(members.tolist()), least, False)


def link(prints: NDArray[np.float32], *, progress: Progress | None = None) -> NDArray[np.int64]:
    """The number of the cluster that each fingerprint (N, F) belongs to, (N,); one to itself where it has no copy."""
    count = len(prints)
    needed = needed_similarity(prints)
    roots = np.arange(count)
    for top in range(0, count, _TILE[0]):
        for left in range(top, count, _TILE[1]):
            rows, columns = slice(top, top + _TILE[0]), slice(left, left + _TILE[1])
            tile = prints[rows] @ prints[columns].T
            if tile.max() >= ALIKE:
                first, second = np.nonzero(tile >= needed[rows, None])
                both = tile[first, second] >= needed[columns][second]
                roots = _merge(roots, first[both] + top, second[both] + left)
        if progress:
            done = min(top + _TILE[0], count)
            progress((count**2 - (count - done) ** 2) // 2, count**2 // 2)  # what is left is a triangle
    return roots


def needed_similarity(prints: NDArray[np.float32]) -> NDArray[np.float32]:
    """What similarity makes another picture a copy of each, (N,), seen from its side alone."""
    count = len(prints)
    step = max(1, count // max(_SAMPLE, count // 10))
    sample = prints[::step]
    rank = max(2, round(min(_NEIGHBOUR, count / 10) / step))
    if len(sample) <= rank:
        return np.full(count, ALIKE, np.float32)
    nearest = np.empty(count, np.float32)
    for start in range(0, count, _TILE[0]):
        tile = prints[start : start + _TILE[0]] @ sample.T
        tile.partition(len(sample) - rank - 1, axis=1)
        nearest[start : start + _TILE[0]] = tile[:, len(sample) - rank - 1]
    distance = np.sqrt(np.maximum(2 - 2 * nearest, 0))  # of directions
    return np.clip(1 - (STANDS_OUT * distance) ** 2 / 2, ALIKE, SAME).astype(np.float32)


def _merge(roots: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Roots after joining pairs; pairs are first brought to those of different clusters, of which there are few."""
    count = len(roots)
    pairs = np.unique(roots[first] * count + roots[second])
    one, other = pairs // count, pairs % count
    apart = one != other
    if not apart.any():
        return roots
    graph = coo_array((np.ones(apart.sum(), np.bool_), (one[apart], other[apart])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)[roots]
