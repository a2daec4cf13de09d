"""The race: all networks train briefly, the better ones longer, the best for the finals, within a given time.

Whatever a race decides depends only on
recorded outcomes and notes: a race that was stopped goes on from its study as if nothing had happened.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from convsmith.errors import TrainingError
from convsmith.search.candidate import Candidate, Outcome, Training, Work
from convsmith.search.crew import Alone, Crew, Record
from convsmith.search.delivery import run_delivery
from convsmith.search.finals import run_finals
from convsmith.search.plan import Plan
from convsmith.search.policy import Load, Policy
from convsmith.search.rungs import run_rungs, stand
from convsmith.search.track import Emit, Track


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
        dropped: Why networks were left out before their first training, by their keys.
        delivered: The long training of the chosen network, if there was one.
    """

    plan: Plan
    rungs: tuple[tuple[Training, ...], ...]
    finals: tuple[Training, ...]
    finalists: tuple[Candidate, ...]
    best_rule: Candidate | None
    stopped: str
    dropped: Mapping[str, str]
    delivered: Training | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values; networks are named by their keys."""
        return {
            "plan": self.plan.to_dict(),
            "rungs": [[training.to_dict() for training in rung] for rung in self.rungs],
            "finals": [training.to_dict() for training in self.finals],
            "finalists": [candidate.key for candidate in self.finalists],
            "best_rule": self.best_rule.key if self.best_rule else None,
            "stopped": self.stopped,
            "dropped": dict(self.dropped),
            "delivered": self.delivered.to_dict() if self.delivered else None,
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
    crew: Crew | None = None,
    past: Sequence[Training] = (),
    choose: Callable[[Sequence[Training]], Candidate] | None = None,
) -> Race:
    """Find the finalists among ``candidates`` and train them for the record, by ``deadline``.

    Args:
        candidates: In order of importance; of networks with the same key the first one counts. The rules, the
            ready-made and the first ``policy.draws`` others are planned for; the rest are there to be proposed by the
            surrogate.
        train: Does one training. It reports a failure in the outcome; what it raises ends the race, study intact.
        time_candidate: Measures seconds per training image. A network of which it raises ``TrainingError`` is left out.
        study: Where finished trainings are found and recorded. What is found costs the seconds it once took, so a
            resumed race with the same time ends where it would have ended without the stop.
        load: What one training goes through.
        policy: The constants of the search. A resumed race keeps the load and the policy it was started with.
        clock: Seconds that never go back.
        deadline: The moment on ``clock`` when all must be done. At least one final is made even when it has passed.
        seed: Seed of the rungs; the finals use the seeds after it, which played no part in the choice.
        emit: Told of ``past``, ``dropped``, ``plan``, ``rung``, ``start``, ``training``, ``proposed``, ``ranking``,
            ``finals``, ``settled``, ``delivery``, ``delivered`` and ``stop``.
        settle: Gives for networks that are to enter the finals those that do, one for each in the same order: itself,
            or one that keeps what was promised. Whom it replaces is said by ``Candidate.replaces``.
        crew: Who trains, in place of ``train`` in this process.
        past: Trainings of earlier runs on the same images by the same recipe, of any networks. What they say about the
            drawn ones decides which of them enter, and fewer do.
        choose: Takes the best network from the finals; needed where the policy has time for its delivery.

    Raises:
        TrainingError: If no candidate could be trained.
    """
    assert candidates
    assert choose or not policy.delivery
    unique = {candidate.key: candidate for candidate in reversed(candidates)}
    known = tuple(unique[key] for key in dict.fromkeys(candidate.key for candidate in candidates))
    track = Track(
        crew=crew or Alone(train, study),
        time_candidate=time_candidate,
        study=study,
        load=load,
        policy=policy,
        clock=clock,
        deadline=deadline,
        emit=emit,
        settle=settle,
        name=_race_name(known, load, seed),
    )
    plan = track.start(known, past, seed)
    entrants = tuple(unique[key] for key in plan.entrants)
    rungs, standing, full = run_rungs(track, known, entrants, plan, seed)
    tried = {training.candidate.key for rung in rungs for training in rung}
    standing = (*standing, *(candidate for candidate in entrants if candidate.key not in tried))
    # finals are about as long as the last rung; the standing looks ahead to a much longer training
    measured = [candidate for candidate in (*stand(rungs), *standing) if candidate.rule]
    finals, settled = run_finals(track, standing, measured, full, plan.finals.seeds, seed)
    standing = tuple(settled.get(candidate.key, candidate) for candidate in standing)
    good = {training.candidate.key for training in finals if not training.outcome.failed}
    if not good:
        causes = dict.fromkeys(training.outcome.failure for training in itertools.chain(*rungs, finals))
        raise TrainingError("no network could be trained", received="; ".join(causes), where="search")
    most = max(training.work.seed for training in finals) - seed
    stopped = "seeds" if most == track.policy.max_seeds else "time"
    delivered = run_delivery(track, finals, choose, seed) if choose else None
    emit("stop", {"reason": stopped, "seconds_left": track.left()})
    return Race(
        plan=plan,
        rungs=tuple(tuple(rung) for rung in rungs),
        finals=tuple(finals),
        finalists=tuple({one.key: one for one in standing if one.key in good}.values()),
        best_rule=next((settled.get(candidate.key, candidate) for candidate in measured), None),
        stopped=stopped,
        dropped=dict(track.dropped),
        delivered=delivered,
    )


def _race_name(field: Sequence[Candidate], load: Load, seed: int) -> str:
    """Names the decisions of a race apart from those of another one in the same study."""
    text = repr(([candidate.key for candidate in field], load.train, load.select, load.test, seed))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
