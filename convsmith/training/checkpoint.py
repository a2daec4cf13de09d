"""Everything a training needs to go on, in one folder that is whole or is not there.

A checkpoint holds ``state.safetensors`` (the tensors), ``good.safetensors`` (those of the state that a rollback would
go back to), ``state.json`` (everything that is no tensor) and ``manifest.json`` with sizes and hashes. There is no
pickle, so opening one runs no code; a damaged one is told from a good one, and the one before it is kept for that case.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from convsmith.errors import RunError
from convsmith.files import is_whole, remove_folder, remove_unfinished, write_folder

KEPT: Final = 2
_NAME: Final = re.compile(r"step-(\d{9,})(?:-r(\d+))?")
_STATE: Final = "state.safetensors"
_GOOD: Final = "good.safetensors"
_PLAIN: Final = "state.json"


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """What steps change.

    Attributes:
        tensors: By ``"<part>/<name>"``; the parts are ``model``, ``average`` and ``optimizer``.
        figures: Steps, images, losses and what else a step changes, as JSON values.
    """

    tensors: dict[str, torch.Tensor]
    figures: dict[str, Any]

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors of a part, by their names within it."""
        start = f"{name}/"
        return {key.removeprefix(start): tensor for key, tensor in self.tensors.items() if key.startswith(start)}

    @property
    def steps(self) -> int:
        """Optimizer steps done."""
        return self.figures["steps"]


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training between two steps.

    The place in the epoch is not stored: it is the images seen, modulo the number of training images.

    Attributes:
        state: The state itself.
        good: The state that a rollback goes back to, where there is one.
        identity: What a resumed run must share: recipe digest, seed, budget, data digest.
        conditions: What a resumed run must share to be exact.
        course: What no rollback undoes: seconds, incidents, curve.
        best: Whether the selection set was judged at this very step, better than ever before.
    """

    state: State
    good: State | None
    identity: dict[str, Any]
    conditions: dict[str, Any]
    course: dict[str, Any]
    best: bool = False

    @property
    def name(self) -> str:
        """The name of the folder; what comes after a rollback is newer than what came before."""
        rollbacks = self.course["rollbacks"]
        return f"step-{self.state.steps:09d}" + (f"-r{rollbacks}" if rollbacks else "")


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """The newest checkpoint that is whole, and the names of newer ones that are not."""

    checkpoint: Checkpoint
    damaged: tuple[str, ...]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into ``folder``; keep the one before and the best, and drop the others.

    Raises:
        RunError: If it cannot be written; the checkpoints already there stay.
    """
    path = write_folder(folder / checkpoint.name, _files(checkpoint))
    paths = _newest_first(folder)
    best = [one for one in paths if _read_plain(one).get("best")]
    for old in paths[KEPT:]:
        if old not in best[:1]:
            with contextlib.suppress(OSError):
                remove_folder(old)
    return path


def load_latest(folder: Path) -> Found | None:
    """The newest checkpoint that is whole, or ``None`` where there is none at all.

    Raises:
        RunError: If there are checkpoints and all of them are damaged, or of an older form.
    """
    remove_unfinished(folder)
    damaged: list[str] = []
    for path in _newest_first(folder):
        try:
            if is_whole(path):
                return Found(_load(path), tuple(damaged))
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            pass
        damaged.append(path.name)
    if damaged:
        raise RunError("every checkpoint is damaged", where=str(folder), remedy="start the run again in a new folder")
    if any(folder.glob("step-*.safetensors")):
        rule, remedy = "the checkpoints are of an older convsmith", "start the run again in a new folder"
        raise RunError(rule, where=str(folder), remedy=remedy)
    return None


def copies_of(state: State) -> dict[str, torch.Tensor]:
    """The tensors as contiguous copies in the processor's memory, wherever they are: files know no device."""
    form = {"copy": True, "memory_format": torch.contiguous_format}
    return {key: tensor.to("cpu", **form) for key, tensor in state.tensors.items()}


def _files(checkpoint: Checkpoint) -> Iterator[tuple[str, bytes]]:
    yield _STATE, _serialized(checkpoint.state)
    if checkpoint.good is not None:
        yield _GOOD, _serialized(checkpoint.good)
    plain = {
        "state": checkpoint.state.figures,
        "good": checkpoint.good.figures if checkpoint.good is not None else None,
        **{key: getattr(checkpoint, key) for key in ("identity", "conditions", "course", "best")},
    }
    yield _PLAIN, json.dumps(plain, allow_nan=False).encode()


def _serialized(state: State) -> bytes:
    return save(copies_of(state))


def _load(path: Path) -> Checkpoint:
    plain = _read_plain(path)
    state = State(load_file(path / _STATE), plain.pop("state"))
    figures = plain.pop("good")
    good = State(load_file(path / _GOOD), figures) if figures is not None else None
    return Checkpoint(state, good, **plain)


def _read_plain(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / _PLAIN).read_bytes())
    except (OSError, ValueError):
        return {}


def _newest_first(folder: Path) -> list[Path]:
    found = [(match, path) for path in folder.glob("step-*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, key=lambda one: _order(one[0]), reverse=True)]


def _order(name: re.Match[str]) -> tuple[int, int]:
    return int(name[2] or 0), int(name[1])
