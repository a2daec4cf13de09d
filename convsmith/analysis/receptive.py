"""Receptive fields: what part of the input one unit of a value can see, along the longest and the shortest path.

Per axis the pixels that a unit at position ``o`` sees lie within ``center + o * jump`` plus or minus half a reach. A
window of extent E over a field of reach r, jump j and center c gives (Araujo et al., "Computing Receptive Fields of
Convolutional Neural Networks", 2019, with zero insertion added)::

    reach  = r + j * (E - 1) / gap
    jump   = j * stride
    center = c + j * ((E - 1) / 2 - padding before) / gap

where ``gap`` is the denominator of the stride. The size of the field is the most pixels that such a stretch can hold.
Padding is counted as if it were image. ``support.py`` gives the exact pixels of every unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from convsmith.analysis.facts import ELEMENTWISE, POINTWISE, Reads, asked, facts, reads
from convsmith.ir import AxisRead, Graph, Node, Spread

Rational = int | Fraction


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
        local: Whether units still lie along this axis. Not after the map was pooled or taken apart: the rest then
            is what the last map was.
    """

    reach: Rational = 0
    min_reach: Rational = 0
    jump: Rational = 1
    center: Rational = 0
    whole: bool = False
    local: bool = True

    @property
    def size(self) -> int:
        """Most pixels that a unit sees along the longest path."""
        return math.floor(self.reach) + 1

    @property
    def min_size(self) -> int:
        """Most pixels that a unit sees along the shortest path."""
        return math.floor(self.min_reach) + 1

    @property
    def padding(self) -> Rational:
        """How far the field of the first unit begins before the image: ``center = -padding + reach / 2``."""
        return _quotient(self.reach, 2) - self.center

    def span(self, unit: int = 0) -> tuple[Rational, Rational]:
        """Where the field of a unit begins and ends; outside the image in the padding."""
        middle, half = self.center + unit * self.jump, _quotient(self.reach, 2)
        return middle - half, middle + half


@dataclass(frozen=True)
class ReceptiveField:
    """Fields along height and width."""

    height: AxisField
    width: AxisField

    @property
    def size(self) -> tuple[int, int]:
        """Most pixels that a unit sees along (height, width)."""
        return self.height.size, self.width.size

    @property
    def whole(self) -> bool:
        """Whether a unit also sees a whole axis."""
        return self.height.whole or self.width.whole

    @property
    def jump(self) -> tuple[Rational, Rational]:
        """Distance between neighbouring units along (height, width), in pixels."""
        return self.height.jump, self.width.jump

    @property
    def local(self) -> bool:
        """Whether the units form a map: they lie along both axes."""
        return self.height.local and self.width.local

    def to_dict(self) -> dict[str, Any]:
        """The ``inspect --json`` contract; sizes are (height, width)."""
        axes = (self.height, self.width)
        return {
            "size": list(self.size),
            "min_size": [axis.min_size for axis in axes],
            "jump": [json_number(axis.jump) for axis in axes],
            "center": [json_number(axis.center) for axis in axes],
            "padding": [json_number(axis.padding) for axis in axes],
            "global": self.whole,
        }


def receptive_fields(graph: Graph) -> Mapping[str, ReceptiveField]:
    """The receptive field of every value of ``graph`` on its input, by name.

    Height and width are the last two axes of values with four or more; values with fewer carry on the field of the
    map they came from. A value made of constants alone sees nothing and is left out.
    """
    pixel = AxisField()
    fields = {name: ReceptiveField(pixel, pixel) for name, _ in graph.inputs}
    for node in graph.nodes:
        seen = [fields[value] for value in node.inputs if value in fields]
        read = reads(*asked(graph, node))
        if len(seen) == 1 and read is ELEMENTWISE:
            fields[node.name] = seen[0]
        elif seen:
            fields[node.name] = _field(graph, node, read, seen, fields)
    return fields


def _field(
    graph: Graph, node: Node, read: Reads, seen: Sequence[ReceptiveField], fields: Mapping[str, ReceptiveField]
) -> ReceptiveField:
    output = graph.types[node.name].shape
    rows, columns = read
    high, wide = output[-2:] if len(output) > 1 else (1, 1)
    stays = Spread.WHOLE in read and _normalises(graph, node)
    height = _merge([_see(field.height, rows, stays=stays) for field in seen], high)
    alike = rows is columns and high == wide and all([field.height is field.width for field in seen])
    width = height if alike else _merge([_see(field.width, columns, stays=stays) for field in seen], wide)
    field = ReceptiveField(height, width)
    return _settle(graph, node, field, fields) if len(output) >= 4 and Spread.PERMUTED in read else field


