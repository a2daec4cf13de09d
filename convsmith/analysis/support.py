"""The exact pixels that every unit sees along one axis: the ground truth behind receptive fields.

A set of pixels is a bit mask: bit ``p`` of an integer stands for pixel ``p``. What a unit sees is the union of what
the units see that it reads, so holes and ragged ends of fields come out as they are: dilation that skips pixels,
kernels smaller than their stride, branches that do not line up, sizes that were rounded down, pixels hidden by padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convsmith.analysis.facts import POINTWISE, asked, reads
from convsmith.ir import AxisRead, Graph, TensorType, Window

Support = tuple[int, ...]
"""For every position along an axis, the pixels of the graph's input that it sees, as a bit mask."""


def supports(graph: Graph, axis: int) -> Mapping[str, Support]:
    """What every position of every value sees along ``axis`` (0 for height, 1 for width) of the graph's input.

    Operators that read a whole axis, or move positions about, see all that any of their input's positions sees.
    Pixels mirrored or repeated at an edge count as blanks. One axis does not know of the other: where all windows
    fall on blanks along the height, nothing is seen, whatever the width says. Values with fewer than four axes have
    one position, and values made of constants alone are left out.
    """
    seen = {name: tuple(1 << pixel for pixel in range(_positions(type, axis))) for name, type in graph.inputs}
    for node in graph.nodes:
        read, units = reads(*asked(graph, node))[axis], _positions(graph.types[node.name], axis)
        parts = [_read(seen[value], read, units) for value in node.inputs if value in seen]
        if len(parts) == 1:
            seen[node.name] = parts[0]
        elif parts:
            seen[node.name] = tuple(_union(masks) for masks in zip(*parts, strict=True))
    return seen


def _positions(type: TensorType, axis: int) -> int:
    return type.shape[axis - 2] if type.rank >= 4 else 1


def _read(support: Support, read: AxisRead, units: int) -> Support:
    """What ``units`` positions see that read positions with ``support``."""
    if read is POINTWISE and len(support) == units:
        return support
    if isinstance(read, Window) and read.output_size(len(support)) == units:
        return tuple(_union([support[pixel] for _, pixel in read.reads(unit, len(support))]) for unit in range(units))
    return (_union(support),) * units  # the whole axis, or one position spread over all


def _union(masks: Sequence[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union
