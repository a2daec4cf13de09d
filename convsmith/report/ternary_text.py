"""The map of shares in characters, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from convsmith.report.ternary import CORNERS, Point, outline

_LEFT, _RIGHT = -0.3, 1.3  # of the plane; what lies further out is drawn at the border
_BOTTOM, _TOP = -0.25, 1.0
_STEPS: Final = 60
_EDGE: Final = "."


def draw_map(dots: Sequence[tuple[Point, str]], *, width: int = 33, height: int = 11) -> list[str]:
    """Lines of ``width`` characters: the triangle in full stops, its corners by name, and a mark for each dot.

    Where two meet, the later one is seen.

    Args:
        dots: Places, from ``ternary.place``, with a character each.
        width: Characters of a line.
        height: Lines, the names of the corners among them.
    """
    rows = [[" "] * width for _ in range(height - 2)]

    def put(at: Point, mark: str) -> None:
        across = min(max((at[0] - _LEFT) / (_RIGHT - _LEFT), 0.0), 1.0)
        up = min(max((at[1] - _BOTTOM) / (_TOP - _BOTTOM), 0.0), 1.0)
        rows[round((1 - up) * (len(rows) - 1))][round(across * (width - 1))] = mark

    for (x, y), (to_x, to_y) in pairwise(outline()):
        for step in range(_STEPS):
            part = step / _STEPS
            put((x + part * (to_x - x), y + part * (to_y - y)), _EDGE)
    for at, mark in dots:
        put(at, mark)
    top, left, right = CORNERS
    between = max(width - len(left) - len(right), 1)
    return [top.center(width), *("".join(row) for row in rows), f"{left}{' ' * between}{right}"]