def _normalises(graph: Graph, node: Node) -> bool:
    """Whether a node reads the whole map only to scale each of its units, which stay where they are."""
    terms = facts(*asked(graph, node)).terms
    return terms.norm > 0 or terms.activation > 0


def _see(field: AxisField, read: AxisRead, *, stays: bool) -> AxisField:
    """The field of a unit that reads units of ``field`` through a window."""
    if read is POINTWISE:
        return field
    if isinstance(read, Spread):
        return replace(field, whole=True, local=field.local and stays)
    step, gap, jump, more = read.stride.numerator, read.stride.denominator, field.jump, read.extent - 1
    reach = _quotient(jump * more, gap)
    return AxisField(
        reach=field.reach + reach,
        min_reach=field.min_reach + reach,
        jump=_quotient(jump * step, gap),
        center=field.center + _quotient(jump * (more - 2 * read.before), 2 * gap),
        whole=field.whole,
        local=field.local,
    )


def _merge(fields: Sequence[AxisField], units: int) -> AxisField:
    """The field of a unit that combines units of several fields: their union, and the smallest of them.

    A branch without units of its own only marks the result, as squeeze-and-excitation does; where no branch has any,
    the fields they came from are united all the same. Branches whose jumps differ drift apart from unit to unit: the
    field then has the jump, a whole number if there is one, with which it is smallest and yet holds what every one of
    the ``units`` sees.
    """
    first = fields[0]
    if all([field is first for field in fields]):
        return first
    whole = any([field.whole for field in fields])
    local = [field for field in fields if field.local] or fields
    first = local[0]
    smallest = min([field.min_reach for field in local])
    if all([field.center == first.center and field.jump == first.jump for field in local]):
        largest = max([field.reach for field in local])
        return AxisField(largest, smallest, first.jump, first.center, whole, first.local)
    low, high, jump = min(
        [(*_stretch(local, jump, units), jump) for jump in dict.fromkeys([field.jump for field in local])],
        key=lambda found: (found[2].denominator, found[1] - found[0]),
    )
    return AxisField(high - low, smallest, jump, _quotient(low + high, 2), whole, first.local)


def _stretch(fields: Sequence[AxisField], jump: Rational, units: int) -> tuple[Rational, Rational]:
    """Where the field of the first unit must begin and end so that fields ``jump`` apart hold those of all units."""
    spans = [(field.span(unit), unit * jump) for field in fields for unit in {0, units - 1}]
    return min([first - moved for (first, _), moved in spans]), max([last - moved for (_, last), moved in spans])


def _settle(graph: Graph, node: Node, field: ReceptiveField, fields: Mapping[str, ReceptiveField]) -> ReceptiveField:
    """The field after positions were moved about, where the result is a map again.

    It is taken for one if it has the size of the last map, as where tokens are put back in their places, or if it
    holds the elements of the last map with both axes shrunk or grown alike, as where pixels are moved into channels.
    Every unit may then have come from anywhere, and sees the whole.
    """
    name = last_map(graph, node, fields)
    last, now = graph.types[name], graph.types[node.name]
    if last.rank < 4 or last.shape[-2] * now.shape[-1] != last.shape[-1] * now.shape[-2]:
        return field
    if last.shape[-2:] != now.shape[-2:] and last.numel != now.numel:
        return field
    axes = zip((fields[name].height, fields[name].width), last.shape[-2:], now.shape[-2:], strict=True)
    height, width = (replace(axis, jump=_quotient(axis.jump * old, new), whole=True) for axis, old, new in axes)
    return ReceptiveField(height, width)


def last_map(graph: Graph, node: Node, fields: Mapping[str, ReceptiveField]) -> str:
    """The value that a node's first input was made of when its units last lay on a map: often that input itself."""
    source = node
    while not fields[name := next(value for value in source.inputs if value in fields)].local:
        source = graph.node(name)
    return name


def _quotient(dividend: Rational, divisor: int) -> Rational:
    """The exact quotient; an integer where it is one, as integers are quick to reckon with."""
    return Fraction(dividend, divisor) if dividend % divisor else int(dividend // divisor)


def json_number(value: Rational) -> int | float:
    """A rational as JSON has it: a whole number where it is one."""
    return value.numerator if value.denominator == 1 else float(value)
