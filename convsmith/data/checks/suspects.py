"""Labels that are likely wrong, and how far to believe that: the check is tried on labels swapped on purpose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convsmith.data.checks.confident import Disagreement, disagree
from convsmith.data.checks.forecast import FOLDS, deal_folds, forecast
from convsmith.data.checks.patches import SIDE
from convsmith.data.images import Images
from convsmith.data.rows import Rows

Progress = Callable[[int, int], None]

SWAPPED: Final = 0.03
"""The share of labels that is swapped in a trial."""
PRECISION: Final = 2 / 3
"""The list ends where, by the trial, at most this share of its labels is wrong."""
SKILL: Final = 0.7
"""A classifier that tells swapped labels from others less often than this is not asked for suspects."""

_FEWEST: Final = 50
_FEWEST_FOUND: Final = 10
_TRIAL_SWAPS: Final = 200
_MOST_TRIALS: Final = 20


@dataclass(frozen=True)
class Suspect:
    """An image whose label the classifier does not believe.

    Attributes:
        image: Its index.
        label: The class it has.
        suggested: The class it is taken for.
        confidence: Probability of its label.
        suggested_confidence: Probability of the other class.
    """

    image: int
    label: int
    suggested: int
    confidence: float
    suggested_confidence: float


@dataclass(frozen=True)
class Trial:
    """What is known of the check from labels swapped at random.

    Attributes:
        swapped: How many labels were swapped, over all trials.
        skill: How often a swapped label is believed less than one that was not; a half is guessing.
        listed: How many of these were suspect and believed as little as the suspects among the given labels.
        wrong: The share of the given labels that is wrong, at most about.
        precision: The share of the suspects whose label is wrong, at most about.
    """

    swapped: int
    skill: float
    listed: int
    wrong: float
    precision: float

    @property
    def coverage(self) -> float:
        """About how large a share of the wrong labels is among the suspects."""
        return self.listed / self.swapped


@dataclass(frozen=True)
class LabelCheck:
    """Labels held against a classifier that has not seen them.

    Attributes:
        judged: Images whose class has enough others to learn from.
        accuracy: How often the classifier agrees with the label.
        chance: How often naming the largest class would.
        trial: How well it finds labels that are wrong for certain.
        suspects: The least believed label first.
    """

    judged: int
    accuracy: float
    chance: float
    trial: Trial
    suspects: tuple[Suspect, ...]


def check_labels(
    images: Images, groups: NDArray[np.int64], *, seed: int, folder: Path, progress: Progress | None = None
) -> LabelCheck | None:
    """Find labels that are likely wrong; None where there are too few images to learn from.

    Args:
        images: The set; all splits are judged together.
        groups: (N,); copies of one picture share a number, so that none is judged by its copy's label.
        seed: Decides folds, patterns and the labels that are swapped.
        folder: Where features are kept for the while.
        progress: Called with (done, total) after every few images.

    Raises:
        RunError: If the folder cannot be written.
    """
    judged = _judged(images.labels, groups, len(images.classes))
    names, labels = np.unique(images.labels[judged], return_inverse=True)
    if len(judged) < _FEWEST or len(names) < 2:
        return None
    swaps = _swap(labels, len(names), seed)
    labellings = np.stack([labels, *swaps])
    folds = deal_folds(labels, groups[judged], seed)
    pixels = Rows(images.pixels, judged, SIDE if images.side > SIDE else None)
    found = forecast(pixels, labellings, folds, len(names), seed=seed, folder=folder, progress=progress)
    trials = [disagree(one, swapped) for one, swapped in zip(found[1:], swaps, strict=True)]
    verdict = disagree(found[0], labels)
    limit, trial = _measure(verdict, trials, [swapped != labels for swapped in swaps])
    return LabelCheck(
        judged=len(judged),
        accuracy=float(np.mean(found[0].argmax(axis=1) == labels)),
        chance=float(np.bincount(labels).max() / len(labels)),
        trial=trial,
        suspects=_suspects(verdict, found[0], limit, judged, names, labels),
    )


def _judged(labels: NDArray[np.int64], groups: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Images of classes that can have a picture in every fold."""
    _, first = np.unique(groups, return_index=True)
    pictures = np.bincount(labels[first], minlength=classes)
    return np.flatnonzero(pictures[labels] >= FOLDS)


def _swap(labels: NDArray[np.int64], classes: int, seed: int) -> list[NDArray[np.int64]]:
    """Labellings in which a share of the labels became another class, any other as likely."""
    count = max(1, round(SWAPPED * len(labels)))
    random = np.random.Generator(np.random.Philox(seed))
    swaps = []
    for _ in range(min(_MOST_TRIALS, math.ceil(_TRIAL_SWAPS / count))):
        swapped = labels.copy()
        chosen = random.choice(len(labels), count, replace=False)
        swapped[chosen] = (labels[chosen] + random.integers(1, classes, count)) % classes
        swaps.append(swapped)
    return swaps


def _measure(given: Disagreement, trials: list[Disagreement], swapped: list[NDArray[np.bool_]]) -> tuple[float, Trial]:
    """Up to which confidence suspects are shown, and what is known of those.

    Some share of the labels is wrong. If wrong labels look like swapped ones, then up to any confidence the suspects
    are at least as many as that share of the images times the share of swaps found up to there; so it is at most the
    least quotient of the two, and about that, if up to some confidence hardly anything but wrong labels is suspect.
    Below zero, which no confidence is, for a classifier that cannot tell.
    """
    both = list(zip(trials, swapped, strict=True))
    total = int(sum(true.sum() for true in swapped))
    skill = float(np.mean([_skill(one, true) for one, true in both]))
    limits = np.sort(np.concatenate([one.confidence[one.suspect & true] for one, true in both]))[_FEWEST_FOUND - 1 :]
    found = np.arange(_FEWEST_FOUND, _FEWEST_FOUND + len(limits))
    if not len(found) or skill < SKILL:
        return -1.0, Trial(total, skill, 0, 0.0, 0.0)
    pointed = np.searchsorted(np.sort(given.confidence[given.suspect]), limits, side="right")
    wrong = float(((pointed + 1) / found).min()) * total  # one more than were seen, for few may be none by chance
    likely = np.minimum(wrong * found / (total * np.maximum(pointed, 1)), 1)
    last = int(np.flatnonzero(likely >= PRECISION)[-1])
    share = min(wrong / len(given.suspect), 1.0)
    return float(limits[last]), Trial(total, skill, int(found[last]), share, float(likely[last]))


def _skill(trial: Disagreement, swapped: NDArray[np.bool_]) -> float:
    """The share of pairs of a swapped label and another in which the swapped one is believed less; ties count half."""
    others = np.sort(trial.confidence[~swapped])
    less, equal = (len(others) - np.searchsorted(others, trial.confidence[swapped], side) for side in ("right", "left"))
    return float((less + equal).mean() / (2 * len(others)))


def _suspects(
    verdict: Disagreement,
    probabilities: NDArray[np.float32],
    limit: float,
    judged: NDArray[np.int64],
    names: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> tuple[Suspect, ...]:
    chosen = np.flatnonzero(verdict.suspect & (verdict.confidence <= limit))
    chosen = chosen[np.argsort(verdict.confidence[chosen], kind="stable")]
    return tuple(
        Suspect(
            image=int(judged[one]),
            label=int(names[labels[one]]),
            suggested=int(names[verdict.suggested[one]]),
            confidence=float(verdict.confidence[one]),
            suggested_confidence=float(probabilities[one, verdict.suggested[one]]),
        )
        for one in chosen.tolist()
    )
