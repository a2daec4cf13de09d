"""The compare view: two designs beside each other, by section and by layer, as ``inspect`` compares them."""

from __future__ import annotations

from typing import Any, Final

from convsmith.analysis import LayerCost
from convsmith.jobs.compare import LayerPair, compare
from convsmith.quantities import format_bytes, format_count
from convsmith.report.inspection_rows import sees_text, shape_text
from convsmith.studio.bodies import Values, text_of
from convsmith.studio.designs import inspected

MOST_LAYERS: Final = 1_000
"""Layers that are listed, changed ones alone."""

_BYTES: Final = ("weight_bytes", "peak_activation_bytes", "bytes_moved")


def side_by_side(values: Values) -> dict[str, Any]:
    """Two designs, ``first`` and ``second``: totals, what a unit sees, sections, and the layers that differ.

    Raises:
        DesignError: If a text is no design.
    """
    before, after = (inspected(text_of(values, name)) for name in ("first", "second"))
    found = compare(before, after)
    changed = [pair for pair in found.layers if pair.change != "same"]
    most = max((macs for _, _, pair in found.sections for macs in pair if macs), default=1)
    return {
        "names": [one.graph.name for one in (before, after)],
        "inputs": [shape_text(one.graph.inputs[0][1].shape) for one in (before, after)],
        "totals": [
            {"name": name, "texts": [_text(name, value or 0) for value in pair], "ratio": _ratio(*pair)}
            for name, pair in found.totals.items()
        ],
        "sees": ["–" if field is None else sees_text(field.to_dict()) for field in found.fields],
        "sections": [
            {
                "name": name,
                "params": [_count(value) for value in params],
                "macs": [_count(value) for value in macs],
                "shares": [(value or 0) / most for value in macs],
            }
            for name, params, macs in found.sections
        ],
        "same": len(found.layers) - len(changed),
        "changed": len(changed),
        "layers": [_pair(pair) for pair in changed[:MOST_LAYERS]],
    }


def _text(name: str, value: int) -> str:
    return format_bytes(value) if name in _BYTES else format_count(value)


def _count(value: int | None) -> str:
    return "–" if value is None else format_count(value)


def _ratio(before: int | None, after: int | None) -> str:
    return f"× {after / before:.3g}" if before and after is not None else "–"


def _pair(pair: LayerPair) -> dict[str, Any]:
    return {"change": pair.change, "layers": [_layer(layer) for layer in (pair.before, pair.after)]}


def _layer(layer: LayerCost | None) -> list[str] | None:
    if layer is None:
        return None
    return [layer.name, layer.op, shape_text(layer.output), format_count(layer.macs), format_count(layer.params)]
