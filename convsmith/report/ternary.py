"""The map of shares: where a network lies by how its budget was split, and where its name has room.

The three shares add up to one, so a point of the plane holds them. Corners are budgets spent on one axis alone; a
network that shrank along an axis has a negative share there and lies outside the triangle, which is why this is a
plain plane and not a ternary plot that would cut it off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

Point = tuple[float, float]

CORNERS: Final[dict[str, Point]] = {
    "depth": (0.5, math.sqrt(3) / 2),
    "width": (0.0, 0.0),
    "resolution": (1.0, 0.0),
}
"""Where the whole budget went into one axis."""

SIDES: Final = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""Where a name may stand beside its dot: right, left, above, below, and the diagonals; in this order of liking."""

_CHARACTER: Final = 0.018
_LINE: Final = 0.036
_GAP: Final = 0.03
_MARGIN: Final = 0.02
_CAPTION: Final = 0.09


@dataclass(frozen=True)
class Label:
    """Text at a point, the side it stands on (-1, 0 or 1 to the right and upward), and its size on the map."""

    at: Point
    text: str
    side: tuple[int, int]
    scale: float


@dataclass(frozen=True)
class _Box:
    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: _Box) -> float:
        """Area in common."""
        across = min(self.right, other.right) - max(self.left, other.left)
        up = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(across, 0.0) * max(up, 0.0)


def place(shares: Mapping[str, float]) -> Point:
    """The point of a split."""
    return (
        sum(share * CORNERS[axis][0] for axis, share in shares.items()),
        sum(share * CORNERS[axis][1] for axis, share in shares.items()),
    )


def outline() -> list[Point]:
    """The triangle, closed."""
    return [*CORNERS.values(), CORNERS["depth"]]


def grid(steps: int = 5) -> list[tuple[Point, Point]]:
    """Lines of equal share within the triangle, at every ``1 / steps``."""
    segments: list[tuple[Point, Point]] = []
    for axis in CORNERS:
        one, other = (name for name in CORNERS if name != axis)
        for step in range(1, steps):
            share = step / steps
            segments.append((place({axis: share, one: 1 - share}), place({axis: share, other: 1 - share})))
    return segments


def captions(scale: float = 1.0) -> list[Label]:
    """What the corners mean, above and below them."""
    away = _CAPTION * scale
    return [
        Label((x, y + (away if y else -away)), f"all into {axis}", (0, 0), scale) for axis, (x, y) in CORNERS.items()
    ]


def bounds(points: Sequence[Point], labels: Sequence[Label]) -> tuple[Point, Point]:
    """Ranges (low, high) of x and y that hold the points and the text."""
    boxes = [*(_around(at, _GAP) for at in points), *(_box(label) for label in labels)]
    return (
        (min(box.left for box in boxes) - _MARGIN, max(box.right for box in boxes) + _MARGIN),
        (min(box.bottom for box in boxes) - _MARGIN, max(box.top for box in boxes) + _MARGIN),
    )


def place_labels(names: Sequence[tuple[Point, str]], dots: Sequence[Point]) -> list[Label]:
    """Put each name on the side of its dot where it covers least of dots, captions and triangle; join equal places.

    The farther the dots spread, the more of the map a letter takes. The captions of the corners come along.

    Args:
        names: Points with their names, the important ones first.
        dots: All points that should stay visible.
    """
    scale = _spread([*dots, *CORNERS.values()])
    merged: dict[Point, list[str]] = {}
    for at, name in names:
        near = next((point for point in merged if math.dist(point, at) < _GAP / 2), at)
        merged.setdefault(near, []).append(name)
    taken = [_around(at, _GAP * scale) for at in dots]
    taken += [_around(at, _GAP / 4) for at in _edges()]
    labels = captions(scale)
    taken += [_box(label) for label in labels]
    for at, texts in merged.items():
        options = [Label(at, ", ".join(texts), side, scale) for side in SIDES]
        best = min(options, key=lambda label: sum(_box(label).overlap(other) for other in taken))
        taken.append(_box(best))
        labels.append(best)
    return labels


def _edges(steps: int = 50) -> list[Point]:
    """Points along the triangle."""
    corners = outline()
    return [
        (a[0] + (b[0] - a[0]) * step / steps, a[1] + (b[1] - a[1]) * step / steps)
        for a, b in pairwise(corners)
        for step in range(steps)
    ]


def _around(at: Point, size: float) -> _Box:
    return _Box(at[0] - size / 2, at[1] - size / 2, at[0] + size / 2, at[1] + size / 2)


def _spread(points: Sequence[Point]) -> float:
    """How much wider than the triangle the points lie, at least one."""
    return max(1.0, *(max(values) - min(values) for values in zip(*points, strict=True)))


def _box(label: Label) -> _Box:
    width, line, gap = (size * label.scale for size in (_CHARACTER * len(label.text), _LINE, _GAP))
    x = label.at[0] + label.side[0] * (gap + width / 2)
    y = label.at[1] + label.side[1] * (gap + line / 2)
    return _Box(x - width / 2, y - line / 2, x + width / 2, y + line / 2)
