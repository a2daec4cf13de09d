"""Receptive fields: what part of the input one unit of a value can see, along the longest and the shortest path.

Per axis the pixels that a unit at position ``o`` sees lie within ``center + o * jump`` plus or minus half a reach. A
window of extent E over a field of reach r, jump j and center c gives (Araujo et al., "Computing Receptive Fields of
Convolutional Neural Networks", 2019, with zero insertion added)::

    reach  = r + j * (E - 1) / gap
    jump   = j * stride
    center = c + j * ((E - 1) / 2 - padding before) / gap

where ``gap`` is the denominator of the stride. The size of the field is the most pixels that such a stretch can hold.
Padding is counted as if it were image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from convsmith.ir import AxisRead, Graph, Spread, Window


@dataclass(frozen=True)
class AxisField:
    """What a unit sees along one axis, in pixels of the graph's input.

    Attributes:
        reach: Distance from the first to the last pixel along the longest path, the union over all branches.
        min_reach: The same along the shortest path.
        jump: Distance between the fields of neighbouring units.
        center: Middle of the field of the first unit.
        whole: Whether the unit also sees the whole axis, through pooling of the map or a fully connected layer;
            the rest is then what it sees locally.
    """

    reach: Fraction = Fraction(0)
    min_reach: Fraction = Fraction(0)
    jump: Fraction = Fraction(1)
    center: Fraction = Fraction(0)
    whole: bool = False

    @property
    def size(self) -> int:
        """Most pixels that a unit sees along the longest path."""
        return math.floor(self.reach) + 1

    @property
    def min_size(self) -> int:
        """Most pixels that a unit sees along the shortest path."""
        return math.floor(self.min_reach) + 1

    def span(self, unit: int = 0) -> tuple[Fraction, Fraction]:
        """Where the field of a unit begins and ends; outside the image in the padding."""
        middle = self.center + unit * self.jump
        return middle - self.reach / 2, middle + self.reach / 2


@dataclass(frozen=True)
class ReceptiveField:
    """Fields along height and width."""

    height: AxisField
    width: AxisField

    def to_dict(self) -> dict[str, Any]:
        """The ``inspect --json`` contract; sizes are (height, width)."""
        axes = (self.height, self.width)
        return {
            "size": [axis.size for axis in axes],
            "min_size": [axis.min_size for axis in axes],
            "jump": [_number(axis.jump) for axis in axes],
            "center": [_number(axis.center) for axis in axes],
            "global": any(axis.whole for axis in axes),
        }


def receptive_fields(graph: Graph) -> Mapping[str, ReceptiveField]:
    """The receptive field of every value of ``graph`` on its input, by name."""
    fields = {name: ReceptiveField(AxisField(), AxisField()) for name, _ in graph.inputs}
    for node in graph.nodes:
        types = graph.input_types(node)
        reads = node.op.window(*types)
        inputs = [fields[value] for value in node.inputs]
        axes = [
            _merge([_see(pick, read) for pick in picks])
            for read, picks in zip(reads, ([f.height for f in inputs], [f.width for f in inputs]), strict=True)
        ]
        fields[node.name] = ReceptiveField(axes[0], axes[1])
    return fields


def _see(field: AxisField, read: AxisRead) -> AxisField:
    """The field of a unit that reads units of ``field`` through a window."""
    if isinstance(read, Spread):
        return replace(field, whole=True)
    if read == Window():
        return field
    gap = read.stride.denominator
    reach = field.jump * (read.extent - 1) / gap
    shift = field.jump * (Fraction(read.extent - 1, 2) - read.before) / gap
    jump = field.jump * read.stride
    return AxisField(field.reach + reach, field.min_reach + reach, jump, field.center + shift, field.whole)


def _merge(fields: Sequence[AxisField]) -> AxisField:
    """The field of a unit that combines units of several fields: their union, and the smallest of them.

    A branch that sees the whole map only marks the result, as squeeze-and-excitation does; where every branch does,
    the local fields are united all the same.
    """
    if len(fields) == 1:
        return fields[0]
    whole = any(field.whole for field in fields)
    local = [field for field in fields if not field.whole] or list(fields)
    spans = [field.span() for field in local]
    first, last = min(low for low, _ in spans), max(high for _, high in spans)
    smallest = min(field.min_reach for field in local)
    return AxisField(last - first, smallest, local[0].jump, (first + last) / 2, whole)


def _number(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)
