"""What a person watching a search sees: in a terminal of any size, and stopped by its Ctrl-C."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console

from convsmith.cli.display import Bar, Lines
from convsmith.cli.fit_view import BoardView
from convsmith.jobs.fit_board import Board, Dot, Stretch
from convsmith.jobs.step import Step

BOARD = Board(
    (
        Stretch("rung 1", 5000, 18, 18, 18, "residual-[2].2.2-w8.16.32-r24", 0.612),
        Stretch("rung 2", 14_100, 7, 7, 3, "plain-2.2.2-w8.16.32-r24", 0.71),
        Stretch("finals", 40_000, 3, 9),
    ),
    (
        Dot({"depth": 0.2, "width": 0.4, "resolution": 0.4}, "trained"),
        Dot({"depth": 0.7, "width": 0.2, "resolution": 0.1}, "going on"),
        Dot({"depth": 0.1, "width": 0.1, "resolution": 0.8}, "best"),
    ),
)


def drawn(board, width, height):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(BoardView(board))
    return console.file.getvalue()


@pytest.mark.parametrize(("width", "height", "has_map"), [(120, 24, True), (80, 40, True), (80, 24, False)])
def test_the_table_is_always_there_and_the_map_where_it_has_room(width, height, has_map):
    text = drawn(BOARD, width, height)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) < height
    for row in (("rung 1", "5.000k", "18 of 18", "61.2 %"), ("rung 2", "3 of 7", "71.0 %"), ("finals", "0 of 9")):
        assert any(all(cell in line for cell in row) for line in lines)
    assert "best so far: plain-2.2.2-w8.16.32-r24, 71.0 % of the select images right" in text
    assert ("resolution" in text) == has_map
    assert ("@" in text) == has_map


def test_a_narrow_terminal_shows_all_figures():
    lines = drawn(BOARD, 46, 24).splitlines()
    assert all(len(line) <= 46 for line in lines)
    assert any("rung 1" in line and "18 of 18" in line and "61.2 %" in line for line in lines)
    assert "no network is trained yet" in drawn(Board(BOARD.stretches[2:]), 80, 24)


def test_the_board_stands_above_the_bar_and_lines_do_without(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    step = Step("fit", 0.5, "draw:3", 61.0, BOARD)
    with Bar() as display:
        display.show(step)
    said = capsys.readouterr().err
    assert said.index("residual-[2].2.2") < said.index("draw:3, 1 min 1 s left")
    with Lines() as display:
        display.show(Step("fit", 1.0, "draw:3", 0.0, BOARD))
    assert capsys.readouterr().err == "fit: 100 %, draw:3\n"


@pytest.mark.slow
def test_a_person_at_a_terminal_sees_the_search_stops_it_and_is_told_how_to_go_on(tmp_path):
    command = [sys.executable, "-m", "convsmith", "fit", "digits", "--macs", "100k", "--minutes", "3"]
    leader, follower = pty.openpty()
    environment = {
        **os.environ,
        "TERM": "xterm",
        "COLUMNS": "120",
        "LINES": "40",
        "CONVSMITH_CACHE": str(tmp_path / "c"),
    }
    program = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")],
        stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True,
        preexec_fn=_take_terminal,
    )  # fmt: skip
    os.close(follower)
    seen = b""
    until = time.monotonic() + 300
    while not re.search(rb"\d+ of \d+ .*%", seen):
        assert time.monotonic() < until, seen[-2000:]
        seen += os.read(leader, 65536)
    os.write(leader, b"\x03")
    try:
        while True:
            seen += os.read(leader, 65536)
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert program.wait() == 130
    text = seen.decode()
    assert "best so far: " in text
    assert "* best" in text
    assert "stopped; go on by the same command with --resume" in text
    assert "Traceback" not in text
    assert text.rstrip().endswith("--resume")


def _take_terminal():
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
