"""Stem, stages and head of a network, as consecutive runs of its layers.

A design says where its sections are: its nodes are named after them. In any other network the stem is what comes
before the first block, which is where the map first forks, or the first depthwise or grouped convolution; a network
without either has its first layer for a stem. Stages are the levels of constant jump after it, and the head is what
follows the last map. A stretch of several resolutions at once is a section of kind ``lanes``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from convsmith.analysis.cost import Cost, LayerCost
from convsmith.analysis.levels import Jump, Level, Step, has_taps, modules, split, trunk
from convsmith.analysis.receptive import ReceptiveField, json_number, receptive_fields
from convsmith.ir import Graph, Node

_OWN_NAME = re.compile(r"stem|stage\d+|head")


@dataclass(frozen=True)
class Section:
    """A run of layers that belong together.

    Attributes:
        kind: ``stem``, ``stage``, ``lanes`` or ``head``.
        first: Name of its first layer.
        last: Name of its last layer.
        jump: Input pixels between neighbouring units of its last map, along (height, width).
        layers: Names of all its layers, in running order.
    """

    name: str
    kind: str
    first: str
    last: str
    params: int
    macs: int
    jump: Jump
    layers: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The ``sections`` of the ``inspect --json`` contract."""
        facts = {key: value for key, value in vars(self).items() if key != "layers"}
        return {**facts, "jump": [json_number(jump) for jump in self.jump]}


def _own_section(layer: LayerCost) -> str:
    """Name of the section that a layer of a design belongs to: the first part of its name."""
    return layer.name.split(".", 1)[0]


def sections(cost: Cost, fields: Mapping[str, ReceptiveField] | None = None) -> tuple[Section, ...]:
    """The sections in running order; every layer is in one of them.

    Args:
        cost: The ledger of the network.
        fields: Its receptive fields, where they are known already.
    """
    fields = receptive_fields(cost.graph) if fields is None else fields
    if all(_OWN_NAME.fullmatch(_own_section(layer)) for layer in cost.layers):
        named = ((name, tuple(layers)) for name, layers in groupby(cost.layers, _own_section))
        return tuple(_section(name, layers, fields) for name, layers in named)
    return tuple(_section(name, layers, fields) for name, layers in _found(cost, fields))


def _section(name: str, layers: tuple[LayerCost, ...], fields: Mapping[str, ReceptiveField]) -> Section:
    seen = [fields[layer.name] for layer in layers if layer.name in fields]
    last = next((field for field in reversed(seen) if field.local), seen[-1] if seen else None)
    return Section(
        name=name,
        kind=name.rstrip("0123456789"),
        first=layers[0].name,
        last=layers[-1].name,
        params=sum(layer.params for layer in layers),
        macs=sum(layer.macs for layer in layers),
        jump=last.jump if last else (1, 1),
        layers=tuple(layer.name for layer in layers),
    )


def _found(cost: Cost, fields: Mapping[str, ReceptiveField]) -> Iterator[tuple[str, tuple[LayerCost, ...]]]:
    """Name and layers of each section of a network that does not name them."""
    graph = cost.graph
    steps = trunk(graph, fields)
    levels = split(graph, steps)
    stem, head = _stem_stop(graph, steps), _head_start(graph, levels, fields)
    starts, counts = {0: "stem", head: "head"}, {"stage": 0, "lanes": 0}
    for level, stop in zip(levels, [*(level.start for level in levels[1:]), head], strict=False):
        start = max(level.start, stem)
        if start < min(stop, head):
            kind = "lanes" if level.lanes else "stage"
            counts[kind] += 1
            starts[start] = f"{kind}{counts[kind]}"
    for start, stop in pairwise([*sorted(starts), len(cost.layers)]):
        if start < stop:
            yield starts[start], cost.layers[start:stop]


def _head_start(graph: Graph, levels: Sequence[Level], fields: Mapping[str, ReceptiveField]) -> int:
    """Number of the first node of the head: from there on no value has more than one position.

    A last level without weights belongs to the head: VGG's last pooling.
    """
    nodes = graph.nodes
    start, stop = (levels[-1].start, levels[-1].stop) if levels else (0, 0)
    for number in range(len(nodes), stop, -1):
        if nodes[number - 1].name in fields and _has_places(graph, nodes[number - 1]):
            return number
    last_has_weights = any(has_taps(graph, node) for node in nodes[start:stop])
    return stop if last_has_weights or stop == len(nodes) else start


def _has_places(graph: Graph, node: Node) -> bool:
    """Whether a value has units in more than one place: a map, or a row of tokens."""
    return sum(size > 1 for size in graph.types[node.name].shape[1:]) > 1


def _stem_stop(graph: Graph, steps: Sequence[Step]) -> int:
    """Number of the first node after the stem, which has layers with weights or is empty."""
    stop = _first_block(graph, steps)
    nodes = graph.nodes
    if stop < len(nodes):
        for first, _ in modules(graph, stop):
            if first <= stop and any(has_taps(graph, node) for node in nodes[:first]):
                return first
    return stop if any(has_taps(graph, node) for node in nodes[:stop]) else 0


def _first_block(graph: Graph, steps: Sequence[Step]) -> int:
    """Number of the node at which the first block begins."""
    stop, weighted = 0, list[int]()
    for step in steps:
        node = graph.nodes[step.number]
        grouped = getattr(node.op, "groups", 1) > 1 and has_taps(graph, node)
        if grouped or not step.single:
            return stop
        if has_taps(graph, node):
            weighted.append(stop)
        stop = step.number + 1
    return weighted[1] if len(weighted) > 1 else stop
