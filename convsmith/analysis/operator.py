"""Y = CX: a linear layer, or a stretch of them, as one sparse matrix on the flattened input.

The matrix proves what the rest of this package counts: its non-zeros are the multiply-adds on real pixels, the columns
of a row are the receptive field of that unit, and an empty column is a pixel that is never read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from convsmith.analysis.facts import asked, facts, real_taps, windows
from convsmith.errors import GraphError
from convsmith.ir import Graph, Node

LARGEST = 50_000_000
"""Non-zeros above which no matrix is built, unless asked for: about 0.8 GB."""


def operator(graph: Graph, first: str, last: str, weights: Mapping[str, Any], *, largest: int = LARGEST) -> Any:
    """The matrix from the input of node ``first`` to the output of node ``last``, biases left out.

    Args:
        graph: The network.
        first: Name of a node.
        last: Name of the same node or of one that follows it, in a chain of linear layers.
        weights: Arrays by their full names, as in a ``state_dict``; statistics of normalisations too.
        largest: Most non-zeros that the matrix may have.

    Returns:
        A ``scipy.sparse`` CSR array of shape (outputs, inputs), batch included.

    Raises:
        GraphError: If a node between them is not linear or reads several values, ``last`` does not follow ``first``,
            weights are missing, or the matrix would be too large.
    """
    nodes = _chain(graph, graph.node(first), graph.node(last))
    entries = _estimate(graph, nodes)
    if entries > largest:
        rule = f"the matrix must have at most {largest:,} non-zeros"
        remedy = "take fewer nodes or a smaller input"
        raise GraphError(rule, received=entries, where=f"{first} to {last}", remedy=remedy)
    result = _matrix(graph, nodes[0], weights)
    for node in nodes[1:]:
        result = _matrix(graph, node, weights) @ result
    return result


def _chain(graph: Graph, first: Node, last: Node) -> list[Node]:
    """The nodes from ``first`` to ``last``."""
    nodes = [last]
    while nodes[-1] is not first:
        node = nodes[-1]
        if len(node.inputs) != 1:
            raise GraphError("a stretch must not join branches", received=type(node.op).__name__, where=node.name)
        if node.inputs[0] in dict(graph.inputs):
            raise GraphError("the stretch must lead to its last node", received=first.name, where=last.name)
        nodes.append(graph.node(node.inputs[0]))
    return nodes[::-1]


def _matrix(graph: Graph, node: Node, weights: Mapping[str, Any]) -> Any:
    prefix = f"{node.weights}."
    own = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
    try:
        matrix = node.op.matrix(graph.types[node.inputs[0]], own) if len(node.inputs) == 1 else None
    except KeyError as error:
        raise GraphError("weights must be given", received=error.args[0], where=node.name) from error
    if matrix is None:
        raise GraphError(
            "must be linear in one input to have a matrix", received=type(node.op).__name__, where=node.name
        )
    return matrix


def _estimate(graph: Graph, nodes: list[Node]) -> int:
    """Non-zeros to expect: in every row of a product, those of the factors' rows multiplied, or all columns."""
    columns, per_row = graph.types[nodes[0].inputs[0]].numel if nodes[0].inputs else 0, 1
    for node in nodes:
        rows = graph.types[node.name].numel
        per_row = min(columns, math.ceil(per_row * connections(graph, node) / rows))
    return graph.types[nodes[-1].name].numel * per_row


def connections(graph: Graph, node: Node) -> int:
    """Pairs of an output and an input it reads, in one layer: the non-zeros of its matrix, where it has one."""
    question = asked(graph, node)
    source, output = question[1][0], question[2]
    slid = windows(*question)
    if facts(*question).terms.taps:
        return real_taps(*question)
    if slid is None:
        return max(source.numel, output.numel)
    met = math.prod(window.real_taps(size) for window, size in zip(slid, source.shape[-2:], strict=True))
    return math.prod(output.shape[:-2]) * met
