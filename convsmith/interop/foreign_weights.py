"""Weights that another program saved, under the names that our network of the same layers has.

Programs name the same layers differently, but most list them in the order in which the network runs. So arrays are
matched one after the other, and each must be of the same kind (weight, bias, running mean or variance) and have the
same shape. Two equal layers in another order cannot be told apart: compare an output where it matters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ModelError
from convsmith.ir import Graph, Shape
from convsmith.ops import BatchNorm1d, BatchNorm2d

_KINDS: Final = frozenset({"weight", "bias", "running_mean", "running_var"})
_COUNTER: Final = "num_batches_tracked"
_REMEDY: Final = "give the arrays of the same layers in the order in which the network runs"


def match_weights(
    graph: Graph, weights: Mapping[str, NDArray[Any]], *, norm_eps: float | None = None
) -> dict[str, NDArray[Any]]:
    """Foreign arrays by the names of ``graph``, in the shapes it stores; counters of batches are left out.

    Axes of one are no difference: a linear layer's (M, C) is a 1x1 convolution's (M, C, 1, 1).

    Args:
        graph: The network that shall hold them.
        weights: In the order in which the network runs, as a ``state_dict`` mostly is. A safetensors file is sorted by
            name: read it, then put it in order.
        norm_eps: What the other program adds to the variances of batch normalisation. Where it is not what the graph
            adds, the difference goes into the stored variances, so that the network computes the same.

    Raises:
        ModelError: Naming the first array that does not fit, or how many there should be.
    """
    given = [(name, value) for name, value in weights.items() if _last(name) != _COUNTER]
    wanted = dict(graph.stored_shapes)
    for number, ((name, value), (own, shape)) in enumerate(zip(given, wanted.items(), strict=False), start=1):
        if not (_alike(_last(name), _last(own)) and squeezed(value.shape) == squeezed(shape)):
            theirs, ours = f"{name} of shape {tuple(value.shape)}", f"{own} of shape {shape}"
            raise ModelError(f"array {number} must be {ours}", received=theirs, where=graph.name, remedy=_REMEDY)
    if len(given) != len(wanted):
        rule = f"weights must be the {len(wanted)} arrays that the network stores"
        raise ModelError(rule, received=len(given), where=graph.name, remedy=_REMEDY)
    fitted = {own: value.reshape(wanted[own]) for own, (_, value) in zip(wanted, given, strict=True)}
    return fitted if norm_eps is None else fitted | _variances(graph, fitted, norm_eps)


def _variances(graph: Graph, fitted: Mapping[str, NDArray[Any]], eps: float) -> dict[str, NDArray[Any]]:
    """Every variance with the difference between ``eps`` and what the graph adds."""
    moved: dict[str, NDArray[Any]] = {}
    for node in graph.nodes:
        if isinstance(node.op, BatchNorm2d | BatchNorm1d) and not math.isclose(node.op.eps, eps):
            name = f"{node.weights}.running_var"
            moved[name] = (fitted[name].astype(np.float64) + (eps - node.op.eps)).astype(fitted[name].dtype)
    return moved


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _alike(theirs: str, ours: str) -> bool:
    """Whether the last parts of two names say the same; what is neither weight nor bias nor statistic has many."""
    return theirs == ours or not (theirs in _KINDS or ours in _KINDS)


def squeezed(shape: Shape) -> Shape:
    """A shape without its axes of one."""
    return tuple(size for size in shape if size != 1)
