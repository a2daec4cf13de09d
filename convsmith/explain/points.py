"""Where to look into a network: the value of every layer with weights, and of every place where branches meet.

A layer's value is taken behind its normalisation and activation, as the next layer reads it. Squeeze-and-excitation
and other branches without a map are left out; what follows the last map is looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from convsmith.analysis import ReceptiveField, cost, receptive_fields, sections
from convsmith.analysis.facts import ELEMENTWISE, asked, facts, reads
from convsmith.errors import ModelError, did_you_mean
from convsmith.ir import Graph, Node

_NO_CHANGE: Final = ("taps", "attention", "pool", "add", "resize")


@dataclass(frozen=True)
class Point:
    """A place at which a network is looked at.

    Attributes:
        name: The value taken.
        layer: The node that the value comes from, before normalisation and activation.
        kind: ``layer`` with weights of its own, or ``join`` of branches.
        section: Name of the section it lies in: ``stem``, ``stage1``, ..., ``head``.
        section_kind: ``stem``, ``stage``, ``lanes`` or ``head``.
        shape: Of the value for one image: (C, H, W), or (C,) behind the last map.
        macs: Multiply-adds of the layer; 0 for a join.
    """

    name: str
    layer: str
    kind: Literal["layer", "join"]
    section: str
    section_kind: str
    shape: tuple[int, ...]
    macs: int

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.shape[0]

    @property
    def is_map(self) -> bool:
        """Whether the value has places, not only channels."""
        return len(self.shape) == 3

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"name": self.name, "layer": self.layer, "kind": self.kind, "section": self.section,
                "shape": list(self.shape), "macs": self.macs}  # fmt: skip


def points(graph: Graph) -> tuple[Point, ...]:
    """All points of a network, in running order."""
    fields, ledger = receptive_fields(graph), cost(graph)
    section = {name: part for part in sections(ledger, fields) for name in part.layers}
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for value in node.inputs:
            readers.setdefault(value, []).append(node)
    local = [number for number, node in enumerate(graph.nodes) if _is_local(node.name, fields)]
    last_map = local[-1] if local else -1
    found: dict[str, Point] = {}
    for number, (node, row) in enumerate(zip(graph.nodes, ledger.layers, strict=True)):
        kind = _kind(graph, node, fields)
        if kind is None or not (_is_local(node.name, fields) or number > last_map):
            continue
        name = _behind(graph, node, readers)
        shape = graph.types[name].shape[1:]
        if len(shape) in (1, 3):
            part = section[node.name]
            found[name] = Point(name, node.name, kind, part.name, part.kind, shape, row.macs)
    return tuple(found.values())


def last_maps(found: Sequence[Point]) -> dict[str, Point]:
    """The last map of every section that has one, by the section's name."""
    return {point.section: point for point in found if point.is_map}


def find_point(graph: Graph, found: Sequence[Point], name: str) -> Point:
    """The point that a person means by ``name``: a point or its layer, any other value, or the last point of a part.

    Raises:
        ModelError: If there is none, with the nearest right spelling.
    """
    for point in found:
        if name in (point.name, point.layer):
            return point
    within = [point for point in found if f"{point.name}.".startswith(f"{name}.")]
    if within:
        return within[-1]
    known = [node.name for node in graph.nodes]
    if name not in known:
        parts = dict.fromkeys([*known, *(point.section for point in found)])
        remedy = did_you_mean(name, parts, "`convsmith inspect MODEL --layers` lists them")
        raise ModelError("no layer has this name", received=name, where=graph.name, remedy=remedy)
    shape = graph.types[name].shape[1:]
    part = next(part for part in sections(cost(graph)) if name in part.layers)
    return Point(name, name, "layer", part.name, part.kind, shape, 0)


def find_map(graph: Graph, found: Sequence[Point], name: str) -> Point:
    """The same, where only a map will do.

    Raises:
        ModelError: If there is none, or what has the name is no map.
    """
    point = find_point(graph, found, name)
    if not point.is_map:
        rule = "a layer that gives a map of channels, height and width is wanted"
        raise ModelError(rule, received=name, where=graph.name, remedy=f"take one before {point.section}")
    return point


def _is_local(name: str, fields: Mapping[str, ReceptiveField]) -> bool:
    return name in fields and fields[name].local


def _kind(graph: Graph, node: Node, fields: Mapping[str, ReceptiveField]) -> Literal["layer", "join"] | None:
    answers = facts(*asked(graph, node))
    if answers.terms.taps and answers.params:
        return "layer"
    joined = len(set(node.inputs)) > 1 and not answers.terms.macs
    alike = len({graph.types[value].shape[2:] for value in node.inputs}) == 1
    return "join" if joined and alike and all(_is_local(value, fields) for value in node.inputs) else None


def _behind(graph: Graph, node: Node, readers: Mapping[str, Sequence[Node]]) -> str:
    """The value behind the normalisation and activation of a node."""
    while node.name not in graph.outputs and len(next_ones := readers.get(node.name, ())) == 1:
        after = next_ones[0]
        work = facts(*asked(graph, after)).terms.to_dict()
        stays = work["norm"] or work["activation"] or reads(*asked(graph, after)) is ELEMENTWISE
        alike = graph.types[after.name].shape == graph.types[node.name].shape
        if len(after.inputs) > 1 or not alike or not stays or any(work[term] for term in _NO_CHANGE):
            break
        node = after
    return node.name
