"""Weights of a network that was read from an ONNX file, under the names that our network of the same layers has.

Exporters fold a batch norm into the convolution before it, whose bias is what remains of it. Our network has the norm,
which then starts as one that changes nothing but adds the bias: the same numbers come out. Layers are matched in the
order in which the results need them, first operands first, since a file may hold parallel branches in any order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.errors import ModelError
from convsmith.interop.foreign_weights import squeezed
from convsmith.ir import Graph, Node, Shape
from convsmith.ops import BatchNorm1d, BatchNorm2d, Constant, Conv2d

Arrays = dict[str, NDArray[Any]]
_NORMS: Final = (BatchNorm1d, BatchNorm2d)
_REMEDY: Final = "give the design of the network that the file holds"


def match_layers(graph: Graph, theirs: Graph, weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of another network by the names of ``graph``, in the shapes it stores.

    What the other network does before its first convolution is left out: it prepares the image.

    Args:
        graph: The network that shall hold them.
        theirs: The network that has them.
        weights: Its arrays, by its names.

    Raises:
        ModelError: Naming the first layer that does not fit.
    """
    waiting = deque(_layers(theirs, weights))
    found: dict[str, NDArray[Any]] = {}
    bias: NDArray[Any] | None = None  # of the convolution just matched, where ours has none
    for node, shapes in _stored(graph):
        is_norm = isinstance(node.op, _NORMS)
        if is_norm and not (waiting and isinstance(waiting[0][0].op, _NORMS)):
            arrays, bias = _still(node, shapes, bias), None
        else:
            if not waiting:
                raise ModelError(f"the file must have a layer for {node.name}", where=graph.name, remedy=_REMEDY)
            if bias is not None and not is_norm:
                rule = f"the layer before {node.name} has a bias in the file, and no place for one in the design"
                raise ModelError(rule, where=graph.name, remedy=_REMEDY)
            theirs_node, arrays = waiting.popleft()
            if "bias" in arrays and "bias" not in shapes:
                bias = arrays.pop("bias")
            elif is_norm:
                arrays, bias = _moved(node, theirs_node, arrays, bias), None
            _check(node, shapes, theirs_node, arrays, graph.name)
        found |= {f"{node.name}.{name}": arrays[name].reshape(shape) for name, shape in shapes.items()}
    if waiting or bias is not None:
        rule = "the file has a layer, or a bias, that the design has not"
        received = waiting[0][0].name if waiting else "the last bias"
        raise ModelError(rule, received=received, where=graph.name, remedy=_REMEDY)
    return found


def _stored(graph: Graph) -> Iterator[tuple[Node, dict[str, Shape]]]:
    for node in _as_needed(graph):
        shapes = dict(node.op.stored_shapes(*graph.input_types(node)))
        if shapes and not node.shares:
            yield node, shapes


def _as_needed(graph: Graph) -> Iterator[Node]:
    """The nodes behind the outputs, each after those that it reads."""
    by_name = {node.name: node for node in graph.nodes}
    done, waiting = set[str](), [(name, False) for name in reversed(graph.outputs)]
    while waiting:
        name, ready = waiting.pop()
        if name in done or name not in by_name:
            continue
        if ready:
            done.add(name)
            yield by_name[name]
        else:
            waiting += [(name, True), *((value, False) for value in reversed(by_name[name].inputs))]


def _layers(theirs: Graph, weights: Mapping[str, NDArray[Any]]) -> Iterator[tuple[Node, Arrays]]:
    begun = False
    for node, shapes in _stored(theirs):
        begun = begun or isinstance(node.op, Conv2d)
        if begun and not isinstance(node.op, Constant):
            yield node, {name: np.asarray(weights[f"{node.name}.{name}"]) for name in shapes}


def _still(node: Node, shapes: Mapping[str, Shape], bias: NDArray[Any] | None) -> Arrays:
    """A norm that only adds the bias: a mean of zero, a deviation of one."""
    assert isinstance(node.op, _NORMS)
    fill = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1 - node.op.eps}
    arrays: Arrays = {name: np.full(shape, fill[name], np.float32) for name, shape in shapes.items()}
    if bias is not None:
        if bias.shape != tuple(shapes["bias"]):
            rule = f"the layer before {node.name} must have a bias of shape {tuple(shapes['bias'])}"
            raise ModelError(rule, received=bias.shape, remedy=_REMEDY)
        arrays["bias"] = bias
    return arrays


def _moved(node: Node, theirs: Node, arrays: Arrays, bias: NDArray[Any] | None) -> Arrays:
    """The arrays of a norm, what its eps differs by in the variances, and a bias before it in the means."""
    assert isinstance(node.op, _NORMS)
    assert isinstance(theirs.op, _NORMS)
    more = theirs.op.eps - node.op.eps
    shifted = arrays["running_mean"] if bias is None else arrays["running_mean"] - bias
    return {**arrays, "running_var": arrays["running_var"] + np.float32(more), "running_mean": shifted}


def _check(ours: Node, shapes: Mapping[str, Shape], theirs: Node, arrays: Arrays, where: str) -> None:
    """Refuse arrays that are not those of the layer."""
    for name, shape in shapes.items():
        if name not in arrays or squeezed(arrays[name].shape) != squeezed(shape):
            received = f"{theirs.name} with " + ", ".join(f"{key} {value.shape}" for key, value in arrays.items())
            rule = f"{ours.name} must have {name} of shape {tuple(shape)}"
            raise ModelError(rule, received=received, where=where, remedy=_REMEDY)
