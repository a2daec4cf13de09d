"""What a quick classifier says of each image when it has learnt from the others: probabilities by cross-validation.

Ridge regression of every class on patch features, then a multinomial logistic regression of the classes on its
scores. The ridge matrices do not depend on the labels, so several labellings of the same images cost little more
than one: that is how the check tries itself on labels that are wrong on purpose.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from convsmith.data.checks.patches import PatchFeatures
from convsmith.data.rows import Pixels
from convsmith.files import make_folder, writing

Progress = Callable[[int, int], None]

FOLDS: Final = 5

_PENALTY: Final = 100.0  # against features of unit variance; anything from 50 to 1000 does as well
_CHUNK: Final = 512
_MOST_TO_CALIBRATE: Final = 20_000
_ITERATIONS: Final = 200
_SCALE: Final = 3.0


def deal_folds(labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A fold for each image, (N,): classes are spread evenly, and images of one group, such as copies, stay together.

    A group counts to the class of its first image.
    """
    random = np.random.Generator(np.random.Philox(seed))
    _, first, member_of = np.unique(groups, return_index=True, return_inverse=True)
    label = labels[first]
    order = np.lexsort((random.random(len(first)), label))
    starts = np.searchsorted(label[order], label[order])  # where the class of each begins
    fold = np.empty(len(first), np.int64)
    fold[order] = (np.arange(len(first)) - starts + label[order]) % FOLDS
    return fold[member_of]


def forecast(
    pixels: Pixels,
    labellings: NDArray[np.int64],
    folds: NDArray[np.int64],
    classes: int,
    *,
    seed: int,
    folder: Path,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Probabilities of the classes for each image from the images of the other folds, float32 (L, N, classes).

    Args:
        pixels: (N, H, W, C) uint8, of at most ``patches.SIDE``.
        labellings: (L, N), indices of classes: labels to learn from, one labelling apart from the other.
        folds: (N,), 0 to ``FOLDS`` - 1.
        classes: How many there are.
        seed: Decides which patches become patterns.
        folder: Where features are kept for the while, 2 bytes each; nothing is left there.
        progress: Called with (done, total) after every few images.

    Raises:
        RunError: If the folder cannot be written.
    """
    features = PatchFeatures.of(pixels, seed)
    with writing(folder), tempfile.TemporaryFile(dir=make_folder(folder)) as stream:
        weights = _learn(_compute(features, pixels, stream, progress), labellings, folds, classes, features.size + 1)
        scores = np.empty((len(folds), len(labellings) * classes), np.float32)
        for start, rows in _stored(stream, features.size):
            part = folds[start : start + len(rows)]
            for fold in range(FOLDS):
                scores[start : start + len(rows)][part == fold] = rows[part == fold] @ weights[fold]
    shaped = scores.reshape(len(folds), len(labellings), classes)
    with threadpool_limits(1):  # at this size, more threads only wait for each other
        parts = [_calibrate(shaped[:, number], labels, folds, seed) for number, labels in enumerate(labellings)]
    return np.stack(parts)


def _compute(
    features: PatchFeatures, pixels: Pixels, stream: IO[bytes], progress: Progress | None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Features chunk by chunk, kept in the stream on the way; never by a memory map, which a full disk would kill."""
    for start in range(0, len(pixels), _CHUNK):
        found = features(np.asarray(pixels[start : start + _CHUNK])).astype(np.float16)
        stream.write(found.tobytes())
        yield start, _with_constant(found)
        if progress:
            progress(min(start + _CHUNK, len(pixels)), len(pixels))


def _stored(stream: IO[bytes], size: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    stream.seek(0)
    start = 0
    while content := stream.read(2 * size * _CHUNK):
        found = np.frombuffer(content, np.float16).reshape(-1, size)
        yield start, _with_constant(found)
        start += len(found)


def _with_constant(found: NDArray[np.float16]) -> NDArray[np.float32]:
    return np.concatenate([found.astype(np.float32), np.ones((len(found), 1), np.float32)], axis=1)


def _learn(
    chunks: Iterator[tuple[int, NDArray[np.float32]]],
    labellings: NDArray[np.int64],
    folds: NDArray[np.int64],
    classes: int,
    size: int,
) -> list[NDArray[np.float32]]:
    """Ridge weights (size, L * classes) for each fold, from the images of the others."""
    products = np.zeros((FOLDS, size, size))
    targets = np.zeros((FOLDS, size, len(labellings) * classes))
    columns = labellings + classes * np.arange(len(labellings))[:, None]
    for start, rows in chunks:
        part = folds[start : start + len(rows)]
        wanted = np.zeros((len(rows), targets.shape[2]), np.float32)
        np.put_along_axis(wanted, columns[:, start : start + len(rows)].T, 1, axis=1)
        for fold in range(FOLDS):
            chosen = rows[part == fold]
            products[fold] += chosen.T @ chosen
            targets[fold] += chosen.T @ wanted[part == fold]
    ridge = _PENALTY * np.eye(size)
    total, target = products.sum(axis=0), targets.sum(axis=0)
    return [
        cho_solve(cho_factor(total - products[fold] + ridge), target - targets[fold]).astype(np.float32)
        for fold in range(FOLDS)
    ]


def _calibrate(
    scores: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64], seed: int
) -> NDArray[np.float32]:
    """Scores (N, classes) as probabilities, by a logistic regression that has not seen the fold either."""
    scaled = _SCALE * (scores - scores.mean(axis=0)) / max(float(scores.std()), 1e-12)
    random = np.random.Generator(np.random.Philox(seed))
    found = np.zeros_like(scores)
    for fold in range(FOLDS):
        others = np.flatnonzero(folds != fold)
        seen = random.choice(others, _MOST_TO_CALIBRATE, replace=False) if len(others) > _MOST_TO_CALIBRATE else others
        model = LogisticRegression(max_iter=_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(scaled[seen], labels[seen])
        here = np.flatnonzero(folds == fold)
        found[np.ix_(here, model.classes_)] = model.predict_proba(scaled[here])
    return found
