from __future__ import annotations

from pathlib import Path

import pytest

from convsmith.errors import RunError
from convsmith.training.events import EventLog, read_events


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
