"""Who does the trainings that a race asks for: this process one after the other, or several hands at the same time.

A race hands over the works of a rung, or of the finals, at once, and does not go on before each of them is on record
or left out for want of time. A crew decides nothing about networks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from convsmith.search.candidate import Outcome, Work

_PATIENCE: Final = 0.5
"""Seconds between two looks at what others do."""

Fits = Callable[[Work], bool]
"""Whether there is time to begin a work now; asked once for each, in their order."""
Start = Callable[[Work], None]
"""Told of each work that is begun here."""


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


class Claims(Protocol):
    """What keeps many workers on one study from doing anything twice; ``search.shared_study`` in a database."""

    @property
    def workers(self) -> int:
        """How many work on the study now."""
        ...

    def claim(self, name: str) -> bool:
        """Take a piece of work, or learn that a worker who is alive has it."""
        ...

    def release(self, name: str) -> None:
        """Give it back."""
        ...

    def leave_out(self, work: Work) -> bool:
        """Say for all that a work is not to be done; False if somebody does it already."""
        ...

    def is_left_out(self, work: Work) -> bool:
        """Whether somebody said so."""
        ...

    def busy(self, works: Sequence[Work]) -> list[bool]:
        """Which works other workers are at."""
        ...

    def name(self, work: Work) -> str:
        """What a work is claimed by."""
        ...


@dataclass(frozen=True)
class Done:
    """A work on record.

    Attributes:
        number: Its place among those asked for.
        outcome: How it came out.
        reused: Whether it was on record before this process would have done it.
    """

    number: int
    outcome: Outcome
    reused: bool


class Crew(Protocol):
    """Does works, and takes decisions, for a race."""

    @property
    def hands(self) -> int:
        """Trainings that go on at the same time."""
        ...

    @property
    def price(self) -> float:
        """What a training found on record costs the race, as a share of the seconds it once took."""
        ...

    @property
    def together(self) -> bool:
        """Whether trainings that go on at the same time share one machine, and slow each other down."""
        ...

    def perform(self, works: Sequence[Work], fits: Fits, start: Start) -> Iterator[Done]:
        """Do all works that fit, in any order; each is yielded when it is on record."""
        ...

    def decide(self, name: str, choose: Callable[[], Any]) -> Any:
        """The decision on record under ``name``; taken now and recorded if there is none."""
        ...


class Alone:
    """This process does everything itself, in the order asked for."""

    hands = 1
    price = 1.0
    together = False

    def __init__(self, train: Callable[[Work], Outcome], study: Record) -> None:
        self._train = train
        self._study = study

    def perform(self, works: Sequence[Work], fits: Fits, start: Start) -> Iterator[Done]:
        """Do the works that fit."""
        for number, work in enumerate(works):
            outcome = self._study.find(work)
            reused = outcome is not None
            if outcome is None:
                if not fits(work):
                    continue
                start(work)
                outcome = self._train(work)
                self._study.record(work, outcome)
            yield Done(number, outcome, reused)

    def decide(self, name: str, choose: Callable[[], Any]) -> Any:
        """The decision on record, or a new one."""
        return decided(self._study, name, choose)


class Team:
    """One of any number of processes that share a study: each takes what nobody else has, and learns the rest.

    A decision is taken by one of them while the others wait. What a dead worker had is free again and is done by
    another. All of them therefore see the same trainings and the same decisions, and end with the same result.

    Args:
        train: Does one training.
        study: What all share.
        claims: Who does what.
        wait: Sleeps for so many seconds.
    """

    price = 0.0
    together = False

    def __init__(
        self,
        train: Callable[[Work], Outcome],
        study: Record,
        claims: Claims,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._train = train
        self._study = study
        self._claims = claims
        self._wait = wait

    @property
    def hands(self) -> int:
        """Workers on the study now."""
        return max(self._claims.workers, 1)

    def perform(self, works: Sequence[Work], fits: Fits, start: Start) -> Iterator[Done]:
        """Do what nobody else does, and wait for the rest."""
        waiting = dict(enumerate(works))
        while waiting:
            before = len(waiting)
            busy = self._claims.busy(list(waiting.values()))
            for (number, work), elsewhere in zip(list(waiting.items()), busy, strict=True):
                if elsewhere:
                    continue
                done = self._done(number, work, fits, start)
                if done is not None:
                    yield done
                if done is not None or self._claims.is_left_out(work):
                    del waiting[number]
            if len(waiting) == before:
                self._wait(_PATIENCE)

    def decide(self, name: str, choose: Callable[[], Any]) -> Any:
        """The decision on record; it is taken here unless another worker is at it."""
        while True:
            noted = self._study.noted(name)
            if noted is not None:
                return noted
            if self._claims.claim(name):
                noted = decided(self._study, name, choose)
                self._claims.release(name)  # a worker that breaks off gives back all at once
                return noted
            self._wait(_PATIENCE)

    def _done(self, number: int, work: Work, fits: Fits, start: Start) -> Done | None:
        """The work as it is on record, or done now; None if it is left out, or another worker has it."""
        outcome = self._study.find(work)
        if outcome is not None:
            return Done(number, outcome, reused=True)
        if not fits(work):
            self._claims.leave_out(work)
            outcome = self._study.find(work)  # another may have done it while this one looked at the clock
            return None if outcome is None else Done(number, outcome, reused=True)
        name = self._claims.name(work)
        if not self._claims.claim(name):
            return None
        outcome = self._study.find(work)  # done a moment ago, perhaps, by who had it before
        reused = outcome is not None
        if outcome is None:
            start(work)
            outcome = self._train(work)
            self._study.record(work, outcome)
            outcome = self._study.find(work) or outcome  # should two have done it, the first holds for all
        self._claims.release(name)
        return Done(number, outcome, reused)


class Pool:
    """Others train, several at a time, at the request of this process, which keeps the record.

    Args:
        study: The record.
        hands: How many can train at the same time now.
        submit: Begins a training elsewhere; gives a handle.
        first: Waits for the first of some handles to be done; gives it with its outcome.
        here: Does one in this process, where only one is asked for.
    """

    def __init__(
        self,
        study: Record,
        hands: Callable[[], int],
        submit: Callable[[Work], Any],
        first: Callable[[Sequence[Any]], tuple[Any, Outcome]],
        here: Callable[[Work], Outcome] | None = None,
    ) -> None:
        self._study = study
        self._alone = None if here is None else Alone(here, study)
        self._hands = hands
        self._submit = submit
        self._first = first

    @property
    def hands(self) -> int:
        """How many can train at the same time now."""
        return max(self._hands(), 1)

    @property
    def price(self) -> float:
        """So many seconds pass at once."""
        return 1 / self.hands

    @property
    def together(self) -> bool:
        """True where this process trains too, if it is one alone."""
        return self._alone is not None and self.hands > 1

    def perform(self, works: Sequence[Work], fits: Fits, start: Start) -> Iterator[Done]:
        """Keep all hands busy with the works that fit."""
        if self._alone and len(works) == 1:
            yield from self._alone.perform(works, fits, start)
            return
        waiting, running = list(enumerate(works)), dict[Any, tuple[int, Work]]()
        while waiting or running:
            while waiting and len(running) < self.hands:
                number, work = waiting.pop(0)
                outcome = self._study.find(work)
                if outcome is not None:
                    yield Done(number, outcome, reused=True)
                elif fits(work):
                    start(work)
                    running[self._submit(work)] = (number, work)
            if running:
                handle, outcome = self._first(list(running))
                number, work = running.pop(handle)
                self._study.record(work, outcome)
                yield Done(number, outcome, reused=False)

    def decide(self, name: str, choose: Callable[[], Any]) -> Any:
        """The decision on record, or a new one."""
        return decided(self._study, name, choose)


def decided(study: Record, name: str, choose: Callable[[], Any]) -> Any:
    """The decision noted in a study, taken now if there is none; of two taken at once the first one holds."""
    noted = study.noted(name)
    if noted is None:
        chosen = choose()
        study.note(name, chosen)
        noted = study.noted(name)
    return noted
