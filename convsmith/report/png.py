"""``results.png``: the map, the finals and the confusion in one picture, for where a page cannot go.

Drawn without pyplot, so nothing is shared between pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from convsmith.files import write_atomically
from convsmith.quantities import format_count, format_percent
from convsmith.report.drawing import CHOSEN, GRID, INK, SOFT, write_words
from convsmith.report.markup import shorten
from convsmith.report.ternary import place
from convsmith.report.ternary_png import Dot, draw_map
from convsmith.report.view import (
    Confusion,
    Report,
    Standing,
    confusion,
    early_accuracy,
    handed_over,
    named,
    reached,
    rung_lengths,
    rung_reached,
    source_name,
    standings,
    title,
)

_HEAT: Final = LinearSegmentedColormap.from_list(
    "heat", [(0, "#f5f7f9"), (0.02, "#d6e6f2"), (0.3, "#6baed6"), (1, "#08478c")]
)
_MOST_CLASSES: Final = 24
_WRITTEN_CELLS: Final = 16
_MOST_ROWS: Final = 14


def render_png(report: Report, path: Path) -> Path:
    """Draw the picture of a report, 1600 x 900 pixels.

    Raises:
        RunError: If it cannot be written.
    """
    figure = Figure(figsize=(16, 9), dpi=100, facecolor="white")
    _draw_title(figure, report)
    if report["candidates"] and report["chosen"].get("shares"):
        _draw_map(figure.add_axes((0.01, 0.08, 0.46, 0.76)), report)
        _draw_standings(figure.add_axes((0.61, 0.55, 0.37, 0.28)), report)
        _draw_confusion(figure.add_axes((0.61, 0.13, 0.37, 0.31)), report)
    else:
        _draw_confusion(figure.add_axes((0.15, 0.16, 0.70, 0.66)), report)
    return write_atomically(path, lambda target: figure.savefig(target, format="png"))


def _draw_title(figure: Figure, report: Report) -> None:
    chosen, budget = report["chosen"], report["budget"]
    accuracy, (low, high), _ = handed_over(report)
    of_budget = f" of {format_count(budget['macs'])}" if budget["macs"] else ""
    facts = (
        f"{format_percent(accuracy)} on {report['accuracy']['images']:,} test images "
        f"(95 %: {format_percent(low)} to {format_percent(high)})",
        f"{format_count(chosen['macs'])}{of_budget} MACs",
        f"{format_count(chosen['params'])} parameters",
    )
    source = f"{shorten(source_name(report), 60)}: {shorten(chosen['name'], 60)}"
    write_words(figure, 0.02, 0.945, source, size=20, weight="bold", color=INK)
    write_words(figure, 0.02, 0.905, "   ·   ".join(facts), size=14, color=SOFT)


def _draw_map(axes: Axes, report: Report) -> None:
    shown, lengths = [one for one in report["candidates"] if one.get("shares")], rung_lengths(report)
    dots = [
        Dot(
            place(one["shares"]),
            early_accuracy(one, lengths),
            220 if one["final"] else 40 + 45 * rung_reached(one, lengths),
            rule=one["origin"].startswith("rule:"),
            trained=not one["failure"] and reached(one, lengths) != "not trained",
        )
        for one in shown
    ]
    rules = [(place(row["shares"]), title(rule)) for rule, row in named(report).items() if row.get("shares")]
    told = "accuracy after the first rung (empty: entered later); size: how far it came; diamonds: named rules"
    draw_map(axes, dots, rules, place(report["chosen"]["shares"]), told)


def _draw_standings(axes: Axes, report: Report) -> None:
    judged = [row for row in standings(report) if row.interval][:_MOST_ROWS]
    for row, one in enumerate(judged):
        _draw_interval(axes, row, one)
    axes.set_ylim(len(judged) - 0.4, -0.6)
    axes.set_yticks([])
    for row, one in enumerate(judged):
        write_words(axes, -0.015, row, shorten(one.name, 30), size=10.5, transform=axes.get_yaxis_transform(),
                    ha="right", va="center", color=CHOSEN if one.chosen else INK)  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _: format_percent(value))
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT, length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("Test accuracy of the finalists, 95 % interval (red: chosen)", fontsize=14, color=INK, loc="left")


def _draw_interval(axes: Axes, row: int, one: Standing) -> None:
    assert one.interval is not None
    assert one.accuracy is not None
    color = CHOSEN if one.chosen else SOFT
    axes.plot(one.interval, [row, row], color=color, linewidth=2.5, solid_capstyle="round")
    axes.plot([one.accuracy], [row], "o", color=color, ms=8)


def _draw_confusion(axes: Axes, report: Report) -> None:
    shown = confusion(report, _MOST_CLASSES)
    count = len(shown.classes)
    axes.imshow(np.array(shown.shares), cmap=_HEAT, vmin=0, vmax=1, aspect="auto")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    size = 11 if count <= 12 else 8
    for at, name in enumerate(shown.classes):
        drawn = shorten(name, 16)
        write_words(
            axes, -0.01, at, drawn, size=size, transform=axes.get_yaxis_transform(), ha="right", va="center", color=INK
        )
        write_words(axes, at, -0.02, drawn, size=size, transform=axes.get_xaxis_transform(), ha="right", va="top",
                    rotation=30, rotation_mode="anchor", color=INK)  # fmt: skip
    for edge in range(1, count):
        axes.axhline(edge - 0.5, color="white", linewidth=1)
        axes.axvline(edge - 0.5, color="white", linewidth=1)
    if count <= _WRITTEN_CELLS:
        _write_counts(axes, shown)
    cut = f"; {count} of {shown.total} classes" if count < shown.total else ""
    axes.set_title(f"Confusion: row true class, column answer{cut}", fontsize=14, color=INK, loc="left")


def _write_counts(axes: Axes, shown: Confusion) -> None:
    for row, (counts, shares) in enumerate(zip(shown.matrix, shown.shares, strict=True)):
        for column, (cell, share) in enumerate(zip(counts, shares, strict=True)):
            if cell:
                color = "white" if share > 0.45 else INK
                axes.text(column, row, f"{cell:,}", ha="center", va="center", fontsize=10, color=color)
