"""``results.png`` of measured saturation curves: ours with intervals, and the published ones on such axes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from convsmith.files import write_atomically
from convsmith.quantities import format_count, format_percent
from convsmith.report.curves import TITLES, measured
from convsmith.report.drawing import CHOSEN, GRID, INK, SOFT, write_words
from convsmith.report.markup import shorten
from convsmith.report.view import Report, source_name

_COLOURS: Final = {"depth": "#0072b2", "width": "#e69f00", "resolution": "#009e73", "compound": CHOSEN}
_MARKS: Final = {"depth": "o", "width": "s", "resolution": "^", "compound": "D"}
_SHIFTS: Final = {"depth": 0.97, "width": 0.99, "resolution": 1.01, "compound": 1.03}
"""Points of the same budget stand side by side, so that their intervals can be told apart."""
_LINE: Final = 128


def draw_curves(report: Report, path: Path) -> Path:
    """Draw the picture, 1600 x 900 pixels.

    Raises:
        RunError: If it cannot be written.
    """
    figure = Figure(figsize=(16, 9), dpi=100, facecolor="white")
    published = report["published"]
    write_words(figure, 0.05, 0.945, f"{shorten(source_name(report), 50)}: what depth, width and resolution are worth",
                size=20, weight="bold", color=INK)  # fmt: skip
    for number, line in enumerate(_wrapped(report["sentence"])[:3]):
        write_words(figure, 0.05, 0.905 - 0.03 * number, line, size=12.5, color=SOFT)
    ours, theirs = figure.add_axes((0.07, 0.13, 0.41, 0.62)), figure.add_axes((0.56, 0.13, 0.41, 0.62))
    for axis, curve in report["curves"].items():
        _draw_measured(ours, axis, measured(curve))
    for axis, curve in published["curves"].items():
        _draw_published(theirs, axis, curve)
    _finish(ours, "Measured here, with 95 % intervals", "test accuracy")
    _finish(theirs, published["source"], "ImageNet top-1; one training a point, no intervals")
    if ours.get_legend_handles_labels()[0]:
        ours.legend(loc="upper left", frameon=False, fontsize=12, labelcolor=INK)
    write_words(theirs, 1.85e9, 0.8115, " compound (table 7, another recipe)", size=10.5, color=SOFT)
    return write_atomically(path, lambda target: figure.savefig(target, format="png"))


def _draw_measured(axes: Axes, axis: str, points: list[Mapping[str, Any]]) -> None:
    if not points:
        return
    accuracy = [point["accuracy"] for point in points]
    below = [point["accuracy"] - point["ci95"][0] for point in points]
    above = [point["ci95"][1] - point["accuracy"] for point in points]
    style = {"color": _COLOURS[axis], "marker": _MARKS[axis], "markersize": 7, "linewidth": 2, "label": TITLES[axis]}
    macs = [point["macs"] * _SHIFTS[axis] for point in points]
    axes.errorbar(macs, accuracy, yerr=[below, above], capsize=4, elinewidth=1.5, **style)


def _draw_published(axes: Axes, axis: str, curve: Mapping[str, Any]) -> None:
    alone = len(curve["macs"]) == 1
    axes.plot(curve["macs"], curve["accuracy"], color=_COLOURS[axis], marker="*" if alone else _MARKS[axis],
              markersize=14 if alone else 7, linewidth=2)  # fmt: skip


def _finish(axes: Axes, title: str, up: str) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_percent(value)))
    axes.set_xlabel("multiply-adds for one image", color=SOFT, fontsize=12)
    axes.set_ylabel(up, color=SOFT, fontsize=12)
    axes.set_title(title, fontsize=14, color=INK, loc="left")
    axes.grid(color=GRID, which="major")
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT, which="both", length=0)
    axes.spines[:].set_visible(False)


def _short(value: float) -> str:
    """A round count without the zeros behind its point."""
    text = format_count(value)
    number = text.rstrip("kMGT")
    unit = text[len(number) :]
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number}{unit}"


def _wrapped(text: str) -> list[str]:
    """Lines of whole words."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= _LINE:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
