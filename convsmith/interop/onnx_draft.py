"""An ONNX file that is being written: its nodes and tensors so far, and the node of the graph that comes next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from convsmith.ir import Node, TensorType


@dataclass(frozen=True)
class OnnxDraft:
    """The ONNX nodes and stored tensors written so far."""

    nodes: list[NodeProto] = field(default_factory=list)
    tensors: list[TensorProto] = field(default_factory=list)

    def add(self, output: str, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node named like its one output; return that name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def store(self, name: str, array: NDArray[Any]) -> str:
        """Append a stored tensor; return its name."""
        self.tensors.append(numpy_helper.from_array(array, name))
        return name


@dataclass(frozen=True)
class Writing:
    """One node of the graph on its way into the file.

    Attributes:
        node: The node.
        types: Types of its inputs.
        inputs: Names of the tensors that hold its inputs.
        draft: Where it goes.
    """

    node: Node
    types: tuple[TensorType, ...]
    inputs: tuple[str, ...]
    draft: OnnxDraft

    @property
    def params(self) -> tuple[str, ...]:
        """Names of the stored arrays."""
        return tuple(self.stored(name) for name in self.node.op.stored_shapes(*self.types))

    def stored(self, name: str) -> str:
        """Full name of a stored array of this node."""
        return f"{self.node.weights}.{name}"

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append the ONNX node that gives the node's value."""
        return self.draft.add(self.node.name, kind, *inputs, **attributes)

    def step(self, part: str, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append an ONNX node that gives an intermediate value."""
        return self.draft.add(f"{self.node.name}.{part}", kind, *inputs, **attributes)

    def constant(self, part: str, values: Any, dtype: type[np.generic]) -> str:
        """Store a constant of this node."""
        return self.draft.store(f"{self.node.name}.{part}", np.asarray(values, dtype))

    def ints(self, part: str, *values: int) -> str:
        """Store whole numbers of this node, as a list."""
        return self.constant(part, values, np.int64)
