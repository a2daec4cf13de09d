"""Pixels that a network pays for and never reads, multiplications by padding, and layers that come too late.

Four kinds of loss are told apart, per layer and axis, and judged over all readers of a value: what one branch skips,
another may read.

* ``padding``: rounding the output size down left over positions of the padding: harmless.
* ``edge``: real pixels before the first or past the last window. A 1x1 convolution of stride 2 on 56 rows never
  reads the last of them.
* ``inside``: real pixels between windows, where a kernel is smaller than its stride.
* off-centre coverage: the centers of the fields leave more of the image uncovered after the last unit than before
  the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from convsmith.analysis.facts import ELEMENTWISE, Types, asked, facts, real_taps, windows
from convsmith.analysis.receptive import AxisField, Rational, ReceptiveField, json_number
from convsmith.ir import Graph, Node, Op, TensorType, Window

Masks = tuple[int, int]
"""Rows and columns that a layer reads of its input, as bit masks; what it reads are the pixels where they cross."""


@dataclass(frozen=True)
class AxisWaste:
    """What a layer leaves out along one axis of its input, in pixels of that input.

    Attributes:
        padding: Positions of the padding that no window reaches.
        edge: Real pixels before the first and past the last one read.
        inside: Real pixels between those, not read either.
        lost_edge: Of ``edge``, those that nothing else reads.
        lost_inside: Of ``inside``, those that nothing else reads.
        margins: Pixels of the image before the center of the first unit's field and after that of the last; negative
            where the center lies in the padding.
    """

    padding: int
    edge: int
    inside: int
    lost_edge: int
    lost_inside: int
    margins: tuple[Rational, Rational]

    @property
    def lost(self) -> int:
        """Rows or columns of the input that nothing reads."""
        return self.lost_edge + self.lost_inside

    @property
    def off_center(self) -> Rational:
        """By how many pixels of the image the margin after the last center exceeds the one before the first."""
        return self.margins[1] - self.margins[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "margins": [json_number(margin) for margin in self.margins]}


@dataclass(frozen=True)
class LayerWaste:
    """What one layer wastes.

    Attributes:
        rows: Along the height.
        columns: Along the width.
        lost_share: Share of its input's pixels that nothing reads at all.
        padding_macs: Of its multiply-adds, those with a zero of its own padding; of a transposed convolution, those
            whose result is cut away.
        wakes: Input size (height, width) from which on a unit of what this layer reads does not see everything
            already along the longest path: below it, the layer has nothing new to combine. None without
            multiply-adds.
        min_wakes: The same along the shortest path (Richter et al., "Should You Go Deeper?", 2021).
    """

    rows: AxisWaste
    columns: AxisWaste
    lost_share: float
    padding_macs: int
    wakes: tuple[int, int] | None
    min_wakes: tuple[int, int] | None

    def to_dict(self) -> dict[str, Any]:
        """The ``waste`` of a layer in the ``inspect --json`` contract; sizes are (height, width)."""
        return {
            "rows": self.rows.to_dict(),
            "columns": self.columns.to_dict(),
            "lost_share": self.lost_share,
            "padding_macs": self.padding_macs,
            "wakes": self.wakes and list(self.wakes),
            "min_wakes": self.min_wakes and list(self.min_wakes),
        }


@dataclass(frozen=True)
class Waste:
    """What a network wastes on its input.

    Attributes:
        size: (height, width) of the input.
        layers: By name, for the layers that slide a window or have multiply-adds on a map.
    """

    size: tuple[int, int]
    layers: Mapping[str, LayerWaste]

    @property
    def padding_macs(self) -> int:
        """Multiply-adds with zeros of the padding."""
        return sum(layer.padding_macs for layer in self.layers.values())

    @property
    def lossy(self) -> tuple[str, ...]:
        """Layers on whose input there are pixels that nothing reads."""
        return tuple(name for name, layer in self.layers.items() if layer.lost_share)

    @property
    def unproductive(self) -> tuple[str, ...]:
        """Layers whose input sees more than the image along both axes and the longest path."""
        return tuple(name for name, layer in self.layers.items() if self._exceeds(layer.wakes))

    @property
    def min_unproductive(self) -> tuple[str, ...]:
        """The same along the shortest path, a part of those: not even the shortcuts bring in anything local."""
        return tuple(name for name, layer in self.layers.items() if self._exceeds(layer.min_wakes))

    def _exceeds(self, wakes: tuple[int, int] | None) -> bool:
        return wakes is not None and wakes[0] > self.size[0] and wakes[1] > self.size[1]


def waste(graph: Graph, fields: Mapping[str, ReceptiveField]) -> Waste:
    """What ``graph`` wastes on its first input, given its receptive fields.

    Raises:
        OpError: If the network does not fit its input types.
    """
    image = graph.inputs[0][1].shape[-2:]
    slides = {node.name: slide for node in graph.nodes if (slide := _slide(*asked(graph, node)))}
    readers = _readers(graph, slides)
    layers = {
        node.name: _layer(graph, node, slides[node.name], readers.get(node.inputs[0], ()), fields)
        for node in graph.nodes
        if node.name in slides and node.name in fields
    }
    return Waste((image[0], image[-1]), layers)


@dataclass(frozen=True, slots=True)
class _Line:
    """What a window leaves out along one axis; pixels as bit masks."""

    covered: int
    missed: int
    inner: int  # from the first to the last pixel read
    padding: int


@dataclass(frozen=True, slots=True)
class _Slide:
    """What a layer leaves out along height and width, whatever its name and its place in the network."""

    rows: _Line
    columns: _Line
    taps: int
    padding_macs: int


@lru_cache(maxsize=2**14)
def _slide(op: Op, inputs: Types, output: TensorType) -> _Slide | None:
    """What a layer leaves out if it slides over a map, or has multiply-adds on one."""
    slid, taps = windows(op, inputs, output), facts(op, inputs, output).terms.taps
    if slid is None or (slid is ELEMENTWISE and not taps):
        return None
    rows, columns = (_line(window, size) for window, size in zip(slid, inputs[0].shape[-2:], strict=True))
    return _Slide(rows, columns, taps, taps - real_taps(op, inputs, output))


def _line(window: Window, size: int) -> _Line:
    covered = window.covered(size)
    inner = (1 << covered.bit_length()) - (covered & -covered)
    return _Line(covered, (1 << size) - 1 & ~covered, inner, min(window.remainder(size), max(0, window.after)))


def _readers(graph: Graph, slides: Mapping[str, _Slide]) -> Mapping[str, tuple[Masks, ...]]:
    """Rows and columns that each value's readers read of it; a value is missing where one reader reads it all."""
    partly: dict[str, set[Masks]] = {}
    fully = set(graph.outputs)
    for node in graph.nodes:
        slide = slides.get(node.name)
        if slide and (slide.rows.missed or slide.columns.missed):
            partly.setdefault(node.inputs[0], set()).add((slide.rows.covered, slide.columns.covered))
        else:
            fully.update(node.inputs)
    return {value: tuple(masks) for value, masks in partly.items() if value not in fully}


