"""``results.png``: the map of the search, the finalists and the confusion, in one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convsmith.files import write_atomically
from convsmith.quantities import format_count, format_percent
from convsmith.report.figures import CORNERS, PALETTE, last_accuracy, place, rule_of


def render_png(report: Mapping[str, Any], path: Path) -> Path:
    """Draw the picture of a report, 1600 x 900 pixels.

    Raises:
        RunError: If it cannot be written.
    """
    figure = Figure(figsize=(16, 9), dpi=100, layout="constrained")
    figure.suptitle(_title(report), fontsize=16)
    if report["candidates"]:
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
        _draw_map(left, report)
        _draw_accuracies(middle, report)
    else:
        right = figure.subplots(1, 1)
    _draw_confusion(right, report["confusion"])
    return write_atomically(path, lambda target: figure.savefig(target, format="png"))


def _title(report: Mapping[str, Any]) -> str:
    accuracy, chosen = report["accuracy"], report["chosen"]
    low, high = accuracy["ci95"]
    return (
        f"{chosen['name']}: {format_percent(accuracy['test'])} ({format_percent(low)} to {format_percent(high)}) "
        f"at {format_count(chosen['macs'])} MACs, {format_count(chosen['params'])} parameters"
    )


def _draw_map(axes: Axes, report: Mapping[str, Any]) -> None:
    corners = [*CORNERS.values(), CORNERS["depth"]]
    axes.plot([x for x, _ in corners], [y for _, y in corners], color=PALETTE["faint"], linewidth=1)
    for name, (x, y) in CORNERS.items():
        axes.annotate(f"all into {name}", (x, y), (0, -16 if y == 0 else 8), textcoords="offset points", ha="center")
    shown = [(one, last_accuracy(one)) for one in report["candidates"]]
    points = [(*place(one["shares"]), accuracy) for one, accuracy in shown if accuracy is not None]
    x, y, accuracies = (np.array(values) for values in zip(*points, strict=True))
    low = float(np.percentile(accuracies, 20))
    drawn = axes.scatter(x, y, c=accuracies, cmap="viridis", vmin=low, s=90, edgecolors="black", linewidths=0.5)
    for one, _ in shown:
        if rule_of(one):
            axes.annotate(rule_of(one), place(one["shares"]), (7, 4), textcoords="offset points", fontsize=9)
    axes.plot(*place(report["chosen"]["shares"]), "o", ms=17, mfc="none", mec=PALETTE["chosen"], mew=2.5)
    axes.set_title("where the budget went (green: chosen)")
    axes.set_aspect("equal", adjustable="datalim")
    axes.axis("off")
    drawn.figure.colorbar(drawn, ax=axes, orientation="horizontal", shrink=0.7, label="accuracy, last measured")


def _draw_accuracies(axes: Axes, report: Mapping[str, Any]) -> None:
    finals = [one for one in report["candidates"] if one["final"]]
    finals.sort(key=lambda one: one["final"]["accuracy"])
    for row, one in enumerate(finals):
        low, high = one["final"]["ci95"]
        color = PALETTE["chosen" if one["key"] == report["chosen"]["key"] else "rule" if rule_of(one) else "network"]
        axes.plot([low, high], [row, row], color=color, linewidth=2)
        axes.plot([one["final"]["accuracy"]], [row], "o", color=color)
    axes.set_yticks(range(len(finals)), [rule_of(one) or one["origin"] for one in finals])
    axes.set_ylim(-0.8, len(finals) - 0.2)
    axes.xaxis.set_major_formatter(lambda value, _: format_percent(value))
    axes.set_title("finals: test accuracy, 95 % interval")


def _draw_confusion(axes: Axes, confused: Mapping[str, Any]) -> None:
    matrix = np.array(confused["matrix"], dtype=float)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [str(name)[:12] for name in confused["classes"]]
    if len(names) <= 20:
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
        axes.set_yticks(range(len(names)), names)
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=8, color=color)
    axes.set_xlabel("answered")
    axes.set_ylabel("true class")
    axes.set_title("confusion on the test images")
