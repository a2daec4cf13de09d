"""What a search of half the budget gains from an earlier one of the whole: its time, and where it ends.

Both run as `fit` does, on the surfaces of ``searcher.py``, 8M and then 4M multiply-adds. The second has half the
seconds of the first, or 60 % of that, and knows what the first trained, or does not. Its regret is in points of
accuracy behind the best of the networks that could have been found: of the network that it chose, had it been trained
as long as the cold search plans for what it hands over, and as it was delivered, after the training that it had.

    python benchmarks/warm.py [--repeats 12]
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any, Final

import harness
from arms import run_race
from searcher import FIELDS, NETWORKS
from surfaces import LOAD, SPACE, SURFACES, SurfaceMachine, best_of

from convsmith.scaling import Limits
from convsmith.search.candidate import Candidate
from convsmith.search.planning import make_plan
from convsmith.search.policy import policy_for
from convsmith.search.space import make_field

MACS: Final = 8_000_000
TIMES: Final = {"87 min": 5_240.0, "4 h": 14_400.0}
"""Seconds of the first search."""
SHARE: Final = 0.6
"""Of the time of a cold search in which a warm one should be as good."""
WAYS: Final = {
    "cold": (1.0, False),
    "cold, 60 % of the time": (SHARE, False),
    "warm, 60 % of the time": (SHARE, True),
    "warm": (1.0, True),
}


class Machine(SurfaceMachine):
    """Small networks train faster."""

    def pace(self, candidate: Candidate) -> float:
        """Seconds per training image."""
        return super().pace(candidate) * candidate.macs / MACS


@functools.cache
def field_of(macs: int, seed: int) -> Sequence[Candidate]:
    space = dataclasses.replace(SPACE, limits=Limits(macs=macs))
    return make_field(space, NETWORKS, seed=seed).candidates


def regrets(name: str, seconds: float, seed: int) -> dict[str, tuple[float, float]]:
    """Of each way, in points: of the choice, and as delivered."""
    surface, macs = SURFACES[name], MACS // 2
    first = field_of(MACS, seed % FIELDS)
    before, _ = run_race(first, Machine(surface, seed), seconds, seed, policy_for(seconds))
    past = list(itertools.chain(*before.rungs))
    field, policy = field_of(macs, seed % FIELDS), policy_for(seconds / 2)
    entering = [one for one in field if one.rule]
    entering += [one for one in field if not one.rule][: policy.draws]
    paces = {one.key: Machine(surface, seed).pace(one) for one in entering}
    plan = make_plan(seconds / 2, entering, paces, LOAD, policy)
    long = plan.delivery.images or plan.finals.images
    best = best_of(surface, field, long)
    found: dict[str, tuple[float, float]] = {}
    for way, (share, warm) in WAYS.items():
        machine = Machine(surface, -1 - seed)  # other noise than the first search had
        given = share * seconds / 2
        _, end = run_race(field, machine, given, seed, policy_for(given), past if warm else ())
        reached = machine.accuracy(best, long)
        ends = (machine.accuracy(end.chosen, images) for images in (long, end.images))
        choice, delivered = (100 * (reached - end) for end in ends)
        found[way] = choice, delivered
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=12)
    repeats = parser.parse_args().repeats
    times: dict[str, Any] = {}
    for time, seconds in TIMES.items():
        rows = [regrets(name, seconds, seed) for name in SURFACES for seed in range(repeats)]
        times[time] = {
            kind: {
                way: {
                    **harness.interval([row[way][number] for row in rows]),
                    "less cold": harness.interval([row[way][number] - row["cold"][number] for row in rows]),
                }
                for way in WAYS
            }
            for number, kind in enumerate(("choice", "delivered"))
        }
    harness.write("warm", {"goals": {"share of the time": SHARE}, "repeats": repeats, "regret": times})


if __name__ == "__main__":
    main()
