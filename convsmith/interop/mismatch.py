"""The one comparison of stored weights with what a network expects, and its one-line verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convsmith.errors import ModelError
from convsmith.ir import Shape


def check_weights(expected: Mapping[str, Shape], weights: Mapping[str, Any]) -> None:
    """Refuse weights that are not exactly the expected arrays by name and shape.

    Raises:
        ModelError: Naming the first missing, unexpected and misshapen weight, and how many more there are.
    """
    missing = [name for name in expected if name not in weights]
    unexpected = [name for name in weights if name not in expected]
    misshapen = [
        f"{name} of shape {tuple(weights[name].shape)} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in weights and tuple(weights[name].shape) != tuple(shape)
    ]
    groups = (("missing", missing), ("unexpected", unexpected), ("wrong", misshapen))
    faults = [f"{kind} {_first(names)}" for kind, names in groups if names]
    if faults:
        raise ModelError(f"weights must fit the network: {', '.join(faults)}", remedy="use the design they belong to")


def _first(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
