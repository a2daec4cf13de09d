"""The interactive charts of the page, as plotly's own JSON.

Colours are names of the page's CSS variables, ``var(--ink)``; the page's script puts in what they stand for, so that
light, dark and paper need one figure only.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np

from convsmith.quantities import format_count, format_percent
from convsmith.report.markup import shorten, visible
from convsmith.report.ternary import Label, Point, bounds, grid, outline, place, place_labels
from convsmith.report.view import (
    Confusion,
    Report,
    design_name,
    early_accuracy,
    named,
    names,
    reached,
    rung_lengths,
    summary,
    title,
)

Figure = dict[str, Any]

_VERTICAL: Final = {1: "top", 0: "middle", -1: "bottom"}
_HORIZONTAL: Final = {1: "right", 0: "center", -1: "left"}
_WRITTEN_CELLS: Final = 16


def map_figure(report: Report) -> Figure:
    """The map of shares: every network, the rules by name, and a ring around the chosen one."""
    shown, lengths = [one for one in report["candidates"] if one.get("shares")], rung_lengths(report)
    points = [place(one["shares"]) for one in shown]
    rules = [(place(row["shares"]), title(rule)) for rule, row in named(report).items() if row.get("shares")]
    chosen = place(report["chosen"]["shares"])
    labels = place_labels([(chosen, "chosen"), *rules], points)
    (left, right), (bottom, top) = bounds([*points, chosen], labels)
    groups: dict[tuple[str, bool], list[int]] = {}
    for index, one in enumerate(shown):
        group = "failed" if one["failure"] else reached(one, lengths)
        groups.setdefault((group, early_accuracy(one, lengths) is None), []).append(index)
    layout = make_layout(
        height=720,
        xaxis={"visible": False, "range": [left, right], "fixedrange": True},
        yaxis={"visible": False, "range": [bottom, top], "scaleanchor": "x", "fixedrange": True},
        annotations=[_caption(label) for label in labels if label.side == (0, 0)],
        coloraxis=_colour_axis(shown, lengths),
        legend={
            "orientation": "h",
            "y": 1,
            "yanchor": "bottom",
            "x": 0.5,
            "xanchor": "center",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        margin={"l": 10, "r": 10, "t": 50, "b": 80},
    )
    order = ["failed", "not trained", *_rung_names(report), "finals"]
    traces = [
        _path([at for segment in grid() for at in (*segment, None)], "var(--grid)"),
        _path(outline(), "var(--soft)"),
        *(
            _dots(report, *group, [shown[index] for index in groups[group]], [points[index] for index in groups[group]])
            for group in sorted(groups, key=lambda group: (order.index(group[0]), group[1]))
        ),
        *_marks(labels, chosen),
        *_legend(report, {group for group, _ in groups}),
    ]
    return {"data": traces, "layout": layout}


def rung_figure(report: Report) -> Figure:
    """Accuracy on the select images against images trained on: one line for each network, coloured by its stratum."""
    called, key = names(report), report["chosen"].get("key")
    traces: list[Figure] = []
    legend: set[str] = set()
    for one in sorted(report["candidates"], key=lambda one: one["key"] == key):
        good = [rung for rung in one["rungs"] if rung["log_loss"] is not None]
        if not good:
            continue
        kind = "chosen" if one["key"] == key else one["stratum"]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [rung["images"] for rung in good],
                "y": [rung["accuracy"] for rung in good],
                "line": {"color": f"var(--{kind})", "width": 4 if kind == "chosen" else 1.5},
                "marker": {"size": 9 if kind == "chosen" else 6},
                "opacity": 1 if kind == "chosen" else 0.75,
                "name": kind if kind == "chosen" else f"mostly {kind}",
                "legendgroup": kind,
                "showlegend": kind not in legend,
                "hoverinfo": "text",
                "hovertext": [f"{_label(called[one['key']])}<br>{_rung(rung)}" for rung in good],
            }
        )
        legend.add(kind)
    seen = rung_lengths(report)
    layout = make_layout(
        height=430,
        xaxis={
            **make_axis("images trained on"),
            "type": "log",
            "tickvals": seen,
            "ticktext": [f"{images:,}" for images in seen],
            "minor": {"ticks": ""},
        },
        yaxis={**make_axis("accuracy on the select images"), "tickformat": ".0%"},
        legend={"orientation": "h", "y": 1.08, "x": 0},
    )
    return {"data": traces, "layout": layout}


def confusion_figure(confused: Confusion) -> Figure:
    """Counts of true class against answer, coloured by their share of the true class."""
    count = len(confused.classes)
    ticks = [_label(shorten(name, 18)) for name in confused.classes]
    full = [_label(name) for name in confused.classes]
    hover = [
        [f"{true} taken for {answer}: {cell:,}" for answer, cell in zip(full, row, strict=True)]
        for true, row in zip(full, confused.matrix, strict=True)
    ]
    axis = {"tickvals": list(range(count)), "ticktext": ticks, "showgrid": False, "zeroline": False, "ticks": ""}
    axis |= {"automargin": True, "fixedrange": True}
    layout = make_layout(
        height=170 + count * (44 if count <= 12 else 30 if count <= 20 else 22),
        xaxis={**axis, "title": {"text": "answer"}, "tickangle": -40, "constrain": "domain"},
        yaxis={
            **axis,
            "title": {"text": "true class"},
            "autorange": "reversed",
            "scaleanchor": "x",
            "constrain": "domain",
        },
        margin={"l": 40, "r": 20, "t": 10, "b": 40},
    )
    heat = {
        "type": "heatmap",
        "z": confused.shares,
        "zmin": 0,
        "zmax": 1,
        # Steep at the start, so that a few mistakes among many right answers are seen.
        "colorscale": [[0, "var(--heat-0)"], [0.02, "var(--heat-1)"], [0.3, "var(--heat-2)"], [1, "var(--heat-3)"]],
        "xgap": 1,
        "ygap": 1,
        "showscale": False,
        "hoverinfo": "text",
        "hovertext": hover,
    }
    if count <= _WRITTEN_CELLS:
        heat |= {"text": [[cell or "" for cell in row] for row in confused.matrix], "texttemplate": "%{text}"}
    return {"data": [heat], "layout": layout}


def make_layout(**changes: Any) -> Figure:
    """What all charts of the page share, with what one has of its own."""
    base: Figure = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "var(--ink)"},
        "hoverlabel": {"bgcolor": "var(--paper)", "bordercolor": "var(--soft)", "font": {"color": "var(--ink)"}},
        "hovermode": "closest",
        "dragmode": False,
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "var(--soft)", "activecolor": "var(--ink)"},
        "margin": {"l": 64, "r": 20, "t": 20, "b": 50},
    }
    return base | changes


def make_axis(text: str) -> Figure:
    """An axis with a title."""
    return {"title": {"text": text}, "gridcolor": "var(--grid)", "linecolor": "var(--soft)", "zeroline": False}


def _rung_names(report: Report) -> list[str]:
    return [f"rung {number}" for number in range(1, len(rung_lengths(report)) + 1)]


def _colour_axis(shown: Sequence[Report], lengths: Sequence[int]) -> Figure:
    """From the tenth percentile up: one network that learnt nothing must not make all others look the same."""
    early = (early_accuracy(one, lengths) for one in shown if not one["failure"])
    found = [accuracy for accuracy in early if accuracy is not None] or [0.0]
    return {
        "colorscale": "Cividis",
        "cmin": float(np.percentile(found, 10)),
        "cmax": max(found),
        "colorbar": {
            "title": {"text": "accuracy after the first rung", "side": "top"},
            "tickformat": ".1%",
            "orientation": "h",
            "y": 0,
            "yanchor": "top",
            "len": 0.5,
            "thickness": 12,
            "outlinewidth": 0,
        },
    }


def _dots(report: Report, group: str, late: bool, members: Sequence[Report], points: Sequence[Point]) -> Figure:
    called, lengths = names(report), rung_lengths(report)
    failed = group in ("failed", "not trained")
    plain = "var(--soft)" if failed else "var(--paper)" if late else None
    return {
        "type": "scatter",
        "mode": "markers",
        "showlegend": False,
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "hoverinfo": "text",
        "hovertext": [_hover(called[one["key"]], one) for one in members],
        "marker": {
            "symbol": "x-thin"
            if failed
            else ["diamond" if one["origin"].startswith("rule:") else "circle" for one in members],
            "size": _sizes(report)[group],
            "color": plain or [early_accuracy(one, lengths) for one in members],
            "line": {"color": "var(--soft)" if failed else "var(--ink)", "width": 2 if failed else 1},
            **({} if plain else {"coloraxis": "coloraxis"}),
        },
    }


def _sizes(report: Report) -> dict[str, int]:
    rung = {name: 9 + 3 * number for number, name in enumerate(_rung_names(report))}
    return {"failed": 10, "not trained": 10, **rung, "finals": 20}


def _legend(report: Report, groups: Container[str]) -> list[Figure]:
    """Entries of the legend: one for each group, and the two shapes."""
    entries = [
        (group, "x-thin" if group in ("failed", "not trained") else "circle", size)
        for group, size in _sizes(report).items()
        if group in groups
    ]
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [None],
            "y": [None],
            "marker": {
                "symbol": symbol,
                "size": size,
                "color": "rgba(128,128,128,0.25)",
                "line": {"color": "var(--soft)", "width": 1.5},
            },
        }
        for name, symbol, size in [*entries, ("named rule", "diamond", 11)]
    ]


def _marks(labels: Sequence[Label], chosen: Point) -> list[Figure]:
    beside = [label for label in labels if label.side != (0, 0)]
    ring = {
        "type": "scatter",
        "mode": "markers",
        "name": "chosen",
        "x": [chosen[0]],
        "y": [chosen[1]],
        "hoverinfo": "skip",
        "marker": {
            "symbol": "circle-open",
            "size": 30,
            "color": "var(--chosen)",
            "line": {"width": 3.5, "color": "var(--chosen)"},
        },
    }
    texts = {
        "type": "scatter",
        "mode": "text",
        "x": [label.at[0] + 0.028 * label.scale * label.side[0] for label in beside],
        "y": [label.at[1] + 0.02 * label.scale * label.side[1] for label in beside],
        "text": [_bold(label.text) for label in beside],
        "textposition": [f"{_VERTICAL[label.side[1]]} {_HORIZONTAL[label.side[0]]}" for label in beside],
        "textfont": {"color": "var(--ink)", "size": 13},
        "hoverinfo": "skip",
        "showlegend": False,
        "cliponaxis": False,
    }
    return [ring, texts]


def _bold(text: str) -> str:
    return f"<b>{_label(text)}</b>" if text.startswith("chosen") else _label(text)


def _caption(label: Label) -> Figure:
    return {
        "x": label.at[0],
        "y": label.at[1],
        "text": f"<b>{label.text}</b>",
        "showarrow": False,
        "font": {"color": "var(--soft)", "size": 12},
    }


def _path(points: Sequence[Point | None], colour: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [at and at[0] for at in points],
        "y": [at and at[1] for at in points],
        "line": {"color": colour, "width": 1},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _rung(rung: Mapping[str, Any]) -> str:
    return f"{format_percent(rung['accuracy'])} after {format_count(rung['images'])} images"


def _hover(name: str, one: Report) -> str:
    final = [f"test {format_percent(one['final']['accuracy'])} (finals)"] if one["final"] else []
    parts = (
        f"<b>{_label(name)}</b>"
        + (f" {_label(design_name(one['design']))}" if one["origin"].startswith("rule:") else ""),
        _label(f"{one['key']} · {one['origin']}"),
        _label(summary(one["design"])),
        f"{format_count(one['macs'])} MACs · {format_count(one['params'])} parameters",
        " · ".join(f"{axis} {format_percent(share, 0)}" for axis, share in one["shares"].items()),
        *(_rung(rung) for rung in one["rungs"]),
        *final,
        _label(shorten(one["failure"], 90)),
    )
    return "<br>".join(part for part in parts if part)


def _label(text: object) -> str:
    """Text for plotly, which reads some tags."""
    return escape(visible(text), quote=False)
