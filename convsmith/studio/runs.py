"""The runs view: how an opened run stands, read from its log, its lock and its report; nothing in it is written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from convsmith.errors import RunError
from convsmith.jobs import curves_report
from convsmith.jobs.recompute import report_of
from convsmith.jobs.replay import Session, read_session
from convsmith.jobs.report_parts import SCHEMA
from convsmith.jobs.resume_command import resume_command
from convsmith.jobs.run_folder import RunFolder
from convsmith.jobs.stop import stop
from convsmith.quantities import format_percent, format_seconds
from convsmith.report.view import confusion, handed_over, standings
from convsmith.studio import run_charts

MOST_CLASSES: Final = 24
"""Classes of a confusion matrix that are drawn; of more the ones most often mistaken."""

_SCHEMAS: Final = (SCHEMA, curves_report.SCHEMA)
_FIGURES: Final = ("data", "budget", "plan", "recipe", "setup", "parity", "latency", "machine", "versions", "seed")


def state(path: Path, seen: str) -> dict[str, Any]:
    """How a run stands now, or only that this is as ``seen``, the ``stamp`` of an earlier answer.

    Raises:
        RunError: If the run has told nothing yet, was written by a newer version, or its log is damaged.
    """
    folder = RunFolder(path)
    stamp = _stamp(folder)
    if stamp == seen:
        return {"same": True}
    session = read_open(folder)
    try:
        return {"stamp": stamp, **_state(path, folder, session)}
    except (KeyError, TypeError, ValueError) as error:
        raise _lacking(path, error) from error


def _state(path: Path, folder: RunFolder, session: Session) -> dict[str, Any]:
    finished = session.last("finished") is not None
    report = _report(path, session) if finished or session.kind == "curves" else None
    written = folder.report.exists() or not folder.holder  # the log ends before the files are there
    status = "finished" if finished and written else "running" if folder.holder else "stopped"
    return {
        "kind": session.kind,
        "status": status,
        "process": folder.holder,
        **_progress(session, status),
        "sentence": report["sentence"] if report else "",
        "charts": run_charts.charts(session, report),
        **run_charts.board(session),
        "finals": _finals(report) if report and session.kind == "fit" else [],
        "confusion": _confusion(report) if report else None,
        "accuracy": _accuracy(report) if report else "",
        "notes": report["notes"] if report else [],
        "rejected": session.begin.get("rejected", []),
        "provenance": provenance(report or session.begin),
        "resume": "" if finished else resume_command(path, session),
    }


def read_open(folder: RunFolder) -> Session:
    """The present session of an opened run.

    Raises:
        RunError: If there is no log to be read.
    """
    try:
        return read_session(folder.events)
    except RunError as error:
        if not folder.path.is_dir():
            raise RunError("the run folder is gone", where=str(folder.path)) from error
        if folder.holder and not _told_anything(folder):
            rule = "the run has only begun and has told nothing yet"
            raise RunError(rule, received=folder.holder, where=str(folder.path), remedy="it appears here") from error
        raise


def end(path: Path) -> dict[str, Any]:
    """Ask the process of a run to stop.

    Raises:
        RunError: If there is none, or it is not that of the run.
    """
    return {"process": stop(path)}


def report_now(path: Path) -> dict[str, Any]:
    """The report of an opened run, or of as much as is there.

    Raises:
        RunError: If its log cannot be read.
    """
    return _report(path, read_open(RunFolder(path)))


def written(path: Path) -> int:
    """When the weights of a run were last written, in nanoseconds; 0 where there are none.

    What is remembered of a network is remembered by this too, for a run may be done again in the same folder.
    """
    weights = RunFolder(path).weights
    return weights.stat().st_mtime_ns if weights.is_file() else 0


def provenance(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a run was made of, group by group, each a list of name and value."""
    groups = ((key, report[key]) for key in _FIGURES if report.get(key) is not None)
    return [{"name": key, "rows": list(_rows("", value))} for key, value in groups]


