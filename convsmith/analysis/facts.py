"""What nodes say about themselves, asked once of equal operators on equal inputs, as the blocks of a network repeat.

Every question takes what ``asked`` gives: ``facts(*asked(graph, node))``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from convsmith.ir import AxisRead, Graph, Node, Op, Shape, TensorType, Terms, Window

Types = tuple[TensorType, ...]
Reads = tuple[AxisRead, AxisRead]

POINTWISE = Window()
ELEMENTWISE: Reads = (POINTWISE, POINTWISE)
"""Every output reads the pixel in its own place. ``reads`` gives these very objects, so ``is`` finds them."""

WEIGHT_BYTES = 4
"""Bytes of a stored parameter: float32."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node costs, whatever its name.

    Attributes:
        inputs: Shapes of what it reads.
        output: Shape of what it gives.
        params: Number of learned parameters.
        activations: Elements of the output of a layer with taps, zero elsewhere (as pycls counts them).
        only: Name of the term that is all its work; empty if it has none, None if it has several.
    """

    inputs: tuple[Shape, ...]
    output: Shape
    params: int
    terms: Terms
    activations: int
    only: str | None


def asked(graph: Graph, node: Node) -> tuple[Op, Types, TensorType]:
    """A node without its name: operator, types of its inputs, type of its output.

    Raises:
        OpError: If the network does not fit its input types.
    """
    types = graph.types
    return node.op, tuple([types[value] for value in node.inputs]), types[node.name]


@lru_cache(maxsize=2**14)
def facts(op: Op, inputs: Types, output: TensorType) -> Facts:
    """What a node costs."""
    params = sum([math.prod(shape) for shape in op.param_shapes(*inputs).values()])
    terms = op.terms(*inputs)
    work = [name for name, amount in terms.to_dict().items() if amount]
    return Facts(
        inputs=tuple([type.shape for type in inputs]),
        output=output.shape,
        params=params,
        terms=terms,
        activations=output.numel if terms.taps else 0,
        only=None if len(work) > 1 else "".join(work),
    )


def facts_by_node(graph: Graph) -> dict[str, Facts]:
    """What every node of a graph costs, by name and in order.

    Raises:
        OpError: If the network does not fit its input types.
    """
    return {node.name: facts(*asked(graph, node)) for node in graph.nodes}


@lru_cache(maxsize=2**14)
def reads(op: Op, inputs: Types, output: TensorType) -> Reads:
    """What one output reads along height and width: one object where both axes are alike.

    Values of fewer than four axes have neither: a window over them slides along something else, and reads as
    elementwise.
    """
    height, width = (POINTWISE if read == POINTWISE else read for read in op.window(*inputs))
    if output.rank < 4 and all(type.rank < 4 for type in inputs):
        height, width = (POINTWISE if isinstance(read, Window) else read for read in (height, width))
    if height != width:
        return height, width
    return ELEMENTWISE if height is POINTWISE else (height, height)


@lru_cache(maxsize=2**14)
def windows(op: Op, inputs: Types, output: TensorType) -> tuple[Window, Window] | None:
    """The windows that a node slides over a map along height and width; None if it does anything else."""
    read = reads(op, inputs, output)
    on_map = len(inputs) == 1 and inputs[0].rank >= 4 and output.rank >= 4
    return cast("tuple[Window, Window]", read) if on_map and all(isinstance(axis, Window) for axis in read) else None


@lru_cache(maxsize=2**14)
def real_taps(op: Op, inputs: Types, output: TensorType) -> int:
    """Multiply-adds with real pixels: each weight, once for every pixel that its place in the kernel meets.

    Of a transposed convolution, those are left out whose result is cut away.
    """
    taps, slid = facts(op, inputs, output).terms.taps, windows(op, inputs, output)
    if not taps or slid is None or slid is ELEMENTWISE:
        return taps
    rows, columns = slid
    kernel = rows.kernel * columns.kernel
    met = rows.real_taps(inputs[0].shape[-2]) * columns.real_taps(inputs[0].shape[-1])
    weight = op.param_shapes(*inputs).get("weight")
    if weight:
        return inputs[0].shape[0] * (math.prod(weight) // kernel) * met
    return taps * met // (kernel * math.prod(output.shape[-2:]))  # the kernel is stored and no parameter
