"""The race: all networks train briefly, the better ones longer, the best for the finals, within a given time.

Short training favours wide nets (Bello et al. 2021, arXiv 2103.07579, section 6), so a rung promotes, besides those
with the least loss, the best of each stratum and the best published rule. Whatever a race decides depends only on
recorded outcomes and notes: a race that was stopped goes on from its study as if nothing had happened.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from convsmith.errors import TrainingError
from convsmith.search.candidate import STRATA, Candidate, Outcome, Training, Work
from convsmith.search.plan import (
    LADDERS,
    FinalsPlan,
    Load,
    Plan,
    Policy,
    Step,
    divide,
    divide_finals,
    kept,
    make_plan,
    tolerated,
)
from convsmith.search.statistics import rank_agreement

Emit = Callable[[str, dict[str, Any]], None]


class Record(Protocol):
    """Where a race keeps its trainings and decisions; ``search.study.Study`` on disk."""

    def find(self, work: Work) -> Outcome | None:
        """The outcome of work done before."""
        ...

    def record(self, work: Work, outcome: Outcome) -> None:
        """Keep one finished training."""
        ...

    def note(self, name: str, value: Any) -> None:
        """Keep a decision."""
        ...

    def noted(self, name: str) -> Any:
        """A decision taken before, or None."""
        ...


@dataclasses.dataclass(frozen=True)
class Race:
    """What a race found.

    Attributes:
        plan: The time plan it started with.
        rungs: The trainings of each rung, in the order they were done.
        finals: The trainings judged on the test images; seeds are the same for all finalists.
        finalists: Networks with at least one final that did not fail, in the order of their standing.
        best_rule: The named rule that stood best before the finals, if any could be trained.
        stopped: Why the race ended: ``"time"`` or ``"seeds"`` (as many as the policy allows).
    """

    plan: Plan
    rungs: tuple[tuple[Training, ...], ...]
    finals: tuple[Training, ...]
    finalists: tuple[Candidate, ...]
    best_rule: Candidate | None
    stopped: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values; networks are named by their keys."""
        return {
            "plan": self.plan.to_dict(),
            "rungs": [[training.to_dict() for training in rung] for rung in self.rungs],
            "finals": [training.to_dict() for training in self.finals],
            "finalists": [candidate.key for candidate in self.finalists],
            "best_rule": self.best_rule.key if self.best_rule else None,
            "stopped": self.stopped,
        }


def race(
    candidates: Sequence[Candidate],
    *,
    train: Callable[[Work], Outcome],
    time_candidate: Callable[[Candidate], float],
    study: Record,
    load: Load,
    policy: Policy,
    clock: Callable[[], float],
    deadline: float,
    seed: int = 0,
    emit: Emit = lambda event, fields: None,
    settle: Callable[[Sequence[Candidate]], Sequence[Candidate]] = lambda field: field,
) -> Race:
    """Find the finalists among ``candidates`` and train them for the record, by ``deadline``.

    Args:
        candidates: In order of importance; of networks with the same key the first one counts.
        train: Does one training. It reports a failure in the outcome; what it raises ends the race, study intact.
        time_candidate: Measures seconds per training image.
        study: Where finished trainings are found and recorded. What is found costs the seconds it once took, so a
            resumed race with the same time ends where it would have ended without the stop.
        load: What one training goes through.
        policy: The constants of the search. A resumed race keeps the load and the policy it was started with.
        clock: Seconds that never go back.
        deadline: The moment on ``clock`` when all must be done. At least one final is made even when it has passed.
        seed: Seed of the rungs; the finals use the seeds after it, which played no part in the choice.
        emit: Told of ``plan``, ``rung``, ``start``, ``training``, ``ranking``, ``finals``, ``settled`` and ``stop``.
        settle: Gives for networks that are to enter the finals those that do, one for each in the same order: itself,
            or one that keeps what was promised. Whom it replaces is said by ``Candidate.replaces``.

    Raises:
        TrainingError: If no candidate could be trained.
    """
    assert candidates
    unique = {candidate.key: candidate for candidate in reversed(candidates)}
    field = tuple(unique[key] for key in dict.fromkeys(candidate.key for candidate in candidates))
    track = _Track(
        train=train, study=study, load=load, policy=policy, clock=clock, deadline=deadline, emit=emit,
        settle=settle, name=_race_name(field, load, seed),
    )  # fmt: skip
    plan = track.start(field, time_candidate)
    entrants = tuple(unique[key] for key in plan.entrants)
    rungs, full = _run_rungs(track, entrants, plan, seed)
    tried = {training.candidate.key for rung in rungs for training in rung}
    standing = (*stand(rungs), *(candidate for candidate in entrants if candidate.key not in tried))
    finals, settled = _run_finals(track, standing, full, seed)
    standing = tuple(settled.get(candidate.key, candidate) for candidate in standing)
    good = {training.candidate.key for training in finals if not training.outcome.failed}
    if not good:
        causes = dict.fromkeys(training.outcome.failure for training in itertools.chain(*rungs, finals))
        raise TrainingError("no network could be trained", received="; ".join(causes), where="search")
    most = max(training.work.seed for training in finals) - seed
    stopped = "seeds" if most == track.policy.max_seeds else "time"
    emit("stop", {"reason": stopped, "seconds_left": track.left()})
    return Race(
        plan=plan,
        rungs=tuple(tuple(rung) for rung in rungs),
        finals=tuple(finals),
        finalists=tuple({one.key: one for one in standing if one.key in good}.values()),
        best_rule=next((candidate for candidate in standing if candidate.rule), None),
        stopped=stopped,
    )


