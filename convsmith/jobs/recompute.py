"""``report``: the report of a run made again, every figure of it from the log alone; also while the run goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convsmith.errors import RunError
from convsmith.jobs.curves_report import write_curves
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
    """

    folder: Path
    report: dict[str, Any]

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
    session = read_session(folder.events)
    if session.kind == "curves":
        return Recomputed(folder.path, write_curves(folder))
    report = _report(session)
    write_report(folder, report)
    return Recomputed(folder.path, report)


def _report(session: Session) -> dict[str, Any]:
    report = searched_report(session) if session.kind == "fit" else trained_report(session)
    measured = session.last("finished")
    if measured is not None:
        return completed(report, measured)
    if not report.get("unfinished"):
        report |= {"unfinished": True, "sentence": f"Trained and judged, but not exported yet. {report['sentence']}"}
    return report
