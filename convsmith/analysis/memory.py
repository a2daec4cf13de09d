"""What a network needs of memory: held, moved, and kept for a backward pass.

All figures are bytes for the batch in the graph's input types. Parameters are float32; values have the element size of
their types.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from convsmith.analysis.facts import ELEMENTWISE, WEIGHT_BYTES, Facts, asked, facts_by_node, reads
from convsmith.ir import Graph, Node, Op, Terms

Optimizer = Literal["sgd", "adam"]
OPTIMIZER_STATES: dict[Optimizer, int] = {"sgd": 1, "adam": 2}
"""Numbers that an optimiser keeps per parameter: the momentum; the first and the second moment."""


@dataclass(frozen=True)
class Traffic:
    """What a layer moves and computes, with the steps behind it that can be done on the way.

    Attributes:
        fused: Names of the normalisations, activations and views that are part of it.
        bytes: What it reads (inputs and parameters) and writes (its last output).
        flops: Two per multiply-add, one per element of all other terms.
    """

    name: str
    fused: tuple[str, ...]
    bytes: int
    flops: int

    @property
    def intensity(self) -> float:
        """FLOP per byte."""
        return self.flops / self.bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "fused": list(self.fused), "intensity": self.intensity}


@dataclass(frozen=True)
class Memory:
    """Memory of a network in use.

    Attributes:
        weight_bytes: All learned parameters, shared ones once.
        feature_bytes: Input and every value that is made anew, all held at once: activations work in place, and
            views hold nothing (the convention of Albanie's convnet-burden).
        peak_activation_bytes: Most bytes of values alive at once when each is released after its last use.
        layers: Traffic where normalisations with stored statistics are folded into the layer before them, and
            activations are applied on the way out, wherever nothing else reads what they read.
    """

    weight_bytes: int
    feature_bytes: int
    peak_activation_bytes: int
    layers: tuple[Traffic, ...]

    @cached_property
    def bytes_of(self) -> Counter[str]:
        """Bytes that each node moves; 0 for constants and for what is done on another's way out."""
        return Counter({layer.name: layer.bytes for layer in self.layers})

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written by all layers."""
        return sum(layer.bytes for layer in self.layers)

    @property
    def intensity(self) -> float:
        """FLOP per byte of the whole network."""
        return sum(layer.flops for layer in self.layers) / max(1, self.bytes_moved)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "weight_bytes": self.weight_bytes,
            "feature_bytes": self.feature_bytes,
            "peak_activation_bytes": self.peak_activation_bytes,
            "bytes_moved": self.bytes_moved,
            "intensity": self.intensity,
            "layers": [layer.to_dict() for layer in self.layers],
        }


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training step needs, each kind apart.

    Attributes:
        activations: Values kept for the backward pass.
        optimizer: State of the optimiser.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations

    def under(self, optimizer: Optimizer) -> TrainingMemory:
        """The same step by another optimiser."""
        return replace(self, optimizer=self.weights * OPTIMIZER_STATES[optimizer])

    def to_dict(self) -> dict[str, int]:
        """Plain values for JSON."""
        return {**vars(self), "total": self.total}


def memory(graph: Graph) -> Memory:
    """The memory that ``graph`` needs in use.

    Raises:
        OpError: If the network does not fit its input types.
    """
    known = facts_by_node(graph)
    made = [name for name, _ in graph.inputs]
    steps = [node for node in graph.nodes if node.inputs]
    made += [node.name for node in steps if not (_is_activation(known[node.name]) or _is_view(known[node.name]))]
    return Memory(
        weight_bytes=_weight_bytes(graph, known),
        feature_bytes=sum(graph.types[value].nbytes for value in made),
        peak_activation_bytes=peak_activation_bytes(graph),
        layers=_traffic(graph, known),
    )


def training_memory(graph: Graph, *, batch: int = 1, optimizer: Optimizer = "sgd") -> TrainingMemory:
    """An estimate of what a training step of ``graph`` needs, ``batch`` times the images in its input types.

    Kept for the backward pass, as torch does it: what convolutions, linear layers, normalisations, pooling windows
    and products read, what ReLU, sigmoid and tanh give, what the other activations read (``Op.keeps``); each value
    once, however many need it. Views, concatenations and interpolations keep nothing. Weights, gradients and
    optimiser are float32. Left out: statistics of normalisations, indices of max pooling, what the other reductions
    give, dropout masks, padded copies, the steps within an operator, work space of the kernels, and gradients of
    values while they pass.

    Raises:
        OpError: If the network does not fit its input types.
    """
    known = facts_by_node(graph)
    weights = _weight_bytes(graph, known)
    constants = {node.name for node in graph.nodes if not node.inputs}
    kept = {value for node in graph.nodes for value in _kept(node, known[node.name])} - constants
    activations = batch * sum(graph.types[value].nbytes for value in kept)
    return TrainingMemory(weights, weights, 0, activations).under(optimizer)


def peak_activation_bytes(graph: Graph) -> int:
    """Most bytes of values alive at once when each is released after its last use."""
    sizes = {value: type.nbytes for value, type in graph.types.items()}
    sizes.update({node.name: 0 for node in graph.nodes if not node.inputs})  # constants are weights
    alive = peak = sum(sizes[name] for name, _ in graph.inputs)
    for node in graph.nodes:
        alive += sizes[node.name]
        peak = max(peak, alive)
        alive -= sum(sizes[value] for value in graph.last_uses[node.name])
    return peak


def _weight_bytes(graph: Graph, known: Mapping[str, Facts]) -> int:
    return WEIGHT_BYTES * sum([known[node.name].params for node in graph.nodes if not node.shares])


def _traffic(graph: Graph, known: Mapping[str, Facts]) -> tuple[Traffic, ...]:
    """One row for each group of steps that can run as one: the first of them, then those that cost no traffic."""
    readers = Counter(value for node in graph.nodes for value in node.inputs)
    readers.update(graph.outputs)
    groups: dict[str, list[Node]] = {}  # by the value that the group gives
    for node in graph.nodes:
        if not node.inputs:
            continue
        alone = len(node.inputs) == 1 and readers[node.inputs[0]] == 1 and node.inputs[0] in groups
        if alone and _costs_no_traffic(graph, node, known[node.name]):
            groups[node.name] = [*groups.pop(node.inputs[0]), node]
        else:
            groups[node.name] = [node]
    return tuple([_group(graph, nodes, [known[node.name] for node in nodes]) for nodes in groups.values()])


def _group(graph: Graph, nodes: list[Node], answers: list[Facts]) -> Traffic:
    first = answers[0]
    params = first.params
    for fused in answers[1:]:
        if fused.terms.norm and first.terms.taps:  # folded: its shift is all that is left, and becomes the bias
            params += 0 if first.terms.bias else first.output[1]
        else:
            params += fused.params
    read = sum([type.nbytes for type in graph.input_types(nodes[0])])
    moved = read + params * WEIGHT_BYTES + graph.types[nodes[-1].name].nbytes
    return Traffic(
        nodes[0].name, tuple([node.name for node in nodes[1:]]), moved, sum([_flops(each.terms) for each in answers])
    )


def _flops(terms: Terms) -> int:
    return 2 * terms.macs + terms.bias + terms.norm + terms.activation + terms.pool + terms.add + terms.resize


def _costs_no_traffic(graph: Graph, node: Node, known: Facts) -> bool:
    if _is_view(known):
        return True
    # Normalisations that are not linear must see the whole input first.
    folds = known.terms.norm > 0 and _is_linear(node.op)
    return (folds or _is_activation(known)) and reads(*asked(graph, node)) is ELEMENTWISE


def _is_linear(op: Op) -> bool:
    return type(op).matrix is not Op.matrix


def _is_activation(known: Facts) -> bool:
    return known.only == "activation"


def _is_view(known: Facts) -> bool:
    """Whether a node hands its input on, perhaps in another shape, and does nothing to it."""
    return known.only == "" and len(known.inputs) == 1 and math.prod(known.output) == math.prod(known.inputs[0])


def _kept(node: Node, known: Facts) -> tuple[str, ...]:
    """The values that the gradient of a node needs."""
    kept = node.op.keeps()
    if kept == "nothing" or known.only in ("", "resize"):
        return ()
    return (node.name,) if kept == "output" else node.inputs
