"""A network's weights as named arrays, in memory and in safetensors files.

Safetensors is the only format: a pickle can run code when it is read, so one is recognised by its first bytes,
whatever its name says, and refused unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save
from torch import nn

from convsmith.errors import ModelError, one_line
from convsmith.files import write_atomically
from convsmith.interop.mismatch import check_weights

Weights = dict[str, NDArray[np.generic]]

_COUNTER = "num_batches_tracked"
_HEADER_START = 8  # a safetensors file is the header's length in eight bytes, then the header, a JSON object


def weights_of(module: nn.Module) -> Weights:
    """Copies of all parameters and running statistics by their ``state_dict`` keys; batch counters are left out."""
    state = module.state_dict().items()
    return {name: np.array(value.numpy(force=True), order="C") for name, value in state if not _is_counter(name)}


def load_weights(module: nn.Module, weights: Mapping[str, NDArray[np.generic]]) -> None:
    """Copy ``weights`` into ``module``; its device, element types and batch counters stay.

    Raises:
        ModelError: If names or shapes are not exactly those of the module.
    """
    state = module.state_dict()
    check_weights({name: tuple(value.shape) for name, value in state.items() if not _is_counter(name)}, weights)
    module.load_state_dict(state | {name: torch.tensor(value) for name, value in weights.items()})


def write_weights(
    path: Path, weights: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str] | None = None
) -> Path:
    """Write arrays and text metadata as safetensors, atomically.

    Raises:
        RunError: If the file cannot be written.
    """
    arrays = {name: np.asarray(value, order="C") for name, value in weights.items()}
    content = save(arrays, dict(metadata or {}))
    return write_atomically(path, lambda target: target.write_bytes(content))


def read_weights(path: Path) -> Weights:
    """Read all arrays of a safetensors file.

    Raises:
        ModelError: If the file cannot be read or is anything but safetensors.
    """
    _check_file(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


def read_metadata(path: Path) -> dict[str, str]:
    """Read the text metadata of a safetensors file, without its arrays.

    Raises:
        ModelError: If the file cannot be read or is anything but safetensors.
    """
    _check_file(path)
    try:
        with safe_open(path, framework="numpy") as stream:
            return dict(stream.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            start = stream.read(_HEADER_START + 1)
    except OSError as error:
        raise ModelError(f"cannot read weights: {error.strerror or error}", where=str(path)) from error
    if start[_HEADER_START:] == b"{":
        return
    if start.startswith((b"PK\x03\x04", b"\x80")):
        raise ModelError(
            "weights must not be a pickle, which can run code when it is read",
            where=str(path),
            remedy="convert it to safetensors where you trust it",
        )
    raise ModelError("weights must be a safetensors file", where=str(path))


def _unreadable(path: Path, error: Exception) -> ModelError:
    rule = f"the safetensors file is damaged or holds what cannot be read: {one_line(error)}"
    return ModelError(rule, where=str(path))


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] == _COUNTER
