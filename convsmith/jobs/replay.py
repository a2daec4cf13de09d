"""Reading a run back from its log: the events of the run as it stands now, if this version can know what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from convsmith.errors import RunError
from convsmith.jobs.report_parts import EVENTS
from convsmith.training.events import read_events

Event = Mapping[str, Any]
KINDS: Final = ("fit", "curves", "run")
"""First events of a search, of curves, and of one training."""


@dataclass(frozen=True)
class Session:
    """What a run told since it was started or last resumed; a resumed one tells again what it found on record.

    Attributes:
        kind: Name of its first event.
        begin: That event.
        events: That event and all after it.
        all: The whole log.
    """

    kind: str
    begin: Event
    events: Sequence[Event]
    all: Sequence[Event]

    def last(self, name: str) -> Event | None:
        """The last event of that name."""
        return next((event for event in reversed(self.events) if event["event"] == name), None)

    def named(self, name: str) -> list[Event]:
        """All events of that name, in their order."""
        return [event for event in self.events if event["event"] == name]


def read_session(path: Path) -> Session:
    """The present session of a log.

    Raises:
        RunError: If there is no log, it was written by a newer version, or by one that did not tell enough.
    """
    if not path.is_file():
        rule, remedy = "no such log", "give the --out folder of a fit, a train or a scale --measure"
        raise RunError(rule, where=str(path), remedy=remedy)
    events = read_events(path)
    starts = [number for number, event in enumerate(events) if event.get("event") in KINDS]
    if not starts:
        rule = "the log does not say what was run: it is empty, or of a version that did not tell"
        raise RunError(rule, where=str(path), remedy="go on with the run by --resume, which tells it anew")
    begin = events[starts[-1]]
    _check_version(begin.get("schema"), path)
    return Session(begin["event"], begin, events[starts[-1] :], events)


def begun(path: Path, kind: str) -> Event | None:
    """How the run of a log began that is to be gone on with; None where nothing was begun.

    Args:
        path: The log.
        kind: Its first event, of ``KINDS``.

    Raises:
        RunError: If the folder is of another command: what it holds would be mixed with another run's.
    """
    events = read_events(path) if path.is_file() else []
    begin = next((event for event in reversed(events) if event.get("event") in KINDS), None)
    if begin is not None and begin["event"] != kind:
        rule, remedy = "the folder holds a run of another command", "choose another --out"
        raise RunError(rule, where=str(path.parent), remedy=remedy)
    return begin


def _check_version(schema: object, path: Path) -> None:
    name, _, number = EVENTS.rpartition("/")
    if schema == EVENTS:
        return
    theirs, _, newer = str(schema).rpartition("/")
    if theirs == name and newer.isdecimal() and int(newer) > int(number):
        rule, remedy = "the log was written by a newer convsmith", "update convsmith to make its report"
    else:
        rule, remedy = "the log does not hold all that a report needs", "go on with the run by --resume, which tells it"
    raise RunError(rule, received=schema, where=str(path), remedy=remedy)
