"""What an opened run has measured of depth, width and resolution: the candidates of a search, or saturation curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convsmith.quantities import format_count, format_percent
from convsmith.report.view import early_accuracy, names, reached
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
    called, chosen = names(report), report["chosen"].get("key")
    marks: list[Mark] = []
    for one in report["candidates"]:
        if one.get("shares") and (one["rungs"] or one["final"] or one["origin"].startswith("rule:")):
            named = one["key"] == chosen or one["origin"].startswith("rule:")
            kind = "chosen" if one["key"] == chosen else "rule" if named else reached(one).partition(" ")[0]
            marks.append(Mark(one["shares"], kind, _told(called[one["key"]], one), called[one["key"]] if named else ""))
    return ternary_map(marks) if marks else None


def _candidates(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Accuracy against parameters: of the finals with intervals, of the others after the first rung."""
    called = names(report)
    finals = [one for one in report["candidates"] if one["final"]]
    others = [one for one in report["candidates"] if not one["final"] and early_accuracy(one) is not None]
    last = [
        Point(one["params"], one["final"]["accuracy"], _told(called[one["key"]], one), one["final"].get("ci95"))
        for one in finals
    ]
    early = [Point(one["params"], early_accuracy(one) or 0.0, _told(called[one["key"]], one)) for one in others]
    every = [*last, *early]
    if not every:
        return []
    x = Axis.over("params", [one.x for one in every], format_count, log=True)
    ends = [end for one in every for end in (one.interval or (one.y,))]
    y = Axis.over("right", ends, lambda value: format_percent(value))
    lines = [Line("early", "end", early, joined=False), Line("finals", "chosen", last, joined=False)]
    return [chart("candidates", x, y, lines)]


def _told(name: str, one: Mapping[str, Any]) -> str:
    early, final = early_accuracy(one), one["final"]
    parts = [name, format_count(one["macs"]), format_count(one["params"])]
    if final:
        ends = " – ".join(format_percent(end) for end in final.get("ci95") or ())
        parts.append(f"{format_percent(final['accuracy'])}{ends and f' ({ends})'}")
    elif early is not None:
        parts.append(format_percent(early))
    return " · ".join(parts)
