"""Graphs, weights and runs that the interop tests share."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto

from convsmith.design import zoo
from convsmith.interop.torch_module import Network, build
from convsmith.ir import Builder, Graph, Node, Op, TensorType
from convsmith.ops import (
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    Mul,
    Pointwise,
    ReLU,
    Scalar,
    Sigmoid,
)

Array = NDArray[Any]

STRUCTURES = tuple(
    name for name in zoo.names() if not re.fullmatch(r"efficientnet-b[1-7]|regnet[xy]-(?!200mf).*|deconvnet", name)
)
"""Networks of the zoo, without those that only differ in size from another, and the one whose file is largest."""


def one_node(op: Op, types: tuple[TensorType, ...]) -> Graph:
    builder = Builder("one")
    inputs = [builder.input(type, f"input{place}") for place, type in enumerate(types)]
    return builder.graph(builder.add(op, *inputs, name="body.op"))


def graph_of(op: Op, *shapes: tuple[int, ...]) -> Graph:
    return one_node(op, tuple(map(TensorType, shapes)))


def residual() -> Graph:
    """A residual block whose two convolutions share weights, with squeeze-and-excitation, then a concatenation."""
    builder = Builder("residual")
    x = builder.input(TensorType((1, 3, 8, 8)))
    with builder.scope("stem"):
        x = builder.add(Conv2d(3, 8, 3, padding=1, bias=False), x, name="conv")
        x = builder.add(BatchNorm2d(8), x, name="norm")
    with builder.scope("stage1.block1"):
        first = builder.add(Conv2d(8, 8, 3, padding=1), x, name="conv")
        active = builder.add(ReLU(), first, name="act")
        again = builder.add(Conv2d(8, 8, 3, padding=1), active, name="again")
        gate = builder.add(GlobalAvgPool(), again, name="se.pool")
        gate = builder.add(Conv2d(8, 8, 1), gate, name="se.conv")
        gate = builder.add(Sigmoid(), gate, name="se.gate")
        scaled = builder.add(Mul(), again, gate, name="se.scale")
        x = builder.add(Add(), scaled, x, name="add")
    x = builder.add(Concat(), x, first, name="join")
    with builder.scope("head"):
        x = builder.add(GlobalAvgPool(), x, name="pool")
        x = builder.add(Flatten(), x, name="flatten")
        x = builder.add(Dropout(0.5), x, name="dropout")
        x = builder.add(Linear(16, 5), x, name="classifier")
    return sharing(builder.graph(x), "stage1.block1.again", "stage1.block1.conv")


def sharing(graph: Graph, name: str, owner: str) -> Graph:
    nodes = tuple(replace(node, shares=owner) if node.name == name else node for node in graph.nodes)
    return replace(graph, nodes=nodes)


def randomised(graph: Graph) -> Network:
    """The module in evaluation mode, every parameter and statistic drawn at random, variances positive."""
    module, generator = build(graph).eval(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                drawn = torch.randn(value.shape, generator=generator)
                value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    return module


def random_inputs(graph: Graph, batch: int | None = None) -> list[Array]:
    """Numbers that the operators are made for; every input that has the batch of the first gets ``batch``."""
    random = np.random.default_rng(1)
    shapes = [type.shape for _, type in graph.inputs]
    own = shapes[0][0] if shapes else 0
    drawn = [
        random.standard_normal((batch or own, *shape[1:]) if shape[:1] == (own,) else shape).astype(np.float32)
        for shape in shapes
    ]
    return [np.abs(array) + 0.1 for array in drawn] if any(map(_needs_positive, graph.nodes)) else drawn


def _needs_positive(node: Node) -> bool:
    op = node.op
    root = isinstance(op, Pointwise) and op.function in ("log", "sqrt", "rsqrt")
    return root or (isinstance(op, Scalar) and op.function == "pow" and op.value % 1 != 0)


def exact(module: torch.nn.Module, inputs: list[Array]) -> Array:
    """The output of the module in float64."""
    double = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        return double(*[torch.from_numpy(value).double() for value in inputs]).numpy()


def by_runtime(model: Path | bytes | ModelProto, inputs: Sequence[Array], *, optimised: bool = False) -> list[Array]:
    options, levels = onnxruntime.SessionOptions(), onnxruntime.GraphOptimizationLevel
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    content = model.SerializeToString() if isinstance(model, ModelProto) else model
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip((entry.name for entry in session.get_inputs()), inputs, strict=True)))


def relative_error(got: Array, want: Array) -> float:
    assert got.shape == want.shape
    return float(np.abs(got - want).max() / np.abs(want).max())
