"""Building a graph node by node, with names that follow the structure and shapes known at every step."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from convsmith.errors import GraphError
from convsmith.ir.graph import Graph, Node, infer_node
from convsmith.ir.op import Op
from convsmith.ir.types import TensorType


class Builder:
    """Collects nodes; a value is referred to by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._prefix = ""
        self._inputs: list[tuple[str, TensorType]] = []
        self._nodes: list[Node] = []
        self._types: dict[str, TensorType] = {}

    def input(self, type: TensorType, name: str = "input") -> str:
        """Declare a graph input."""
        self._inputs.append((name, type))
        self._types[name] = type
        return name

    def add(self, op: Op, *inputs: str, name: str) -> str:
        """Append a node called ``name`` within the current scope and return its value.

        Raises:
            OpError: If the operator cannot take these inputs.
            GraphError: If the name is taken.
        """
        full = self._prefix + name
        if full in self._types:
            raise GraphError("names must be unique", received=full, where=self.name)
        self._types[full] = infer_node(full, op, tuple(self._types[value] for value in inputs))
        self._nodes.append(Node(full, op, inputs))
        return full

    @contextmanager
    def scope(self, name: str) -> Generator[None]:
        """Put ``name`` and a dot before the names of all nodes added inside."""
        outer = self._prefix
        self._prefix = f"{outer}{name}."
        try:
            yield
        finally:
            self._prefix = outer

    def type(self, value: str) -> TensorType:
        """Type of a value."""
        return self._types[value]

    def channels(self, value: str) -> int:
        """Number of channels of a value."""
        return self._types[value].shape[1]

    def graph(self, *outputs: str) -> Graph:
        """The finished graph, returning ``outputs``."""
        return Graph(self.name, tuple(self._inputs), tuple(self._nodes), outputs).with_types(dict(self._types))
