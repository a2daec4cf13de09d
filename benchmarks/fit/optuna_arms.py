"""Ways to search that Optuna has, on the same trainings and with the same finals as the others."""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import optuna
from arms import FINALISTS, Ended, Machine, Task, by_loss, final_rounds, finals_of_best, thirds, trained

from convsmith.search.candidate import Candidate, Training

optuna.logging.set_verbosity(optuna.logging.WARNING)


def tpe(task: Task, machine: Machine) -> Ended:
    """Optuna's TPE over the shares of depth and width and the family: the untrained network nearest to its proposal."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=task.seed))
    left, done = [*task.rules, *task.draws], list[Training]()
    families = sorted({one.design.stage[0].block for one in left})
    while left:
        trial = study.ask()
        depth, width = (trial.suggest_float(axis, 0.0, 1.0) for axis in ("depth", "width"))
        family = trial.suggest_categorical("family", families)

        def distance(one: Candidate, place: tuple[float, float] = (depth, width), family: str = family) -> float:
            return math.dist(one.shares[:2], place) + (one.design.stage[0].block != family)

        chosen = min(left, key=distance)
        left.remove(chosen)
        found = trained(task, machine, [chosen], task.full)
        if not found:
            break
        study.tell(trial, found[0].outcome.log_loss)
        done += found
    return finals_of_best(task, machine, done)


def asha(task: Task, machine: Machine, *, with_rules: bool = False) -> Ended:
    """Asynchronous successive halving (Li et al., 2020) by Optuna's pruner, while the time lasts.

    One network after the other is trained for longer and longer, as long as it is in the best third of those that came
    as far. Each length is a training of its own, with a complete schedule, as for all others here.
    """
    study = optuna.create_study(pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3))
    lengths = thirds(task)
    longest: dict[int, list[Training]] = {images: [] for images in lengths}
    for one in (*(task.rules if with_rules else ()), *task.draws):
        trial = study.ask()
        for number, images in enumerate(lengths):
            found = trained(task, machine, [one], images)
            if not found:
                break
            longest[images] += found
            trial.report(found[0].outcome.log_loss, step=3**number)
            if trial.should_prune():
                break
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    ranked = (training.candidate for images in reversed(lengths) for training in by_loss(longest[images]))
    best = list({one.key: one for one in ranked}.values())[:FINALISTS]
    return final_rounds(task, machine, best)
