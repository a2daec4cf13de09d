"""Is the search any good? Its regret on surfaces whose best network is known, beside other ways to search.

Every arm has the same seconds, divides those of its finals and of the training after them by the same rule, and has the
same statistics; what is trained before the finals differs. Trainings are looked up on a surface; everything else of
ours is what `fit` runs. Regret is in points of accuracy behind the best of the 120 networks that could have been found,
all trained as long as ours plans at first for what it hands over; `regret_as_delivered` is that of the chosen network
after the training that it had.

    python benchmarks/searcher.py [--repeats 100] [--surface NAME] [--arm NAME] [--dry]
"""

from __future__ import annotations

import argparse
import functools
import math
import statistics
import sys
from collections.abc import Sequence
from typing import Any, Final

import harness
import numpy as np
from arms import ARMS, Arm, Task
from surfaces import LOAD, SURFACES, Surface, SurfaceMachine, best_of, field_of

from convsmith.search.candidate import Candidate
from convsmith.search.planning import make_plan
from convsmith.search.policy import policy_for

BUDGETS: Final = {"45 min": 2_620.0, "4 h": 14_400.0}
NETWORKS: Final = 112
FIELDS: Final = 20  # different draws; beyond them only the noise is new


def repeat(surface: Surface, task: Task, arm: Arm, best: Candidate, long: int) -> dict[str, float]:
    """What one arm does with one task; accuracies in points. The truth about networks is that after ``long`` images."""
    machine = SurfaceMachine(surface, task.seed)
    end = arm(task, machine)
    judgement, chosen, images = end.judgement, end.chosen, end.finals

    def truth(candidate: Candidate, images: float) -> float:
        return 100 * machine.accuracy(candidate, images)

    def holds(low: float, high: float, value: float) -> bool:
        return 100 * low <= value <= 100 * high

    true = [truth(one.candidate, images) for one in judgement.finalists]
    behind = [(one.behind, true[0] - value) for one, value in zip(judgement.finalists, true, strict=True) if one.behind]
    return {
        "regret": truth(best, long) - truth(chosen, long),
        "ahead_of_best_rule": truth(chosen, long) - truth(task.best_rule, long),
        "regret_as_delivered": truth(best, long) - truth(chosen, end.images),
        "optimism": 100 * judgement.accuracy.mean - truth(chosen, images),
        "optimism_uncorrected": 100 * judgement.chosen.accuracy.mean - truth(chosen, images),
        "chosen_covered": holds(judgement.accuracy.low, judgement.accuracy.high, truth(chosen, images)),
        "finalists_covered": statistics.fmean(
            holds(one.accuracy.low, one.accuracy.high, value)
            for one, value in zip(judgement.finalists, true, strict=True)
        ),
        "differences_covered": statistics.fmean([holds(made.low, made.high, value) for made, value in behind] or [1.0]),
        "seconds": machine.now / task.seconds,
        "images": end.images,
        "trainings": machine.trainings,
        "seeds": judgement.accuracy.seeds,
    }


def summary(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Spread of the regret, and means of the rest, over the repeats."""
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    regret = np.array(columns.pop("regret"))
    lower, median, upper, tenth = (float(value) for value in np.percentile(regret, (25, 50, 75, 90)))
    return {
        "regret": {
            "median": median,
            "quartiles": [lower, upper],
            "worst_tenth": tenth,
            "mean": float(regret.mean()),
            "standard_error": float(regret.std(ddof=1) / math.sqrt(len(regret))) if len(regret) > 1 else 0.0,
        },
        **{key: statistics.fmean(values) for key, values in columns.items()},
    }


@functools.cache
def fields(repeats: int) -> list[tuple[list[Candidate], list[Candidate]]]:
    """Rules and draws of every repeat."""
    made = [field_of(seed, NETWORKS).candidates for seed in range(min(FIELDS, repeats))]
    split = [([one for one in field if one.rule], [one for one in field if not one.rule]) for field in made]
    return [split[number % len(split)] for number in range(repeats)]


def measure(name: str, seconds: float, arms: dict[str, Arm], repeats: int) -> dict[str, Any]:
    """All arms on one surface."""
    surface, policy = SURFACES[name], policy_for(seconds)
    rows: dict[str, list[dict[str, float]]] = {arm: [] for arm in arms}
    for seed, (rules, draws) in enumerate(fields(repeats)):
        field = [*rules, *draws[: policy.draws]]
        machine = SurfaceMachine(surface, seed)
        paces = {one.key: machine.pace(one) for one in field}
        plan = make_plan(seconds, field, paces, LOAD, policy)
        long = plan.delivery.images or plan.finals.images
        task = Task(rules, draws, best_of(surface, rules, long), seconds, plan.finals.images, seed, policy)
        best = best_of(surface, [*rules, *draws], long)
        for arm, search in arms.items():
            rows[arm].append(repeat(surface, task, search, best, long))
    return {arm: summary(found) for arm, found in rows.items()}


def over_all(cells: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Means over the cells, by arm and by time."""
    arms = list(next(iter(cells.values())))

    def mean(arm: str, chosen: Sequence[str]) -> dict[str, float]:
        found = [cells[cell][arm] for cell in chosen]
        keys = ("regret_as_delivered", "ahead_of_best_rule", "optimism", "optimism_uncorrected", "seconds",
                "chosen_covered", "finalists_covered", "differences_covered")  # fmt: skip
        rest = {key: statistics.fmean(one[key] for one in found) for key in keys}
        return {"regret": statistics.fmean(one["regret"]["mean"] for one in found), **rest}

    by_time = {time: [cell for cell in cells if cell.endswith(time)] for time in BUDGETS}
    return {arm: {time: mean(arm, chosen) for time, chosen in by_time.items()} for arm in arms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--surface", choices=SURFACES, action="append")
    parser.add_argument("--arm", choices=ARMS, action="append")
    parser.add_argument("--dry", action="store_true", help="print a table, write nothing")
    given = parser.parse_args()
    arms = {name: ARMS[name] for name in given.arm or ARMS}
    cells = {
        f"{surface}, {budget}": measure(surface, seconds, arms, given.repeats)
        for surface in given.surface or SURFACES
        for budget, seconds in BUDGETS.items()
    }
    if given.dry:
        sys.stdout.write(table(cells))
        return
    harness.write("searcher", {"repeats": given.repeats, "networks": NETWORKS, "mean": over_all(cells), "cells": cells})


def table(cells: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Mean regrets, for reading while one works."""
    arms = list(next(iter(cells.values())))
    lines = [f"{'':22}" + "".join(f"{arm:>20}" for arm in arms)]
    for cell, found in cells.items():
        values = (found[arm]["regret"] for arm in arms)
        lines.append(f"{cell:22}" + "".join(f"{v['mean']:12.2f} ± {v['standard_error']:.2f} " for v in values))
    means = (statistics.fmean(found[arm]["regret"]["mean"] for found in cells.values()) for arm in arms)
    lines.append(f"{'mean':22}" + "".join(f"{value:12.2f}        " for value in means))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
