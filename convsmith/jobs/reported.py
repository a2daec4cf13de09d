"""What every job gives back that fills a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convsmith.report.notebook import run_html


@dataclass(frozen=True)
class Reported:
    """A finished run: its folder and everything its report says."""

    folder: Path
    report: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """What ``report.json`` holds."""
        return self.report

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return run_html(self.report, self.folder)
