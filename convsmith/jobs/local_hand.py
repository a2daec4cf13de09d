"""The other end of ``hand``: a process that trains, as the one that asked for it sees it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import convsmith
from convsmith.errors import RunError
from convsmith.jobs.fit_progress import pace
from convsmith.search.candidate import Work

Said = dict[str, Any]


class Hand:
    """A process that does one training at a time.

    Args:
        hear: Told of what it says; None is that it has ended. In a thread of its own.
        opening: What is common to all trainings.
        complaints: A file for what it writes to its standard error.

    Attributes:
        work: What it is at.

    Raises:
        RunError: If the system refuses.
    """

    def __init__(self, hear: Callable[[Hand, Said | None], None], opening: Said, complaints: Path) -> None:
        self.work: Work | None = None
        self._progress = ""
        self._hear = hear
        self._complaints = complaints
        places = [str(Path(convsmith.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            with complaints.open("wb") as stream:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "convsmith.jobs.hand"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stream,
                    encoding="utf-8",
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
                    start_new_session=True,  # Ctrl-C is for the process that asks
                )
        except OSError as error:
            rule, remedy = f"a process for trainings cannot be begun: {error}", "give --processes 1 to do without"
            raise RunError(rule, remedy=remedy) from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._tell(opening)

    def train(self, work: Work, recipe: Path) -> None:
        """Begin a training; it is heard of when it is done."""
        self.work, self._progress = work, ""
        self._tell({"work": work.to_dict(), "recipe": str(recipe)})

    def end(self) -> None:
        """End the process at once."""
        assert self._process.stdin is not None
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._listener.join()

    @property
    def at(self) -> str:
        """What it does, in words."""
        return "" if self.work is None else f"{self.work.candidate.origin}{self._progress}"

    @property
    def ending(self) -> str:
        """How it ended, with the last that it wrote."""
        code = self._process.wait()
        lines = self._complaints.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{how}: {lines[-1].strip()}" if lines else how

    def _tell(self, message: Said) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # that it has ended is heard
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if not line.endswith("\n"):
                    break  # it was killed while it wrote
                said = json.loads(line)
                if "loss" in said:
                    self._progress = f": {pace(said['images_per_second'], said['loss'])}"
                else:
                    self._hear(self, said)
        self._hear(self, None)
