"""What an opened run has measured of depth, width and resolution: the candidates of a search, or saturation curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convsmith.quantities import format_count, format_percent
from convsmith.report.view import early_accuracy, names, reached, rung_lengths
from convsmith.studio import run_charts
from convsmith.studio.plot import Axis, Line, Point, chart
from convsmith.studio.runs import report_now
from convsmith.studio.ternary_map import Mark, ternary_map


def evidence(path: Path) -> dict[str, Any]:
    """Charts and map of a run; neither for a training, which compares nothing.

    Raises:
        RunError: If its log cannot be read.
    """
    report = report_now(path)
    if report.get("kind") == "curves":
        return {"charts": run_charts.saturation(report), "map": None, "sentence": report["sentence"]}
    if not report["candidates"]:
        return {"charts": [], "map": None, "sentence": report["sentence"]}
    return {"charts": _candidates(report), "map": _map(report), "sentence": report["sentence"]}


def _map(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Every trained candidate with what it reached, the rules by name and the chosen one."""
    called, chosen, lengths = names(report), report["chosen"].get("key"), rung_lengths(report)
    marks: list[Mark] = []
    for one in report["candidates"]:
        if one.get("shares") and (one["rungs"] or one["final"] or one["origin"].startswith("rule:")):
            name, named = called[one["key"]], one["key"] == chosen or one["origin"].startswith("rule:")
            kind = "chosen" if one["key"] == chosen else "rule" if named else reached(one, lengths).partition(" ")[0]
            marks.append(Mark(one["shares"], kind, _told(name, one, lengths), name if named else ""))
    return ternary_map(marks) if marks else None


def _candidates(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Accuracy against parameters: of the finals with intervals, of the others after the first rung."""
    called, lengths = names(report), rung_lengths(report)
    finals = [one for one in report["candidates"] if one["final"]]
    others = [one for one in report["candidates"] if not one["final"] and early_accuracy(one, lengths) is not None]

    def point(one: Mapping[str, Any], accuracy: float | None, interval: Any = None) -> Point:
        return Point(one["params"], accuracy or 0.0, _told(called[one["key"]], one, lengths), interval)

    last = [point(one, one["final"]["accuracy"], one["final"].get("ci95")) for one in finals]
    early = [point(one, early_accuracy(one, lengths)) for one in others]
    every = [*last, *early]
    if not every:
        return []
    x = Axis.over("params", [one.x for one in every], format_count, log=True)
    ends = [end for one in every for end in (one.interval or (one.y,))]
    y = Axis.over("right", ends, lambda value: format_percent(value))
    lines = [Line("early", "end", early, joined=False), Line("finals", "chosen", last, joined=False)]
    return [chart("candidates", x, y, lines)]


def _told(name: str, one: Mapping[str, Any], lengths: Sequence[int]) -> str:
    early, final = early_accuracy(one, lengths), one["final"]
    parts = [name, format_count(one["macs"]), format_count(one["params"])]
    if final:
        ends = " – ".join(format_percent(end) for end in final.get("ci95") or ())
        parts.append(f"{format_percent(final['accuracy'])}{ends and f' ({ends})'}")
    elif early is not None:
        parts.append(format_percent(early))
    return " · ".join(parts)
