"""The map of shares as plain values: where every network lies, and where its name has room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from convsmith.report.ternary import Point, bounds, grid, outline, place, place_labels

_NEAR: Final = 0.015
"""Dots that lie closer hide each other."""
_NOTHING: Final = 1e-6


@dataclass(frozen=True)
class Mark:
    """A network on the map.

    Attributes:
        shares: Of depth, width and resolution in the logarithm of the budget.
        kind: How it is drawn.
        text: What is said where it is pointed at.
        name: What stands beside it; nothing for no name.
    """

    shares: Mapping[str, float]
    kind: str
    text: str
    name: str = ""


def ternary_map(marks: Sequence[Mark]) -> dict[str, Any]:
    """The map as JSON values, y upward; the names in the order of ``marks`` choose their side."""
    places = [place(mark.shares) for mark in marks]
    labels = place_labels(
        [(at, mark.name) for at, mark in zip(places, marks, strict=True) if mark.name], _thinned(places)
    )
    (left, right), (bottom, top) = bounds(places, labels)
    return {
        "box": [left, bottom, right, top],
        "grid": [list(segment) for segment in grid()],
        "outline": outline(),
        "outside": any(min(mark.shares.values()) < -_NOTHING for mark in marks),
        "marks": [{"at": at, "kind": mark.kind, "text": mark.text} for at, mark in zip(places, marks, strict=True)],
        "labels": [{"at": label.at, "text": label.text, "side": label.side, "scale": label.scale} for label in labels],
    }


def _thinned(places: Sequence[Point]) -> list[Point]:
    """One dot of each small square: where names have room does not depend on how many lie on top of each other."""
    return list({(round(x / _NEAR), round(y / _NEAR)): (x, y) for x, y in places}.values())
