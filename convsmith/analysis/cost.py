"""The exact cost of a network: one row per operator, each total a sum over the rows.

Counts are for the batch in the graph's input types (one image, unless changed) and for a network in use: no dropout,
normalisation with stored statistics. ``macs`` follows the field's convention: multiply-adds of convolutions, linear
layers and attention, zeros of the padding included, bias, normalisation and pooling left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from convsmith.analysis.facts import Facts, facts_by_node
from convsmith.ir import Graph, Node, Shape, Terms


@dataclass(frozen=True)
class LayerCost:
    """What one node costs.

    Attributes:
        params: Learned parameters stored under this node; zero where they are another node's.
        activations: See ``Facts``.
    """

    name: str
    op: str
    inputs: tuple[Shape, ...]
    output: Shape
    params: int
    terms: Terms
    activations: int

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.terms.macs

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "op": self.op,
            "inputs": [list(shape) for shape in self.inputs],
            "output": list(self.output),
            "params": self.params,
            "macs": self.macs,
            "terms": self.terms.to_dict(),
        }


@dataclass(frozen=True)
class Cost:
    """The ledger of a network.

    Attributes:
        facts: What each node of the graph costs, in order.
    """

    graph: Graph
    facts: tuple[Facts, ...]

    @cached_property
    def layers(self) -> tuple[LayerCost, ...]:
        """A row for every node."""
        return tuple(map(_layer, self.graph.nodes, self.facts))

    @cached_property
    def terms(self) -> Terms:
        """All terms, summed over the layers."""
        return reduce(Terms.__add__, (each.terms for each in self.facts), Terms())

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole network."""
        return sum([each.terms.macs for each in self.facts])

    @property
    def params(self) -> int:
        """Learned parameters of the whole network, shared ones once."""
        return sum([each.params for node, each in zip(self.graph.nodes, self.facts, strict=True) if not node.shares])

    def totals(self) -> dict[str, int]:
        """The totals by the names of the ``inspect`` contract; those in bytes are in ``Memory``."""
        return {
            "params": self.params,
            "macs": self.macs,
            "activations": sum([each.activations for each in self.facts]),
        }


def cost(graph: Graph) -> Cost:
    """The exact cost of ``graph``, layer by layer.

    Raises:
        OpError: If the network does not fit its input types.
    """
    return Cost(graph, tuple(facts_by_node(graph).values()))


def _layer(node: Node, facts: Facts) -> LayerCost:
    return LayerCost(
        name=node.name,
        op=type(node.op).__name__,
        inputs=facts.inputs,
        output=facts.output,
        params=0 if node.shares else facts.params,
        terms=facts.terms,
        activations=facts.activations,
    )
