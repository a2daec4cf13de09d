"""How a given time is divided over the rungs of a search and its finals.

A training's time is linear in its images, so one length, that of a full training, follows exactly from the time, the
number of rungs and of networks: every rung trains for a fixed share of it, the finals for all of it. The finals get at
least 35 % of the time, and more where the seeds of each finalist at full length ask for more. Everything here is a pure
function of measured paces.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Final

from convsmith.search.plan import FinalsPlan, Plan, RungPlan
from convsmith.search.policy import Load, Policy


@dataclasses.dataclass(frozen=True)
class Step:
    """A rung of the ladder: its ``length`` relative to a full training, and the ``share`` of entrants it trains."""

    length: float
    share: float


LADDERS: Final[Mapping[int, tuple[Step, ...]]] = {
    0: (),
    1: (Step(1.0, 1.0),),
    2: (Step(0.35, 1.0), Step(1.0, 1 / 4)),
    3: (Step(0.11, 1.0), Step(0.35, 0.3), Step(1.0, 0.1)),
}


def kept(entrants: int, share: float) -> int:
    """Networks promoted on merit to a rung that trains ``share`` of the entrants."""
    return max(2, math.ceil(entrants * share))


def tolerated(count: int) -> int:
    """Networks beyond ``count`` that may be promoted because noise alone may have put them behind."""
    return max(1, count // 4)


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

    @functools.cached_property
    def full(self) -> float:
        """Images of a full training: all that the time allows."""
        spendable = (1 - self.policy.margin) * self.available
        search_fixed = sum(self.load.seconds(self._pace, 0, False) * turn for turn in self._turns)
        finals_fixed = self.load.seconds(self._pace, 0, True) * self._last_turns
        search_slope = self._pace * sum(turn * step.length for turn, step in zip(self._turns, self.steps, strict=True))
        full = (spendable - search_fixed - finals_fixed) / (search_slope + self._pace * self._last_turns)
        if self.steps:
            full = min(full, (spendable - self.reserve - search_fixed) / search_slope)
        return full

    @property
    def lengths(self) -> tuple[int, ...]:
        """Images of a training in each rung and in the finals."""
        full = min(coarse(self.full), self.policy.longest(self.load))
        return tuple(_whole(length * full) for length in (*(step.length for step in self.steps), 1.0))

    def promised(self) -> float:
        """The error of the network that this ends with, beyond what is the same for all ways.

        A rough law of three terms: long trainings learn more, a wide field holds a better network, many seeds tell
        which it is. Its constants are such that what is delivered is best on surfaces whose best network is known
        (``benchmarks/searcher.py``) and on a table of real trainings (``benchmarks/fit/compare.py``).
        """
        passes = min(self.full, self.policy.longest(self.load)) / self.load.train
        found = self.policy.found * math.log(len(self.paces))
        return self.policy.learnt / math.sqrt(passes) - found + self.policy.proved / self.seeds

    def plan(self) -> Plan:
        """What is trained, still without the names of the networks."""
        *lengths, full = self.lengths
        rungs = tuple(
            RungPlan(images, count, self.load.seconds(self._pace, images, False) * turn)
            for images, count, turn in zip(lengths, self._counts, self._turns, strict=True)
        )
        seconds = self.load.seconds(self._pace, full, True) * self._last_turns
        return Plan(self.available, (), rungs, FinalsPlan(full, self._finals, self.seeds, seconds))

    @functools.cached_property
    def _pace(self) -> float:
        return sum(self.paces) / len(self.paces)

    @functools.cached_property
    def _counts(self) -> list[int]:
        present = len(self.paces)
        return [_expected(present, self.entrants, step, next_one=i == 0) for i, step in enumerate(self.steps)]

    @functools.cached_property
    def _turns(self) -> list[int]:
        return [in_turns(count, self.hands) for count in self._counts]

    @property
    def _finals(self) -> int:
        return min(self.policy.finalists + 1, len(self.paces))

    @property
    def _last_turns(self) -> int:
        return in_turns(self._finals * self.seeds, self.hands)


def divide_finals(
    available: float, full: int, paces: Sequence[float], load: Load, policy: Policy, hands: int = 1
) -> FinalsPlan:
    """The finals of the networks of ``paces`` in the seconds left, each at most ``full`` images long.

    Seeds are given up before length is: a final much shorter than the last rung would judge another network than the
    one that was chosen. A tenth of the length is within what predictions miss by.
    """
    spendable = (1 - policy.margin) * available

    def plan(seeds: int) -> FinalsPlan:
        turns = in_turns(len(paces) * seeds, hands) / len(paces)  # in which each of them is trained once
        fixed = sum(load.seconds(pace, 0, True) for pace in paces) * turns
        images = _whole(min((spendable - fixed) / (sum(paces) * turns), full))
        seconds = sum(load.seconds(pace, images, True) for pace in paces) * turns
        return FinalsPlan(images, len(paces), seeds, seconds)

    plans = [plan(seeds) for seeds in range(policy.min_seeds, 0, -1)]
    return next((made for made in plans if made.images >= 0.9 * full), plans[-1])


def in_turns(trainings: int, hands: int) -> int:
    """How many equal trainings one of so many hands does after each other, until all are done."""
    return math.ceil(trainings / hands)


def coarse(images: float, per_decade: int = 20) -> int:
    """The largest of a grid of lengths that is at most ``images``; the time that is left over goes to more seeds.

    Two runs never have the same paces to the last digit. By asking for lengths of a grid they often ask for the same
    trainings, and the later one can take those of the earlier.
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
