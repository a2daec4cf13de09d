from __future__ import annotations

import contextlib
import errno
import os
from io import BufferedRandom
from pathlib import Path
from typing import Any

import pytest

from convsmith.errors import RunError
from convsmith.training.events import EventLog, Journal, read_events, without_undone


def test_events_come_back_in_order_and_a_second_log_appends(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    with EventLog(path) as log:
        log.write("start", name="Zürich", values=[1, 2.5])
        assert read_events(path)[0]["name"] == "Zürich"  # flushed, not only when closed
    with EventLog(path) as log:
        log.write("end", sync=True)
    assert [event["event"] for event in read_events(path)] == ["start", "end"]
    assert read_events(path)[0]["values"] == [1, 2.5]
    assert read_events(path)[0]["time"] <= read_events(path)[1]["time"]


def test_a_torn_last_line_is_ignored_and_never_joined_to_the_next_event(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    with EventLog(path) as log:
        log.write("whole")
    with path.open("ab") as stream:
        stream.write(b'{"event": "to')
    assert [event["event"] for event in read_events(path)] == ["whole"]
    with EventLog(path) as log:
        log.write("after")
    assert [event["event"] for event in read_events(path)] == ["whole", "after"]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text('{"event": "a"}\nrubbish\n{"event": "b"}\n')
    with pytest.raises(RunError, match=r"events\.ndjson:2"):
        read_events(path)


def test_a_log_that_cannot_be_opened_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        EventLog(tmp_path / "file" / "events.ndjson")
    with pytest.raises(RunError, match="cannot read"):
        read_events(tmp_path / "missing.ndjson")


class FullDisk:
    """A stream that takes ``room`` bytes and no more until there is more room."""

    def __init__(self, stream: BufferedRandom, room: int) -> None:
        self.stream, self.room = stream, room

    def write(self, content: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.stream.write(bytes(content[: self.room]))
        self.room -= written
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def test_what_a_full_disk_refuses_is_written_whole_and_in_order_once_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    with EventLog(path) as log:
        disk = log._stream = FullDisk(log._stream, 30)
        for number in range(3):
            with pytest.raises(RunError, match="No space left on device"):
                log.write("event", value=number)
        assert read_events(path) == []  # half a line is no event
        disk.room = 10_000
        log.write("event", value=3)
    assert [event["value"] for event in read_events(path)] == [0, 1, 2, 3]


def test_a_journal_warns_once_of_a_full_disk_and_loses_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    log = EventLog(tmp_path / "events.ndjson")
    journal = Journal(log, lines.append)
    disk = log._stream = FullDisk(log._stream, 0)
    journal.write("point")
    journal.note("checkpoint")
    assert len(lines) == 1
    assert "events wait in memory" in lines[0]
    with pytest.raises(RunError):
        journal.sync()  # what a checkpoint waits for
    disk.room = 10_000
    journal.sync()
    log.close()
    events = read_events(tmp_path / "events.ndjson")
    assert [(event["event"], event.get("number")) for event in events] == [("point", 1), ("checkpoint", None)]


def test_closing_tells_of_events_that_were_never_written_but_hides_no_other_error(tmp_path: Path) -> None:
    def full(log: EventLog) -> None:
        log._stream = FullDisk(log._stream, 0)
        with contextlib.suppress(RunError):
            log.write("event")

    with pytest.raises(RunError, match="No space left"), EventLog(tmp_path / "a.ndjson") as log:
        full(log)

    def interrupted() -> None:
        with EventLog(tmp_path / "b.ndjson") as log:
            full(log)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


@pytest.mark.parametrize(
    ("events", "standing"),
    [
        ("1 2 3", "1 2 3"),
        ("1 note 2 resumed>1 2 3", "1 note resumed 2 3"),
        ("1 2 3 4>1 5", "1 4 5"),  # a rollback to the first
        ("1 2 3 4>1 5 resumed>3 4>1 5", "1 resumed 4 5"),  # gone on from before the rollback, which comes again
        ("1 2 3 4>1 5 resumed>3", "1 2 3 resumed"),
        ("1 2 3 4>1 5 6 resumed>5 6", "1 4 5 resumed 6"),
        ("1 2 1>0 2", "1 2"),  # killed before the first checkpoint
        ("", ""),
    ],
)
def test_what_was_taken_back_is_left_out(events: str, standing: str) -> None:
    """Each word is an event: a number or a name, and behind ``>`` the number of the last one that holds."""
    log: list[dict[str, Any]] = []
    for place, word in enumerate(events.split()):
        name, _, kept = word.partition(">")
        log.append({"place": place, "event": name} | ({"number": int(name)} if name.isdigit() else {}))
        log[-1] |= {"kept": int(kept)} if kept else {}
    found = without_undone(log)
    assert [event["event"] for event in found] == standing.split()
    assert [event["place"] for event in found] == sorted(event["place"] for event in found)
