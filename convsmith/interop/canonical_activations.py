"""Activations that a module or a file spells out in arithmetic, as one operator again; rules of ``canonical``.

``x * clip(x + 3, 0, 6) / 6`` is HardSwish, ``x * sigmoid(x)`` is SiLU, and so on, in any order of the factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from convsmith.interop.draft import Draft, op_of
from convsmith.ir import Node
from convsmith.ops import (
    GELU,
    HardSigmoid,
    HardSwish,
    Mish,
    Mul,
    Pointwise,
    ReLU6,
    Scalar,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)

Variable = Callable[[Draft, Node], str | None]
"""Tells the ``x`` of a gate, if it is one."""


def scalar(draft: Draft, node: Node) -> None:
    """A number that changes nothing, or the last step of an activation."""
    op = op_of(node)
    function, value = op.function, op.value
    if (function, value) in (("add", 0.0), ("mul", 1.0), ("pow", 1.0)):
        draft.drop(node)
    elif function == "mul" and _close(value, 1 / 6):
        if (clipped := draft.source(node, ReLU6)) is not None and (x := _shifted(draft, clipped)) is not None:
            draft.set(node, HardSigmoid(), x)
        elif (product := draft.source(node, Mul)) is not None and (
            x := _gated(draft, product, ReLU6, _shifted)
        ) is not None:
            draft.set(node, HardSwish(), x)
    elif function == "mul" and value == 0.5 and (product := draft.source(node, Mul)) is not None:
        if (x := _gated(draft, product, Scalar, _error_function)) is not None:
            draft.set(node, GELU(), x)


def clip(draft: Draft, node: Node) -> None:
    """``clip(x / 6 + 0.5, 0, 1)``."""
    op = op_of(node)
    shifted = draft.source(node, Scalar) if (op.low, op.high) == (0.0, 1.0) else None
    if shifted is not None and (op_of(shifted).function, op_of(shifted).value) == ("add", 0.5):
        scaled = draft.source(shifted, Scalar)
        if scaled is not None and op_of(scaled).function == "mul" and _close(op_of(scaled).value, 1 / 6):
            draft.set(node, HardSigmoid(), *scaled.inputs)


def mul(draft: Draft, node: Node) -> None:
    """``x`` times a gate made of ``x`` alone."""
    for gate, variable, activation in _GATES:
        if (x := _gated(draft, node, gate, variable)) is not None:
            draft.set(node, activation(), x)
            return
    for place in (0, 1):
        half, gate = draft.source(node, Scalar, place), draft.source(node, Scalar, 1 - place)
        if half is not None and gate is not None and _halved_error_function(draft, half, gate):
            draft.set(node, GELU(), half.inputs[0])
            return


def _gated(draft: Draft, product: Node, kind: type[Any], variable: Variable) -> str | None:
    """The ``x`` of ``x * gate(x)``, where the gate is a node of ``kind`` and ``variable`` tells its ``x``."""
    for place in (0, 1):
        gate = draft.source(product, kind, place)
        if gate is not None and variable(draft, gate) == product.inputs[1 - place]:
            return product.inputs[1 - place]
    return None


def _input(draft: Draft, gate: Node) -> str:
    return gate.inputs[0]


def _softplus(draft: Draft, gate: Node) -> str | None:
    inner = draft.source(gate, Softplus)
    return inner.inputs[0] if inner is not None else None


def _shifted(draft: Draft, clipped: Node) -> str | None:
    """The ``x`` of ``clip(x + 3)``."""
    shifted = draft.source(clipped, Scalar)
    holds = shifted is not None and (op_of(shifted).function, op_of(shifted).value) == ("add", 3.0)
    return shifted.inputs[0] if shifted is not None and holds else None


def _error_function(draft: Draft, gate: Node) -> str | None:
    """The ``x`` of ``1 + erf(x / sqrt(2))``."""
    error = draft.source(gate, Pointwise) if (op_of(gate).function, op_of(gate).value) == ("add", 1.0) else None
    scaled = draft.source(error, Scalar) if error is not None and op_of(error).function == "erf" else None
    holds = scaled is not None and op_of(scaled).function == "mul" and _close(op_of(scaled).value, math.sqrt(0.5))
    return scaled.inputs[0] if scaled is not None and holds else None


def _half_error_function(draft: Draft, gate: Node) -> str | None:
    """The ``x`` of ``(1 + erf(x / sqrt(2))) / 2``."""
    whole = draft.source(gate, Scalar) if (op_of(gate).function, op_of(gate).value) == ("mul", 0.5) else None
    return _error_function(draft, whole) if whole is not None else None


def _halved_error_function(draft: Draft, half: Node, gate: Node) -> bool:
    """``(x / 2) * (1 + erf(x / sqrt(2)))``."""
    return (op_of(half).function, op_of(half).value) == ("mul", 0.5) and _error_function(draft, gate) == half.inputs[0]


_GATES: Final = (
    (Sigmoid, _input, SiLU),
    (HardSigmoid, _input, HardSwish),
    (Tanh, _softplus, Mish),
    (Scalar, _half_error_function, GELU),
)
"""The node that is multiplied with ``x``, what tells its ``x``, and what the product is called."""


def _close(value: float, wanted: float) -> bool:
    return math.isclose(value, wanted, rel_tol=5e-6)  # such as 0.166667 and 0.166666


def pointwise(draft: Draft, node: Node) -> None:
    """One over a root."""
    root = draft.source(node, Pointwise) if op_of(node).function == "reciprocal" else None
    if root is not None and op_of(root).function == "sqrt":
        draft.set(node, Pointwise("rsqrt"), *root.inputs)
