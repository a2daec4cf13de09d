"""What a race goes by: its clock, the paces of its networks, and the record of what was done and decided."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from convsmith.errors import RunError, TrainingError
from convsmith.quantities import format_count
from convsmith.search.candidate import Candidate, Training, Work
from convsmith.search.crew import Crew, Done, Record
from convsmith.search.division import in_turns, kept_for_delivery
from convsmith.search.past import evidence, from_notes, noted
from convsmith.search.plan import Plan
from convsmith.search.planning import is_hopeless, least_time, make_plan
from convsmith.search.policy import Load, Policy
from convsmith.search.surrogate import Surrogate, tells

_TIMED: Final = (3, 15)  # least and most times that a network is timed before its long training
_TIMING: Final = 0.01  # share of the time left that this may take
_WHOLE: Final = 1.05  # pace of a whole training over that of the few steps that are timed

Emit = Callable[[str, dict[str, Any]], None]


class TooShort(TrainingError):
    """A time in which no rung of a search can be trained.

    Attributes:
        missing: Seconds that would have to be added.
    """

    def __init__(self, rule: str, missing: float) -> None:
        super().__init__(rule)
        self.missing = missing


class Track:
    """The clock, the paces and the record of one race.

    Attributes:
        load: What one training goes through.
        policy: The constants of the search.
        reserve: Seconds kept for the finals.
        kept: Seconds kept for the delivery, those among them that stay free.
        past: Trainings of earlier runs that say something about networks of this one.
        dropped: Why networks could not even be timed, by their keys.
    """

    def __init__(
        self,
        *,
        crew: Crew,
        time_candidate: Callable[[Candidate], float],
        study: Record,
        load: Load,
        policy: Policy,
        clock: Callable[[], float],
        deadline: float,
        emit: Emit,
        settle: Callable[[Sequence[Candidate]], Sequence[Candidate]],
        name: str,
    ) -> None:
        self._crew = crew
        self._time = time_candidate
        self._study = study
        self._clock = clock
        self._deadline = deadline
        self._settle = settle
        self._name = name
        self._paces: dict[str, float] = {}
        self.load = load
        self.policy = policy
        self.emit = emit
        self.reserve = self.kept = 0.0
        self.past: tuple[Training, ...] = ()
        self.dropped: dict[str, str] = {}

    def left(self) -> float:
        """Seconds to the deadline, after paying for what was found in the record."""
        return self._deadline - self._clock()

    @property
    def hands(self) -> int:
        """Trainings that go on at the same time now."""
        return self._crew.hands

    def start(self, known: Sequence[Candidate], past: Sequence[Training], seed: int) -> Plan:
        """Time who is trained at first and make the plan, or take all that it depends on from the record.

        Args:
            known: All networks there are.
            past: Trainings of earlier runs.
            seed: Of what chance decides.

        Raises:
            TooShort: If a search that is begun has not the time for a rung.
            TrainingError: If none of them can be trained.
        """
        self.load = Load(**self.decide("load", lambda: dataclasses.asdict(self.load)))
        self.policy = _policy_of(self.decide("policy", lambda: dataclasses.asdict(self.policy)))
        self.past = from_notes(self.decide("past", lambda: noted(evidence(past, known))))
        if self.past:
            networks = len({training.candidate.key for training in self.past})
            self.emit("past", {"trainings": len(self.past), "networks": networks})
        entering, first = self._entering(known, seed)
        if not self.measure("paces", entering[:first]):
            causes = "; ".join(dict.fromkeys(self.dropped.values()))
            raise TrainingError("no network could be trained", received=causes, where="search")
        field = [candidate for candidate in entering if candidate.key not in self.dropped]
        paces = dict(zip([candidate.key for candidate in field], self.paces(field), strict=True))

        def planned() -> dict[str, Any]:
            self._check_time(field, paces, self.hands)
            return make_plan(self.left(), field, paces, self.load, self.policy, self.hands).to_dict()

        plan = Plan.from_dict(self.decide("plan", planned))
        self.kept = plan.delivery.seconds / (1 - self.policy.margin)
        self.reserve = self.policy.reserve * (plan.available - self.kept)
        self.emit("plan", {"plan": plan.to_dict(), "paces": dict(self._paces)})
        return plan

    def _entering(self, known: Sequence[Candidate], seed: int) -> tuple[Sequence[Candidate], int]:
        """Who is planned for, in order of importance, and how many of them are timed and trained at first.

        The last give way where time is short: drawn networks, and before half of these the ready-made ones, most of
        which train slowly for what they cost.
        """
        rules = [candidate for candidate in known if candidate.rule]
        ready = [candidate for candidate in known if candidate.ready]
        drawn = self._foremost([candidate for candidate in known if not (candidate.rule or candidate.ready)], seed)
        others = len(ready) + len(drawn)
        first = others - self.policy.held(others, len(rules))
        before = max(first - len(ready), 0)
        return [*rules, *drawn[:before], *ready, *drawn[before:]], len(rules) + first

    def _foremost(self, drawn: Sequence[Candidate], seed: int) -> Sequence[Candidate]:
        """The drawn networks that enter: the first ones, or fewer that may be the best by what earlier runs trained."""
        policy = self.policy
        if not (policy.surrogate and tells(self.past)):
            return drawn[: policy.draws]
        longest = max(training.work.images for training in self.past)
        chance = int.from_bytes(hashlib.sha256(f"{seed} foremost".encode()).digest()[:8])

        def choose() -> list[str]:
            count = math.ceil(policy.informed * policy.draws)
            surrogate = Surrogate(self.past, longest, side=self.load.side, budgets=True)
            return [one.key for one in surrogate.propose(drawn, count, chance)]

        by_key = {candidate.key: candidate for candidate in drawn}
        return [by_key[key] for key in self.decide("foremost", choose)]

    def _check_time(self, field: Sequence[Candidate], paces: Mapping[str, float], hands: int) -> None:
        left = self.left()
        plan = make_plan(left, field, paces, self.load, self.policy, hands)
        if not is_hopeless(plan, self.policy):
            return
        images, shortest = plan.shortest, self.policy.min_images
        rule = (
            f"minutes must be enough for one rung and the finals: by the measured pace each training would see "
            f"{format_count(images)} images, of {format_count(shortest)} that say something"
        )
        raise TooShort(rule, least_time(field, paces, self.load, self.policy, hands) - left)

    def measure(self, name: str, field: Sequence[Candidate]) -> list[Candidate]:
        """Time every new network once and return those that can be trained; what is on record is paid for."""
        before = self.left()

        def measure() -> dict[str, Any]:
            paces, failures = dict[str, float](), dict[str, str]()
            for candidate in field:
                if candidate.key not in self._paces:
                    try:
                        paces[candidate.key] = self._time(candidate)
                    except TrainingError as error:
                        failures[candidate.key] = str(error)
            return {"paces": paces, "failures": failures, "seconds": before - self.left()}

        measured = self.decide(name, measure)
        failures = measured.get("failures", {})
        self._paces |= measured["paces"]
        self.dropped |= failures
        if self._crew.price:
            self._deadline = min(self._deadline, self._clock() + before - measured["seconds"])
        for candidate in field:
            if candidate.key in failures:
                about = {"candidate": candidate.key, "origin": candidate.origin, "failure": failures[candidate.key]}
                self.emit("dropped", about)
        return [candidate for candidate in field if candidate.key not in failures]

    def decide(self, name: str, choose: Callable[[], Any]) -> Any:
        """The decision noted under ``name``; taken now and noted if there is none."""
        return self._crew.decide(f"{self._name}/{name}", choose)

    def settled(self, number: int, field: Sequence[Candidate]) -> list[Candidate]:
        """Those that enter the finals for ``field``, in its order; a new one trains about as fast as the one before."""
        noted = self.decide(f"settled {number}", lambda: [candidate.to_dict() for candidate in self._settle(field)])
        entering = [Candidate.from_dict(values) for values in noted]
        for before, after in zip(field, entering, strict=True):
            assert after.key == before.key or after.replaces == before.key
            self._paces.setdefault(after.key, self._pace(before))
        if entering != list(field):
            self.emit("settled", {"candidates": noted})
        return entering

    def kept_for(self, field: Sequence[Candidate]) -> float:
        """Seconds kept for the delivery once it is one of a field: no more than the longest of the slowest takes."""
        return kept_for_delivery(self.kept, max(self.paces(field)), self.load, self.policy)

    def fits(self, works: Sequence[Work], keep: float = 0.0) -> bool:
        """True if the works end ``keep`` seconds before the deadline; what is on record always fits."""
        new = [work for work in works if self._study.find(work) is None]
        if not new:
            return True
        turns = in_turns(len(new), self.hands if len(new) > 1 else 1) / len(new)
        return self.left() - sum(self._predicted(work) for work in new) * turns >= keep

    def run(
        self, works: Sequence[Work], fits: Callable[[Work], bool], *, told_as: str = "training"
    ) -> Iterator[Training]:
        """Take trainings from the record and pay for them, or have those that fit done, and yield each when it is done.

        They come in the order asked for only where one is done at a time. Each is an event of the name ``told_as``;
        one of another name than ``training`` is no final to those who count the ``final`` ones.
        """
        for done in self._crew.perform(works, fits, self._begin):
            yield self._take(works[done.number], done, told_as)

    def _begin(self, work: Work) -> None:
        self.emit("start", {**_named(work), "seconds": self._predicted(work)})

    def _take(self, work: Work, done: Done, told_as: str) -> Training:
        outcome = done.outcome
        if done.reused:
            self._deadline -= self._crew.price * outcome.seconds
        if not outcome.failed:
            self._paces[work.candidate.key] = self.load.pace(outcome.seconds, outcome.images, work.final)
        about = {**_named(work), "reused": done.reused, "outcome": outcome.to_dict()}
        self.emit(told_as, about if told_as == "training" else {key: about[key] for key in about if key != "final"})
        return Training(work, outcome)

    def paces(self, field: Sequence[Candidate]) -> list[float]:
        """Seconds per image of each network, as last seen; the mean of all where it was not."""
        return [self._pace(candidate) for candidate in field]

    def alone(self, candidate: Candidate, pace: float) -> float:
        """The pace of a training beside which none goes on, where it was ``pace`` beside others: timed now.

        Times of an hour ago would not do: who else uses the machine changes.
        """
        if not self._crew.together:
            return pace
        until, times = (1 - _TIMING) * self.left(), list[float]()
        with contextlib.suppress(TrainingError):
            while len(times) < _TIMED[0] or (self.left() > until and len(times) < _TIMED[1]):
                times.append(self._time(candidate))
        found = _WHOLE * statistics.median(times) if times else pace
        return min(max(found, pace / self.hands), pace)

    def _predicted(self, work: Work) -> float:
        return self.load.seconds(self._pace(work.candidate), work.images, work.final)

    def _pace(self, candidate: Candidate) -> float:
        return self._paces.get(candidate.key, sum(self._paces.values()) / len(self._paces))


def in_order(trainings: Sequence[Training], works: Sequence[Work]) -> list[Training]:
    """The trainings in the order in which they were asked for."""
    places = {work.identity: place for place, work in enumerate(works)}
    return sorted(trainings, key=lambda one: places[one.work.identity])


def _named(work: Work) -> dict[str, Any]:
    return {
        "candidate": work.candidate.key,
        "origin": work.candidate.origin,
        "images": work.images,
        "seed": work.seed,
        "final": work.final,
    }


def _policy_of(noted: Mapping[str, Any]) -> Policy:
    """A policy on record."""
    if noted.keys() != {field.name for field in dataclasses.fields(Policy)}:
        rule = "a search must be ended by the version of convsmith that began it, or by one that searches alike"
        raise RunError(rule, where="search", remedy="begin it anew in another --out: its trainings are reused")
    return Policy(**noted)
