"""Where a search keeps its record: in the journal of its folder, or in a database that any number of workers share."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from convsmith.errors import RunError
from convsmith.jobs.fit_entry import Entry
from convsmith.jobs.fit_resume import check_identity
from convsmith.jobs.run_folder import RunFolder
from convsmith.jobs.step import Tell
from convsmith.quantities import format_seconds
from convsmith.search.candidate import Outcome, Work
from convsmith.search.crew import Crew, Record, Team
from convsmith.search.space import Field
from convsmith.search.study import Study

_FIELD: Final = "field"


class Keeping(Protocol):
    """How a search keeps its record.

    Attributes:
        started: When its time began, on the monotonic clock.
        seconds: Time for everything.
        shown: The address of a shared study, without its password, or nothing.
        price: What a training found on record costs, as a share of the seconds it took; see ``search.crew.Crew``.
    """

    started: float
    seconds: float
    shown: str
    price: float

    def field(self, entry: Entry) -> Field:
        """The networks of the search, drawn now if it has none yet."""
        ...

    def keep(self, entry: Entry, field: Field) -> None:
        """Note them, now that the run folder is there."""
        ...

    def study(self, context: Mapping[str, str], weights: Callable[[Work], Path]) -> Record:
        """The record of the trainings done under ``context``; ``weights`` says where finals keep theirs."""
        ...

    def crew(self, train: Callable[[Work], Outcome], study: Record) -> Crew | None:
        """Who trains; None for this process alone."""
        ...

    def fetch(self, work: Work, target: Path) -> bool:
        """Bring the weights of a final that another worker did."""
        ...


class Journal:
    """The record of one process, in its run folder."""

    shown = ""
    price = 1.0

    def __init__(self, folder: RunFolder, started: float, seconds: float) -> None:
        self._folder = folder
        self.started = started
        self.seconds = seconds

    def field(self, entry: Entry) -> Field:
        """The networks of the run, or new ones."""
        return entry.field(self._folder)

    def keep(self, entry: Entry, field: Field) -> None:
        """Note them in the journal."""
        entry.keep(self._folder, field)

    def study(self, context: Mapping[str, str], weights: Callable[[Work], Path]) -> Record:
        """The journal."""
        return Study(self._folder.study, context)

    def crew(self, train: Callable[[Work], Outcome], study: Record) -> Crew | None:
        """This process alone."""
        return None

    def fetch(self, work: Work, target: Path) -> bool:
        """There are no other workers."""
        return False


class Shared:
    """The record of many workers. The time is that of the study: all end together.

    Args:
        study: A ``DatabaseStudy``, joined.
        shown: Its address.
        started: When the study began, on this process's monotonic clock.
        seconds: Time for the whole study.
    """

    price = 0.0

    def __init__(self, study: Any, shown: str, started: float, seconds: float) -> None:
        self._study = study
        self.shown = shown
        self.started = started
        self.seconds = seconds

    def field(self, entry: Entry) -> Field:
        """The networks that the first worker drew."""
        return Field.from_dict(self._team().decide(_FIELD, lambda: entry.draw().to_dict()))

    def keep(self, entry: Entry, field: Field) -> None:
        """They are noted already."""

    def study(self, context: Mapping[str, str], weights: Callable[[Work], Path]) -> Record:
        """The study; all of its workers have one context, or they would have been refused."""
        self._study.weights = weights
        return self._study

    def crew(self, train: Callable[[Work], Outcome], study: Record) -> Crew | None:
        """All workers."""
        return Team(train, study, self._study)

    def fetch(self, work: Work, target: Path) -> bool:
        """Copy the weights out of the database."""
        return self._study.fetch(work, target)

    def _team(self) -> Team:
        def nobody(work: Work) -> Outcome:
            raise AssertionError(work)

        return Team(nobody, self._study, self._study)


@contextlib.contextmanager
def keeping(
    address: str | None, folder: RunFolder, identity: Mapping[str, Any], *, started: float, minutes: float, tell: Tell
) -> Generator[Keeping]:
    """Open the record of a search: the journal of ``folder``, or the shared study at ``address``.

    Args:
        address: ``postgresql://USER@HOST/DATABASE#NAME``, or None.
        folder: The run.
        identity: What the search is of.
        started: When the job began, on the monotonic clock.
        minutes: Time for everything; a study that is worked on already has its own.
        tell: Told who else is there, and when the database goes away.

    Raises:
        RunError: If there is no such database or no driver for it, or its study is of something else.
    """
    if address is None:
        yield Journal(folder, started, 60 * minutes)
        return
    place, database = open_database(address, tell)
    with contextlib.closing(database):
        study = importlib.import_module("convsmith.search.database_study").DatabaseStudy(database, place.name)
        remedy = f"give the same, or another name for the study in place of #{place.name}"
        check_identity(
            study.begun_with(identity),
            identity,
            where=place.shown,
            rule="all workers of a study must have the same {}",
            remedy=remedy,
        )
        with study.working():
            others = study.workers
            spent, its_minutes = study.join(minutes, time.monotonic() - started)
            seconds = 60 * its_minutes
            company = f"with {others} more at work" if others else "nobody else is at work"
            tell(f"joined the study {place.shown}, {company}: {format_seconds(max(seconds - spent, 0))} left")
            yield Shared(study, place.shown, time.monotonic() - spent, seconds)


def open_database(address: str, tell: Tell) -> tuple[Any, Any]:
    """The address, read, and a connection.

    Raises:
        RunError: If there is no such database, or no driver for it.
    """
    try:
        module = importlib.import_module("convsmith.search.database")
    except ImportError as error:
        rule, remedy = "a shared study needs the driver of PostgreSQL", "pip install 'convsmith[postgresql]'"
        raise RunError(rule, received=str(error), where="--study", remedy=remedy) from error
    place = module.Address.parse(address)
    return place, module.Database(place, tell)
