"""Whether two graphs are one network under other names."""

from __future__ import annotations

from collections.abc import Mapping

from convsmith.ir import Graph
from convsmith.rewrites.work import Array


def renaming(graph: Graph, other: Graph) -> dict[str, str] | None:
    """The name in ``other`` of every node of ``graph``, if both do the same in the same order; None if they do not."""
    if len(graph.nodes) != len(other.nodes) or [type for _, type in graph.inputs] != [type for _, type in other.inputs]:
        return None
    names = {name: there for (name, _), (there, _) in zip(graph.inputs, other.inputs, strict=True)}
    for node, there in zip(graph.nodes, other.nodes, strict=True):
        same = node.op == there.op and tuple(names[value] for value in node.inputs) == there.inputs
        if not same or names.get(node.shares, "") != there.shares:
            return None
        names[node.name] = there.name
    return names if tuple(names[value] for value in graph.outputs) == other.outputs else None


def renamed(weights: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, Array]:
    """Weights by the new names of their nodes."""
    split = ((name.rpartition("."), array) for name, array in weights.items())
    return {f"{names[node]}.{parameter}": array for (node, _, parameter), array in split}
