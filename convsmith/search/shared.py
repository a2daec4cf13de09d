"""The record of a search that also knows what the user's earlier runs trained, and takes it without paying time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convsmith.errors import RunError
from convsmith.search.candidate import Outcome, Training, Work
from convsmith.search.crew import Record
from convsmith.search.racing import Emit
from convsmith.search.results import Found, Results


@dataclass(frozen=True)
class Reused:
    """A training that was taken from an earlier run.

    Attributes:
        seconds: What it took then.
        recorded: When, in seconds since 1970.
    """

    seconds: float
    recorded: float


class SharedStudy:
    """A study in front of the results of all runs. It is a ``Record``, and the clock and the ear of a race.

    A race pays for what it finds on record with the seconds it once took, so that a stopped one ends where it would
    have ended. For what another run paid the clock is set back by as much.

    Args:
        study: The record of this search.
        results: Those of all runs; they are added to.
        clock: Seconds that never go back.
        price: Share of these seconds that the race pays; see ``Crew.price``.
        fresh: Take nothing from other runs.
        weights: Where a final keeps its weights. A final of another run is taken only with them; without this function
            none are needed.
        warn: Told once, in a line, if the results cannot be added to.
    """

    def __init__(
        self,
        study: Record,
        results: Results,
        clock: Callable[[], float] = time.monotonic,
        *,
        price: float = 1.0,
        fresh: bool = False,
        weights: Callable[[Work], Path] | None = None,
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._study = study
        self._results = results
        self._clock = clock
        self._price = price
        self._fresh = fresh
        self._weights = weights
        self._warn = warn
        self._taken: dict[str, Reused] = {}

    def find(self, work: Work) -> Outcome | None:
        """The outcome of work that was done before, by this run or another."""
        own = self._study.find(work)
        if own is not None or self._fresh:
            return own
        found = next((one for one in self._results.every(work) if self._fetched(work, one)), None)
        if found is None:
            return None
        self._study.note(_name(*work.identity), found.recorded)
        self._study.record(work, found.outcome)
        return found.outcome

    def knows(self, work: Work) -> bool:
        """Whether ``find`` would find it; takes nothing. Where weights are kept, finals of other runs do not count."""
        if self._study.find(work) is not None:
            return True
        return not self._fresh and (self._weights is None or not work.final) and self._results.find(work) is not None

    def past(self) -> Sequence[Training]:
        """What earlier searches trained, of these networks and others."""
        return () if self._fresh else self._results.searched()

    def record(self, work: Work, outcome: Outcome) -> None:
        """Keep one finished training, for this run and for others."""
        try:
            self._results.append(work, outcome, self._weights(work) if self._weights and work.final else None)
        except RunError as error:
            self._warn(f"warning: later runs will not find these trainings: {error}")
            self._warn = lambda line: None
        self._study.record(work, outcome)  # last: it may wait for a database, and be stopped meanwhile

    def note(self, name: str, value: Any) -> None:
        """Keep a decision."""
        self._study.note(name, value)

    def noted(self, name: str) -> Any:
        """A decision taken before, or None."""
        return self._study.noted(name)

    def recorded(self, work: Work) -> float | None:
        """When another run recorded what this one took from it; None for what it did itself."""
        return self._study.noted(_name(*work.identity))

    def clock(self) -> float:
        """Seconds, without those that other runs spent for this one."""
        return self._clock() - self._price * sum(one.seconds for one in self._taken.values())

    def hear(self, then: Emit) -> Emit:
        """Listens to the events of a race, adds to each training that another run did when that was, and passes on."""

        def emit(event: str, fields: dict[str, Any]) -> None:
            if event in ("training", "delivered") and fields["reused"]:
                name = _name(fields["candidate"], fields["images"], fields["seed"], fields.get("final", True))
                recorded = self._study.noted(name)
                if recorded is not None:
                    self._taken.setdefault(name, Reused(fields["outcome"]["seconds"], recorded))
                    fields = {**fields, "recorded": recorded}
            then(event, fields)

        return emit

    @property
    def taken(self) -> Sequence[Reused]:
        """What came from other runs so far."""
        return tuple(self._taken.values())

    def _fetched(self, work: Work, found: Found) -> bool:
        return not work.final or self._weights is None or found.fetch(self._weights(work))


def _name(candidate: str, images: int, seed: int, final: bool) -> str:
    return f"reused/{candidate}/{images}/{seed}/{final}"
