"""A graph that is being rewritten node by node, for passes that replace a few nodes and keep the names of the rest."""

from __future__ import annotations

from collections import Counter
from typing import Any

from convsmith.ir import Graph, Node, Op, TensorType
from convsmith.ir.graph import infer_node


def op_of(node: Node) -> Any:
    """The operator of a node that a rule has recognised, with all its attributes."""
    return node.op


class Draft:
    """The nodes of a graph as they are so far; the graph itself stays as it is."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._nodes = {node.name: node for node in graph.nodes}
        self._same: dict[str, str] = {}
        self._before: dict[str, list[str]] = {}
        self._new: dict[str, TensorType] = {}
        self._readers: Counter[str] | None = None
        self._changed = False

    def node(self, name: str) -> Node | None:
        """A node as it is now; None if it has gone, or if ``name`` is no node."""
        node = self._nodes.get(name)
        if node is None or not self._same:
            return node
        return Node(node.name, node.op, tuple([self._resolved(value) for value in node.inputs]), node.shares)

    def source(self, node: Node, kind: type[Any], place: int = 0) -> Node | None:
        """The node that gives an input, if it is of this kind and nothing else reads it."""
        found = self._nodes.get(node.inputs[place])
        if found is None or type(found.op) is not kind or self._counts()[found.name] != 1:
            return None
        return self.node(found.name)

    def type(self, value: str) -> TensorType:
        """Type of a value."""
        return self._new.get(value) or self.graph.types[value]

    def family(self, node: Node) -> list[Node]:
        """All nodes that use the parameters of ``node``."""
        names = [other.name for other in self.graph.nodes if other.weights == node.weights]
        return [found for found in map(self.node, names) if found is not None]

    def set(self, node: Node, op: Op, *inputs: str) -> None:
        """Let a node be ``op`` of ``inputs``; what nothing reads any more goes."""
        self._counts().update(inputs)
        self._nodes[node.name] = Node(node.name, op, inputs, node.shares)
        self._changed = True
        self._release(node.inputs)

    def drop(self, node: Node) -> None:
        """Let whatever reads a node read its first input."""
        counts = self._counts()
        del self._nodes[node.name]
        self._same[node.name] = node.inputs[0]
        counts[node.inputs[0]] += counts.pop(node.name)
        self._changed = True
        self._release(node.inputs)

    def put_before(self, node: Node, op: Op, value: str, part: str) -> str:
        """A new node of ``value``, in front of ``node`` and behind others put there, and the name of what it gives."""
        name = f"{node.name}_{part}"
        while name in self.graph.types or name in self._nodes:
            name += "_"
        self._nodes[name] = Node(name, op, (value,))
        self._new[name] = op.infer(self.type(value))
        self._before.setdefault(node.name, []).append(name)
        self._counts()[value] += 1
        return name

    def infer(self, name: str) -> None:
        """Work out the type of a node anew: it, or what it reads, has become another.

        Raises:
            OpError: If its operator cannot take what it reads.
        """
        node = self.node(name)
        assert node is not None
        self._new[name] = infer_node(name, node.op, tuple([self.type(value) for value in node.inputs]))

    def finished(self) -> Graph:
        """The graph as it is now: the very same one where nothing changed."""
        if not self._changed:
            return self.graph
        names = [name for node in self.graph.nodes for name in (*self._before.get(node.name, ()), node.name)]
        nodes = tuple([node for node in map(self.node, names) if node is not None])
        outputs = tuple(map(self._resolved, self.graph.outputs))
        types = dict(self.graph.inputs) | {node.name: self.type(node.name) for node in nodes}
        return Graph(self.graph.name, self.graph.inputs, nodes, outputs).with_types(types)

    def _resolved(self, value: str) -> str:
        while value in self._same:
            value = self._same[value]
        return value

    def _counts(self) -> Counter[str]:
        if self._readers is None:
            self._readers = Counter(value for node in self.graph.nodes for value in node.inputs)
            self._readers.update(self.graph.outputs)
        return self._readers

    def _release(self, values: tuple[str, ...]) -> None:
        counts = self._counts()
        for value in values:
            counts[value] -= 1
            node = self.node(value)
            if node is not None and not counts[value]:
                del self._nodes[value]
                self._release(node.inputs)
