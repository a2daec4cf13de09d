"""Building a graph from the steps of another format, with maps kept as (batch, channels, height, width).

Other formats move the channels to the end for some steps and back again, as ConvNeXt does for its linear layers. The
graph never follows: a value that its source sees with channels last is only marked, and the mark is undone by the
step that moves them back. A step that needs the elements in that very order gets a real ``Permute``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from convsmith.ir import Graph, Node, Op, Shape, TensorType
from convsmith.ir.graph import infer_node
from convsmith.ops import Permute

CHANNELS_LAST = (0, 2, 3, 1)
CHANNELS_FIRST = (0, 3, 1, 2)


def beside(shape: Shape) -> Shape:
    """Shape of a stored array with all four axes of the map that it is spread over."""
    return (1,) * (4 - len(shape)) + shape


class Value(NamedTuple):
    """A value of the graph as its source sees it.

    Attributes:
        name: The value's name in the graph.
        channels_last: Whether the source sees the map as (batch, height, width, channels).
    """

    name: str
    channels_last: bool = False


class Recorder:
    """Collects nodes; names are made unique as they come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.types: dict[str, TensorType] = {}
        self.nodes: list[Node] = []
        self._inputs: list[tuple[str, TensorType]] = []
        self._repeats: dict[str, int] = {}

    def input(self, type: TensorType, name: str = "input", *, channels_last: bool = False) -> Value:
        """Declare a graph input; ``type`` is (batch, channels, height, width) whatever the source sees."""
        name = self.unique(name)
        self._inputs.append((name, type))
        self.types[name] = type
        return Value(name, channels_last)

    def shape(self, value: Value) -> Shape:
        """Shape as the source sees it."""
        shape = self.types[value.name].shape
        return (shape[0], shape[2], shape[3], shape[1]) if value.channels_last else shape

    def axis(self, value: Value, axis: int) -> int:
        """The graph's axis, counted from 0, of an axis of the source, which may be negative."""
        if axis < 0:
            axis += self.types[value.name].rank
        return CHANNELS_LAST[axis] if value.channels_last else axis

    def add(self, op: Op, *values: Value, name: str, shares: str = "") -> Value:
        """Append a node that reads its inputs as the source sees them.

        Raises:
            OpError: If the operator cannot take these inputs.
        """
        if len(values) == 1 and not values[0].channels_last:
            return Value(self._append(op, (values[0].name,), name, shares))
        inputs = tuple([self.plain(value).name for value in values])
        return Value(self._append(op, inputs, name, shares))

    def add_on_map(self, op: Op, *values: Value, name: str, shares: str = "") -> Value:
        """Append a node that reads maps as the graph keeps them; its result looks as they do.

        Raises:
            OpError: If the operator cannot take these inputs.
        """
        if len(values) == 1:
            return Value(self._append(op, (values[0].name,), name, shares), values[0].channels_last)
        channels_last = any([value.channels_last for value in values])
        return Value(self._append(op, tuple([value.name for value in values]), name, shares), channels_last)

    def permute(self, value: Value, axes: tuple[int, ...], *, name: str) -> Value:
        """The value with its axes in another order: a mark where it can be, a node where it must."""
        base = tuple(CHANNELS_LAST[axis] for axis in axes) if value.channels_last else axes
        if base == tuple(range(len(base))):
            return Value(value.name)
        if base == CHANNELS_LAST:
            return Value(value.name, channels_last=True)
        return Value(self._append(_permute(base), (value.name,), name))

    def reduced(self, value: Value, axes: Iterable[int], *, keepdim: bool) -> tuple[Value, tuple[int, ...]]:
        """What a reduction along axes of the source reads, and along which axes of the graph, in order."""
        rank = self.types[value.name].rank
        gone = {axis % rank for axis in axes}
        kept = [self.axis(value, axis) for axis in range(rank) if axis not in gone]
        if not keepdim and kept != sorted(kept):
            value = self.plain(value)
        return value, tuple(sorted(self.axis(value, axis) for axis in gone))

    def plain(self, value: Value) -> Value:
        """The value with its elements in the order in which the source sees them."""
        if not value.channels_last:
            return value
        return Value(self._append(_permute(CHANNELS_LAST), (value.name,), f"{value.name}_channels_last"))

    def unique(self, name: str) -> str:
        """``name``, or ``name_1``, ``name_2``, ... where it is taken."""
        if name not in self.types:
            return name
        count = self._repeats.get(name, 0) + 1
        while f"{name}_{count}" in self.types:
            count += 1
        self._repeats[name] = count
        return f"{name}_{count}"

    def graph(self, *outputs: Value) -> Graph:
        """The finished graph, returning ``outputs``."""
        names = tuple(self.plain(value).name for value in outputs)
        return Graph(self.name, tuple(self._inputs), tuple(self.nodes), names).with_types(self.types)

    def _append(self, op: Op, inputs: tuple[str, ...], name: str, shares: str = "") -> str:
        types = self.types
        read = tuple([types[value] for value in inputs])
        try:
            type = _infer(op, read)
        except Exception:
            infer_node(name, op, read)  # names the node and the shapes
            raise
        name = self.unique(name)
        types[name] = type
        self.nodes.append(Node(name, op, inputs, shares))
        return name


@lru_cache(maxsize=2**14)
def _infer(op: Op, types: tuple[TensorType, ...]) -> Any:
    return op.infer(*types)


@lru_cache(maxsize=64)
def _permute(axes: tuple[int, ...]) -> Permute:
    return Permute(axes)
