"""How good a classifier is, from its scores and the true labels.

Everything is computed in float64 from the logits, so a figure in a report can be recomputed from the stored scores and
does not depend on the batch size or on the number type the network ran in.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.stats import norm

Scores = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


def log_probabilities(logits: Scores) -> NDArray[np.float64]:
    """Logarithms of the softmax of (N, classes) logits."""
    return np.asarray(log_softmax(np.asarray(logits, dtype=np.float64), axis=1))


def accuracy(logits: Scores, labels: Labels) -> float:
    """The share of images whose largest score is that of their label."""
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def log_loss(logits: Scores, labels: Labels) -> float:
    """Mean negative log probability of the true class, in nats."""
    return float(-np.mean(log_probabilities(logits)[np.arange(len(labels)), labels]))


def confusion(logits: Scores, labels: Labels) -> NDArray[np.int64]:
    """Counts (classes, classes): row the true class, column the predicted one."""
    classes = logits.shape[1]
    cells = np.asarray(labels, dtype=np.int64) * classes + np.argmax(logits, axis=1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def recalls(confused: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each class the share of its images that was found; NaN for a class without images."""
    counts = confused.sum(axis=1)
    return np.divide(np.diag(confused), counts, out=np.full(len(confused), np.nan), where=counts > 0)


def wilson(correct: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """The interval of a proportion by Wilson's score (JASA 1927, 22:209); sound for small n and at 0 and 1.

    What is counted need not be whole: so many independent ones as the counted ones are worth.
    """
    assert 0 <= correct <= n
    assert n > 0
    z = float(norm.ppf(0.5 + level / 2))
    share = correct / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)


@dataclasses.dataclass(frozen=True)
class Bin:
    """Images whose confidence (probability of the predicted class) lies in (low, high]; means over them."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far confidence may be believed.

    Attributes:
        error: Expected calibration error, the mean gap between confidence and accuracy weighted by count.
        bins: The reliability table, empty bins left out.
    """

    error: float
    bins: tuple[Bin, ...]


def calibration(logits: Scores, labels: Labels, bins: int = 10) -> Calibration:
    """Expected calibration error over equal-width bins (Guo et al. 2017, arXiv 1706.04599, section 2)."""
    confidence = np.exp(log_probabilities(logits).max(axis=1))
    correct = np.argmax(logits, axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    table = tuple(
        Bin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            count=int(np.sum(place == i)),
            confidence=float(np.mean(confidence[place == i])),
            accuracy=float(np.mean(correct[place == i])),
        )
        for i in np.unique(place)
    )
    error = sum(row.count * abs(row.confidence - row.accuracy) for row in table) / len(labels)
    return Calibration(error=float(error), bins=table)
