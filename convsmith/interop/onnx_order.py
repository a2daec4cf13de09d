"""Which nodes of an ONNX file run, and in which order; what cannot run is refused by name and place."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from onnx import AttributeProto, GraphProto, NodeProto

from convsmith.errors import ModelError
from convsmith.interop.onnx_call import readable

_INNER: Final = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def kind_of(node: NodeProto) -> str:
    """The operator of a node, with its domain where that is not ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def name_of(node: NodeProto) -> str:
    """A node's name, or else that of its first result, made readable."""
    return readable(node.name) or next(filter(None, map(readable, node.output)), "") or node.op_type or "node"


def node_error(model: str, node: NodeProto, rule: str) -> ModelError:
    """What is wrong with a node of ``model``."""
    return ModelError(rule, where=f"{model}: {kind_of(node)} {name_of(node)}")


def running_order(file: GraphProto, known: Collection[str], model: str) -> list[NodeProto]:
    """The nodes that the results need, in the order of the file as far as their inputs allow it.

    Args:
        file: The graph of the file.
        known: Names of inputs and stored tensors.
        model: Name of the model, for errors.

    Raises:
        ModelError: If a node holds graphs of its own (If, Loop, Scan), reads what nothing gives, gives what is there
            already, or waits for itself.
    """
    giver = _givers(file.node, known, model)
    needed = dict[int, set[int]]()
    waiting = [giver[info.name] for info in file.output if info.name in giver]
    while waiting:
        place = waiting.pop()
        if place not in needed:
            needed[place] = _sources(file.node[place], giver, known, model)
            waiting += needed[place]
    order = _sorted(needed)
    if len(order) < len(needed):
        node = file.node[min(set(needed) - set(order))]
        raise node_error(model, node, "waits for its own result")
    return [file.node[place] for place in order]


def _givers(nodes: Iterable[NodeProto], known: Collection[str], model: str) -> dict[str, int]:
    giver: dict[str, int] = {}
    for place, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in giver or name in known:
                raise node_error(model, node, f"gives a tensor that is there already, {name!r}")
            giver[name] = place
    return giver


def _sources(node: NodeProto, giver: Mapping[str, int], known: Collection[str], model: str) -> set[int]:
    """The nodes that a node reads from."""
    if any(attribute.type in _INNER for attribute in node.attribute):
        raise node_error(model, node, "decides or repeats while it runs, and cannot be read as one network")
    for name in filter(None, node.input):
        if name not in giver and name not in known:
            raise node_error(model, node, f"reads a tensor that nothing gives, {name!r}")
    return {giver[name] for name in node.input if name in giver}


def _sorted(needed: Mapping[int, set[int]]) -> list[int]:
    """Every node that does not wait for itself, after those it reads from, the first of the file first."""
    readers: dict[int, list[int]] = {place: [] for place in needed}
    for place, sources in needed.items():
        for source in sources:
            readers[source].append(place)
    missing = {place: len(sources) for place, sources in needed.items()}
    ready = sorted(place for place, count in missing.items() if not count)
    order = list[int]()
    while ready:
        place = heapq.heappop(ready)
        order.append(place)
        for reader in readers[place]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    return order
