"""Ways to search, each with the same seconds and the same share of them for finals: ours beside what else is done.

A machine trains, on a surface or out of a table, and keeps account of the time. Every arm ends with finals and then one
long training of the network that they choose.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from convsmith.search.candidate import Candidate, Outcome, Training, Work
from convsmith.search.division import divide_delivery, divide_finals, kept_for_delivery
from convsmith.search.policy import Load, Policy
from convsmith.search.racing import Race, race
from convsmith.search.statistics import Judgement, cheapest, judge

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.search.world import Memory


class Machine(Protocol):
    """Where networks are trained.

    Attributes:
        load: What a training goes through.
        now: Seconds spent so far.
    """

    load: Load
    now: float

    def clock(self) -> float:
        """Seconds spent so far."""
        ...

    def pace(self, candidate: Candidate) -> float:
        """Seconds per training image."""
        ...

    def time(self, candidate: Candidate) -> float:
        """Measure the pace, which takes time."""
        ...

    def train(self, work: Work) -> Outcome:
        """One training."""
        ...


@dataclasses.dataclass(frozen=True)
class Task:
    """One repeat on one surface.

    Attributes:
        rules: What the published rules make.
        draws: Networks of the space, in the order in which they are drawn.
        best_rule: The rule that is truly the best, as no one knows before.
        seconds: The time.
        full: Images of a full training, for arms that do not decide it themselves.
        seed: Of all chance.
        policy: The constants of ours, by some of which all arms divide their time.
        cost: Which of two equally good networks is chosen.
    """

    rules: Sequence[Candidate]
    draws: Sequence[Candidate]
    best_rule: Candidate
    seconds: float
    full: int
    seed: int
    policy: Policy
    cost: Callable[[Candidate], tuple[float, ...]] = cheapest

    def judge(self, finals: Sequence[Training]) -> Judgement:
        """What finals say."""
        return judge(finals, cost=self.cost, seed=self.seed)


@dataclasses.dataclass(frozen=True)
class Ended:
    """What a search ends with.

    Attributes:
        judgement: What its finals say.
        finals: Images of each of these.
        images: Of the training that is handed over, of the network that they choose.
    """

    judgement: Judgement
    finals: int
    images: int

    @property
    def chosen(self) -> Candidate:
        """The network that the finals choose."""
        return self.judgement.chosen.candidate


FINALISTS: Final = 3
"""Of every arm but ours."""
Arm = Callable[[Task, Machine], Ended]


def run_race(
    field: Sequence[Candidate],
    machine: Machine,
    seconds: float,
    seed: int,
    policy: Policy,
    past: Sequence[Training] = (),
    assess: Callable[[Sequence[Training]], Judgement] | None = None,
) -> tuple[Race, Ended]:
    """The race, as ``fit`` runs it, and what it ended with."""
    judgements: list[Judgement] = []

    def choose(finals: Sequence[Training]) -> Candidate:
        judgements.append(assess(finals) if assess else judge(finals, seed=seed))
        return judgements[0].chosen.candidate

    found = race(
        field,
        train=machine.train,
        time_candidate=machine.time,
        study=Memory(),
        load=machine.load,
        policy=policy,
        clock=machine.clock,
        deadline=seconds,
        seed=seed,
        past=past,
        choose=choose,
    )
    images = found.finals[0].work.images
    return found, Ended(judgements[0], images, found.delivered.work.images if found.delivered else images)


def ours(task: Task, machine: Machine, policy: Policy | None = None) -> Ended:
    """What our race ends with."""
    field = [*task.rules, *task.draws]
    _, end = run_race(field, machine, task.seconds, task.seed, policy or task.policy, assess=task.judge)
    return end


def random_search(task: Task, machine: Machine) -> Ended:
    """Networks drawn one after the other and trained in full while the time lasts."""
    return finals_of_best(task, machine, trained(task, machine, task.draws, task.full))


def halving(task: Task, machine: Machine, *, with_rules: bool = False) -> Ended:
    """Successive halving as in ASHA, a third going on twice; as many networks as the time allows."""
    pool = [*(task.rules if with_rules else ()), *task.draws]
    lengths = thirds(task)
    mean = statistics.fmean(map(machine.pace, pool))
    each = sum(machine.load.seconds(mean, images, False) / 3**number for number, images in enumerate(lengths))
    field, done = pool[: int(_allowed(task, machine) / each)], list[Training]()
    for images in lengths:
        done = trained(task, machine, field, images) or done
        field = [one.candidate for one in by_loss(done)][: math.ceil(len(field) / 3)]
    return finals_of_best(task, machine, done)


def one_epoch(task: Task, machine: Machine, kept: int = 5) -> Ended:
    """One pass over the images for many, then a full training for the best few."""
    load, mean = machine.load, statistics.fmean(map(machine.pace, task.draws))
    allowed = _allowed(task, machine) - kept * load.seconds(mean, task.full, False)
    count = int(allowed / load.seconds(mean, load.train, False))
    done = trained(task, machine, task.draws[: max(count, kept)], load.train)
    field = [one.candidate for one in by_loss(done)][:kept]
    return finals_of_best(task, machine, trained(task, machine, field, task.full) or done)


def best_rule(task: Task, machine: Machine) -> Ended:
    """The best rule, known beforehand: all of the time goes into its finals."""
    return final_rounds(task, machine, [task.best_rule])


def variant(**changes: Any) -> Arm:
    """Ours with another policy."""

    def search(task: Task, machine: Machine) -> Ended:
        return ours(task, machine, dataclasses.replace(task.policy, **changes))

    return search


ARMS: Final[dict[str, Arm]] = {
    "ours": ours,
    "without surrogate": variant(surrogate=False),
    "random": random_search,
    "halving": halving,
    "halving with rules": functools.partial(halving, with_rules=True),
    "one epoch": one_epoch,
    "best rule": best_rule,
}


def _allowed(task: Task, machine: Machine) -> float:
    """Seconds that are kept neither for the delivery nor for the finals, as ours plans it."""
    policy, slowest = task.policy, max(map(machine.pace, (*task.rules, *task.draws)))
    kept = kept_for_delivery(policy.delivery * task.seconds, slowest, machine.load, policy)
    return (1 - policy.reserve) * (task.seconds - kept)


def thirds(task: Task) -> list[int]:
    """Images of the trainings of successive halving."""
    return [round(task.full / 9), round(task.full / 3), task.full]


def trained(task: Task, machine: Machine, field: Sequence[Candidate], images: int) -> list[Training]:
    """One after the other, as long as each ends before the time of the finals."""
    done: list[Training] = []
    allowed = _allowed(task, machine)
    for candidate in field:
        if machine.now + machine.load.seconds(machine.pace(candidate), images, False) > allowed:
            break
        work = Work(candidate, images, task.seed, final=False)
        done.append(Training(work, machine.train(work)))
    return done


def by_loss(done: Sequence[Training]) -> list[Training]:
    return sorted(done, key=lambda one: one.outcome.log_loss)


def finals_of_best(task: Task, machine: Machine, done: Sequence[Training]) -> Ended:
    """Of the best ones."""
    return final_rounds(task, machine, [one.candidate for one in by_loss(done)][:FINALISTS])


def final_rounds(task: Task, machine: Machine, field: Sequence[Candidate]) -> Ended:
    """Finals as long as the time that is left allows, by the rule of ours, and then whole rounds while they fit.

    At last the long training of the one that they choose, by the same rule too.
    """
    policy, load, paces = task.policy, machine.load, [machine.pace(candidate) for candidate in field]
    until = task.seconds - kept_for_delivery(policy.delivery * task.seconds, max(paces), load, policy)
    images = divide_finals(until - machine.now, task.full, paces, load, policy, delivery=policy.delivery > 0).images
    finals: list[Training] = []
    for number in range(1, policy.max_seeds + 1):
        works = [Work(candidate, images, task.seed + number, final=True) for candidate in field]
        seconds = sum(load.seconds(machine.pace(work.candidate), images, True) for work in works)
        if finals and machine.now + seconds > until:
            break
        finals += [Training(work, machine.train(work)) for work in works]
    judgement = task.judge(finals)
    chosen = judgement.chosen.candidate
    left, pace = task.seconds - machine.now, machine.pace(chosen)
    long = divide_delivery(left, images, pace, load, policy, policy.stretch).images
    if long:
        machine.train(Work(chosen, long, task.seed + policy.max_seeds + 1, final=True))
    return Ended(judgement, images, long or images)
