"""``results.png``: the map, the finals and the confusion in one picture, for where a page cannot go.

Drawn without pyplot, so nothing is shared between pictures. Class names may be in any script: they are drawn with the
first installed fonts that know it, and what no font knows becomes a question mark instead of an empty box.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font

from convsmith.files import write_atomically
from convsmith.quantities import format_count, format_percent
from convsmith.report.markup import shorten
from convsmith.report.ternary import Label, bounds, grid, outline, place, place_labels
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
    standings,
    title,
)

INK: Final = "#1b1f24"
SOFT: Final = "#5a636e"
GRID: Final = "#e4e8ec"
CHOSEN: Final = "#c8102e"

_FONTS: Final = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Microsoft YaHei",
                 "PingFang SC", "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Devanagari")  # fmt: skip
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
    source = f"{shorten(PurePath(report['data']['source']).name, 60)}: {shorten(chosen['name'], 60)}"
    write_words(figure, 0.02, 0.945, source, size=20, weight="bold", color=INK)
    write_words(figure, 0.02, 0.905, "   ·   ".join(facts), size=14, color=SOFT)


def _draw_map(axes: Axes, report: Report) -> None:
    for start, end in grid():
        axes.plot(*zip(start, end, strict=True), color=GRID, linewidth=1, zorder=1)
    axes.plot(*zip(*outline(), strict=True), color=SOFT, linewidth=1, zorder=1)
    shown, lengths = [one for one in report["candidates"] if one.get("shares")], rung_lengths(report)
    points = [place(one["shares"]) for one in shown]
    chosen = place(report["chosen"]["shares"])
    early = [early_accuracy(one, lengths) for one in shown]
    pairs = zip(early, shown, strict=True)
    compared = [accuracy for accuracy, one in pairs if accuracy is not None and not one["failure"]] or [0.0]
    highest = max(compared)
    limits = (min(float(np.percentile(compared, 10)), highest - 1e-3), highest)  # equal networks need a scale too
    scale = Normalize(*limits)
    for at, one, accuracy in zip(points, shown, early, strict=True):
        if one["failure"] or reached(one, lengths) == "not trained":
            axes.plot(*at, "x", color=SOFT, ms=7, zorder=2, clip_on=False)
            continue
        axes.scatter(
            *at,
            color="white" if accuracy is None else colormaps["cividis"](scale(accuracy)),
            marker="D" if one["origin"].startswith("rule:") else "o",
            s=220 if one["final"] else 40 + 45 * rung_reached(one, lengths),
            edgecolors=INK,
            linewidths=0.8,
            zorder=3,
            clip_on=False,
        )
    axes.plot(*chosen, "o", ms=25, mfc="none", mec=CHOSEN, mew=3, zorder=4)
    rules = [(place(row["shares"]), title(rule)) for rule, row in named(report).items() if row.get("shares")]
    labels = place_labels([(chosen, "chosen"), *rules], points)
    _name_points(axes, labels)
    (left, right), (bottom, top) = bounds([*points, chosen], labels)
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    axes.axis("off")
    axes.set_title("Where the budget went", fontsize=14, color=INK, loc="left", x=0.03)
    bar = axes.inset_axes((0.25, -0.03, 0.5, 0.022))
    bar.imshow(np.linspace(0, 1, 256)[None], cmap="cividis", aspect="auto", extent=(*limits, 0.0, 1.0))
    bar.set_yticks([])
    bar.xaxis.set_major_formatter(lambda value, _: format_percent(value))
    bar.locator_params(axis="x", nbins=4)
    bar.set_xlabel(
        "accuracy after the first rung (empty: entered later); size: how far it came; diamonds: named rules",
        color=SOFT,
        fontsize=10,
    )


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


def write_words(place: Axes | Figure, x: float, y: float, text: str, *, size: float, **style: Any) -> None:
    """Write text of any script; dollars are dollars, not mathematics."""
    weight = style.pop("weight", "normal")
    fonts = FontProperties(family=list(_fonts()), size=size, weight=weight)
    known = "".join(character if _has_glyph(character) else "?" for character in text)
    place.text(x, y, known, fontproperties=fonts, parse_math=False, **style)


@cache
def _fonts() -> Mapping[str, str]:
    """Files of the installed fonts among those wanted, by family."""
    installed = {font.name: font.fname for font in fontManager.ttflist}
    return {name: installed[name] for name in _FONTS if name in installed}


def _has_glyph(character: str) -> bool:
    return any(get_font(file).get_char_index(ord(character)) for file in _fonts().values())