def promote(results: Sequence[Training], count: int) -> tuple[Candidate, ...]:
    """Who goes on after a rung, best first: the ``count`` with the least loss, and three kinds besides.

    - those tied with the last of them, at most a quarter of ``count`` more: within one standard error of its mean
      loss, taking the losses of single images to be spread as widely as they are large (exponentially distributed);
    - the best of each stratum (most budget in depth, in width, in resolution);
    - the best of the named rules.

    Failed trainings are never promoted.
    """
    ranked = _ranked(results)
    if not ranked:
        return ()
    bar = ranked[: max(count, 1)][-1].outcome
    limit = bar.log_loss * (1 + 1 / math.sqrt(max(bar.total, 1)))
    tied = [one for one in ranked[count:] if one.outcome.log_loss <= limit][: tolerated(count)]
    best = [next((one for one in ranked if one.candidate.stratum == stratum), None) for stratum in STRATA]
    best.append(next((one for one in ranked if one.candidate.rule), None))
    going = {one.candidate.key for one in (*ranked[:count], *tied, *best) if one is not None}
    return tuple(one.candidate for one in ranked if one.candidate.key in going)


def stand(rungs: Sequence[Sequence[Training]]) -> tuple[Candidate, ...]:
    """Networks that never failed: those of the last rung by loss, then those only in the one before, and so on."""
    failed = {training.candidate.key for rung in rungs for training in rung if training.outcome.failed}
    order = [training.candidate for rung in reversed(rungs) for training in _ranked(rung)]
    return tuple({candidate.key: candidate for candidate in order if candidate.key not in failed}.values())


