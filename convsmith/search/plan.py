"""The time plan: how a given time is divided over the rungs of a search and its finals.

A training's time is linear in its images, so one length, that of a full training, follows exactly from the time: every
rung trains for a fixed share of it, the finals for all of it. The finals get at least 35 % of the time, and more where
three seeds of each finalist at full length ask for more. Everything here is a pure function of measured paces.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from convsmith.quantities import format_count, format_seconds
from convsmith.search.candidate import Candidate


@dataclasses.dataclass(frozen=True)
class Load:
    """What one training goes through.

    Attributes:
        train: Images of an epoch.
        select: Images judged after a training of the search.
        test: Images judged after a final.
        evaluation: Time to judge an image over time to train on it; a forward pass is a third of forward and backward.
        setup: Seconds before the first image.
    """

    train: int
    select: int
    test: int
    evaluation: float = 1 / 3
    setup: float = 0.0

    def seconds(self, pace: float, images: float, final: bool) -> float:
        """Predicted seconds of a training at ``pace`` seconds per image."""
        return self.setup + pace * (images + self._judging(final))

    def pace(self, seconds: float, images: int, final: bool) -> float:
        """The pace that a finished training shows."""
        return max(seconds - self.setup, 0.0) / (images + self._judging(final))

    def _judging(self, final: bool) -> float:
        return self.evaluation * (self.test if final else self.select)


@dataclasses.dataclass(frozen=True)
class Policy:
    """The constants of a search.

    Attributes:
        reserve: Least share of the time for the finals.
        margin: Share of the time left free, because no prediction is exact.
        min_epochs: Shortest training, in passes over the images.
        min_images: Shortest training, in images; it holds where passes are short.
        max_epochs: Longest training in passes; time beyond it goes to more seeds.
        max_images: A full training may be this long whatever the passes are.
        rungs: Most rungs, from 1 to 3.
        finalists: Best networks of the last rung that go to the finals, beside the best rule.
        min_seeds: Seeds of each finalist that are planned for.
        max_seeds: Seeds at which the finals end even if time remains.
        draws: Most drawn networks that enter beside the rules.
        proposed: Share of their places in the first rung that is given away when the others have been trained.
        revived: Share of the places in each later rung that is given away so.
        informed: Share of the drawn networks that enter where trainings of earlier runs tell which.
        surrogate: Whether rungs are ranked, and places given away, by what all trainings together say.
        hopeless: Share of the shortest training below which a search is not begun.
    """

    reserve: float = 0.35
    margin: float = 0.03
    min_epochs: float = 2.0
    min_images: int = 5_000
    max_epochs: float = 100.0
    max_images: int = 50_000
    rungs: int = 3
    finalists: int = 2
    min_seeds: int = 3
    max_seeds: int = 15
    draws: int = 16
    proposed: float = 1 / 2
    revived: float = 1 / 3
    informed: float = 1 / 2
    surrogate: bool = True
    hopeless: float = 0.0

    def shortest(self, load: Load) -> int:
        """Least images of a training that says anything."""
        return max(math.ceil(self.min_epochs * load.train), self.min_images)

    def held(self, drawn: int) -> int:
        """How many of the drawn networks' places in the first rung are given away later."""
        return math.floor(self.proposed * drawn) if self.surrogate else 0

    def longest(self, load: Load) -> float:
        """Most images of a training."""
        return max(self.max_epochs * load.train, self.max_images)


_HOPELESS: Final = 0.2
"""Share of the shortest training. Between this and all of it a search goes on and says that it tells little: a machine
may be busy only now."""


def policy_for(seconds: float) -> Policy:
    """The policy for a time.

    Under five minutes two rungs do, because setting up trainings would eat a third; from two hours on there is time for
    a wider field.
    """
    policy = Policy(rungs=2) if seconds < 300 else Policy(draws=32 if seconds >= 7200 else 16)
    return dataclasses.replace(policy, hopeless=_HOPELESS)


