"""The convolution lab: one layer as ``conv`` and ``pool`` explain it, with whole numbers on small grids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.analysis import receptive_fields
from convsmith.errors import OpError
from convsmith.ir import Graph, Node, TensorType, Window
from convsmith.jobs.conv import conv
from convsmith.jobs.layer import Layer
from convsmith.jobs.layer_loops import pool_map
from convsmith.jobs.pool import pool
from convsmith.ops import AvgPool2d, Conv2d, ConvTranspose2d, GlobalAvgPool, GlobalMaxPool, MaxPool2d
from convsmith.quantities import format_shape
from convsmith.report.formulas import formulas
from convsmith.report.weight_colors import weight_color
from convsmith.studio.bodies import StudioError, Values, whole_of

MOST_SIDE: Final = 26
"""Rows and columns of a map that is drawn."""
MOST_PLACES: Final = 1_000
"""Rows and columns of a matrix that is drawn: outputs, and input pixels of all channels."""
MOST_CONNECTIONS: Final = 60_000
"""Entries of such a matrix."""

SHOWN: Final = (Conv2d, ConvTranspose2d, MaxPool2d, AvgPool2d, GlobalAvgPool, GlobalMaxPool)
"""The operators that the lab can show."""

_SMALL: Final = 10  # pixels a side, about, of a map that stands for a large one
_FEW: Final = 2  # channels of the same
_MAXIMA: Final = (MaxPool2d, GlobalMaxPool)


def explain(values: Values) -> dict[str, Any]:
    """A layer's facts with their formulas, and the numbers of its grids, or of a small layer's for it.

    Raises:
        OpError: If the settings do not fit.
        QuantityError: If one is not a number.
    """
    layer = _layer(values)
    drawn = _drawn(layer)
    return {
        "facts": layer.to_dict(),
        "formulas": formulas(layer.graph, receptive_fields(layer.graph))[layer.node.name],
        "drawn": None if drawn is None else _grids(drawn, whole_of(values, "seed", 0)),
        "reduced": drawn is not layer,
    }


def matrix(values: Values) -> bytes:
    """C of the layer that is drawn: rows, columns, number of entries, then (row, column, weight) of each, as int32.

    Raises:
        OpError: If the layer is not linear or too large to be drawn, or the settings do not fit.
    """
    drawn = _drawn(_layer(values))
    if drawn is None:
        raise OpError("the layer must be small enough to be drawn", where="lab", remedy="take fewer channels")
    c = drawn.matrix
    head = np.array([*c.shape, c.nonzeros])
    return np.concatenate((head, c.triples().ravel())).astype("<i4").tobytes()


def settings_of(graph: Graph, node: Node) -> dict[str, str]:
    """The lab's settings for a layer of a network.

    Raises:
        StudioError: If the lab cannot show it.
    """
    op, (type, *_) = node.op, graph.input_types(node)
    if not isinstance(op, SHOWN):
        raise StudioError("the lab shows convolutions and pools", received=node.name, remedy="choose another layer")
    found = {"input": format_shape(type.shape[1:])}
    if isinstance(op, GlobalAvgPool | GlobalMaxPool):
        return found | {"layer": "average" if isinstance(op, GlobalAvgPool) else "max", "global": "1"}
    found |= {"kernel": format_shape(op.kernel_size), "stride": format_shape(op.stride)}
    if isinstance(op, ConvTranspose2d):
        found |= {"padding": format_shape(op.padding), "output_padding": format_shape(op.output_padding)}
    else:
        found |= {"padding": ",".join(str(side) for axis in op.padding for side in axis)}
    if not isinstance(op, AvgPool2d):
        found |= {"dilation": format_shape(op.dilation)}
    if isinstance(op, Conv2d | ConvTranspose2d):
        kind = "conv" if isinstance(op, Conv2d) else "transposed"
        return found | {"layer": kind, "groups": str(op.groups), "out_channels": str(op.out_channels)}
    rounded = {"ceil": "1"} if op.ceil_mode else {}
    inside = {"inside": "1"} if isinstance(op, AvgPool2d) and not op.count_include_pad else {}
    return found | rounded | inside | {"layer": "max" if isinstance(op, MaxPool2d) else "average"}


def _layer(values: Values) -> Layer:
    """The layer of the settings, all of them texts as a person writes them."""
    given = {name: value.strip() for name, value in values.items() if isinstance(value, str) and value.strip()}
    kind = given.get("layer", "conv")
    shared: dict[str, Any] = {name: given[name] for name in ("stride", "padding", "dilation") if name in given}
    if kind in ("conv", "transposed"):
        if kind == "transposed" or "/" in given.get("stride", ""):
            shared |= {name: given[name] for name in ("output_padding",) if name in given}
        channels = whole_of(given, "out_channels") if "out_channels" in given else None
        groups = whole_of(given, "groups", 1)
        return conv(given.get("input", "5x5"), given.get("kernel", "3"), groups=groups, out_channels=channels,
                    transpose=kind == "transposed", **shared)  # fmt: skip
    if "global" in given:
        return pool(given.get("input", "5x5"), kind=kind, global_pool=True)
    more = {"ceil_mode": "ceil" in given, "count_include_pad": "inside" not in given}
    if kind == "average":
        shared.pop("dilation", None)
    return pool(given.get("input", "5x5"), given.get("kernel", "2"), kind=kind, **shared, **more)


def _drawn(layer: Layer) -> Layer | None:
    """The layer if it is small enough, else one with the same window on a small map; None if that is too large."""
    if _fits(layer):
        return layer
    op, channels = layer.op, layer.input.shape[1]
    kept = min(channels, _FEW)
    if isinstance(op, Conv2d | ConvTranspose2d):
        groups = _FEW if op.groups > 1 else 1
        kept = groups if op.groups > 1 else kept
        each = min(op.out_channels // op.groups, _FEW if groups == 1 else 1)
        op = replace(op, in_channels=kept, out_channels=groups * each, groups=groups)
    sides = [_side(window, size) for window, size in zip(layer.windows, layer.input.shape[2:], strict=True)]
    if isinstance(op, GlobalAvgPool | GlobalMaxPool):
        sides = [min(size, _SMALL) for size in layer.input.shape[2:]]
    smaller = Layer(layer.command, op, TensorType((1, kept, *sides)))
    return smaller if _fits(smaller) else None


def _side(window: Window, size: int) -> int:
    """A smaller size that leaves as many pixels over at its end."""
    step, gap = window.stride.numerator, window.stride.denominator
    least = max(_SMALL // gap, -(-(window.extent + step - max(0, window.before)) // gap), 1)
    return size if size <= least else least + (size - least) % step


def _fits(layer: Layer) -> bool:
    sides, places = (*layer.input.shape[2:], *layer.output.shape[2:]), (layer.input.numel, layer.output.numel)
    return max(sides) <= MOST_SIDE and max(places) <= MOST_PLACES and layer.connections <= MOST_CONNECTIONS


def _grids(layer: Layer, seed: int) -> dict[str, Any]:
    """The numbers of a layer's input, weights and output, and which of them meet."""
    random, op = np.random.default_rng(seed), layer.op
    map = random.integers(0, 10, layer.input.shape[1:])
    linear = not isinstance(op, _MAXIMA)
    kernel = op.param_shapes(layer.input).get("weight", ())
    weights = random.integers(-2, 3, kernel) if kernel else np.zeros(0, int)
    taps = _taps(layer, kernel)
    rows, columns = layer.dropped
    return {
        "input": list(layer.input.shape[1:]),
        "output": list(layer.output.shape[1:]),
        "groups": getattr(op, "groups", layer.input.shape[1]),
        "rows": _axis(layer.windows[0], layer.input.shape[2]),
        "columns": _axis(layer.windows[1], layer.input.shape[3]),
        "dropped": {"rows": list(rows), "columns": list(columns)},
        "x": map.ravel().tolist(),
        "weights": weights.ravel().tolist(),
        "taps": taps.ravel().tolist(),
        "tap_shape": list(taps.shape),
        "y": [_written(value) for value in _outputs(layer, map, weights).ravel().tolist()],
        "stamps": isinstance(op, ConvTranspose2d),
        "combines": "sum" if kernel else "mean" if linear else "max",
        "matrix": _matrix_facts(layer) if linear else None,
    }


