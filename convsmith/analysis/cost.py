"""The exact cost of a network: one row per operator, each total a sum over the rows.

Counts are for the batch in the graph's input types (one image, unless changed) and for a network in use: no dropout,
normalisation with stored statistics. ``macs`` follows the field's convention: multiply-adds of convolutions, linear
layers and attention, zeros of the padding included, bias, normalisation and pooling left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from convsmith.analysis.facts import asked, facts
from convsmith.ir import Graph, Node, Shape, Terms


@dataclass(frozen=True)
class LayerCost:
    """What one node costs.

    Attributes:
        params: Learned parameters stored under this node; zero where they are another node's.
        activations: Elements of the output of a layer with taps, zero elsewhere (as pycls counts them).
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
    """The ledger of a network."""

    graph: Graph
    layers: tuple[LayerCost, ...]

    @cached_property
    def terms(self) -> Terms:
        """All terms, summed over the layers."""
        return reduce(Terms.__add__, (layer.terms for layer in self.layers), Terms())

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole network."""
        return self.terms.macs

    @property
    def params(self) -> int:
        """Learned parameters of the whole network, shared ones once."""
        return sum(layer.params for layer in self.layers)

    def totals(self) -> dict[str, int]:
        """The totals by the names of the ``inspect`` contract; those in bytes are in ``Memory``."""
        return {
            "params": self.params,
            "macs": self.macs,
            "activations": sum(layer.activations for layer in self.layers),
        }


def cost(graph: Graph) -> Cost:
    """The exact cost of ``graph``, layer by layer.

    Raises:
        OpError: If the network does not fit its input types.
    """
    return Cost(graph, tuple(_layer(graph, node) for node in graph.nodes))


def _layer(graph: Graph, node: Node) -> LayerCost:
    answers = facts(*asked(graph, node))
    return LayerCost(
        name=node.name,
        op=type(node.op).__name__,
        inputs=answers.inputs,
        output=answers.output,
        params=0 if node.shares else answers.params,
        terms=answers.terms,
        activations=math.prod(answers.output) if answers.terms.taps else 0,
    )
