"""What the finals say: accuracies with intervals, paired differences, the networks that tie, and the one to take.

Two sources of chance are resampled together, the seed and the choice of test images (Bouthillier et al. 2021, arXiv
2103.03098). How far seeds lie apart is taken from all finalists together, since the few of each would not tell
(`benchmarks/intervals.py`). All comparisons are paired on the same images and, where both succeeded, the same seeds.
Chance is drawn from a given seed, so a report can be recomputed to the last digit.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from convsmith.quantities import format_list, format_percent, format_probability
from convsmith.search.candidate import Candidate, Outcome, Training
from convsmith.search.resampling import ALIKE, Spread, Table, assumed_spread, optimism, resampled_means, widening
from convsmith.training.metrics import wilson

_Z: Final = 1.959963984540054
CHEAP: Final = 1.03
"""Costs up to this factor apart do not matter in practice; networks solved for one budget are no further apart."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval, over ``seeds`` seeds."""

    mean: float
    low: float
    high: float
    seeds: int


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Accuracy of A less that of B with its 95 % interval, and the probability that A is the better one."""

    difference: float
    low: float
    high: float
    probability: float


@dataclasses.dataclass(frozen=True)
class Finalist:
    """A network of the finals.

    Attributes:
        candidate: The network.
        accuracy: On the locked test images.
        behind: How the best one compares with it; None for the best one itself.
        close: True if its mean is so near the best one's that the difference does not matter in practice.
        tied: True if it is close, or cannot be told from the best one by these finals.
    """

    candidate: Candidate
    accuracy: Estimate
    behind: Comparison | None
    close: bool
    tied: bool


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The outcome of a search.

    Attributes:
        finalists: Best mean accuracy first.
        margin: Differences up to this do not matter in practice.
        chosen: The cheapest of the close ones.
        accuracy: Of the chosen one, without what being chosen by these images adds to its mean.
        best_rule: The best named rule of the finals, if any.
        against_rule: How the chosen one compares with it; None if there is no rule or it is the rule.
    """

    finalists: tuple[Finalist, ...]
    margin: float
    chosen: Finalist
    accuracy: Estimate
    best_rule: Finalist | None
    against_rule: Comparison | None

    @property
    def ties(self) -> tuple[Finalist, ...]:
        """The tied ones, the chosen one among them."""
        return tuple(finalist for finalist in self.finalists if finalist.tied)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; networks are named by their keys."""
        return {
            "finalists": [
                {
                    "candidate": one.candidate.key,
                    "accuracy": dataclasses.asdict(one.accuracy),
                    "behind": dataclasses.asdict(one.behind) if one.behind else None,
                    "close": one.close,
                    "tied": one.tied,
                }
                for one in self.finalists
            ],
            "margin": self.margin,
            "chosen": self.chosen.candidate.key,
            "accuracy": dataclasses.asdict(self.accuracy),
            "best_rule": self.best_rule.candidate.key if self.best_rule else None,
            "against_rule": dataclasses.asdict(self.against_rule) if self.against_rule else None,
        }


def cheapest(candidate: Candidate) -> tuple[float, ...]:
    """The usual order of costs: fewest macs, then fewest params."""
    return candidate.macs, candidate.params


def fastest(candidate: Candidate) -> tuple[float, ...]:
    """The order of costs where time is what counts: least time as measured, then fewest macs, then fewest params."""
    return math.inf if candidate.seconds is None else candidate.seconds, candidate.macs, candidate.params


def right(outcome: Outcome) -> NDArray[np.bool_]:
    """Whether each judged image was right, (total,)."""
    assert outcome.correct is not None
    return np.unpackbits(np.frombuffer(outcome.correct, np.uint8), count=outcome.total).astype(bool)


def estimate(table: Table, *, seed: int = 0, by_seed: Spread | None = None) -> Estimate:
    """Mean accuracy of a (seeds, images) table of zeros and ones, with its 95 % interval.

    For the images it is Wilson's, for as many independent ones as the variance of their resampling is worth, because
    percentiles are too narrow where hardly an image is wrong, and nothing at all where none is. What seeds add is as
    wide on both sides, and the squares of both are summed, each side for itself (Zou and Donner, Statistics in Medicine
    2008, 27:1693): counted as images, seeds would make a network that is nearly always right as doubtful as if it had
    been judged on one or two.

    Args:
        table: 1 where an image was right.
        seed: Of the resampling.
        by_seed: How accuracies differ from seed to seed, where others know more of it than these few seeds.
    """
    seeds, images = table.shape
    spread = Spread.of([table]) if by_seed is None else by_seed
    mean = float(table.mean())
    variance = float(np.var(resampled_means(table, seed, ALIKE)))
    worth = mean * (1 - mean) / variance if variance > 0 else images
    worth = min(max(worth, 1.0), float(seeds * images))
    low, high = wilson(mean * worth, worth)
    by_seeds, wider = _Z * spread.deviation / math.sqrt(seeds), widening(table, spread)
    low, high = mean - wider * math.hypot(mean - low, by_seeds), mean + wider * math.hypot(high - mean, by_seeds)
    return Estimate(mean, max(low, 0.0), min(high, 1.0), seeds)


def compare(
    a: Sequence[Training], b: Sequence[Training], *, seed: int = 0, by_seed: Spread | None = None
) -> Comparison:
    """Accuracy of A less that of B from trainings judged on the same images, paired by seed and image.

    Without a common seed the mean of each over its own seeds is paired by image alone.

    Args:
        a: Trainings of A.
        b: Trainings of B.
        seed: Of the resampling.
        by_seed: How accuracies differ from seed to seed, where others know more of it than these few seeds; both are
            then taken to differ so, each for itself.
    """
    ours, theirs = _tables(a), _tables(b)
    common = sorted(ours.keys() & theirs.keys())
    share = 2 / len(common) if common else 1 / len(ours) + 1 / len(theirs)
    if common:
        table = np.stack([ours[number] - theirs[number] for number in common])
    else:
        table = np.mean([*ours.values()], axis=0, keepdims=True) - np.mean([*theirs.values()], axis=0, keepdims=True)
    means = resampled_means(table, seed, by_seed and by_seed.times(share * len(table)))
    low, high = (float(value) for value in np.percentile(means, (2.5, 97.5)))
    probability = float(np.mean(means > 1e-12) + np.mean(np.abs(means) <= 1e-12) / 2)
    return Comparison(float(table.mean()), low, high, probability)


def spread_by_seed(finals: Sequence[Training]) -> Spread:
    """How accuracies differ from seed to seed, pooled over the networks of the finals; assumed if all have one seed."""
    tables = [_stacked(group) for group in _grouped(finals).values()]
    one_each = tables and all(len(table) == 1 for table in tables)
    return assumed_spread(tables) if one_each else Spread.of(tables)


def practical_margin(best: Any) -> Any:
    """Differences that do not matter in practice, where the best has this accuracy; for arrays too."""
    return np.maximum(0.003, 0.02 * (1 - best))


def judge(
    finals: Sequence[Training], *, cost: Callable[[Candidate], tuple[float, ...]] = cheapest, seed: int = 0
) -> Judgement:
    """Rank the finalists, find those that tie with the best, and choose one.

    Tied are those whose mean is within ``max(0.3 points, 2 % of the best one's error)`` of the best, or whose paired
    interval of the difference includes zero. The cheapest of the former is chosen: taking the cheapest of the latter
    too would give away up to a point of accuracy, for hardly any cost, whenever test images are few. Failed trainings
    are left out; at least one must have succeeded.

    Args:
        finals: Trainings judged on the test images.
        cost: Orders the close ones, the least first.
        seed: Of the resampling.
    """
    groups = _grouped(finals)
    assert groups
    spread = spread_by_seed(finals)
    estimates = {key: estimate(_stacked(group), seed=seed, by_seed=spread) for key, group in groups.items()}
    order = sorted(groups, key=lambda key: (-estimates[key].mean, *cost(groups[key][0].candidate), key))
    best = order[0]
    margin = float(practical_margin(estimates[best].mean))
    finalists = [Finalist(groups[best][0].candidate, estimates[best], None, close=True, tied=True)]
    for key in order[1:]:
        behind = compare(groups[best], groups[key], seed=seed, by_seed=spread)
        close = estimates[best].mean - estimates[key].mean <= margin + 1e-12
        tied = close or behind.low <= 0
        finalists.append(Finalist(groups[key][0].candidate, estimates[key], behind, close, tied))
    costs = np.array([cost(one.candidate)[0] for one in finalists])
    chosen = finalists[int(_choose(np.array([[one.accuracy.mean for one in finalists]]), costs)[0])]
    tables = [_stacked(groups[one.candidate.key]) for one in finalists]
    accuracy = _moved(chosen.accuracy, -optimism(tables, functools.partial(_choose, costs=costs), seed, spread))
    rule = next((one for one in finalists if one.candidate.rule), None)
    against = None
    if rule is not None and rule is not chosen:
        against = compare(groups[chosen.candidate.key], groups[rule.candidate.key], seed=seed, by_seed=spread)
    return Judgement(tuple(finalists), margin, chosen, accuracy, rule, against)


def _choose(means: Table, costs: Table) -> NDArray[np.intp]:
    """Which network is taken for each row of (..., networks) means: of the cheap among the close, the first best."""
    best = means.max(axis=1, keepdims=True)
    close = means >= best - practical_margin(best) - 1e-12
    least = np.where(close, costs, np.inf).min(axis=1, keepdims=True)
    cheap = close & (costs <= least * CHEAP)
    return np.argmax(np.where(cheap, means, -1.0), axis=1)


def _moved(estimate: Estimate, by: float) -> Estimate:
    mean, low, high = (min(max(value + by, 0.0), 1.0) for value in (estimate.mean, estimate.low, estimate.high))
    return dataclasses.replace(estimate, mean=mean, low=low, high=high)


def verdict(judgement: Judgement) -> str:
    """The outcome in plain words."""
    chosen = judgement.chosen
    accuracy = judgement.accuracy
    spread = f"{format_percent(accuracy.low)} to {format_percent(accuracy.high)}"
    seeds = f"{accuracy.seeds} seed{'s' if accuracy.seeds > 1 else ''}"
    text = f"The network {_name(chosen)} reaches {format_percent(accuracy.mean)} in the finals ({spread}; {seeds})."
    others = [_name(one) for one in judgement.ties if one is not chosen]
    if others:
        text += f" It ties with {format_list(others)}."
    elif len(judgement.finalists) > 1:
        text += " It is clearly the best of the finals."
    if chosen.candidate.start:
        text += (
            f" It started from the weights of {chosen.candidate.ready}: what was searched from scratch was no better."
        )
    elif chosen.candidate.ready:
        text += (
            f" It is {chosen.candidate.ready} of the zoo, fitted to the budget; no network of the search was better."
        )
    return text + _against_rule(judgement)


def rank_agreement(first: Sequence[Training], second: Sequence[Training]) -> float | None:
    """Kendall's tau of the losses of networks trained in both rungs: 1 the same order, -1 the opposite.

    None where fewer than two are common or all of them are equal.
    """
    losses = [
        {one.candidate.key: one.outcome.log_loss for one in rung if not one.outcome.failed} for rung in (first, second)
    ]
    common = [key for key in losses[0] if key in losses[1]]
    if len(common) < 2:
        return None
    result: Any = kendalltau([losses[0][key] for key in common], [losses[1][key] for key in common])
    tau = float(result.statistic)
    return None if math.isnan(tau) else tau


def _grouped(finals: Sequence[Training]) -> dict[str, list[Training]]:
    """The trainings of each network that did not fail, by its key."""
    groups: dict[str, list[Training]] = {}
    for training in finals:
        if not training.outcome.failed:
            groups.setdefault(training.candidate.key, []).append(training)
    return groups


def _tables(finals: Sequence[Training]) -> dict[int, Table]:
    """For each seed that succeeded, zeros and ones of the test images."""
    return {one.work.seed: right(one.outcome).astype(np.float64) for one in finals if not one.outcome.failed}


def _stacked(finals: Sequence[Training]) -> Table:
    return np.stack([*_tables(finals).values()])


def _against_rule(judgement: Judgement) -> str:
    rule, against = judgement.best_rule, judgement.against_rule
    if rule is None:
        return ""
    if against is None:
        return f" It is what the rule {rule.candidate.rule} makes; no network of the search was clearly better."
    side = "behind" if against.difference >= 0 else "ahead"
    points = format_percent(abs(against.difference)).removesuffix(" %")
    return (
        f" The best rule is {rule.candidate.rule}, {points} points {side}; the network beats it with probability "
        f"{format_probability(against.probability)}."
    )


def _name(finalist: Finalist) -> str:
    return finalist.candidate.design.name
