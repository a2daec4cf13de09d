"""The page of measured saturation curves: the sentence, the figure beside the published one, and every number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from convsmith.quantities import format_count, format_percent, format_seconds, format_shape
from convsmith.report.charts import Figure, make_axis, make_layout
from convsmith.report.markup import Markup, element, join, table
from convsmith.report.page import Part, chart, render_page
from convsmith.report.sections import facts, reused_facts
from convsmith.report.view import Report

TITLES: Final = {"depth": "depth", "width": "width", "resolution": "resolution", "compound": "compound scaling"}
COLOURS: Final = {"depth": "depth", "width": "width", "resolution": "resolution", "compound": "chosen"}
"""The names of the colours of the page's style."""

_NOTHING: Final = Markup("–")
_READING: Final = (
    "Each point is a network that was solved for its budget, and trained by the same recipe on the same number of "
    "images with the same seeds as all others. Bars are 95 % intervals over seeds and test images. Where bars overlap, "
    "the differences in the table below still may tell: those are paired by seed and image."
)
_GAINS: Final = (
    "A step's gain is the accuracy of a point less that of the one before on the same test images and seeds, with its "
    "95 % interval. An interval that reaches zero is no certain gain."
)


def render_curves(report: Report) -> str:
    """The page of a report of curves, as one self-contained document."""
    return render_page(f"{report['name']}: convsmith curves", _answer(report), list(_content(report)))


def _answer(report: Report) -> Markup:
    data, plan = report["data"], report["plan"]
    lines = [curve["sentence"] for curve in report["curves"].values()]
    source = f"{data['images']:,} images of {len(data['classes'])} classes from {data['source']}"
    trained = f"{format_count(plan['images'])} images seen in every training" if plan else "nothing is planned yet"
    told = (source, trained, f"{format_seconds(report['seconds']['total'])} in all")
    return join(
        (
            element("p", report["name"], class_="kicker"),
            element("h1", report["sentence"]),
            element("ul", *(element("li", line) for line in lines)),
            element("p", " · ".join(told), class_="soft"),
            *(element("p", note, class_="note") for note in report["notes"]),
        )
    )


def _content(report: Report) -> Iterator[Part]:
    figure = chart("curves", curves_figure(report), "accuracy against multiply-adds")
    published = report["published"]
    told = element("p", f"Right: {published['source']}. {published['remark']}", class_="soft")
    yield "curves", "What each axis is worth", join((element("p", _READING), figure, told))
    yield "points", "Every point", join(_tables(report))
    stops = [(TITLES[axis], curve["stop"]) for axis, curve in report["curves"].items() if curve["stop"]]
    if stops:
        yield "stops", "Where an axis ends", table("Before the dearest budget", ("axis", "because"), stops, words=2)
    yield "making", "How it was made", _making(report)
    log = element("code", "events.ndjson")
    again = element("code", "convsmith report")
    yield "recompute", "Recompute every figure", element(
        "p", log, " beside this page holds every training with one bit for each test image; ", again,
        " makes this page again from nothing else.",
    )  # fmt: skip


def _making(report: Report) -> Markup:
    groups = {
        "budget": {key: value for key, value in report["budget"].items() if value is not None},
        "data": {key: value for key, value in report["data"].items() if key != "classes"},
        "plan": {key: value for key, value in report["plan"].items() if key not in ("keys", "notes")},
        "reused": reused_facts(report),
        "recipe": report["recipe"],
        "setup": {key: value for key, value in report["setup"].items() if key != "measured"},
        "machine": report["machine"],
        "versions": report["versions"],
    }
    return join(facts(name, values) for name, values in groups.items() if values)


def _tables(report: Report) -> Iterator[Markup]:
    header = ("network", "input", "depth", "width", "resolution", "MACs", "parameters", "accuracy", "95 % interval",
              "seeds", "gain of the step")  # fmt: skip
    yield element("p", _GAINS)
    for axis, curve in report["curves"].items():
        gains = {gain["to"]: gain for gain in curve["gains"]}
        rows = (
            (
                point["name"],
                format_shape(point["input"]),
                *(f"× {point['factors'][name]:.2f}" for name in ("depth", "width", "resolution")),
                format_count(point["macs"]),
                format_count(point["params"]),
                _NOTHING if point["accuracy"] is None else format_percent(point["accuracy"]),
                interval_text(point["ci95"]),
                point["seeds"],
                _gain(gains.get(point["macs"])),
            )
            for point in curve["points"]
        )
        yield table(f"{TITLES[axis]}: {curve['sentence']}", header, rows)


def interval_text(interval: Sequence[float] | None) -> str | Markup:
    """Both ends of an interval."""
    return f"{format_percent(interval[0])} to {format_percent(interval[1])}" if interval else _NOTHING


def _gain(gain: Mapping[str, Any] | None) -> str | Markup:
    if gain is None:
        return _NOTHING
    low, difference, high = (f"{100 * gain[key] + 0.0:+.1f}" for key in ("low", "difference", "high"))
    return f"{difference} ({low} to {high})"


def curves_figure(report: Report) -> Figure:
    """Measured accuracy against multiply-adds beside the published one, both on a logarithmic axis."""
    traces: list[Figure] = []
    for axis, curve in report["curves"].items():
        points = measured(curve)
        traces.append(
            {
                **_trace(axis, [point["macs"] for point in points], [point["accuracy"] for point in points]),
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [point["ci95"][1] - point["accuracy"] for point in points],
                    "arrayminus": [point["accuracy"] - point["ci95"][0] for point in points],
                    "thickness": 1.5,
                    "width": 4,
                },
                "hoverinfo": "text",
                "hovertext": [
                    f"{TITLES[axis]} · {format_count(point['macs'])} MACs<br>{format_percent(point['accuracy'])} "
                    f"({interval_text(point['ci95'])}), {point['seeds']} seeds"
                    for point in points
                ],
            }
        )
    for axis, curve in report["published"]["curves"].items():
        alone = {"mode": "markers", "marker": {"size": 12, "symbol": "star"}} if len(curve["macs"]) == 1 else {}
        traces.append(
            {
                **_trace(axis, curve["macs"], curve["accuracy"]),
                "xaxis": "x2",
                "yaxis": "y2",
                "showlegend": False,
                **alone,
            }
        )
    layout = make_layout(
        height=520,
        xaxis={**make_axis("multiply-adds, measured here"), **_LOG, "domain": [0, 0.47]},
        yaxis={**make_axis("test accuracy"), "tickformat": ".1%"},
        xaxis2={**make_axis("multiply-adds, EfficientNet's figure"), **_LOG, "domain": [0.55, 1], "anchor": "y2"},
        yaxis2={**make_axis("ImageNet top-1"), "tickformat": ".1%", "anchor": "x2"},
        legend={"orientation": "h", "y": 1.08, "x": 0},
    )
    return {"data": traces, "layout": layout}


_LOG: Final = {"type": "log", "exponentformat": "SI", "dtick": "D2"}


def measured(curve: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The points of a curve that have an accuracy."""
    return [point for point in curve["points"] if point["accuracy"] is not None]


def _trace(axis: str, macs: Sequence[float], accuracy: Sequence[float]) -> Figure:
    colour = f"var(--{COLOURS[axis]})"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": TITLES[axis],
        "legendgroup": axis,
        "x": list(macs),
        "y": list(accuracy),
        "line": {"color": colour, "width": 2.5},
        "marker": {"color": colour, "size": 8},
    }