def _matrix_facts(layer: Layer) -> dict[str, Any]:
    c = layer.matrix
    colors = [weight_color(weight, c.count) for weight in range(c.count)]
    return {**c.facts(), "sparsity": c.sparsity, "colors": colors, "kernel": list(c.kernel)}


def _taps(layer: Layer, kernel: tuple[int, ...]) -> NDArray[np.int64]:
    """The number of the weight under each tap of the window as it slides: (out, in / groups, kh, kw)."""
    numbers = np.arange(int(np.prod(kernel)) if kernel else 0).reshape(kernel or (0, 0, 0, 0))
    return layer.op.sliding_kernel(numbers) if kernel and isinstance(layer.op, ConvTranspose2d) else numbers


def _axis(window: Window, size: int) -> dict[str, Any]:
    """What each output reads along one axis, as (tap, pixel), and where its window lies."""
    return {
        "kernel": window.kernel,
        "dilation": window.dilation,
        "step": window.stride.numerator,
        "gap": window.stride.denominator,
        "before": window.before,
        "after": window.after,
        "reads": [list(window.reads(output, size)) for output in range(window.output_size(size))],
    }


def _outputs(layer: Layer, map: NDArray[np.int64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    if isinstance(layer.op, MaxPool2d | GlobalMaxPool):
        return np.array(pool_map(layer.op, map.tolist()), float)
    c = layer.matrix
    entries = weights.ravel()[c.weights] if c.kernel else np.asarray(c.values)[c.weights]
    return np.bincount(c.rows, entries * map.ravel()[c.columns], c.shape[0]).astype(float)


def _written(value: float) -> str:
    """Whole sums as they are; means with four digits; nothing for a window that holds padding alone."""
    if not np.isfinite(value):
        return "−∞"
    return (f"{value:.0f}" if value == int(value) else f"{value:.4g}").replace("-", "−")
