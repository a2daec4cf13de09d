"""When the checkpoints of a training are written, and what happens when one cannot be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from convsmith.errors import RunError
from convsmith.files import free_bytes, make_folder
from convsmith.quantities import format_bytes
from convsmith.training.checkpoint import KEPT, load_latest, save_checkpoint
from convsmith.training.conditions import differences, told
from convsmith.training.learner import Learner

SHARE: Final = 0.005  # of the time goes into checkpoints; the last one and the best come on top
_BYTES_PER_SECOND: Final = 150e6  # of a checkpoint, until one was measured
_WAITS: Final = (0.1, 0.4)  # seconds before another try


class Keeper:
    """Writes the checkpoints of a training, where a folder was given for them, and finds the one to go on from.

    Args:
        learner: The training.
        folder: Where the checkpoints lie, or ``None``.
        seconds: Least time between two; it is stretched until saving takes only ``SHARE`` of the time. With 0, every
            step is kept.

    Raises:
        RunError: If the folder cannot be written, or its disk has too little room.
    """

    def __init__(self, learner: Learner, folder: Path | None, seconds: float) -> None:
        self._learner, self._journal = learner, learner.journal
        self._folder = make_folder(folder) if folder is not None else None
        self._seconds = seconds
        self._interval = self._stretched(learner.checkpoint_bytes() / _BYTES_PER_SECOND)
        self._last = time.monotonic()
        self._newest: str | None = None

    def resume(self, *, asked: bool) -> bool:
        """Go on from the newest whole checkpoint, where there is one and it is ``asked`` for.

        Raises:
            RunError: If there are checkpoints that nobody asked to go on from, all are damaged, or the disk is full.
            TrainingError: If they are those of another training.
        """
        if self._folder is None:
            assert not asked, "there is no folder to resume from"
            return False
        found = load_latest(self._folder)
        if found is not None and not asked:
            remedy = "resume that run, or choose another folder"
            raise RunError("the folder holds the checkpoints of another run", where=str(self._folder), remedy=remedy)
        if found is not None:
            self._learner.restore(found.checkpoint)
            self._newest = found.checkpoint.name
            self._tell_resumed(differences(found.checkpoint.conditions, self._learner.conditions), found.damaged)
        self._check_space(self._folder)
        return found is not None

    def keep_when_due(self) -> None:
        """Write a checkpoint at the end, after the best judgement so far, or when the interval is over."""
        over = time.monotonic() - self._last >= self._interval
        if over or self._learner.judged_best or self._learner.fraction >= 1.0:
            self.keep()

    def keep(self) -> None:
        """Write a checkpoint now; where the disk refuses again and again, warn and leave the last good one."""
        if self._folder is None:
            return
        started, learner = time.monotonic(), self._learner
        error = self._try_to_save(self._folder)
        self._last = time.monotonic()
        took = self._last - started
        if error is None:
            self._journal.note("checkpoint", file=self._newest, images=learner.meter.images, seconds=took)
            self._interval = self._stretched(took)
            return
        step = learner.meter.steps
        self._journal.note("checkpoint_failed", step=step, cause=str(error), newest=self._newest)
        left = f"the last good one is {self._newest}" if self._newest else "there is none yet"
        self._journal.tell(f"warning: step {step:,} could not be saved, training goes on and {left}: {error}")

    def _stretched(self, took: float) -> float:
        return max(self._seconds, took / SHARE) if self._seconds else 0.0

    def _try_to_save(self, folder: Path) -> RunError | None:
        for wait in (*_WAITS, None):
            try:
                self._journal.sync()  # first, so that no checkpoint knows of an event that the log lacks
                self._newest = save_checkpoint(folder, self._learner.checkpoint()).name
            except RunError as error:
                if wait is None:
                    return error
                time.sleep(wait)
            else:
                break
        return None

    def _tell_resumed(self, differs: dict[str, list[Any]], damaged: tuple[str, ...]) -> None:
        learner, journal = self._learner, self._journal
        timed = "seconds" in learner.identity["budget"]
        drifts = learner.setup.device != "cpu"
        journal.note(
            "resumed",
            kept=journal.count,
            step=learner.meter.steps,
            images=learner.meter.images,
            file=self._newest,
            exact=not (differs or timed or drifts),
            differs=differs,
            damaged=list(damaged),
        )
        for name in damaged:
            journal.tell(f"warning: checkpoint {name} is damaged and left out")
        line = f"going on from step {learner.meter.steps:,}"
        if drifts and not differs:
            journal.tell(f"warning: {line}; the result will be close, not exact: a card adds up in an order of its own")
        elif differs:
            journal.tell(f"warning: {line}; the result will be close, not exact: {told(differs)}")
        else:
            journal.tell(line + (", exactly but for the clock, which the budget is in" if timed else ", exactly"))

    def _check_space(self, folder: Path) -> None:
        there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        needed = (KEPT + 2) * self._learner.checkpoint_bytes() - there  # those kept, the best, and one being written
        free = free_bytes(folder)
        if free < needed:
            rule = f"checkpoints need about {format_bytes(needed)}, and the disk has {format_bytes(free)} left"
            raise RunError(rule, where=str(folder), remedy="free some space or choose another folder")
