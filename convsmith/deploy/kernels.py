"""What onnxruntime runs on a CPU for a graph: the kernels left after fusion, and the changes of memory layout between.

It folds batch normalisation into the convolution before it, lets convolutions add and activate in passing, and keeps
maps in blocks of channels as wide as a vector register. Operators that know nothing of blocks force the map back into
planes and, for the next convolution, into blocks again; those sweeps cost time and stand in no graph. The rules are
onnxruntime's (its NCHWc transformer); a test compares them with the graph that it really runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from convsmith.ir import Graph, Node, Op, TensorType
from convsmith.ops import (
    GELU,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Clip,
    Concat,
    Constant,
    Conv2d,
    Dropout,
    DropPath,
    GlobalAvgPool,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    MaxPool2d,
    Mul,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Tanh,
)

_ABSENT = (Dropout, DropPath)
_FUSED = (ReLU, ReLU6, Clip, LeakyReLU, Sigmoid, HardSigmoid, Tanh)
_FUSED_IN_BLOCKS = (ReLU, Sigmoid, HardSigmoid, HardSwish, Tanh)
_ACTIVE_IN_BLOCKS = (*_FUSED_IN_BLOCKS, GELU, SiLU)
_ALIGNMENT = 4


@dataclass(frozen=True)
class Kernel:
    """One call of a kernel.

    Attributes:
        node: The node of the graph that it is charged to.
        op: The operator, or None for a change of layout.
        inputs: Types of what it reads.
        output: Type of what it writes.
        blocked: Whether it works on blocks of channels.
        activation: Name of the activation that it applies in passing, or empty.
        adds: Whether it adds another map in passing.
        absorbed: The other nodes whose work it does.
    """

    node: str
    op: Op | None
    inputs: tuple[TensorType, ...]
    output: TensorType
    blocked: bool
    activation: str = ""
    adds: bool = False
    absorbed: tuple[str, ...] = ()


def plan_kernels(graph: Graph, block: int) -> tuple[Kernel, ...]:
    """The kernels of ``graph`` in running order, where ``block`` channels lie together (1: the runtime has no blocks).

    Raises:
        OpError: If the network does not fit its input types.
    """
    plan = _Plan(graph, block)
    for node in graph.nodes:
        if node.name not in plan.stands:
            plan.add(node)
    return tuple(plan.kernels.values())


class _Plan:
    """The kernels so far, by the value that each gives, and how the values lie in memory."""

    def __init__(self, graph: Graph, block: int) -> None:
        self.types, self.block = graph.types, block
        self.kernels: dict[str, Kernel] = {}
        self.stands: dict[str, str] = {}
        """For a node without a kernel of its own: the value that stands for its."""
        self.blocked: set[str] = set()
        self.readers: dict[str, list[Node | None]] = {value: [] for value in graph.types}
        for node in graph.nodes:
            if isinstance(node.op, _ABSENT):
                self.stands[node.name] = self.at(node.inputs[0])
            else:
                for value in node.inputs:
                    self.readers[self.at(value)].append(node)
        for value in graph.outputs:
            self.readers[self.at(value)].append(None)

    def at(self, value: str) -> str:
        """The value that stands for ``value``."""
        while value in self.stands:
            value = self.stands[value]
        return value

    def add(self, node: Node) -> None:
        """Plan the kernels of a node."""
        values = [self.at(value) for value in node.inputs]
        match node.op:
            case Constant():
                pass  # stored, nothing runs
            case Conv2d():
                self._convolve(node, node.op, values[0])
            case Add() | Mul():
                same = len({self.types[value] for value in values}) == 1
                if not (same and isinstance(node.op, Add) and self._add_in_passing(node, values)):
                    self._run(node, values, blocked=same and self._all_blocked(values))
            case MaxPool2d() | AvgPool2d():
                self._run(node, values, blocked=self._aligned(values))
            case GlobalAvgPool() | GlobalMaxPool() | Concat():
                self._run(node, values, blocked=self._aligned(values) and self._all_blocked(values))
            case BatchNorm2d():
                self._run(node, values, blocked=self._all_blocked(values))
            case _ if not self._activate_in_passing(node, values):
                keeps = isinstance(node.op, _ACTIVE_IN_BLOCKS)
                self._run(node, values, blocked=keeps and self._all_blocked(values))
            case _:
                pass

    def _convolve(self, node: Node, op: Conv2d, value: str) -> None:
        """A convolution with the normalisation and the activation that follow it and nothing else reads."""
        blocked = _fits_blocks(op, self.block)
        reads_planes = op.groups == 1 and op.in_channels < self.block
        self._lay(node, value, blocked and not reads_planes)
        self._emit(Kernel(node.name, op, (self.types[value],), self.types[node.name], blocked))
        while (after := self._only_reader(node.name)) and isinstance(after.op, BatchNorm2d):
            self._absorb(after, node.name)
        if (after := self._only_reader(node.name)) and isinstance(after.op, _FUSED):
            self._absorb(after, node.name, activation=type(after.op).__name__)

    def _add_in_passing(self, node: Node, values: list[str]) -> bool:
        """Let a convolution before an addition do it, if both maps lie in blocks or the convolution's in planes."""
        blocked = self._all_blocked(values)
        for value, other in (values, values[::-1]):
            if (blocked or value not in self.blocked) and self._can_take(value) and not self.kernels[value].adds:
                self._lay(node, other, blocked)
                self._absorb(node, value, adds=True)
                return True
        return False

    def _activate_in_passing(self, node: Node, values: list[str]) -> bool:
        """Let the convolution before an activation do it."""
        takes = isinstance(node.op, _FUSED_IN_BLOCKS if values[0] in self.blocked else _FUSED)
        if not takes or not self._can_take(values[0]):
            return False
        self._absorb(node, values[0], activation=type(node.op).__name__)
        return True

    def _can_take(self, value: str) -> bool:
        """Whether ``value`` comes from a convolution whose result only the next node sees."""
        kernel = self.kernels.get(value)
        return (
            kernel is not None
            and isinstance(kernel.op, Conv2d)
            and not kernel.activation
            and self._only_reader(value) is not None
        )

    def _only_reader(self, value: str) -> Node | None:
        readers = self.readers[value]
        return readers[0] if len(readers) == 1 else None

    def _absorb(self, node: Node, value: str, **changes: Any) -> None:
        self.stands[node.name] = value
        self.readers[value] = self.readers[node.name]
        kernel = self.kernels[value]
        self.kernels[value] = replace(kernel, absorbed=(*kernel.absorbed, node.name), **changes)

    def _run(self, node: Node, values: list[str], *, blocked: bool) -> None:
        for value in values:
            self._lay(node, value, blocked)
        types = tuple(self.types[value] for value in values)
        self._emit(Kernel(node.name, node.op, types, self.types[node.name], blocked))

    def _lay(self, node: Node, value: str, blocked: bool) -> None:
        """Change the layout of ``value``, unless it lies so already or has been changed for another reader."""
        key = f"{value} reordered"
        if (value in self.blocked) != blocked and key not in self.kernels:
            self.kernels[key] = Kernel(node.name, None, (self.types[value],), self.types[value], blocked)

    def _emit(self, kernel: Kernel) -> None:
        self.kernels[kernel.node] = kernel
        if kernel.blocked:
            self.blocked.add(kernel.node)

    def _all_blocked(self, values: list[str]) -> bool:
        return self.blocked.issuperset(values)

    def _aligned(self, values: list[str]) -> bool:
        return self.block > 1 and all(self.types[value].shape[1] % self.block == 0 for value in values)


def _fits_blocks(op: Conv2d, block: int) -> bool:
    inputs, outputs = op.in_channels // op.groups, op.out_channels // op.groups
    if block == 1:
        return False
    if op.groups == 1:
        return inputs < block or inputs % _ALIGNMENT == 0
    if inputs == outputs == 1:
        return op.groups % _ALIGNMENT == 0
    return inputs % block == 0 and outputs % block == 0
