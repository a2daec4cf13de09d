"""The charts of one training: how its loss fell, and the range test that set its learning rate."""

from __future__ import annotations

from typing import Any

from convsmith.report.charts import Figure, make_axis, make_layout
from convsmith.report.view import Report


def learning_figure(report: Report) -> Figure:
    """Loss on the training images above accuracy on the select images, both against images trained on."""
    points: list[dict[str, Any]] = report["history"]
    before = [None, *(point["accuracy"] for point in points)]
    judged = [point for point, last in zip(points, before, strict=False) if point["accuracy"] != last]
    loss = _line(points, "images", "loss", "loss", ".3f")
    right = _line(judged, "images", "accuracy", "right", ".1%") | {"yaxis": "y2", "mode": "lines+markers"}
    layout = make_layout(
        height=460,
        xaxis={**make_axis("images trained on"), "anchor": "y2", "tickformat": ",d"},
        yaxis={**make_axis("training loss"), "domain": [0.54, 1]},
        yaxis2={**make_axis("right, select images"), "domain": [0, 0.46], "tickformat": ".0%"},
        showlegend=False,
    )
    return {"data": [loss, right], "layout": layout}


def rate_figure(report: Report) -> Figure:
    """The loss of the range test at each learning rate, and the rate that was taken."""
    found = report["rate_test"]
    points = [{"rate": rate, "loss": loss} for rate, loss in zip(found["rates"], found["losses"], strict=True)]
    mark = {"type": "line", "x0": found["rate"], "x1": found["rate"], "yref": "paper", "y0": 0, "y1": 1}
    layout = make_layout(
        height=320,
        xaxis={**make_axis("learning rate"), "type": "log"},
        yaxis=make_axis("training loss"),
        shapes=[{**mark, "line": {"color": "var(--chosen)", "width": 2, "dash": "dot"}}],
        showlegend=False,
    )
    return {"data": [_line(points, "rate", "loss", "loss", ".3f")], "layout": layout}


def _line(points: list[dict[str, Any]], across: str, up: str, name: str, form: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [point[across] for point in points],
        "y": [point[up] for point in points],
        "line": {"color": "var(--chosen)", "width": 2},
        "hovertemplate": f"%{{x:,}} {across}: {name} %{{y:{form}}}<extra></extra>",
    }
