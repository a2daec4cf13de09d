"""Which division of the time a search begins with: that which promises the least error in the end."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import statistics
from collections.abc import Mapping, Sequence

from convsmith.quantities import count_of
from convsmith.search.candidate import Candidate
from convsmith.search.division import Division, assured, divide_delivery, kept_for_delivery, ladders
from convsmith.search.plan import DeliveryPlan, Plan, Step
from convsmith.search.policy import Load, Policy


def make_plan(
    available: float,
    candidates: Sequence[Candidate],
    paces: Mapping[str, float],
    load: Load,
    policy: Policy,
    hands: int = 1,
) -> Plan:
    """Divide ``available`` seconds over the rungs, networks and seeds that promise the least error in the end.

    Of the plans whose shortest training says anything it is the best by ``promised``; in too short a time, the one
    whose shortest training is longest. Drawn networks are left out from the last one on; the named rules and given
    weights always stay. Time for the delivery is set aside first, unless it would not be worthwhile or the rest is too
    short.

    Args:
        available: Seconds.
        candidates: In order of importance; drawn ones at the end are dropped first.
        paces: Seconds per training image, by key.
        load: What a training goes through.
        policy: The constants.
        hands: Trainings that go on at the same time, each at its pace.
    """
    mean = statistics.fmean(paces.values())
    kept = kept_for_delivery(policy.delivery * available, max(paces.values()), load, policy)
    divided = functools.partial(_divided, candidates, paces, load, policy, hands=hands)
    delivery = divide_delivery(kept, 1, mean, load, policy) if kept else DeliveryPlan()
    plan = divided(available - kept, delivered=delivery.images)
    if kept and (plan.shortest < policy.min_images or delivery.images < policy.worthwhile * plan.finals.images):
        plan, delivery = divided(available), DeliveryPlan()
    return dataclasses.replace(plan, available=available, delivery=delivery)


def _divided(
    candidates: Sequence[Candidate],
    paces: Mapping[str, float],
    load: Load,
    policy: Policy,
    available: float,
    *,
    hands: int,
    delivered: int = 0,
) -> Plan:
    """The best division of a time over the rungs and the finals, before a training of ``delivered`` images."""
    reserve = policy.reserve * available
    rules = [c for c in candidates if c.rule or c.start]
    draws = [c for c in candidates if not (c.rule or c.start)]
    fewest = max(min(policy.finalists + 1 - len(rules), len(draws)), 0)

    def divide(drawn: int, steps: Sequence[Step], seeds: int) -> Division:
        entrants = (*rules, *draws[:drawn])
        steps = steps if len(entrants) > policy.finalists + 1 else ()
        used = [paces[c.key] for c in entrants]
        waits = {"later": policy.held(drawn, len(rules)), "always": assured(rules), "delivered": delivered}
        return Division(available, reserve, used, steps, len(entrants), load, policy, seeds, hands, **waits)

    networks, seeds = range(len(draws), fewest - 1, -1), range(policy.min_seeds, 0, -1)
    divisions = {way: divide(*way) for way in itertools.product(networks, ladders(policy.rungs), seeds)}
    long = [way for way, one in divisions.items() if one.full > 0 and one.lengths[0] >= policy.min_images]
    if long:
        chosen = min(long, key=lambda way: divisions[way].promised())
    else:
        chosen = max(divisions, key=lambda way: divisions[way].lengths[0])
    entrants = (*rules, *draws[: chosen[0]])
    plan = divisions[chosen].plan()
    notes = _notes(plan, policy, dropped=len(candidates) - len(entrants))
    return dataclasses.replace(plan, entrants=tuple(c.key for c in entrants), notes=notes)


def is_hopeless(plan: Plan, policy: Policy) -> bool:
    """Whether a plan's trainings are so short that they would only draw lots."""
    return plan.shortest < policy.hopeless * policy.min_images


def least_time(
    candidates: Sequence[Candidate], paces: Mapping[str, float], load: Load, policy: Policy, hands: int = 1
) -> float:
    """Least seconds, to one in a hundred, for which ``make_plan`` trains long enough to tell."""

    def enough(seconds: float) -> bool:
        return make_plan(seconds, candidates, paces, load, policy, hands).shortest >= policy.min_images

    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def seeds_notes(seeds: int, wanted: int = Policy.min_seeds) -> tuple[str, ...]:
    """What fewer seeds in the finals than are wanted mean, in words."""
    if seeds >= wanted:
        return ()
    if seeds > 1:
        return (f"time is short: {seeds} of {wanted} seeds in the finals",)
    return ("time is short: one seed in the finals; how far seeds lie apart is assumed from other trainings",)


def _notes(plan: Plan, policy: Policy, *, dropped: int) -> tuple[str, ...]:
    notes = (
        (dropped > 0, f"{count_of(dropped, 'network')} left out, for longer trainings of the others"),
        *((True, text) for text in seeds_notes(plan.finals.seeds, policy.min_seeds)),
        (
            plan.shortest < policy.min_images,
            f"time is too short: trainings see {plan.shortest} images, under {policy.min_images} say little",
        ),
    )
    return tuple(text for holds, text in notes if holds)
