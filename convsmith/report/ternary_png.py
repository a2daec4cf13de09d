"""The map of shares drawn by matplotlib: a dot for each network, coloured by an accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from convsmith.quantities import format_percent
from convsmith.report.drawing import CHOSEN, GRID, INK, SOFT
from convsmith.report.ternary import Label, Point, bounds, grid, outline, place_labels

_COLOURS: Final = "cividis"


@dataclass(frozen=True)
class Dot:
    """A network on the map.

    Attributes:
        at: Where it lies.
        accuracy: Which it is coloured by; white if there is none to compare.
        size: Of the dot, in square points.
        rule: Whether a named rule made it.
        trained: A cross stands for one that is not, or that failed.
    """

    at: Point
    accuracy: float | None
    size: float
    rule: bool = False
    trained: bool = True


def draw_map(axes: Axes, dots: Sequence[Dot], names: Sequence[tuple[Point, str]], chosen: Point, told: str) -> None:
    """Draw the map.

    Args:
        axes: Where.
        dots: All networks.
        names: What stands beside points, beside the chosen one.
        chosen: The point that is ringed.
        told: What the colours are of.
    """
    for start, end in grid():
        axes.plot(*zip(start, end, strict=True), color=GRID, linewidth=1, zorder=1)
    axes.plot(*zip(*outline(), strict=True), color=SOFT, linewidth=1, zorder=1)
    compared = [dot.accuracy for dot in dots if dot.accuracy is not None and dot.trained] or [0.0]
    highest = max(compared)
    limits = (min(float(np.percentile(compared, 10)), highest - 1e-3), highest)  # equal networks need a scale too
    scale = Normalize(*limits)
    for dot in dots:
        if not dot.trained:
            axes.plot(*dot.at, "x", color=SOFT, ms=7, zorder=2, clip_on=False)
            continue
        axes.scatter(
            *dot.at,
            color="white" if dot.accuracy is None else colormaps[_COLOURS](scale(dot.accuracy)),
            marker="D" if dot.rule else "o",
            s=dot.size,
            edgecolors=INK,
            linewidths=0.8,
            zorder=3,
            clip_on=False,
        )
    axes.plot(*chosen, "o", ms=25, mfc="none", mec=CHOSEN, mew=3, zorder=4, clip_on=False)
    points = [dot.at for dot in dots]
    labels = place_labels([(chosen, "chosen"), *names], points)
    _name_points(axes, labels)
    (left, right), (bottom, top) = bounds([*points, chosen], labels)
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    axes.axis("off")
    axes.set_title("Where the budget went", fontsize=14, color=INK, loc="left", x=0.03)
    bar = axes.inset_axes((0.25, -0.03, 0.5, 0.022))
    bar.imshow(np.linspace(0, 1, 256)[None], cmap=_COLOURS, aspect="auto", extent=(*limits, 0.0, 1.0))
    bar.set_yticks([])
    bar.xaxis.set_major_formatter(lambda value, _: format_percent(value))
    bar.locator_params(axis="x", nbins=4)
    bar.set_xlabel(told, color=SOFT, fontsize=10)


def _name_points(axes: Axes, labels: list[Label]) -> None:
    for label in labels:
        across, up = label.side
        axes.annotate(
            label.text,
            label.at,
            (15 * across, 12 * up),
            textcoords="offset points",
            ha={1: "left", 0: "center", -1: "right"}[across],
            va={1: "bottom", 0: "center", -1: "top"}[up],
            fontsize=10,
            color=CHOSEN if label.text.startswith("chosen") else INK if any(label.side) else SOFT,
            zorder=5,
        )
