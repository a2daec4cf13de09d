"""The trainings of saturation curves, planned and then done seed by seed: a stop at any time leaves whole curves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from convsmith.jobs.curves_plan import MARGIN, CurvesPlan, Wish, plan_curves
from convsmith.jobs.lab import Lab
from convsmith.jobs.past import told_time
from convsmith.jobs.step import Show, Step, Tell
from convsmith.quantities import format_count, format_percent, format_seconds
from convsmith.search.candidate import Candidate, Outcome, Work
from convsmith.search.policy import Load
from convsmith.search.shared import SharedStudy
from convsmith.training.events import EventLog
from convsmith.training.progress import Progress


class Watcher:
    """The clock as a bar."""

    def __init__(self, show: Show, started: float, seconds: float) -> None:
        self._show, self._started, self._seconds = show, started, seconds
        self.name = ""

    def watch(self, progress: Progress) -> None:
        """One step of a training."""
        spent = time.monotonic() - self._started
        detail = f"{self.name}: {progress.images_per_second:,.0f} images/s, loss {progress.loss:.3f}"
        self._show(Step("curves", min(spent / self._seconds, 1.0), detail, max(self._seconds - spent, 0.0)))


class CurvesRun:
    """Plans the trainings of the curves and does them, within the time.

    Args:
        lab: Trains the networks.
        study: What is on record, of this run and of others.
        events: Told of the plan, of every training, and of the end.
        networks: By key.
        load: What one training goes through.
        seed: The trainings have the seeds after it.
        deadline: When the last training must be over, on the monotonic clock.
        tell: Told of what happens, in lines.
        watcher: Told which network is trained.
    """

    def __init__(
        self,
        lab: Lab,
        study: SharedStudy,
        events: EventLog,
        networks: Mapping[str, Candidate],
        load: Load,
        seed: int,
        deadline: float,
        tell: Tell,
        watcher: Watcher,
    ) -> None:
        self._lab, self._study, self._events = lab, study, events
        self._networks, self._load, self._seed = networks, load, seed
        self._deadline, self._tell, self._watcher = deadline, tell, watcher
        self._paces: dict[str, float] = {}
        self._failed: set[str] = set()

    def go(self, wish: Wish, most: int) -> None:
        """Train seed by seed, each network once for each, until the time or ``most`` seeds are over."""
        plan = self._plan(wish)
        shape = f"{len(plan.keys)} networks x {plan.seeds} seeds x {format_count(plan.images)} images"
        self._tell(f"plan: {shape}, {format_seconds(plan.seconds)} of training")
        for note in plan.notes:
            self._tell(note)
        left_out, stopped = 0, "seeds"
        for number in range(1, most + 1):
            works = [self._work(key, plan.images, number) for key in plan.keys if key not in self._failed]
            if number > plan.seeds and not self._fits(works):
                stopped = "time"
                break
            for work in works:
                if self._fits([work]) or (number == 1 and work is works[0]):
                    self._train(work)
                else:
                    left_out += 1
        self._events.write("stop", sync=True, reason=stopped, left_out=left_out, seconds_left=self._left())

    def _plan(self, wish: Wish) -> CurvesPlan:
        """The plan: kept from before where the run was stopped, since only then its trainings are met again."""
        name = f"plan {wish.seeds} {wish.epochs} {'/'.join('+'.join(step) for step in wish.steps)}"
        noted = self._study.noted(name)
        self._paces = noted["paces"] if noted else self._measured(wish)
        if noted:
            plan = CurvesPlan.from_dict(noted["plan"])
        else:
            plan = plan_curves(wish, self._left(), self._paces, self._load, self._known)
            self._study.note(name, {"plan": plan.to_dict(), "paces": self._paces})
        self._events.write("plan", plan=plan.to_dict(), paces=self._paces)
        return plan

    def _measured(self, wish: Wish) -> dict[str, float]:
        return {key: self._lab.seconds_per_image(self._networks[key]) for step in wish.steps for key in step}

    def _work(self, key: str, images: int, number: int) -> Work:
        return Work(self._networks[key], images, self._seed + number, final=True)

    def _known(self, key: str, images: int, number: int) -> bool:
        return self._study.knows(self._work(key, images, number))

    def _left(self) -> float:
        return self._deadline - self._study.clock()

    def _fits(self, works: Sequence[Work]) -> bool:
        new = [work for work in works if not self._study.knows(work)]
        needed = sum(self._load.seconds(self._paces[work.candidate.key], work.images, True) for work in new)
        return not new or needed <= (1 - MARGIN) * self._left()

    def _train(self, work: Work) -> None:
        key, outcome = work.candidate.key, self._study.find(work)
        reused = outcome is not None
        if outcome is None:
            self._watcher.name = work.candidate.design.name
            outcome = self._lab.train(work)
            self._study.record(work, outcome)
        if not outcome.failed:
            self._paces[key] = self._load.pace(outcome.seconds, outcome.images, True)
        else:
            self._failed.add(key)
        self._tell_of(work, outcome, reused)

    def _tell_of(self, work: Work, outcome: Outcome, reused: bool) -> None:
        recorded = self._study.recorded(work) if reused else None
        if reused and recorded is None:
            self._deadline -= outcome.seconds  # paid by this run before it was stopped
        fields = {"candidate": work.candidate.key, "images": work.images, "seed": work.seed, "reused": reused}
        fields |= {"outcome": outcome.to_dict(), **({} if recorded is None else {"recorded": recorded})}
        self._events.write("training", sync=True, **fields)
        found = outcome.failure or f"{format_percent(outcome.accuracy)} right"
        self._tell(f"  {work.candidate.design.name}, seed {work.seed}: {found}, {told_time(fields)}")
