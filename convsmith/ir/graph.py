"""Node and Graph: an immutable list of operators in an order in which they can run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from convsmith.errors import GraphError, OpError
from convsmith.ir.op import Op, Shape
from convsmith.ir.types import TensorType


@dataclass(frozen=True)
class Node:
    """One use of an operator. Its name is also the name of the value it produces.

    Attributes:
        name: Unique in the graph; dots follow the structure: ``stage2.block1.expand.conv``.
        op: The operator.
        inputs: Names of the values it reads.
        shares: Name of an earlier node whose parameters this one uses, or empty.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    shares: str = ""

    @property
    def weights(self) -> str:
        """Name under which the parameters are stored."""
        return self.shares or self.name


@dataclass(frozen=True)
class Graph:
    """A network: named inputs, nodes in running order, and the values it returns.

    Raises:
        GraphError: If a name is used twice, something reads a value that no earlier node produces, or a node shares
            the parameters of anything but an earlier node that has its own.
    """

    name: str
    inputs: tuple[tuple[str, TensorType], ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        known = set[str]()
        for name, _ in self.inputs:
            self._check_unused(name, known)
            known.add(name)
        own = set[str]()
        for node in self.nodes:
            self._check_unused(node.name, known)
            for value in node.inputs:
                if value not in known:
                    rule = f"node {node.name!r} reads a value that nothing before it gives"
                    raise GraphError(rule, received=value, where=self.name)
            if node.shares and node.shares not in own:
                rule = f"node {node.name!r} must share with an earlier node that has its own parameters"
                raise GraphError(rule, received=node.shares, where=self.name)
            known.add(node.name)
            if not node.shares:
                own.add(node.name)
        for value in self.outputs:
            if value not in known:
                raise GraphError("an output must be the value of a node", received=value, where=self.name)

    def _check_unused(self, name: str, known: set[str]) -> None:
        if name in known:
            raise GraphError("names must be unique", received=name, where=self.name)

    @cached_property
    def types(self) -> Mapping[str, TensorType]:
        """Type of every value.

        Raises:
            OpError: If an operator cannot take its inputs; the message names the node and the shapes.
        """
        types = dict(self.inputs)
        for node in self.nodes:
            types[node.name] = infer_node(node.name, node.op, tuple(types[value] for value in node.inputs))
        return types

    def with_types(self, types: Mapping[str, TensorType]) -> Graph:
        """This graph, whose types are known already."""
        vars(self)["types"] = types  # where the cached property looks
        return self

    def input_types(self, node: Node) -> tuple[TensorType, ...]:
        """Types of what ``node`` reads."""
        return tuple(self.types[value] for value in node.inputs)

    @cached_property
    def param_shapes(self) -> Mapping[str, Shape]:
        """Shape of every learned parameter by its full name, shared ones once."""
        return self._by_full_name(lambda op, types: op.param_shapes(*types))

    @cached_property
    def stored_shapes(self) -> Mapping[str, Shape]:
        """Shape of every array that the network keeps, its parameters among them, by its full name."""
        return self._by_full_name(lambda op, types: op.stored_shapes(*types))

    def _by_full_name(self, shapes: Callable[[Op, tuple[TensorType, ...]], Mapping[str, Shape]]) -> dict[str, Shape]:
        return {
            f"{node.name}.{name}": shape
            for node in self.nodes
            if not node.shares
            for name, shape in shapes(node.op, self.input_types(node)).items()
        }

    @cached_property
    def last_uses(self) -> Mapping[str, frozenset[str]]:
        """For each node, the values that nobody reads after it: what may be released once it has run."""
        needed = set(self.outputs)
        dead: dict[str, frozenset[str]] = {}
        for node in reversed(self.nodes):
            gone = [value for value in (*node.inputs, node.name) if value not in needed]
            dead[node.name] = frozenset(gone)
            needed.update(gone)
        return dict(reversed(dead.items()))

    def node(self, name: str) -> Node:
        """The node called ``name``.

        Raises:
            GraphError: If there is none.
        """
        found = self._by_name.get(name)
        if found is None:
            raise GraphError("no node has this name", received=name, where=self.name)
        return found

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def with_inputs(self, *types: TensorType) -> Graph:
        """The same network on inputs of other types."""
        renewed = tuple((name, type) for (name, _), type in zip(self.inputs, types, strict=True))
        return Graph(self.name, renewed, self.nodes, self.outputs)

    def _repr_html_(self) -> str:
        """How a notebook shows it: its inspection, from a layer above that is looked up when a notebook asks."""
        return importlib.import_module("convsmith.jobs.notebook").html_of(self)


def infer_node(name: str, op: Op, types: tuple[TensorType, ...]) -> TensorType:
    """Type of a node's output, with the node and its shapes named in any error.

    Raises:
        OpError: If the operator cannot take these inputs.
    """
    try:
        return _inferred(op, types)
    except OpError as error:
        shapes = " and ".join(str(list(type.shape)) for type in types)
        raise OpError(f"{error} on input {shapes}", where=name) from error


@lru_cache(maxsize=2**14)
def _inferred(op: Op, types: tuple[TensorType, ...]) -> TensorType:
    """Asked once of equal operators on equal inputs, as the blocks of a network repeat."""
    return op.infer(*types)
