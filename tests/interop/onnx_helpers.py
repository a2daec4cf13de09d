"""ONNX files made by hand, and whether the rebuilt network agrees with onnxruntime about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convsmith.interop.reading import Reading
from convsmith.interop.torch_module import Network, build
from convsmith.interop.weights import load_weights
from convsmith.ir import Graph
from tests.interop.helpers import Array, by_runtime

Made = tuple[str, Sequence[str], Sequence[str], Mapping[str, Any]]


def node(kind: str, inputs: str, outputs: str = "y", **attributes: Any) -> Made:
    """A node; names of tensors are written with blanks between them, ``-`` for one that is left out."""
    read = ["" if name == "-" else name for name in inputs.split()]
    return (kind, read, outputs.split(), attributes)


def file(
    opset: int,
    *nodes: Made,
    shape: Sequence[int | str | None] = ("N", 4, 6, 5),
    output: Sequence[str] = ("y",),
    elements: int = TensorProto.FLOAT,
    **stored: Any,
) -> ModelProto:
    """A model from ``x`` to ``y`` with stored tensors, whose names come from the keywords."""
    made = [
        helper.make_node(kind, list(read), list(given), name=f"/{given[0]}", **attributes)
        for kind, read, given, attributes in nodes
    ]
    graph = helper.make_graph(
        made,
        "made",
        [helper.make_tensor_value_info("x", elements, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in output],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=max(4, helper.find_min_ir_version_for(opsets, True))
    )


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def rebuilt(reading: Reading) -> Network:
    assert not reading.unknown
    assert reading.weights is not None
    module = build(reading.graph).eval()
    load_weights(module, reading.weights)
    return module


def by_torch(reading: Reading, inputs: Sequence[Array]) -> list[Array]:
    with torch.no_grad():
        results = rebuilt(reading)(*map(torch.from_numpy, inputs))
    return [result.detach().numpy() for result in (results if isinstance(results, tuple) else (results,))]


def disagreement(reading: Reading, model: ModelProto | bytes, inputs: Sequence[Array]) -> float:
    """The largest difference to onnxruntime, in units of the largest number."""
    got, want = by_torch(reading, inputs), by_runtime(model, inputs)
    assert [array.shape for array in got] == [array.shape for array in want]
    pairs = zip(got, want, strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in pairs)


def drawn(reading: Reading, batch: int | None = None) -> list[Array]:
    """Inputs of a network, with its own batch or another."""
    shapes = [type.shape for _, type in reading.graph.inputs]
    return [numbers(batch or shape[0], *shape[1:], seed=1) for shape in shapes]


def rows(graph: Graph) -> list[Any]:
    """What a table of the network shows, names aside."""
    places = {name: place for place, (name, _) in enumerate(graph.inputs)}
    table = list[Any]()
    for node in graph.nodes:
        types = graph.input_types(node)
        read = tuple(places[value] for value in node.inputs)
        table.append((node.op, read, graph.types[node.name], node.op.param_shapes(*types), node.op.terms(*types)))
        places[node.name] = len(places)
    return table


def ops(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes]
