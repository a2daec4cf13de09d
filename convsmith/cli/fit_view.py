"""How a search stands, drawn for a terminal of any size: the rungs as a table, and the map of shares beside it."""

from __future__ import annotations

from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from convsmith.jobs.fit_board import TESTED, Board, Standing
from convsmith.quantities import format_count, format_percent
from convsmith.report.ternary import place
from convsmith.report.ternary_text import draw_map

_MARKS: Final[dict[Standing, str]] = {"trained": "o", "going on": "@", "best": "*"}
_LEGEND: Final = "o trained   @ going on   * best"
_BESIDE: Final = 110
"""Columns from which the map has room beside the table."""
_NARROW: Final = 72
"""Columns below which the table does without the names of networks."""
_BELOW: Final = 30
"""Lines from which it has room below."""


class BoardView:
    """A board as rich draws it."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = _rungs(self._board, narrow=options.max_width < _NARROW)
        rungs = Group(table, Text(_so_far(self._board), overflow="ellipsis", no_wrap=True))
        if options.max_width >= _BESIDE:
            both = Table.grid(padding=(0, 4))
            both.add_row(rungs, _map(self._board))
            yield both
        elif console.height >= _BELOW:
            yield Group(rungs, _map(self._board))
        else:
            yield rungs


def _rungs(board: Board, *, narrow: bool) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("", "images", "networks", "trained"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    if not narrow:
        table.add_column("best", no_wrap=True, overflow="ellipsis")
    table.add_column("right", justify="right", no_wrap=True)
    for one in board.stretches:
        right = "" if one.accuracy is None else format_percent(one.accuracy)
        cells = (one.name, format_count(one.images), str(one.networks), f"{one.done} of {one.trainings}")
        table.add_row(*cells, *([] if narrow else [Text(one.best)]), right)
    return table


def _so_far(board: Board) -> str:
    leading = board.leading
    if leading is None or leading.accuracy is None:
        return "no network is trained yet"
    judged = "test images right" if leading.name in TESTED else "select images right, and the least loss"
    return f"best so far: {leading.best}, {format_percent(leading.accuracy)} of the {judged}"


def _map(board: Board) -> RenderableType:
    lines = draw_map([(place(dot.shares), _MARKS[dot.standing]) for dot in board.dots])
    return Text("\n".join([*lines, _LEGEND]), no_wrap=True)
