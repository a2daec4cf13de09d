"""What every rule works on: a network with its weights, changed place by place, and an account of each place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsmith.interop.draft import Draft
from convsmith.ir import Graph, Node

Array = NDArray[Any]


class Work:
    """A network that a rule is rewriting.

    Args:
        graph: The network.
        weights: All that it stores, by full name; those of new layers may stay unknown.

    Attributes:
        draft: Its nodes as they are so far.
        changed: Names of the places where the rule did something.
        left: Places where it might have, by name, with the reason why it did not.
        numbers: Whether all that was done keeps the numbers.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, Array]) -> None:
        self.draft = Draft(graph)
        self.changed: list[str] = []
        self.left: dict[str, str] = {}
        self.numbers = True
        self._weights: dict[str, dict[str, Array]] = {}
        for name, array in weights.items():
            node, _, parameter = name.rpartition(".")
            self._weights.setdefault(node, {})[parameter] = array

    @property
    def nodes(self) -> list[Node]:
        """The nodes of the network as it was that are still there, as they are now."""
        return [node for node in map(self.draft.node, [node.name for node in self.draft.graph.nodes]) if node]

    def weights_of(self, node: Node) -> dict[str, Array]:
        """The arrays that a node has of its own, in float64 where they are fractions."""
        return {name: _precise(array) for name, array in self._weights.get(node.name, {}).items()}

    def store(self, name: str, arrays: Mapping[str, Array] | None = None) -> None:
        """Let a node have these arrays; without them they are drawn afresh."""
        self._weights.pop(name, None)
        if arrays:
            self._weights[name] = dict(arrays)

    def alone(self, node: Node) -> bool:
        """Whether no other node uses the weights of ``node``."""
        return len(self.draft.family(node)) == 1

    def done(self, name: str, *, numbers: bool) -> None:
        """Note that a place was rewritten, and whether that keeps the numbers."""
        self.changed.append(name)
        self.numbers &= numbers

    def leave(self, name: str, reason: str) -> None:
        """Note why a place was not."""
        self.left[name] = reason

    def readers(self, value: str) -> list[Node]:
        """The nodes that read a value, as they are now."""
        return [node for node in self.nodes if value in node.inputs]

    def only_reader(self, value: str) -> Node | None:
        """The one node that reads a value; None where several do, or it is a result of the network."""
        readers = self.readers(value)
        ends = value in self.draft.graph.outputs
        return readers[0] if len(readers) == 1 and not ends and readers[0].inputs.count(value) == 1 else None

    def finished(self) -> tuple[Graph, dict[str, Array]]:
        """The network as it is now, with the weights that it has; those of new layers may be missing."""
        graph = self.draft.finished()
        stored = graph.stored_shapes
        weights = {f"{node}.{name}": array for node, own in self._weights.items() for name, array in own.items()}
        return graph, {name: array for name, array in weights.items() if name in stored}


def _precise(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array
