"""The receptive field view: which pixels of the picture one unit of a map sees."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from convsmith.analysis import AxisField
from convsmith.analysis.support import supports
from convsmith.quantities import format_shape
from convsmith.report.inspection_rows import sees_text
from convsmith.studio.bodies import StudioError
from convsmith.studio.designs import inspected
from convsmith.studio.pictures import LARGEST


def maps(text: str) -> dict[str, Any]:
    """The layers whose units lie on a map, each with its height and width and what a unit sees.

    Raises:
        DesignError: If the text is no design.
    """
    found = inspected(text)
    layers = [
        {
            "name": node.name,
            "op": type(node.op).__name__,
            "size": list(found.graph.types[node.name].shape[2:]),
            "sees": sees_text(found.fields[node.name].to_dict()),
        }
        for node in found.graph.nodes
        if node.name in found.fields and found.fields[node.name].local and found.graph.types[node.name].is_map
    ]
    return {"name": found.graph.name, "input": list(found.graph.inputs[0][1].shape[1:]), "layers": layers}


def field(text: str, layer: str, row: int, column: int) -> dict[str, Any]:
    """What one unit sees: the exact pixels, and the boxes of the longest and the shortest path.

    A box may reach past the picture, into the padding; pixels are those of the picture alone.

    Raises:
        DesignError: If the text is no design.
        StudioError: If there is no such unit, or the image is too large.
    """
    found = inspected(text)
    sides = found.graph.inputs[0][1].shape[2:]
    if max(sides) > LARGEST:
        rule = f"fields are shown on at most {LARGEST:,} pixels a side"
        raise StudioError(rule, received=format_shape(sides), remedy="take a smaller resolution: fields stay the same")
    if not any(one["name"] == layer for one in maps(text)["layers"]):
        raise StudioError("a unit must be on a map", received=layer, remedy="choose a layer from the list")
    high, wide = found.graph.types[layer].shape[2:]
    if not (0 <= row < high and 0 <= column < wide):
        rule = f"a unit of {layer} must be within its map of {high} x {wide}"
        raise StudioError(rule, received=(row, column), remedy="choose one inside")
    seen = found.fields[layer]
    rows, columns = (
        _axis(axis, unit, _seen(text, number)[layer][unit])
        for number, (axis, unit) in enumerate(((seen.height, row), (seen.width, column)))
    )
    return {"rows": rows, "columns": columns, "whole": seen.whole, "unit": [row, column], "layer": layer}


@lru_cache(maxsize=4)
def _seen(text: str, axis: int) -> Any:
    return supports(inspected(text).graph, axis)


def _axis(field: AxisField, unit: int, mask: int) -> dict[str, Any]:
    middle = float(field.center + unit * field.jump)
    return {
        "pixels": _runs(mask),
        "count": mask.bit_count(),
        "size": field.size,
        "min_size": field.min_size,
        "jump": float(field.jump),
        "center": middle,
        "longest": [middle - float(field.reach) / 2, middle + float(field.reach) / 2],
        "shortest": [middle - float(field.min_reach) / 2, middle + float(field.min_reach) / 2],
    }


def _runs(mask: int) -> list[list[int]]:
    """The pixels of a bit mask as runs: first, and one past the last."""
    runs: list[list[int]] = []
    for pixel in range(mask.bit_length()):
        if mask >> pixel & 1:
            if runs and runs[-1][1] == pixel:
                runs[-1][1] = pixel + 1
            else:
                runs.append([pixel, pixel + 1])
    return runs
