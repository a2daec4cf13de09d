"""The charts of a run: its curves, the rungs and the map of a search, and saturation curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from convsmith.jobs.fit_score import Scorer
from convsmith.jobs.replay import Event, Session
from convsmith.quantities import format_count, format_percent, format_probability
from convsmith.report.curves import COLOURS, measured
from convsmith.report.view import Standing
from convsmith.search.space import Field
from convsmith.studio.plot import Axis, Line, Point, chart
from convsmith.studio.ternary_map import Mark, ternary_map
from convsmith.training.events import without_undone

_SHOWN: Final = 400
"""Points of a curve that are drawn at most."""


def charts(session: Session, report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What can be drawn of a run as it stands."""
    found: list[dict[str, Any]] = []
    if session.kind == "fit":
        found += _rungs(session)
    if session.kind == "curves" and report is not None:
        found += saturation(report)
    if session.kind == "run" or not session.last("finished"):
        found += _training(session)
    return found


def board(session: Session) -> dict[str, Any]:
    """Of a search its rungs, each as a row, and the map of the networks that were trained."""
    if session.kind != "fit":
        return {"rungs": [], "map": None}
    field = _field(json.dumps(session.begin["field"]))
    scorer = Scorer(field.candidates)
    for event in session.events:
        scorer.hear(event["event"], event)
    now = scorer.board
    rows = [
        [one.name, format_count(one.images), str(one.networks), f"{one.done} / {one.trainings}", one.best,
         "" if one.accuracy is None else format_percent(one.accuracy)]
        for one in now.stretches
    ]  # fmt: skip
    marks = [Mark(dot.shares, dot.standing.replace(" ", "-"), _shares_text(dot.shares)) for dot in now.dots]
    return {"rungs": rows, "map": ternary_map(marks) if marks else None}


def cells(row: Standing) -> list[str]:
    """A finalist's figures: accuracy, interval, multiply-adds, parameters, how sure the chosen one is better."""
    return [
        "–" if row.accuracy is None else format_percent(row.accuracy),
        "–" if row.interval is None else f"{format_percent(row.interval[0])} – {format_percent(row.interval[1])}",
        "–" if row.macs is None else format_count(row.macs),
        "–" if row.params is None else format_count(row.params),
        "–" if row.chosen_better is None else format_probability(row.chosen_better),
    ]


def saturation(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Accuracy against multiply-adds, a line for each axis."""
    points = {axis: measured(curve) for axis, curve in report["curves"].items()}
    every = [point for line in points.values() for point in line]
    if not every:
        return []
    x = Axis.over("macs", [point["macs"] for point in every], format_count, log=True)
    y = Axis.over("test", [end for point in every for end in point["ci95"]], _percent)
    lines = [Line(f"{axis}", COLOURS[axis], [_measured(point) for point in line]) for axis, line in points.items()]
    return [chart("saturation", x, y, lines)]


def _measured(point: Mapping[str, Any]) -> Point:
    low, high = point["ci95"]
    text = (
        f"{format_count(point['macs'])}: {format_percent(point['accuracy'])} "
        f"({format_percent(low)} – {format_percent(high)}), {point['seeds']} ×"
    )
    return Point(point["macs"], point["accuracy"], f"{point['name']} · {text}", (low, high))


def _training(session: Session) -> list[dict[str, Any]]:
    """The curve of the present training: of the only one, or of the last that a search or curves began."""
    if session.kind == "run":
        events: Sequence[Event] = without_undone(dict(event) for event in session.all)
    else:
        starts = [number for number, event in enumerate(session.events) if event["event"] == "train"]
        events = session.events[starts[-1] :] if starts else []
    points = [event for event in events if event["event"] == "point"]
    points = points[:: -(-len(points) // _SHOWN) or 1]
    if not points:
        return []
    x = Axis.over("images", [0, *(point["images"] for point in points)], format_count)
    losses = [Point(one["images"], one["loss"], f"{format_count(one['images'])}: {one['loss']:.3f}") for one in points]
    found = [chart("loss", x, Axis.over("loss", [one.y for one in losses], "{:g}".format),
                   [Line("loss", "depth", losses)])]  # fmt: skip
    judged = [
        Point(one["images"], one["accuracy"], f"{format_count(one['images'])}: {format_percent(one['accuracy'])}")
        for number, one in enumerate(points)
        if one["accuracy"] is not None and (number == 0 or one["accuracy"] != points[number - 1]["accuracy"])
    ]
    if judged:
        y = Axis.over("select", [one.y for one in judged], _percent)
        found.append(chart("accuracy", x, y, [Line("accuracy", "resolution", judged)]))
    return found


def _rungs(session: Session) -> list[dict[str, Any]]:
    """Accuracy on the select images against images trained on; a line for each network, coloured by its stratum."""
    field = _field(json.dumps(session.begin["field"]))
    known = {candidate.key: candidate for candidate in field.candidates}
    told: dict[str, list[Event]] = {}
    for event in session.named("training"):
        if not event["final"] and not event["outcome"]["failure"]:
            told.setdefault(event["candidate"], []).append(event)
    if not told:
        return []
    every = [event for events in told.values() for event in events]
    seen = sorted({event["images"] for event in every})
    x = Axis.over("images", seen, format_count, log=True, marks=seen if len(seen) < 9 else ())
    y = Axis.over("select", [event["outcome"]["accuracy"] for event in every], _percent)
    strata: dict[str, list[list[Event]]] = {"depth": [], "width": [], "resolution": []}
    for key, events in told.items():
        shares = dict(zip(strata, known[key].shares, strict=True)) if key in known else {"depth": 1.0}
        strata[max(shares, key=lambda axis: shares[axis])].append(events)
    lines: list[Line] = []
    for axis, networks in strata.items():
        points: list[Point] = []
        breaks: set[int] = set()
        for events in networks:
            breaks.add(len(points))
            points += [_trained(event, known) for event in events]
        lines.append(Line(f"mostly.{axis}", axis, points, frozenset(breaks)))
    return [chart("rungs", x, y, lines)]


@lru_cache(maxsize=4)
def _field(text: str) -> Field:
    """The networks of a search, read once: the log of a long one is looked at again and again."""
    return Field.from_dict(json.loads(text))


def _trained(event: Event, known: Mapping[str, Any]) -> Point:
    right = event["outcome"]["accuracy"]
    name = known[event["candidate"]].design.name if event["candidate"] in known else event["candidate"]
    text = f"{name} · {format_count(event['images'])}: {format_percent(right)}"
    return Point(event["images"], right, text)


def _percent(value: float) -> str:
    return format_percent(value, 1 if round(100 * value, 6) % 1 else 0)


def _shares_text(shares: Mapping[str, float]) -> str:
    return " · ".join(f"{axis} {format_percent(share, 0)}" for axis, share in shares.items())
