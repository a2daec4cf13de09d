"""How a run folder is told from others; apart from the rest of it, which needs torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

MARKS: Final = ("events.ndjson", "design.toml", "report.json", "study.journal")
"""Files of which a run has at least one as soon as it has begun."""
LOCK: Final = ".lock"
"""What a process holds while it works on a run."""


def is_run(path: Path) -> bool:
    """Whether a folder holds a run, be it one that has only begun."""
    return os.path.isdir(path) and any((path / name).exists() for name in (*MARKS, LOCK))
