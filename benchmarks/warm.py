"""What a search of half the budget gains from an earlier one of the whole: its time, and where it ends.

Both run as `fit` does, on the surfaces of ``searcher.py``, 8M and then 4M multiply-adds. The second has half the
seconds of the first, or 60 % of that, and knows what the first trained, or does not. Its regret is in points of
accuracy behind the best of the networks that could have been found: of the network that it chose, had it been trained
as long as the cold search plans, and as it was delivered, after the trainings that it had.

    python benchmarks/warm.py [--repeats 12]
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import math
import statistics
from collections.abc import Sequence
from typing import Any, Final

import harness
from arms import Memory
from searcher import FIELDS, NETWORKS
from surfaces import LOAD, SPACE, SURFACES, SurfaceMachine, best_of

from convsmith.scaling import Limits
from convsmith.search.candidate import Candidate, Training
from convsmith.search.plan import make_plan, policy_for
from convsmith.search.racing import Race, race
from convsmith.search.space import make_field
from convsmith.search.statistics import judge

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


def search(machine: Machine, macs: int, seconds: float, seed: int, past: Sequence[Training] = ()) -> Race:
    return race(
        field_of(macs, seed % FIELDS),
        train=machine.train,
        time_candidate=machine.time,
        study=Memory(),
        load=machine.load,
        policy=policy_for(seconds),
        clock=machine.clock,
        deadline=seconds,
        seed=seed,
        past=past,
    )


def regrets(name: str, seconds: float, seed: int) -> dict[str, tuple[float, float]]:
    """Of each way, in points: of the choice, and as delivered."""
    surface, macs = SURFACES[name], MACS // 2
    past = list(itertools.chain(*search(Machine(surface, seed), MACS, seconds, seed).rungs))
    field, policy = field_of(macs, seed % FIELDS), policy_for(seconds / 2)
    entering = [one for one in field if one.rule]
    entering += [one for one in field if not one.rule][: policy.draws]
    paces = {one.key: Machine(surface, seed).pace(one) for one in entering}
    full = make_plan(seconds / 2, entering, paces, LOAD, policy).finals.images
    best = best_of(surface, field, full)
    found: dict[str, tuple[float, float]] = {}
    for way, (share, warm) in WAYS.items():
        machine = Machine(surface, -1 - seed)  # other noise than the first search had
        finals = search(machine, macs, share * seconds / 2, seed, past if warm else ()).finals
        chosen = judge(finals, seed=seed).chosen.candidate
        reached = machine.accuracy(best, full)
        ends = (machine.accuracy(chosen, images) for images in (full, machine.final_images))
        choice, delivered = (100 * (reached - end) for end in ends)
        found[way] = choice, delivered
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean with its 95 % interval."""
    mean, half = statistics.fmean(values), 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return {"mean": mean, "low": mean - half, "high": mean + half}


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
                    **spread([row[way][number] for row in rows]),
                    "less cold": spread([row[way][number] - row["cold"][number] for row in rows]),
                }
                for way in WAYS
            }
            for number, kind in enumerate(("choice", "delivered"))
        }
    harness.write("warm", {"goals": {"share of the time": SHARE}, "repeats": repeats, "regret": times})


if __name__ == "__main__":
    main()
