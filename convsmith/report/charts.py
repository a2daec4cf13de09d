"""The interactive charts of a report, as plotly's own JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from convsmith.quantities import format_count, format_percent
from convsmith.report.figures import CORNERS, PALETTE, last_accuracy, place, reached, rule_of

Figure = dict[str, Any]

_LAYOUT: Figure = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "color": "#808080"},
    "margin": {"l": 60, "r": 20, "t": 20, "b": 50},
}


def chart(name: str, figure: Figure) -> str:
    """A place on the page and the call that draws ``figure`` in it."""
    values = json.dumps(figure, ensure_ascii=True).replace("<", "\\u003c")
    call = f"const f={values};Plotly.newPlot('{name}',f.data,f.layout,{{responsive:true,displaylogo:false}});"
    return f'<div id="{name}" class="chart"></div><script>(()=>{{{call}}})()</script>'


def map_figure(report: Mapping[str, Any]) -> Figure:
    """The triangle of shares with every network, rules by name, and a ring around the chosen one."""
    corners = [*CORNERS.values(), CORNERS["depth"]]
    shown = [one for one in report["candidates"] if last_accuracy(one) is not None]
    points = [place(one["shares"]) for one in shown]
    ring = place(report["chosen"]["shares"])
    labels = [
        {"x": x, "y": y, "text": f"all into {name}", "showarrow": False, "yshift": -14 if y == 0 else 14}
        for name, (x, y) in CORNERS.items()
    ]
    return {
        "data": [
            _lines([x for x, _ in corners], [y for _, y in corners], PALETTE["faint"]),
            {
                "type": "scatter",
                "mode": "markers+text",
                "x": [x for x, _ in points],
                "y": [y for _, y in points],
                "text": [rule_of(one) for one in shown],
                "textposition": "top center",
                "hovertext": [_hover(one) for one in shown],
                "hoverinfo": "text",
                "marker": {
                    "color": [last_accuracy(one) for one in shown],
                    "colorscale": "Viridis",
                    "showscale": True,
                    "colorbar": {"title": "accuracy", "tickformat": ".0%"},
                    "size": [16 if one["final"] else 9 + 2 * len(one["rungs"]) for one in shown],
                    "line": {"width": 1, "color": "#404040"},
                },
            },
            {
                "type": "scatter",
                "mode": "markers",
                "x": [ring[0]],
                "y": [ring[1]],
                "hoverinfo": "skip",
                "marker": {"symbol": "circle-open", "size": 26, "color": PALETTE["chosen"], "line": {"width": 3}},
            },
        ],
        "layout": {
            **_LAYOUT,
            "height": 560,
            "showlegend": False,
            "annotations": labels,
            "xaxis": {"visible": False},
            "yaxis": {"visible": False, "scaleanchor": "x"},
        },
    }


def rung_figure(report: Mapping[str, Any]) -> Figure:
    """Accuracy on the select images against images seen, one line for each network."""
    traces: list[Figure] = []
    for one in report["candidates"]:
        good = [rung for rung in one["rungs"] if rung["log_loss"] is not None]
        if not good:
            continue
        kind = "chosen" if one["key"] == report["chosen"]["key"] else "rule" if rule_of(one) else "network"
        trace = _lines([rung["images"] for rung in good], [rung["accuracy"] for rung in good], PALETTE[kind])
        trace |= {"mode": "lines+markers", "hoverinfo": "text", "hovertext": _hover(one)}
        trace["line"] |= {"width": 3 if kind == "chosen" else 1}
        traces.append(trace)
    return {
        "data": traces,
        "layout": {
            **_LAYOUT,
            "height": 380,
            "showlegend": False,
            "xaxis": {"title": "training images seen", "gridcolor": "rgba(128,128,128,0.2)"},
            "yaxis": {"title": "accuracy on select", "tickformat": ".0%", "gridcolor": "rgba(128,128,128,0.2)"},
        },
    }


def confusion_figure(confused: Mapping[str, Any]) -> Figure:
    """Counts of true class against answer, coloured by the share of the true class."""
    classes = [str(name) for name in confused["classes"]]
    shares = [[count / max(sum(row), 1) for count in row] for row in confused["matrix"]]
    return {
        "data": [
            {
                "type": "heatmap",
                "x": classes,
                "y": classes,
                "z": shares,
                "text": confused["matrix"],
                "texttemplate": "%{text}" if len(classes) <= 20 else "",
                "hovertemplate": "%{y} answered as %{x}: %{text}<extra></extra>",
                "colorscale": "Blues",
                "reversescale": False,
                "showscale": False,
            }
        ],
        "layout": {
            **_LAYOUT,
            "height": max(380, 26 * len(classes) + 120),
            "margin": {"l": 110, "r": 20, "t": 20, "b": 90},
            "xaxis": {"title": "answered", "type": "category"},
            "yaxis": {"title": "true class", "type": "category", "autorange": "reversed"},
        },
    }


def _lines(x: list[float], y: list[float], color: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "hoverinfo": "skip",
        "line": {"color": color, "width": 1},
    }


def _hover(one: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{axis} {100 * share:.0f} %" for axis, share in one["shares"].items())
    accuracy = last_accuracy(one)
    found = f"{format_percent(accuracy)}, {reached(one)}" if accuracy is not None else reached(one)
    cost = f"{format_count(one['macs'])} MACs, {format_count(one['params'])} parameters"
    return "<br>".join((f"<b>{rule_of(one) or one['origin']}</b>", found, shares, cost))
