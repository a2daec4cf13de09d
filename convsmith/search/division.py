"""How a given time is divided over the rungs of a search and its finals.

A training's time is linear in its images, so one length, that of a full training, follows exactly from the time, the
number of rungs and of networks: every rung trains for a fixed share of it, the finals for all of it; the first rung for
no less than says anything, where that can be had. What the last rung trained as long as the finals is all the surer,
and what it trained for less time leaves the finals more. They get at least 35 % of what is not kept for the one long
training after them. Everything here is a pure function of measured paces.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Final

from convsmith.search.candidate import Candidate
from convsmith.search.plan import DeliveryPlan, FinalsPlan, Plan, RungPlan, Step
from convsmith.search.policy import Load, Policy

_LENGTHS: Final = (0.04, 0.11, 0.35, 1.0)
_SHARES: Final[Mapping[int, tuple[float, ...]]] = {1: (1.0,), 2: (1.0, 1 / 4), 3: (1.0, 0.3, 0.1)}
_BELOW: Final = 2
_LONGER: Final = 2
"""Times as long as the first rung that the second is at least."""


def ladder(rungs: int, below: int = 0) -> tuple[Step, ...]:
    """The steps of so many rungs, of which each trains about three times as long as the one before.

    The last one trains as long as the finals, or is so many lengths ``below`` them.
    """
    last = len(_LENGTHS) - below
    return tuple(itertools.starmap(Step, zip(_LENGTHS[last - rungs : last], _SHARES[rungs], strict=True)))


def ladders(most: int) -> list[tuple[Step, ...]]:
    """All of up to ``most`` rungs, those with more rungs first."""
    below = range(_BELOW + 1)
    return [ladder(n, by) for n in range(most, 0, -1) for by in below if n + by <= len(_LENGTHS)]


def kept(entrants: int, share: float) -> int:
    """Networks promoted on merit to a rung that trains ``share`` of the entrants."""
    return max(2, math.ceil(entrants * share))


def tolerated(count: int) -> int:
    """Networks beyond ``count`` that may be promoted because noise alone may have put them behind."""
    return max(1, count // 4)


def assured(field: Iterable[Candidate]) -> int:
    """Networks of a field that go to the finals whatever the rungs say: the best rule and given weights."""
    return 1 + sum(1 for candidate in field if candidate.start)


@dataclasses.dataclass(frozen=True)
class Division:
    """A way to divide a time: the length of a full training is solved from it.

    Which networks will reach later rungs is not known yet: their pace is taken to be the mean. Trainings are never
    planned shorter than one batch, so in hopeless cases the plan exceeds the time and its notes say so.

    Attributes:
        available: Seconds.
        reserve: Seconds kept from the rungs.
        paces: Seconds per training image of the networks that stand before the first of ``steps``.
        steps: The rungs to come.
        entrants: Networks that the search began with.
        load: What a training goes through.
        policy: The constants.
        seeds: Of each finalist.
        hands: Trainings that go on at the same time.
        later: Networks of the first of ``steps`` that are chosen when the others have been trained.
        always: Networks that are ``assured`` of the finals.
        delivered: Images of the long training of the network that the finals choose, or 0.
    """

    available: float
    reserve: float
    paces: Sequence[float]
    steps: Sequence[Step]
    entrants: int
    load: Load
    policy: Policy
    seeds: int
    hands: int = 1
    later: int = 0
    always: int = 1
    delivered: int = 0

    @functools.cached_property
    def full(self) -> float:
        """Images of a full training: all that the time allows."""
        return self._raised or self._solve()

    @property
    def lengths(self) -> tuple[int, ...]:
        """Images of a training in each rung and in the finals."""
        full = self._kept(self.full)
        lengths = [step.length * full for step in self.steps]
        if self.steps and (self._raised or self.full * self.steps[0].length >= self._least):
            lengths[0] = max(lengths[0], self._least)
        return tuple(_whole(length) for length in (*lengths, full))

    def promised(self) -> float:
        """The error of the network that this ends with, beyond what is the same for all ways.

        A rough law of three terms: long trainings learn more, the best of many networks is better, and many seeds tell
        which it is. Each rung narrows the field, and what that gains counts as far as its order is that after what is
        handed over: a long first rung may be worth more than a wide field. The constants are those of real trainings
        (``benchmarks/fit/table.py``); on surfaces whose best network is known the law is put to the test
        (``benchmarks/searcher.py``).
        """
        policy, lengths = self.policy, self.lengths
        longest = max(lengths[-1], self.delivered)
        passes = min(max(self.full, self.delivered), policy.longest(self.load)) / self.load.train
        fields = [*self._counts, self._finals]
        chosen = [best_of(field) - best_of(fewer) for field, fewer in zip(fields, [*fields[1:], 1], strict=True)]
        after = [math.log(longest / images, 3) for images in lengths]
        if policy.surrogate:  # which learns from two lengths how fast each kind of network gets better
            after[1:-1] = [power / 2 for power in after[1:-1]]
        agreed = [policy.foresight**power for power in after]
        found = policy.spread * sum(map(operator.mul, agreed, chosen))
        return policy.learnt * passes**-policy.slowness - found + policy.proved / self.seeds

    def plan(self) -> Plan:
        """What is trained, still without the names of the networks."""
        *lengths, full = self.lengths
        rungs = tuple(
            RungPlan(images, count, self.load.seconds(self._pace(*waves), images, False) * sum(waves))
            for images, count, waves in zip(lengths, self._counts, self._waves, strict=True)
        )
        seconds = self.load.seconds(self._pace(self._last_turns), full, True) * self._last_turns
        return Plan(self.available, (), rungs, FinalsPlan(full, self._finals, self.seeds, seconds), tuple(self.steps))

    @functools.cached_property
    def _least(self) -> int:
        """Images of the shortest training that says anything."""
        return int(min(self.policy.min_images, self.policy.longest(self.load)))

    @functools.cached_property
    def _raised(self) -> float | None:
        """Images of a full training beside a first rung of the ``_least``; nothing where its share is as long anyway.

        Nor where so long a first rung does not fit, or the next would hardly be longer.
        """
        if not self.steps or self._solve() * self.steps[0].length >= self._least:
            return None
        full = self._solve(self._least)
        following = 1.0 if len(self.steps) == 1 else self.steps[1].length / _LONGER
        return full if self._kept(full) * following >= self._least else None

    def _kept(self, full: float) -> float:
        """As many images on the grid of lengths, up to the longest training."""
        return min(coarse(full), self.policy.longest(self.load))

    def _solve(self, first: int = 0) -> float:
        """Images of a full training, with a ``first`` rung of so many images or else of its share of the ladder."""
        spendable = (1 - self.policy.margin) * self.available
        paces, last_pace = [self._pace(*waves) for waves in self._waves], self._pace(self._last_turns)
        shares, turns = [step.length for step in self.steps], [sum(waves) for waves in self._waves]
        search_fixed = sum(self.load.seconds(pace, 0, False) * n for pace, n in zip(paces, turns, strict=True))
        finals_fixed = self.load.seconds(last_pace, 0, True) * self._last_turns
        if first:
            shares[0] = 0.0
            search_fixed += paces[0] * turns[0] * first
        search_slope = sum(pace * n * share for pace, n, share in zip(paces, turns, shares, strict=True))
        full = (spendable - search_fixed - finals_fixed) / (search_slope + last_pace * self._last_turns)
        spare = spendable - self.reserve - search_fixed  # for what of the rungs grows with a full training
        if search_slope:
            return min(full, spare / search_slope)
        return full if spare >= 0 else 0.0

    def _pace(self, *waves: int) -> float:
        """The mean pace; where many train at the same time, that of waves whose slowest network is begun last."""
        mean, slowest = sum(self.paces) / len(self.paces), max(self.paces)
        if self.hands == 1:
            return max(mean, slowest / sum(waves))
        return sum(mean * (turns - 1) + slowest for turns in waves if turns) / sum(waves)

    @functools.cached_property
    def _counts(self) -> list[int]:
        present = len(self.paces)
        return [_expected(present, self.entrants, step, next_one=i == 0) for i, step in enumerate(self.steps)]

    @functools.cached_property
    def _waves(self) -> list[tuple[int, int]]:
        """The turns of each rung: of those that are promoted, and then of those that take the places given away."""
        freed = [self.policy.freed(kept(self.entrants, step.share)) for step in self.steps]
        pairs = zip(self._counts, [self.later, *freed[1:]], strict=False)
        return [(in_turns(count - later, self.hands), in_turns(later, self.hands)) for count, later in pairs]

    @property
    def _finals(self) -> int:
        return min(self.policy.finalists + self.always, len(self.paces))

    @property
    def _last_turns(self) -> int:
        return in_turns(self._finals * self.seeds, self.hands)


NEARLY: Final = 0.9
"""Share of a length that is as good as all of it: within what predictions miss by."""


def divide_finals(
    available: float,
    full: int,
    paces: Sequence[float],
    load: Load,
    policy: Policy,
    hands: int = 1,
    *,
    delivery: bool = False,
) -> FinalsPlan:
    """The finals of the networks of ``paces`` in the seconds left, each ``full`` images long.

    Seeds are given up before length is: a final much shorter than the last rung would judge another network than the
    one that was chosen. What time the rungs did not need makes the finals longer, but before a ``delivery`` they stay
    so short that it is worthwhile. Twice the margin is left free where trainings go on at the same time: the slowest
    counts, and none can be left out any more when it proves to be slow.
    """
    spendable = (1 - policy.margin * (1 if hands == 1 else 2)) * available
    longest = policy.longest(load) / (policy.worthwhile if delivery else 1)

    def turns(seeds: int) -> float:
        """In which each of them is trained once."""
        return in_turns(len(paces) * seeds, hands) / len(paces)

    def room(seeds: int) -> float:
        fixed = sum(load.seconds(pace, 0, True) for pace in paces) * turns(seeds)
        slowest = (spendable - load.seconds(max(paces), 0, True)) / max(paces)  # which may have a hand for itself
        return min((spendable - fixed) / (sum(paces) * turns(seeds)), slowest)

    seeds = next((seeds for seeds in range(policy.min_seeds, 0, -1) if room(seeds) >= NEARLY * full), 1)
    images = _whole(min(room(seeds), longest))
    seconds = sum(load.seconds(pace, images, True) for pace in paces) * turns(seeds)
    return FinalsPlan(images, len(paces), seeds, seconds)


def divide_delivery(
    available: float, finals: int, pace: float, load: Load, policy: Policy, stretch: float = 1.0
) -> DeliveryPlan:
    """One training of a network of ``pace``, of all seconds left; none where it is hardly longer than ``finals``.

    Args:
        available: Seconds.
        finals: Images of each training of the finals.
        pace: Seconds per training image.
        load: What a training goes through.
        policy: The constants.
        stretch: Times the longest training that it may be.
    """
    room = ((1 - policy.margin) * available - load.seconds(pace, 0, True)) / pace
    images = min(room, stretch * policy.longest(load))
    if images < policy.worthwhile * finals:
        return DeliveryPlan()
    return DeliveryPlan(_whole(images), load.seconds(pace, _whole(images), True))


def kept_for_delivery(seconds: float, pace: float, load: Load, policy: Policy) -> float:
    """Of so many seconds, those that a delivery gets: no more, with the margin, than the longest training takes."""
    return min(seconds, load.seconds(pace, policy.longest(load), True) / (1 - policy.margin))


@functools.cache
def best_of(count: int) -> float:
    """How far the best of so many lies from the mean, in standard deviations (Blom 1958)."""
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25))


def in_turns(trainings: int, hands: int) -> int:
    """How many equal trainings one of so many hands does after each other, until all are done."""
    return math.ceil(trainings / hands)


def coarse(images: float, per_decade: int = 20) -> int:
    """The largest of a grid of lengths that is at most ``images``.

    Two runs never have the same paces to the last digit. By asking for lengths of a grid their rungs often ask for the
    same trainings, and the later one can take those of the earlier. What is left over makes the finals longer.
    """
    if images < 1:
        return 0
    power = math.floor(math.log10(images) * per_decade + 1)
    lengths = (10 ** (step / per_decade) for step in (power, power - 1, power - 2))
    rounded = (int(round(length, 2 - math.floor(math.log10(length)))) for length in lengths if length >= 1)
    return next((length for length in rounded if length <= images), 1)


def _expected(present: int, entrants: int, step: Step, *, next_one: bool) -> int:
    """Networks of a rung: those present for the next one; later those kept, tied, and one spared for its stratum."""
    if next_one:
        return present
    count = kept(entrants, step.share)
    return min(present, count + tolerated(count) + 1)


def _whole(images: float) -> int:
    """Whole images, of which even the shortest training sees a batch."""
    return max(math.floor(images), 32)
