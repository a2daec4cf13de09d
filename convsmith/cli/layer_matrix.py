"""The matrix C in a terminal: the number of a weight in each place, and its colour where there are colours."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from convsmith.analysis.weight_matrix import WeightMatrix
from convsmith.cli.page import Span
from convsmith.report.matrix_line import matrix_line
from convsmith.report.weight_colors import weight_color

_MOST_ROWS: Final = 64
_MOST_COLUMNS: Final = 128
_MOST_PLANES: Final = 4
_MOST_MEANS: Final = 12
_NOTHING: Final = "."

Line = Sequence[Span]


def print_lines(lines: Iterator[Line]) -> None:
    """Write lines of text with rich's styles; the text alone where nobody sees colours."""
    if not sys.stdout.isatty():
        sys.stdout.writelines(f"{''.join(text for text, _ in line).rstrip()}\n" for line in lines)
        return
    from rich.console import Console  # noqa: PLC0415  # see page.py
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text.assemble(*line))


def terminal_width() -> int | None:
    """Characters that a line has room for; None where nobody watches, as a program reads lines of any length."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console  # noqa: PLC0415  # see page.py

    return Console().width


def matrix_lines(matrix: WeightMatrix, width: int | None = None) -> Iterator[Line]:
    """The matrix with the names of its rows and columns, and what its numbers stand for; its corner if it is large."""
    yield ()
    yield ((matrix_line(matrix), "bold"),)
    rows, columns = matrix.shape
    cell = max(len(str(matrix.count - 1)), len(f"x{min(columns, _MOST_COLUMNS) - 1}")) + 1
    margin = len(f"y{min(rows, _MOST_ROWS) - 1}")
    room = _MOST_COLUMNS if width is None else max(1, min(_MOST_COLUMNS, (width - margin - 4) // cell))
    shown = min(columns, room)
    more = " ..." if shown < columns else ""
    yield ((" " * margin + "".join(f"x{column}".rjust(cell) for column in range(shown)) + more, "dim"),)
    numbers = {row: list(group) for row, group in groupby(_first(matrix, _MOST_ROWS), key=lambda entry: entry[0])}
    for row in range(min(rows, _MOST_ROWS)):
        found = {column: weight for _, column, weight in numbers.get(row, [])}
        line: list[Span] = [(f"y{row}".rjust(margin), "dim")]
        for column in range(shown):
            line += [(" ", ""), _cell(found.get(column), cell - 1, matrix.count)]
        yield (*line, (more, "dim"))
    if rows > _MOST_ROWS or shown < columns:
        yield (("only a corner fits here; --svg, --png and --json have all of it", "dim"),)
    yield from _legend(matrix)


def _first(matrix: WeightMatrix, rows: int) -> Iterator[tuple[int, int, int]]:
    for row, column, weight in zip(matrix.rows, matrix.columns, matrix.weights, strict=True):
        if row >= rows:
            return
        yield int(row), int(column), int(weight)


def _cell(weight: int | None, width: int, count: int) -> Span:
    if weight is None:
        return (_NOTHING.rjust(width), "dim")
    return (str(weight).rjust(width), f"#000000 on {weight_color(weight, count)}")


def _legend(matrix: WeightMatrix) -> Iterator[Line]:
    """Where in the kernel the numbers lie, or which means they are."""
    count = matrix.count
    yield ()
    if matrix.values:
        for number, value in enumerate(matrix.values[:_MOST_MEANS]):
            yield (_cell(number, 3, count), (f" is {value:.6g}", ""))
        if count > _MOST_MEANS:
            yield ((f"and {count - _MOST_MEANS:,} means more", "dim"),)
        return
    high, wide = matrix.kernel[-2:]
    planes, cell = count // (high * wide), len(str(count - 1))
    more = f", the first {_MOST_PLANES} of {planes:,} planes" if planes > _MOST_PLANES else ""
    yield ((f"numbers of the kernel's weights{more}", ""),)
    if high * wide > _MOST_ROWS:
        yield ((f"row by row, 0 to {count - 1:,}", "dim"),)
        return
    for row in range(high):
        line: list[Span] = []
        for plane in range(min(planes, _MOST_PLANES)):
            first = (plane * high + row) * wide
            for weight in range(first, first + wide):
                line += [(" ", ""), _cell(weight, cell, count)]
            line.append(("   ", ""))
        yield line
