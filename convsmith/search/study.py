"""The record of a search: every finished training and every decision of the plan, in one append-only journal.

What is found here is never done again, which is all that resuming a search is. A training becomes one line, written
and synced at once, so that a killed process leaves either the whole of it or nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from convsmith.errors import RunError
from convsmith.files import writing
from convsmith.search.candidate import Outcome, Training, Work

_NAME: Final = "convsmith"


class Study:
    """The trainings recorded in ``path`` under ``context``.

    Args:
        path: The journal; made where it is missing. Several processes may share it.
        context: What else decides an outcome: digests of the data and the recipe, the machine. Only what was recorded
            under an equal context is found.

    Raises:
        RunError: If the journal cannot be written, or is not one.
    """

    def __init__(self, path: Path, context: Mapping[str, str]) -> None:
        self._path = path
        self._context = dict(context)
        self._notes = hashlib.sha256(json.dumps(self._context, sort_keys=True).encode()).hexdigest()[:12]
        with self._journal():
            lock: Any = _KernelLock(path)  # optuna asks for two methods only, and its base class is private
            storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
            self._study = optuna.create_study(
                storage=storage, sampler=optuna.samplers.RandomSampler(), study_name=_NAME, load_if_exists=True
            )

    def find(self, work: Work) -> Outcome | None:
        """The outcome of ``work`` if it was done before under this context."""
        keys = self._keys(work)
        found = (values["outcome"] for values in self._finished() if values["keys"] == keys)
        values = next(found, None)
        return None if values is None else Outcome.from_dict(values)

    def record(self, work: Work, outcome: Outcome) -> None:
        """Append one finished training and wait until it is on the disk.

        Raises:
            RunError: If the disk refuses.
        """
        values = {"keys": self._keys(work), "work": work.to_dict(), "outcome": outcome.to_dict()}
        if outcome.failed:
            trial = optuna.create_trial(state=TrialState.FAIL, user_attrs=values)
        else:
            trial = optuna.create_trial(value=outcome.log_loss, user_attrs=values)
        with self._journal():
            self._study.add_trial(trial)

    def outcomes(self) -> tuple[Training, ...]:
        """Every training recorded under this context, oldest first."""
        return tuple(
            Training(Work.from_dict(values["work"]), Outcome.from_dict(values["outcome"]))
            for values in self._finished()
            if self._context.items() <= values["keys"].items()
        )

    def note(self, name: str, value: Any) -> None:
        """Keep a JSON value under ``name``, so that a resumed search decides as it did before.

        Raises:
            RunError: If the disk refuses.
        """
        with self._journal():
            self._study.set_user_attr(f"{self._notes}/{name}", value)

    def noted(self, name: str) -> Any:
        """The value kept under ``name`` in this context, or None."""
        with self._journal():
            return self._study.user_attrs.get(f"{self._notes}/{name}")

    def _keys(self, work: Work) -> dict[str, Any]:
        own = {"candidate": work.candidate.key, "images": work.images, "seed": work.seed, "final": work.final}
        return {**self._context, **own}

    def _finished(self) -> list[dict[str, Any]]:
        with self._journal():
            return [trial.user_attrs for trial in self._study.get_trials(deepcopy=False)]

    @contextlib.contextmanager
    def _journal(self) -> Generator[None]:
        """Keep optuna from logging, and turn its complaints about the file into ours."""
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            with writing(self._path):
                yield
        except (ValueError, KeyError) as error:
            rule = "the record of a search must be an unbroken journal"
            raise RunError(rule, where=str(self._path), remedy="move it away to start afresh") from error
        finally:
            optuna.logging.set_verbosity(verbosity)


class _KernelLock:
    """A lock that the system takes back from a dead process; optuna's own would hold up the next one for 30 s.

    Whoever holds it is the only writer. A last line without its end was therefore left by a process that died while
    writing, and is cut off before another line would be glued to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: BinaryIO | None = None

    def acquire(self) -> bool:
        self._stream = self._path.open("rb+")
        fcntl.flock(self._stream, fcntl.LOCK_EX)
        _cut_unfinished_line(self._stream)
        return True

    def release(self) -> None:
        assert self._stream is not None
        self._stream.close()
        self._stream = None


def _cut_unfinished_line(stream: BinaryIO) -> None:
    size = stream.seek(0, os.SEEK_END)
    if size == 0:
        return
    stream.seek(size - 1)
    if stream.read(1) != b"\n":
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)
