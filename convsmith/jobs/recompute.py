"""``report``: the report of a run made again, every figure of it from the log alone; also while the run goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convsmith.errors import RunError
from convsmith.jobs.curves_report import curves_report, write_curves
from convsmith.jobs.finish import completed, write_report
from convsmith.jobs.fit_replay import searched_report
from convsmith.jobs.replay import Session, read_session
from convsmith.jobs.run_folder import RunFolder
from convsmith.jobs.train_report import trained_report


@dataclass(frozen=True)
class Recomputed:
    """A report made again.

    Attributes:
        folder: The run.
        report: Everything its page says; ``unfinished`` is true where the run has not ended.
        process: Who works on the run now, or nothing.
    """

    folder: Path
    report: dict[str, Any]
    process: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The figures of the report."""
        return self.report


def recompute(run: str | Path) -> Recomputed:
    """Compute every figure of a run from its ``events.ndjson`` and write ``report.html``, and of a finished one all.

    Nothing else of the folder is read, so it also works where only the log is left, and while the run goes on.

    Args:
        run: The folder of a ``fit``, a ``train`` or a ``scale --measure``.

    Raises:
        RunError: If there is no log, it was written by a newer version, or by one that did not tell enough.
    """
    folder = RunFolder(Path(run))
    if not os.path.isdir(folder.path):  # unlike Path.is_dir, says no to a name that is too long
        raise RunError("no such run folder", where=str(run), remedy="give the --out folder of a run")
    session = _read(folder)
    if session.kind == "curves":
        report = write_curves(folder)
    else:
        report = report_of(session)
        write_report(folder, report)
    if report.get("unfinished") and read_session(folder.events).last("finished"):
        return recompute(run)  # it ended meanwhile, and its own page was written over
    return Recomputed(folder.path, report, folder.holder)


def _read(folder: RunFolder) -> Session:
    try:
        return read_session(folder.events)
    except RunError as error:
        if folder.holder:
            rule, remedy = "the run has only begun and has told nothing yet", "ask again in a minute"
            raise RunError(rule, received=folder.holder, where=str(folder.path), remedy=remedy) from error
        raise


def report_of(session: Session) -> dict[str, Any]:
    """The report of a run from its events, or of as much of it as is there.

    Raises:
        DesignError: If a design of the log breaks the format.
    """
    if session.kind == "curves":
        return curves_report(session)
    report = searched_report(session) if session.kind == "fit" else trained_report(session)
    measured = session.last("finished")
    if measured is not None:
        return completed(report, measured)
    if not report.get("unfinished"):
        report |= {"unfinished": True, "sentence": f"Trained and judged, but not exported yet. {report['sentence']}"}
    return report
