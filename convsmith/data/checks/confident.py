"""Confident learning: which labels disagree with out-of-sample probabilities, each class judged by its own measure.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (2021), section 3: an
image counts to class j if its probability of j is at least the mean probability of j among images labelled j. That
makes up for a classifier that is surer of some classes than of others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Labels held against probabilities.

    Attributes:
        suspect: (N,), whether an image counts to another class than its label's.
        suggested: (N,) int64, the class it counts to; its label where it counts to none.
        confidence: (N,), the probability of its label: the lower, the more suspect.
    """

    suspect: NDArray[np.bool_]
    suggested: NDArray[np.int64]
    confidence: NDArray[np.float32]


def disagree(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> Disagreement:
    """Hold labels (N,) against out-of-sample probabilities (N, classes)."""
    count, classes = probabilities.shape
    confidence = probabilities[np.arange(count), labels]
    sums = np.bincount(labels, weights=confidence, minlength=classes)
    sizes = np.bincount(labels, minlength=classes)
    usual = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.inf)
    confident = np.where(probabilities >= usual, probabilities, -1)
    best = confident.argmax(axis=1)
    suggested = np.where(confident.max(axis=1) >= 0, best, labels)
    return Disagreement(suggested != labels, suggested, confidence)
