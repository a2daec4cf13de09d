"""A run for those who have none yet: a small network, trained on the embedded digits by the command itself."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Lock
from typing import Final

from convsmith.files import make_folder, write_text
from convsmith.jobs.run_marks import is_run
from convsmith.studio.bodies import StudioError

NAME: Final = "first-run"
"""The folder of the run, beside it the design as a file of the same name."""
DESIGN: Final = """\
name = "first"
input = [1, 8, 8]                        # the digits are grey, 8 pixels a side

[stem]
block = "conv"
width = 12

[[stage]]
block = "residual"
depth = 1
width = 24
stride = 2

[head]
task = "classify"
classes = 10
"""

_EPOCHS: Final = 12  # some seconds, and about nineteen of twenty digits right
_PATIENCE: Final = 60.0  # seconds until it has begun; torch takes some of them to load
_PAUSE: Final = 0.1
_ONE_BY_ONE: Final = Lock()


def first_run(folder: Path) -> tuple[Path, str]:
    """The run in a folder, begun if it is not there yet, and the command that does so.

    Raises:
        StudioError: If something else has its name, or the training does not begin.
        RunError: If the folder cannot be written.
    """
    run, design = folder / NAME, folder / f"{NAME}.toml"
    words = ["convsmith", "train", design.name, "digits", "--out", NAME, "--epochs", str(_EPOCHS)]
    with _ONE_BY_ONE:
        if not is_run(run):
            _begin(run, design, words)
    return run, " ".join(words)


def _begin(run: Path, design: Path, words: list[str]) -> None:
    if run.exists():
        rule, remedy = "the folder of the first run has another use", "give it another name"
        raise StudioError(rule, received=run.name, where=str(run.parent), remedy=remedy)
    if not design.exists():
        write_text(design, DESIGN)
    make_folder(run)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=run.parent, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        begun = time.monotonic()
        while not (run / "design.toml").exists():  # from then on its network can be worked on, too
            if process.poll() is not None or time.monotonic() - begun > _PATIENCE:
                said.seek(0)
                last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise StudioError("the first run does not begin", received=last or None, remedy=" ".join(words))
            time.sleep(_PAUSE)
