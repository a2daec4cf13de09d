"""What the trainings so far say about networks that were trained shorter, or not at all.

The logarithm of the loss is a sum of power laws of depth, width and resolution, an effect of each family of blocks, one
of the cost where networks of several budgets were trained, and the learning speed: how the loss falls with the images
seen. Depth, width, resolution and family may change that speed: short training favours wide networks (Bello et al.
2021, arXiv 2103.07579, section 6). That it favours low resolution and depthwise convolutions, and that deep networks
and those of many parameters gain most from long training, is taken for known beforehand (``benchmarks/fit/speeds.py``).
What these leave is a Gaussian process. All of it is one Gaussian process with explicit basis functions (Rasmussen and
Williams 2006, section 2.7), so the spread of a prediction covers the power laws too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from convsmith.design import Design
from convsmith.scaling.axes import total_depth, widths_of
from convsmith.search.candidate import Candidate, Training

Array = NDArray[np.float64]

LEAST: Final = 8
"""Networks below which nothing is learned from their trainings."""

_ONE_BUDGET: Final = 0.05  # most that the logarithms of the costs of networks of one budget are spread by
_POWER: Final = 0.7  # exponent of the power laws; the process bends them
_LEVEL: Final = 10.0  # prior variance of the level, in those of the outcomes
_DEPTHWISE: Final = 0.02  # power of the images by which depthwise convolutions in all blocks slow learning down
_DOUBLED: Final = 0.03  # the same by which twice the resolution speeds it up
_LATE: Final = (22_500, 180_000)  # images between which what a network can hold tells
_DEEPER: Final = 0.015  # power of the images by which twice the depth speeds learning up there
_LARGER: Final = 0.01  # the same by which twice the parameters do
_SPEED: Final = 0.1  # prior standard deviation of what place and family do to it beyond these
_DENSE: Final = frozenset({"conv", "plain", "residual", "bottleneck"})  # the blocks without a depthwise convolution
_LENGTHS: Final = (0.7, 1.5, 3.0)  # of the process, in standard deviations of the places
_SIZES: Final = (0.2, 0.5, 1.0)  # standard deviation of the process, in those of the outcomes
_NOISES: Final = (0.1, 0.2, 0.4, 0.8)  # the same of chance; what is a network's own is taken to be as much


def tells(done: Sequence[Training]) -> bool:
    """Whether trainings suffice for a surrogate."""
    return len({one.candidate.key for one in done if not one.outcome.failed}) >= LEAST


class Surrogate:
    """Predicts losses from finished trainings.

    Args:
        done: Trainings of ``LEAST`` networks or more; failed ones are left out.
        full: Images of a full training: what is predicted is the loss after these.
        side: Of the images as they come, in pixels: larger ones show no more. 0 where it is not known.
        budgets: Whether networks of several budgets are among them.
    """

    def __init__(self, done: Sequence[Training], full: int, *, side: int = 0, budgets: bool = False) -> None:
        good = [training for training in done if not training.outcome.failed]
        self._side = side
        self._families = sorted({stage.block for one in good for stage in one.candidate.design.stage})[1:]
        lengths = np.array([math.log(one.work.images / full) for one in good])
        self._timed = bool(np.ptp(lengths) > 0.01)
        costs = np.array([math.log(one.candidate.macs) for one in good])
        self._cost, self._costs = float(costs.mean()), float(costs.std()) if budgets else 0.0
        places = np.array([self._place(one.candidate) for one in good])
        spread = places.std(axis=0)
        self._centre, self._scale = places.mean(axis=0), np.where(spread > 1e-6, spread, 1.0)
        losses = np.log([max(one.outcome.log_loss, 1e-9) for one in good])
        losses -= [known_change(one.candidate, one.work.images, full, side) for one in good]
        self._mean, self._spread = float(losses.mean()), max(float(losses.std()), 1e-9)
        values = (losses - self._mean) / self._spread
        self._keys = np.array([one.candidate.key for one in good])
        self._x, self._basis = self._scaled(places), self._functions(places, lengths, costs)
        trend = self._basis @ self._basis.T + _LEVEL
        rest = (self._keys[:, np.newaxis] == self._keys) + np.eye(len(good))
        kernels = {length: matern(self._x, self._x, length) for length in _LENGTHS}
        best = -math.inf
        for length, size, noise in itertools.product(_LENGTHS, _SIZES, _NOISES):
            factor = np.linalg.cholesky(trend + size**2 * kernels[length] + noise**2 * rest)
            weights = cho_solve((factor, True), values)
            evidence = -0.5 * float(values @ weights) - float(np.log(np.diag(factor)).sum())
            if evidence > best:
                best, self._length, self._size, self._noise = evidence, length, size, noise
                self._factor, self._weights = factor, weights

    def predict(self, candidates: Sequence[Candidate]) -> tuple[Array, Array]:
        """Mean of the logarithm of the loss after a full training, (candidates,), and its covariance."""
        places = np.array([self._place(candidate) for candidate in candidates])
        keys = np.array([candidate.key for candidate in candidates])
        costs = np.array([math.log(candidate.macs) for candidate in candidates])
        x, basis = self._scaled(places), self._functions(places, np.zeros(len(candidates)), costs)

        def covariance(x2: Array, basis2: Array, keys2: NDArray[np.str_]) -> Array:
            own = self._noise**2 * (keys[:, np.newaxis] == keys2)
            return basis @ basis2.T + _LEVEL + self._size**2 * matern(x, x2, self._length) + own

        cross = covariance(self._x, self._basis, self._keys)
        half = solve_triangular(self._factor, cross.T, lower=True)
        mean = self._mean + self._spread * (cross @ self._weights)
        return mean, self._spread**2 * (covariance(x, basis, keys) - half.T @ half)

    def expected(self, candidates: Sequence[Candidate]) -> dict[str, float]:
        """The loss to be expected of each network after a full training, by key."""
        if not candidates:
            return {}
        mean, _ = self.predict(candidates)
        return {candidate.key: math.exp(value) for candidate, value in zip(candidates, mean.tolist(), strict=True)}

    def propose(self, pool: Sequence[Candidate], count: int, seed: int) -> list[Candidate]:
        """Up to ``count`` networks of the pool that may be the best: each is the best of one drawn function.

        This is Thompson sampling (Thompson 1933): the more probable it is that a network is the best, the more often
        it is taken.
        """
        if not pool:
            return []
        mean, covariance = self.predict(pool)
        half = np.linalg.cholesky(covariance + 1e-6 * np.trace(covariance) / len(pool) * np.eye(len(pool)))
        rng = np.random.default_rng(seed)
        left, found = np.ones(len(pool), bool), list[Candidate]()
        for _ in range(min(count, len(pool))):
            drawn = mean + half @ rng.standard_normal(len(pool))
            best = int(np.argmin(np.where(left, drawn, np.inf)))
            left[best] = False
            found.append(pool[best])
        return found

    def _place(self, candidate: Candidate) -> list[float]:
        design = candidate.design
        widths = widths_of(design)[1 : 1 + len(design.stage)]
        depths = [stage.depth for stage in design.stage]
        total = total_depth(design)
        first, last = math.log(widths[0]), math.log(widths[-1])
        centre = sum(number * depth for number, depth in enumerate(depths)) / total
        of_family = [sum(s.depth for s in design.stage if s.block == name) / total for name in self._families]
        return [math.log(total), sum(map(math.log, widths)) / len(widths), math.log(resolved(design, self._side)),
                last - first, centre, *of_family]  # fmt: skip

    def _scaled(self, places: Array) -> Array:
        return (places - self._centre) / self._scale

    def _functions(self, places: Array, lengths: Array, costs: Array) -> Array:
        """Power laws of depth, width and resolution, families, cost, and what changes with the images seen."""
        x = self._scaled(places)
        laws = np.exp(-_POWER * (places[:, :3] - self._centre[:3]))
        columns = [(laws - 1) / (_POWER * self._scale[:3]), x[:, 5:]]
        if self._costs > _ONE_BUDGET:
            columns.append((costs[:, np.newaxis] - self._cost) / self._costs)
        if self._timed:
            t = lengths[:, np.newaxis]
            columns += [t, _SPEED * t * x[:, :3], _SPEED * t * x[:, 5:]]
        return np.hstack(columns)


def known_change(candidate: Candidate, images: int, full: int, side: int = 0) -> float:
    """How far the logarithm of the loss after ``images`` is above that after ``full``, as far as that is known before.

    Only its differences between networks mean anything: what all have in common is left out.
    """
    design = candidate.design
    speed = _DEPTHWISE * depthwise_share(design) - _DOUBLED * math.log2(resolved(design, side))
    late, end = (math.log(min(max(count, _LATE[0]), _LATE[1])) for count in (images, full))
    holds = _DEEPER * math.log2(total_depth(design)) + _LARGER * math.log2(candidate.params)
    return speed * math.log(images / full) - holds * (late - end)


def resolved(design: Design, side: int) -> int:
    """The pixels of a side that a network sees of images of ``side``; 0 is of images without end."""
    return min(design.input[1], side) if side else design.input[1]


def depthwise_share(design: Design) -> float:
    """Share of the blocks that have a depthwise convolution."""
    return sum(stage.depth for stage in design.stage if stage.block not in _DENSE) / total_depth(design)


def matern(a: Array, b: Array, length: float) -> Array:
    """The Matern kernel with nu = 5/2, (len(a), len(b))."""
    distance = np.sqrt(5 * np.sum((a[:, np.newaxis] - b) ** 2, axis=2)) / length
    return (1 + distance + distance**2 / 3) * np.exp(-distance)
