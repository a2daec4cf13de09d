"""The log of a run: one JSON object per line, only ever appended.

Every figure of a report is recomputed from it, and a run that is killed loses at most the line being written. A
training that goes on from a checkpoint, or goes back to an earlier state, tells some of its events again. They are
numbered for that: an event with ``kept`` says that what holds is what held after the event of that number.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from convsmith.errors import RunError
from convsmith.files import json_line, sync_folder, writing


class Log(Protocol):
    """Takes events, one after the other."""

    def write(self, event: str, *, sync: bool = False, **fields: Any) -> None:
        """Take one."""
        ...

    def sync(self) -> None:
        """Wait until every event is safe."""
        ...


class EventLog:
    """Appends events to ``path``; an unfinished last line of a killed run is cut off first.

    Raises:
        RunError: If the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending = bytearray()
        with writing(path):
            self._stream = path.open("a+b", buffering=0)
            self._stream.seek(0)
            self._stream.truncate((self._stream.read() or b"").rfind(b"\n") + 1)
            sync_folder(path.parent)

    def write(self, event: str, *, sync: bool = False, **fields: Any) -> None:
        """Append one event with the time in seconds since 1970; ``sync`` waits until it is on the disk.

        Raises:
            RunError: If the disk refuses. The event is then kept, and written before the next one.
        """
        line = json_line({"event": event, "time": time.time(), **fields})
        self._pending += line.encode() + b"\n"
        self._drain()
        if sync:
            self.sync()

    def sync(self) -> None:
        """Wait until every event is on the disk.

        Raises:
            RunError: If the disk refuses.
        """
        self._drain()
        with writing(self._path):
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file.

        Raises:
            RunError: If events are left that the disk refuses.
        """
        try:
            self._drain()
        finally:
            self._stream.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(*([RunError] if error is not None else [])):
            self.close()

    def _drain(self) -> None:
        with writing(self._path):
            while self._pending:
                del self._pending[: self._stream.write(self._pending)]


class Journal:
    """What one training tells, to the log of its run and to whoever watches; a full disk does not stop it.

    Args:
        log: Receives the events, if any does.
        tell: Told what a person should know, in lines.
        opening: Called before the first event: what it writes is only there where the training was not refused.
    """

    def __init__(
        self,
        log: Log | None = None,
        tell: Callable[[str], None] | None = None,
        opening: Callable[[], None] | None = None,
    ) -> None:
        self._log = log
        self._opening = opening
        self._warned = False
        self.tell = tell or (lambda _: None)
        self.count = 0

    def write(self, event: str, **fields: Any) -> None:
        """An event that follows from recipe, images and seed: a resumed training tells the same ones."""
        self.count += 1
        self.note(event, number=self.count, **fields)

    def note(self, event: str, **fields: Any) -> None:
        """An event of this process alone."""
        if self._log is None:
            return
        opening, self._opening = self._opening, None
        try:
            if opening is not None:
                opening()
            self._log.write(event, **fields)
        except RunError as error:
            if not self._warned:
                self.tell(f"warning: the event log cannot be written, its events wait in memory: {error}")
            self._warned = True

    def sync(self) -> None:
        """Wait until every event is on the disk.

        Raises:
            RunError: If the disk refuses.
        """
        if self._log is not None:
            self._log.sync()


def without_undone(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that hold: without those that a resumed training, or a rollback, took back."""
    every = list(events)
    held: dict[int, tuple[int, ...]] = {}  # after the event of a number: the places of all that hold
    standing: tuple[int, ...] = ()
    for place, event in enumerate(every):
        if "kept" in event:
            standing = held.get(event["kept"], ())
        if "number" in event:
            standing = (*standing, place)
            held[event["number"]] = standing
    return [event for place, event in enumerate(every) if "number" not in event or place in standing]


def read_events(path: Path) -> list[dict[str, Any]]:
    """All events of a log, oldest first, without an unfinished last line.

    Raises:
        RunError: If the file cannot be read or a finished line is not JSON.
    """
    try:
        *lines, _unfinished = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RunError(f"cannot read the event log: {error.strerror}", where=str(path)) from error
    events: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(json.loads(line))
        except ValueError as error:
            raise RunError("each line must be a JSON object", received=line[:80], where=f"{path}:{number}") from error
    return events