FEW: Final = 16
"""Drawn networks with which two rungs do."""


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
class RungPlan:
    """``candidates`` trainings of ``images`` images each, ``seconds`` in all."""

    images: int
    candidates: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class FinalsPlan:
    """``candidates`` times ``seeds`` trainings of ``images`` images each, ``seconds`` in all."""

    images: int
    candidates: int
    seeds: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the time is spent.

    Attributes:
        available: Seconds to be divided.
        entrants: Keys of the networks of the first rung.
        rungs: The rungs still to come, the next one first.
        finals: The finals.
        notes: What had to give, in words.
    """

    available: float
    entrants: tuple[str, ...]
    rungs: tuple[RungPlan, ...]
    finals: FinalsPlan
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Predicted seconds in all."""
        return sum(rung.seconds for rung in self.rungs) + self.finals.seconds

    @property
    def shortest(self) -> int:
        """Images of the shortest training."""
        return self.rungs[0].images if self.rungs else self.finals.images

    def lines(self) -> tuple[str, ...]:
        """For people: one line per rung, one for the finals, then the notes."""
        rungs = (
            f"rung {number}: {rung.candidates} networks x {format_count(rung.images)} images, "
            f"{format_seconds(rung.seconds)}"
            for number, rung in enumerate(self.rungs, start=1)
        )
        finals = (
            f"finals: {self.finals.candidates} networks x {self.finals.seeds} seeds x "
            f"{format_count(self.finals.images)} images, {format_seconds(self.finals.seconds)}"
        )
        return (*rungs, finals, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        values = dataclasses.asdict(self)
        return {**values, "entrants": list(self.entrants), "rungs": list(values["rungs"]), "notes": list(self.notes)}


def make_plan(
    available: float,
    candidates: Sequence[Candidate],
    paces: Mapping[str, float],
    load: Load,
    policy: Policy,
    hands: int = 1,
) -> Plan:
    """Divide ``available`` seconds over as many rungs and candidates as can be trained long enough to tell.

    What gives first when time is short are drawn networks beyond the sixteenth, then the third rung, then drawn
    networks from the last one on, then the second rung, then seeds of the finals; the named rules and given weights
    always stay.

    Args:
        available: Seconds.
        candidates: In order of importance; drawn ones at the end are dropped first.
        paces: Seconds per training image, by key.
        load: What a training goes through.
        policy: The constants.
        hands: Trainings that go on at the same time, each at its pace.
    """
    rules = [c for c in candidates if c.rule or c.start]
    draws = [c for c in candidates if not (c.rule or c.start)]
    fewest = max(min(policy.finalists + 1 - len(rules), len(draws)), 0)
    reserve = policy.reserve * available

    def solve(rungs: int, drawn: int, seeds: int) -> Plan:
        entrants = (*rules, *draws[:drawn])
        steps = LADDERS[rungs if len(entrants) > policy.finalists + 1 else 0]
        used = [paces[c.key] for c in entrants]
        plan = divide(available, reserve, used, steps, len(entrants), load, policy, seeds, hands)
        notes = _notes(plan, policy, load, dropped=len(draws) - drawn, rungs=len(steps))
        return dataclasses.replace(plan, entrants=tuple(c.key for c in entrants), notes=notes)

    few = min(len(draws), FEW)
    options = [(3, drawn, policy.min_seeds) for drawn in range(len(draws), few - 1, -1) if policy.rungs == 3]
    options += [(min(2, policy.rungs), drawn, policy.min_seeds) for drawn in range(few, fewest - 1, -1)]
    options += [(1, fewest, policy.min_seeds), (1, fewest, 1)]
    plans = [solve(*option) for option in options]
    return next((plan for plan in plans if plan.shortest >= policy.shortest(load)), plans[-1])


def is_hopeless(plan: Plan, load: Load, policy: Policy) -> bool:
    """Whether a plan's trainings are so short that they would only draw lots."""
    return plan.shortest < policy.hopeless * policy.shortest(load)


def least_time(
    candidates: Sequence[Candidate], paces: Mapping[str, float], load: Load, policy: Policy, hands: int = 1
) -> float:
    """Least seconds, to one in a hundred, for which ``make_plan`` trains long enough to tell."""

    def enough(seconds: float) -> bool:
        return make_plan(seconds, candidates, paces, load, policy, hands).shortest >= policy.shortest(load)

    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def divide(
    available: float,
    reserve: float,
    paces: Sequence[float],
    steps: Sequence[Step],
    entrants: int,
    load: Load,
    policy: Policy,
    seeds: int,
    hands: int = 1,
) -> Plan:
    """Solve the full length from the time left, for networks of ``paces`` that stand before the first of ``steps``.

    ``reserve`` seconds are kept from the rungs. Which networks will reach later rungs is not known yet: their pace is
    taken to be the mean. Trainings are never planned shorter than one batch, so in hopeless cases the plan exceeds
    the time and its notes say so.
    """
    mean = sum(paces) / len(paces)
    spendable = (1 - policy.margin) * available
    counts = [_expected(len(paces), entrants, step, next_one=i == 0) for i, step in enumerate(steps)]
    finals = min(policy.finalists + 1, len(paces))
    turns, last_turns = [in_turns(count, hands) for count in counts], in_turns(finals * seeds, hands)
    search_fixed = sum(load.seconds(mean, 0, False) * count for count in turns)
    finals_fixed = load.seconds(mean, 0, True) * last_turns
    search_slope = mean * sum(count * step.length for count, step in zip(turns, steps, strict=True))
    full = (spendable - search_fixed - finals_fixed) / (search_slope + mean * last_turns)
    if steps:
        full = min(full, (spendable - reserve - search_fixed) / search_slope)
    full = min(coarse(full), policy.longest(load))
    lengths = [_whole(step.length * full) for step in steps]
    rungs = tuple(
        RungPlan(images, count, load.seconds(mean, images, False) * turn)
        for images, count, turn in zip(lengths, counts, turns, strict=True)
    )
    last = FinalsPlan(_whole(full), finals, seeds, load.seconds(mean, _whole(full), True) * last_turns)
    return Plan(available, (), rungs, last)


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


def _notes(plan: Plan, policy: Policy, load: Load, *, dropped: int, rungs: int) -> tuple[str, ...]:
    short = plan.shortest < policy.shortest(load)
    notes = (
        (dropped > 0, f"time is short: {dropped} drawn networks are left out"),
        (0 < rungs < policy.rungs, f"time is short: {rungs} of {policy.rungs} rungs"),
        (plan.finals.seeds < policy.min_seeds, f"time is short: {plan.finals.seeds} seed in the finals"),
        (short, f"time is too short: trainings see {plan.shortest} images, under {policy.shortest(load)} say little"),
    )
    return tuple(text for holds, text in notes if holds)