class _Track:
    """The clock, the paces and the record of one race."""

    def __init__(
        self,
        *,
        train: Callable[[Work], Outcome],
        study: Record,
        load: Load,
        policy: Policy,
        clock: Callable[[], float],
        deadline: float,
        emit: Emit,
        settle: Callable[[Sequence[Candidate]], Sequence[Candidate]],
        name: str,
    ) -> None:
        self._train = train
        self._study = study
        self._clock = clock
        self._deadline = deadline
        self._settle = settle
        self._name = name
        self._paces: dict[str, float] = {}
        self.load = load
        self.policy = policy
        self.emit = emit
        self.reserve = 0.0

    def left(self) -> float:
        """Seconds to the deadline, after paying for what was found in the record."""
        return self._deadline - self._clock()

    def start(self, field: Sequence[Candidate], time_candidate: Callable[[Candidate], float]) -> Plan:
        """Time every network once and make the plan, or take all that it depends on from the record."""
        self.load = Load(**self.decide("load", lambda: dataclasses.asdict(self.load)))
        self.policy = Policy(**self.decide("policy", lambda: dataclasses.asdict(self.policy)))
        before = self.left()
        self.reserve = self.policy.reserve * before

        def measure() -> dict[str, Any]:
            paces = {candidate.key: time_candidate(candidate) for candidate in field}
            return {"paces": paces, "seconds": before - self.left()}

        measured = self.decide("paces", measure)
        self._paces = dict(measured["paces"])
        self._deadline = min(self._deadline, self._clock() + before - measured["seconds"])
        plan = make_plan(self.decide("time", self.left), field, self._paces, self.load, self.policy)
        self.emit("plan", {"plan": plan.to_dict(), "paces": dict(self._paces)})
        return plan

    def decide(self, name: str, choose: Callable[[], Any]) -> Any:
        """The decision noted under ``name``; taken now and noted if there is none."""
        noted = self._study.noted(f"{self._name}/{name}")
        if noted is None:
            noted = choose()
            self._study.note(f"{self._name}/{name}", noted)
        return noted

    def settled(self, number: int, field: Sequence[Candidate]) -> list[Candidate]:
        """Those that enter the finals for ``field``, in its order; a new one trains about as fast as the one before."""
        noted = self.decide(f"settled {number}", lambda: [candidate.to_dict() for candidate in self._settle(field)])
        entering = [Candidate.from_dict(values) for values in noted]
        for before, after in zip(field, entering, strict=True):
            assert after.key == before.key or after.replaces == before.key
            self._paces.setdefault(after.key, self._paces[before.key])
        if entering != list(field):
            self.emit("settled", {"candidates": noted})
        return entering

    def fits(self, works: Sequence[Work], keep: float = 0.0) -> bool:
        """True if the works end ``keep`` seconds before the deadline; what is on record always fits."""
        new = [work for work in works if self._study.find(work) is None]
        return not new or self.left() - sum(self._predicted(work) for work in new) >= keep

    def run(self, work: Work) -> Training:
        """Take a training from the record and pay for it, or do it and record it."""
        outcome = self._study.find(work)
        reused = outcome is not None
        if outcome is None:
            self.emit("start", {**_named(work), "seconds": self._predicted(work)})
            outcome = self._train(work)
            self._study.record(work, outcome)
        else:
            self._deadline -= outcome.seconds
        if not outcome.failed:
            self._paces[work.candidate.key] = self.load.pace(outcome.seconds, outcome.images, work.final)
        self.emit("training", {**_named(work), "reused": reused, "outcome": outcome.to_dict()})
        return Training(work, outcome)

    def paces(self, field: Sequence[Candidate]) -> list[float]:
        """Seconds per image of each network, as last seen."""
        return [self._paces[candidate.key] for candidate in field]

    def _predicted(self, work: Work) -> float:
        return self.load.seconds(self._paces[work.candidate.key], work.images, work.final)


def _run_rungs(track: _Track, entrants: Sequence[Candidate], plan: Plan, seed: int) -> tuple[list[list[Training]], int]:
    """The trainings of each rung, and the full length in images.

    The time left is divided anew before each rung. A rung that has become no longer than the one before would tell
    nothing new and is left out.
    """
    steps = LADDERS[len(plan.rungs)]
    field, rungs, longest, full = tuple(entrants), [], 0, plan.finals.images
    for index, step in enumerate(steps):
        if rungs:
            field = promote(rungs[-1], kept(len(entrants), step.share))
        if not field:
            break
        divided = functools.partial(_divided, track, field, steps[index:], len(entrants), plan.finals.seeds)
        images, full = track.decide(f"rung {index + 1}", divided)
        if images <= longest:
            continue
        track.emit("rung", {"number": index + 1, "images": images, "candidates": [one.key for one in field]})
        done = _run_rung(track, field, images, seed)
        if not done:
            break
        agreement = rank_agreement(rungs[-1], done) if rungs else None
        track.emit("ranking", {"number": index + 1, "order": [one.key for one in stand([done])], "tau": agreement})
        rungs.append(done)
        longest = images
    return rungs, max(full, longest)


