"""How many images each class has, in each split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNDECLARED = "undeclared"
SPLITS = ("train", "val", "test", UNDECLARED)


@dataclass(frozen=True, eq=False)
class Balance:
    """Counts of images.

    Attributes:
        classes: Names of the classes.
        splits: Those of ``SPLITS`` that have images.
        counts: (classes, splits) int64.
    """

    classes: tuple[str, ...]
    splits: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def totals(self) -> NDArray[np.int64]:
        """Images of each class, (classes,)."""
        return self.counts.sum(axis=1)

    @property
    def ratio(self) -> float:
        """The largest class over the smallest that has images."""
        totals = self.totals[self.totals > 0]
        return float(totals.max() / totals.min()) if len(totals) else 1.0

    @property
    def majority(self) -> float:
        """The share of the largest class: the accuracy of always naming it."""
        return float(self.totals.max() / max(self.totals.sum(), 1))

    @property
    def effective_classes(self) -> float:
        """The number of equally large classes that would be as even: e to the entropy of the shares."""
        shares = self.totals[self.totals > 0] / max(self.totals.sum(), 1)
        return float(np.exp(-(shares * np.log(shares)).sum()))

    @property
    def missing(self) -> tuple[tuple[str, str], ...]:
        """Class and split, wherever a class that has images has none in a split."""
        places = np.argwhere((self.counts == 0) & (self.totals > 0)[:, None])
        return tuple((self.classes[row], self.splits[column]) for row, column in places.tolist())


def count_classes(labels: NDArray[np.int64], declared: Sequence[str | None], classes: Sequence[str]) -> Balance:
    """Count images by class and split.

    Args:
        labels: (N,), indices into ``classes``.
        declared: The split of each image, None where the source names none.
        classes: Names of the classes.
    """
    of_split = np.array([SPLITS.index(split or UNDECLARED) for split in declared], np.int64)
    counts = np.zeros((len(classes), len(SPLITS)), np.int64)
    np.add.at(counts, (labels, of_split), 1)
    used = np.flatnonzero(counts.sum(axis=0)).tolist()
    return Balance(tuple(classes), tuple(SPLITS[column] for column in used), counts[:, used])