def _layer(
    graph: Graph, node: Node, slide: _Slide, masks: tuple[Masks, ...], fields: Mapping[str, ReceptiveField]
) -> LayerWaste:
    image, shape, units = graph.inputs[0][1].shape, graph.types[node.inputs[0]].shape, graph.types[node.name].shape
    field, seen = fields[node.name], fields[node.inputs[0]]
    works = slide.taps > 0 and seen.local
    return LayerWaste(
        rows=_axis(slide.rows, [rows for rows, _ in masks], _margins(field.height, units[-2], image[-2])),
        columns=_axis(slide.columns, [columns for _, columns in masks], _margins(field.width, units[-1], image[-1])),
        lost_share=1 - _crossings(masks, shape[-2]) / (shape[-2] * shape[-1]) if masks else 0.0,
        padding_macs=slide.padding_macs,
        wakes=(seen.height.size, seen.width.size) if works else None,
        min_wakes=(seen.height.min_size, seen.width.min_size) if works else None,
    )


def _axis(line: _Line, masks: Sequence[int], margins: tuple[Rational, Rational]) -> AxisWaste:
    """Waste along an axis, where ``masks`` is what readers read, this one included, or empty if all is read."""
    if not line.missed:
        return AxisWaste(line.padding, 0, 0, 0, 0, margins)
    lost = line.missed if masks else 0
    for mask in masks:
        lost &= ~mask
    inside, lost_inside = (line.missed & line.inner).bit_count(), (lost & line.inner).bit_count()
    edge, lost_edge = line.missed.bit_count() - inside, lost.bit_count() - lost_inside
    return AxisWaste(line.padding, edge, inside, lost_edge, lost_inside, margins)


def _margins(field: AxisField, units: int, size: int) -> tuple[Rational, Rational]:
    return field.center, size - 1 - field.center - (units - 1) * field.jump


def _crossings(masks: tuple[Masks, ...], height: int) -> int:
    """Number of pixels in the union of what readers read, each the crossings of some rows with some columns."""
    bands = [((1 << height) - 1, 0)]  # rows with the same readers so far, and the columns that those read
    for rows, columns in masks:
        read = [(band & rows, seen | columns) for band, seen in bands]
        rest = [(band & ~rows, seen) for band, seen in bands]
        bands = [band for band in (*read, *rest) if band[0]]
    return sum(band.bit_count() * seen.bit_count() for band, seen in bands)
