"""Pictures of similarity: layer by layer with the borders of stages, channel by channel in clusters, what could go.

Drawn without pyplot, so nothing is shared between pictures.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from convsmith.explain.ghost import Ghostable
from convsmith.explain.moments import Alike
from convsmith.explain.points import Point
from convsmith.report.drawing import CHOSEN, GRID, INK, SOFT
from convsmith.report.markup import shorten
from convsmith.report.tiles import NOTHING, Pixels

Array = NDArray[np.float64]

_NAMED: Final = 40
_NAME: Final = 34


def layers_picture(cka: Array, layers: Sequence[Point]) -> Pixels:
    """CKA of all pairs of layers, first layer in the upper left corner, with lines between sections."""
    side = min(11.0, max(6.5, 2.5 + 0.2 * len(layers)))
    figure = Figure(figsize=(side + 1.2, side), dpi=100, facecolor="white")
    axes = figure.add_subplot()
    drawn = axes.imshow(np.clip(cka, 0, 1), cmap=_map("viridis"), vmin=0, vmax=1, interpolation="nearest")
    starts = [0, *(at for at in range(1, len(layers)) if layers[at].section != layers[at - 1].section), len(layers)]
    for at in starts[1:-1]:
        axes.axhline(at - 0.5, color="white", linewidth=1.8)
        axes.axvline(at - 0.5, color="white", linewidth=1.8)
    middles = [(first + last - 1) / 2 for first, last in pairwise(starts)]
    names = [layers[at].section for at in starts[:-1]]
    axes.set_xticks(middles, names, rotation=45, ha="right", color=INK, fontsize=9)
    if len(layers) <= _NAMED:
        axes.set_yticks(range(len(layers)), [shorten(one.name, _NAME) for one in layers], fontsize=7, color=INK)
    else:
        axes.set_yticks(middles, names, color=INK, fontsize=9)
    axes.set_title("CKA of layers (debiased), 1 for the same", loc="left", fontsize=11, color=INK)
    _add_scale(figure, drawn)
    return _pixels(figure)


def channels_picture(found: Alike, title: str) -> Pixels:
    """Correlation of channels, those that are alike together, with a frame around each group of two or more."""
    figure = Figure(figsize=(6.2, 5.2), dpi=100, facecolor="white")
    axes = figure.add_subplot()
    order = found.order
    ordered = found.correlation[np.ix_(order, order)].copy()
    dead = np.isin(order, found.dead)
    ordered[dead] = ordered[:, dead] = np.nan
    drawn = axes.imshow(ordered, cmap=_map("RdBu_r"), vmin=-1, vmax=1, interpolation="nearest")
    groups = found.groups[order]
    starts = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(groups)]
    for first, last in pairwise(starts):
        if last - first > 1:
            axes.plot(
                np.array([first, last, last, first, first]) - 0.5,
                np.array([first, first, last, last, first]) - 0.5,
                color=INK,
                linewidth=1,
            )
    axes.set_title(shorten(title, 60), loc="left", fontsize=10, color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(f"{len(order)} channels, in the order of their tree", fontsize=9, color=SOFT)
    _add_scale(figure, drawn)
    return _pixels(figure)


def ghost_picture(rows: Sequence[Ghostable]) -> Pixels:
    """The share of half the channels' variance that the other half restores, for each layer, and the sections."""
    figure = Figure(figsize=(max(7.0, min(14.0, 2 + 0.22 * len(rows))), 4.2), dpi=100, facecolor="white")
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    values = [[one.restored or 0.0 for one in rows], [one.restored_single or 0.0 for one in rows]]
    axes.bar(places, values[0], width=0.8, color="#9ecae1", label="by any linear map from all kept channels")
    axes.bar(places, values[1], width=0.45, color="#08478c", label="each from one kept channel, as a ghost is")
    sections = [one.point.section for one in rows]
    starts = [0, *(at for at in range(1, len(rows)) if sections[at] != sections[at - 1]), len(rows)]
    for at in starts[1:-1]:
        axes.axvline(at - 0.5, color=CHOSEN, linewidth=1)
    axes.set_xticks([(a + b - 1) / 2 for a, b in pairwise(starts)], [sections[at] for at in starts[:-1]], fontsize=9)
    axes.set_ylim(0, 1)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.yaxis.grid(True, color=GRID)
    axes.set_axisbelow(True)
    axes.set_ylabel("variance restored", fontsize=9, color=INK)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, frameon=False)
    return _pixels(figure)


def _map(name: str) -> Colormap:
    red, green, blue = (part / 255 for part in NOTHING)
    return colormaps[name].with_extremes(bad=(red, green, blue))


def _add_scale(figure: Figure, drawn: Any) -> None:
    bar = figure.colorbar(drawn, fraction=0.04, pad=0.03)
    bar.ax.tick_params(labelsize=8, colors=SOFT)


def _pixels(figure: Figure) -> Pixels:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", bbox_inches="tight", pad_inches=0.15)
    return np.asarray(Image.open(stream).convert("RGB"))
