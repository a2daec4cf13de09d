"""The log of a run: one JSON object per line, only ever appended.

Every figure of a report is recomputed from it, and a run that is killed loses at most the line being written.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from convsmith.errors import RunError
from convsmith.files import writing


class EventLog:
    """Appends events to ``path``; an unfinished last line of a killed run is cut off first.

    Raises:
        RunError: If the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with writing(path):
            self._stream = path.open("a+b")
            self._stream.seek(0)
            self._stream.truncate(self._stream.read().rfind(b"\n") + 1)

    def write(self, event: str, *, sync: bool = False, **fields: Any) -> None:
        """Append one event with the time in seconds since 1970; ``sync`` waits until it is on the disk.

        Raises:
            RunError: If the disk refuses.
        """
        line = json.dumps({"event": event, "time": time.time(), **fields}, allow_nan=False, ensure_ascii=False)
        with writing(self._path):
            self._stream.write(line.encode() + b"\n")
            self._stream.flush()
            if sync:
                os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