def _divided(
    track: _Track, field: Sequence[Candidate], steps: Sequence[Step], entrants: int, seeds: int
) -> tuple[int, int]:
    """Images of the next rung and of a full training."""
    paces = track.paces(field)
    plan = divide(track.left(), track.reserve, paces, steps, entrants, track.load, track.policy, seeds)
    return plan.rungs[0].images, plan.finals.images


def _run_rung(track: _Track, field: Sequence[Candidate], images: int, seed: int) -> list[Training]:
    """Train the field, best first, without touching the time reserved for the finals."""
    works = [Work(candidate, images, seed, final=False) for candidate in field]
    return [track.run(work) for work in works if track.fits([work], keep=track.reserve)]


def _run_finals(
    track: _Track, standing: Sequence[Candidate], full: int, seed: int
) -> tuple[list[Training], dict[str, Candidate]]:
    """Finals of the first in the standing and the best rule; of the next ones only if all of these fail.

    Returns the trainings, and who entered by the keys of the standing.
    """
    finals: list[Training] = []
    settled: dict[str, Candidate] = {}
    waiting = {candidate.key: candidate for candidate in standing}
    number = 0
    while waiting and all(training.outcome.failed for training in finals):
        number += 1
        chosen = track.decide(f"finals {number}", functools.partial(_finalists, track, tuple(waiting.values()), full))
        track.emit("finals", chosen)
        before = [waiting.pop(key) for key in chosen["candidates"]]
        field = track.settled(number, before)
        settled |= {old.key: new for old, new in zip(before, field, strict=True)}
        unique = list({candidate.key: candidate for candidate in field}.values())
        finals += _run_final_rounds(track, unique, chosen["images"], chosen["seeds"], seed)
    return finals, settled


def _finalists(track: _Track, standing: Sequence[Candidate], full: int) -> dict[str, Any]:
    """Keys, images and seeds of the finals: one more finalist where that costs neither a seed nor length."""
    rule = [candidate for candidate in standing if candidate.rule][:1]

    def plan(best: int) -> tuple[list[Candidate], FinalsPlan]:
        field = list({candidate.key: candidate for candidate in (*standing[:best], *rule)}.values())
        return field, divide_finals(track.left(), full, track.paces(field), track.load, track.policy)

    field, divided = plan(track.policy.finalists + 1)
    if divided.seeds < track.policy.min_seeds or divided.images < full:
        field, divided = plan(track.policy.finalists)
    return {
        "candidates": [candidate.key for candidate in field],
        "images": divided.images,
        "seeds": divided.seeds,
    }


def _run_final_rounds(track: _Track, field: Sequence[Candidate], images: int, seeds: int, seed: int) -> list[Training]:
    """One seed for each finalist after the other; beyond the planned ``seeds`` only whole rounds.

    A finalist whose every planned seed failed drops out. While nothing has succeeded the deadline does not count.
    """
    done: list[Training] = []
    for number in range(1, track.policy.max_seeds + 1):
        good = {training.candidate.key for training in done if not training.outcome.failed}
        alive = [candidate for candidate in field if number <= seeds or candidate.key in good]
        works = [Work(candidate, images, seed + number, final=True) for candidate in alive]
        if number > seeds and not track.fits(works):
            return done
        for work in works:
            if any(not training.outcome.failed for training in done) and not track.fits([work]):
                return done
            done.append(track.run(work))
    return done


def _ranked(results: Sequence[Training]) -> list[Training]:
    """Those that did not fail, least loss first; the cheaper network first where losses are equal."""
    good = [training for training in results if not training.outcome.failed]
    return sorted(good, key=lambda one: (one.outcome.log_loss, one.candidate.macs, one.candidate.key))


def _race_name(field: Sequence[Candidate], load: Load, seed: int) -> str:
    """Names the decisions of a race apart from those of another one in the same study."""
    text = repr(([candidate.key for candidate in field], load.train, load.select, load.test, seed))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _named(work: Work) -> dict[str, Any]:
    return {
        "candidate": work.candidate.key,
        "origin": work.candidate.origin,
        "images": work.images,
        "seed": work.seed,
        "final": work.final,
    }
