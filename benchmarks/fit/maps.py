"""Draws a cell of the experiment: its networks on the map of shares, and who is ahead after how many images.

The picture lies beside this file. It is made of the table (``table.py``) and of what ``compare.py`` found in it.

python benchmarks/fit/maps.py CELL
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import trainings
from compare import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from networks import CELLS, file_name, known_as
from table import LONG, SEARCHED, table_name

from convsmith.report.drawing import CHOSEN, GRID, INK, SOFT, write_words
from convsmith.report.ternary import CORNERS, place
from convsmith.report.ternary_png import Dot, draw_map
from convsmith.report.view import title
from convsmith.scaling.axes import total_depth

_NAMED: Final = 5
_SIZE: Final = 110


def draw(cell: str, table: Table, found: dict[str, Any], path: Path) -> None:
    """The picture, 1600 x 900 pixels."""
    figure = Figure(figsize=(16, 9), dpi=100, facecolor="white")
    seeds = len(table.seeds_of(LONG))
    facts = (
        f"{len(table.candidates)} networks of the same cost, each trained on {LONG:,} images",
        "one seed" if seeds == 1 else f"{seeds} seeds",
        found["machine"]["cpu"],
    )
    what = f"The experiment: {cell}{' multiply-adds' if cell.endswith('M') else ''}"
    write_words(figure, 0.02, 0.945, what, size=20, weight="bold", color=INK)
    write_words(figure, 0.02, 0.905, "   ·   ".join(facts), size=14, color=SOFT)
    chosen = found["times"]["longest"]["arms"]["ours"]["most often"]["network"]
    _draw_map(figure.add_axes((0.01, 0.08, 0.46, 0.76)), table, chosen)
    _draw_order(figure.add_axes((0.55, 0.12, 0.28, 0.72)), table, chosen)
    figure.savefig(path, format="png")


def _draw_map(axes: Axes, table: Table, chosen: str) -> None:
    at = {key: place(dict(zip(CORNERS, one.shares, strict=True))) for key, one in table.candidates.items()}
    dots = [
        Dot(at[key], table.accuracy(key, LONG) / 100, _SIZE, rule=bool(known_as(one)))
        for key, one in table.candidates.items()
    ]
    names = [(at[key], title(known_as(one))) for key, one in table.candidates.items() if known_as(one)]
    told = f"accuracy after {LONG:,} images; diamonds: rules and published networks; red: ours, most often"
    draw_map(axes, dots, names, at[chosen], told)


def _draw_order(axes: Axes, table: Table, chosen: str) -> None:
    """How far each network is above the mean of all, after each length."""
    accuracies = {key: [table.accuracy(key, length) for length in SEARCHED] for key in table.candidates}
    means = [statistics.fmean(values) for values in zip(*accuracies.values(), strict=True)]
    above = {key: [one - mean for one, mean in zip(values, means, strict=True)] for key, values in accuracies.items()}
    best = sorted(above, key=lambda key: -above[key][-1])[:_NAMED]
    for values in above.values():
        axes.plot(SEARCHED, values, color=GRID, linewidth=1, zorder=1)
    for key in dict.fromkeys([*best, chosen]):
        style = {"color": CHOSEN if key == chosen else INK, "linewidth": 2.5 if key == chosen else 1.3}
        axes.plot(SEARCHED, above[key], marker="D" if known_as(table.candidates[key]) else "o", **style, zorder=3)
    for key, height in _apart({key: above[key][-1] for key in dict.fromkeys([*best, chosen])}).items():
        color = CHOSEN if key == chosen else INK
        axes.annotate(_named(table, key), (LONG, height), (12, 0), textcoords="offset points", va="center",
                      fontsize=10.5, color=color, annotation_clip=False)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(SEARCHED, [f"{length:,}" for length in SEARCHED])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+g}")
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT, length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("training images seen, each a schedule of its own", color=SOFT, fontsize=10)
    axes.set_title("Points of accuracy above the mean of all networks", fontsize=14, color=INK, loc="left")


def _named(table: Table, key: str) -> str:
    one = table.candidates[key]
    drawn = f"drawn: {total_depth(one.design)} blocks, {one.design.input[1]} px"
    return title(known_as(one)) if known_as(one) else drawn


def _apart(heights: dict[str, float], least: float = 0.8) -> dict[str, float]:
    """Heights of text, so that no two lie on each other."""
    found = dict[str, float]()
    for key in sorted(heights, key=lambda key: heights[key]):
        found[key] = max(heights[key], max(found.values(), default=-100.0) + least)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cell", choices=CELLS)
    cell = parser.parse_args().cell
    table = Table(CELLS[cell], trainings.done(table_name(cell)))
    found = json.loads((harness.RESULTS / f"{file_name(cell)}.json").read_text(encoding="utf-8"))
    draw(cell, table, found, Path(__file__).with_name(f"{file_name(cell)[4:]}.png"))


if __name__ == "__main__":
    main()
