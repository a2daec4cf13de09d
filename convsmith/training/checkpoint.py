"""Everything a training needs to go on, in one file that is whole or is not there.

A checkpoint is a safetensors file with JSON in its header: no pickle, so opening one runs no code. Its SHA-256 covers
tensors and JSON, so a damaged file is told from a good one, and the one before it is kept for that case.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from convsmith.errors import RunError
from convsmith.files import write_atomically

KEPT: Final = 2
_TENSOR_FIELDS: Final = ("model", "average", "optimizer")
_PATTERN: Final = "step-*.safetensors"


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state between two steps.

    The place in the epoch is not stored: it is ``images`` modulo the number of training images.

    Attributes:
        model: ``state_dict`` of the module.
        average: Averaged ``state_dict``; empty where the recipe does not average.
        optimizer: Slots by ``"<slot>:<parameter name>"``.
        identity: What a resumed run must share: recipe digest, seed, budget, data digest.
        steps: Optimizer steps done.
        images: Images seen.
        seconds: Wall-clock time spent.
        curve: Losses and history, as JSON values.
    """

    model: dict[str, torch.Tensor]
    average: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    identity: dict[str, Any]
    steps: int
    images: int
    seconds: float
    curve: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into ``folder``, keep the one before, and drop older ones.

    Raises:
        RunError: If it cannot be written; the checkpoints already there stay.
    """
    tensors = {
        f"{field}/{name}": tensor.detach().clone(memory_format=torch.contiguous_format)
        for field in _TENSOR_FIELDS
        for name, tensor in getattr(checkpoint, field).items()
    }
    plain = {
        f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint) if f.name not in _TENSOR_FIELDS
    }
    state = json.dumps(plain, allow_nan=False)
    metadata = {"state": state, "sha256": _digest(state, tensors)}
    path = folder / f"step-{checkpoint.steps:09d}.safetensors"
    write_atomically(path, lambda target: save_file(tensors, target, metadata))
    for old in [*_newest_first(folder)[KEPT:], *folder.glob(f".{_PATTERN}.*.part")]:
        old.unlink(missing_ok=True)
    return path


def load_latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, or ``None`` where there is none at all.

    Raises:
        RunError: If there are checkpoints and all of them are damaged.
    """
    paths = _newest_first(folder)
    for path in paths:
        try:
            return _load(path)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            continue
    if paths:
        raise RunError("every checkpoint is damaged", where=str(folder), remedy="start the run again in a new folder")
    return None


def _load(path: Path) -> Checkpoint:
    fields: dict[str, dict[str, torch.Tensor]] = {field: {} for field in _TENSOR_FIELDS}
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        metadata = file.metadata()
    if metadata["sha256"] != _digest(metadata["state"], tensors):
        raise ValueError("damaged")
    for key, tensor in tensors.items():
        field, _, name = key.partition("/")
        fields[field][name] = tensor
    return Checkpoint(**fields, **json.loads(metadata["state"]))


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(_PATTERN), reverse=True)


def _digest(state: str, tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(state.encode())
    for key in sorted(tensors):
        tensor = tensors[key]
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