def _stamp(folder: RunFolder) -> str:
    """Changes whenever the log grows or the process comes or goes."""
    try:
        size = folder.events.stat().st_size
    except OSError:
        size = -1
    return f"{size} {folder.holder}"


def _told_anything(folder: RunFolder) -> bool:
    return folder.events.is_file() and folder.events.stat().st_size > 0


def _report(path: Path, session: Session) -> dict[str, Any]:
    """That of the run itself where it has ended, else one made of its log."""
    try:
        kept = RunFolder(path).read_report() if session.last("finished") else None
        if kept is not None and kept.get("schema") in _SCHEMAS:
            return kept
    except RunError:  # a damaged report; the log has all of it
        pass
    try:
        return _report_at(path, len(session.all), session.begin["time"])
    except (KeyError, TypeError, ValueError) as error:
        raise _lacking(path, error) from error


def _lacking(path: Path, error: Exception) -> RunError:
    """What to say of a log that reads well and lacks what this version looks for."""
    rule, remedy = f"the log does not hold all that is shown: {error}", "it may be of another version of convsmith"
    return RunError(rule, where=str(path), remedy=remedy)


@lru_cache(maxsize=8)
def _report_at(path: Path, events: int, begun: float) -> dict[str, Any]:
    return report_of(read_session(RunFolder(path).events))


def _progress(session: Session, status: str) -> dict[str, Any]:
    """What share of the run is done, and the time that is left; nothing of one that does not go on."""
    if status != "running":
        return {"fraction": None, "left": ""}
    begun, now = session.begin["time"], time.time()
    points = session.named("point")
    minutes = session.begin.get("minutes") or session.begin.get("budget", {}).get("minutes")
    if minutes:
        share = min((now - begun) / (60 * minutes), 1.0)
        return {"fraction": share, "left": format_seconds(max(60 * minutes - (now - begun), 0.0))}
    if session.kind != "run" or len(points) < 2:
        return {"fraction": None, "left": ""}
    done, first = points[-1]["fraction"], points[0]
    pace = (done - first["fraction"]) / max(points[-1]["time"] - first["time"], 1e-9)
    left = (1 - done) / pace if pace > 0 else None
    return {"fraction": done, "left": "" if left is None else format_seconds(left)}


def _accuracy(report: Mapping[str, Any]) -> str:
    if not report.get("accuracy"):
        return ""
    accuracy, (low, high), _ = handed_over(report)
    return f"{format_percent(accuracy)} ({format_percent(low)} – {format_percent(high)})"


def _finals(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Finalists and rules, best first, with the ties marked."""
    rows = standings(report)
    shown = [end for row in rows for end in (row.interval or ()) if row.judged_on == "test"]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    span = max(high - low, 1e-9)
    return [
        {
            "name": row.name,
            "chosen": row.chosen,
            "tied": row.tied,
            "judged": "" if row.accuracy is None else row.judged_on,
            "failure": row.failure,
            "cells": run_charts.cells(row),
            "bar": None
            if row.interval is None or row.accuracy is None or row.judged_on != "test"
            else [(value - low) / span for value in (row.interval[0], row.accuracy, row.interval[1])],
        }
        for row in rows
    ]


def _confusion(report: Mapping[str, Any]) -> dict[str, Any] | None:
    if "confusion" not in report:
        return None
    found = confusion(report, MOST_CLASSES)
    return {"classes": found.classes, "matrix": found.matrix, "shares": found.shares, "total": found.total}


def _rows(prefix: str, value: Any) -> Any:
    """A tree of values as lines: the way to each leaf, and the leaf as text."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _rows(f"{prefix}.{key}" if prefix else str(key), one)
    elif value is not None and not (isinstance(value, list) and len(value) > 12):
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        if len(text) < 500:
            yield [prefix, text]
