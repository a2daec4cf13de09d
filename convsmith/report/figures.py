"""Where things go in the pictures of a report, shared by the page and the image file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

CORNERS: dict[str, tuple[float, float]] = {
    "depth": (0.0, 0.0),
    "width": (1.0, 0.0),
    "resolution": (0.5, math.sqrt(3) / 2),
}
"""The triangle of shares: all of the budget into depth, width or resolution."""

PALETTE = {"network": "#4477AA", "rule": "#CC6677", "chosen": "#228833", "faint": "#999999"}
"""Colours that stay apart for colour-blind readers (Paul Tol's bright and muted schemes)."""


def place(shares: Mapping[str, float]) -> tuple[float, float]:
    """Point of a network on the map; shares below zero or above one lie outside the triangle."""
    x = sum(CORNERS[axis][0] * share for axis, share in shares.items())
    y = sum(CORNERS[axis][1] * share for axis, share in shares.items())
    return x, y


def last_accuracy(candidate: Mapping[str, Any]) -> float | None:
    """Accuracy in the finals, else in the last rung that it reached."""
    if candidate["final"]:
        return candidate["final"]["accuracy"]
    return candidate["rungs"][-1]["accuracy"] if candidate["rungs"] else None


def reached(candidate: Mapping[str, Any]) -> str:
    """How far a candidate came, in words."""
    if candidate["final"]:
        return "finals"
    return f"rung {len(candidate['rungs'])}" if candidate["rungs"] else "not trained"


def rule_of(candidate: Mapping[str, Any]) -> str:
    """Name of the rule that made a candidate, or nothing."""
    origin = candidate["origin"]
    return origin.removeprefix("rule:").replace("_", " ") if origin.startswith("rule:") else ""
