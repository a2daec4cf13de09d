"""How ONNX's Resize and Upsample become operators.

ONNX lets the file choose where each output pixel lies in the input and, for nearest, how that point is rounded; torch
knows three of these choices. What agrees with one of them becomes a ``Resize``; any other nearest resize takes its
rows and columns by number; any other interpolation has no operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convsmith.interop.onnx_call import Array, Call, Unsupported, shortest
from convsmith.interop.onnx_read_layers import on_map
from convsmith.interop.recorder import Value
from convsmith.ops import Gather, Resize
from convsmith.ops.resample import nearest_mode


@dataclass(frozen=True)
class Axis:
    """One axis that is resized: its size, the size of the result, and their ratio as the file has it."""

    size: int
    outputs: int
    scale: float

    @property
    def exact(self) -> bool:
        """Whether the ratio is that of the sizes."""
        return abs(self.size * self.scale - self.outputs) < 1e-4

    def points(self, mode: str) -> Array:
        """Where each output lies, in pixels, computed in 32 bits as runtimes do it.

        Raises:
            Unsupported: If the coordinate mode is not known.
        """
        place = np.arange(self.outputs, dtype=np.float32)
        scale, half = np.float32(self.scale), np.float32(0.5)
        if mode == "asymmetric":
            return place / scale
        if mode == "align_corners":
            return place * np.float32(self.size - 1) / np.float32(max(self.outputs - 1, 1))
        if mode == "tf_half_pixel_for_nn":
            return (place + half) / scale
        if mode == "pytorch_half_pixel" and self.outputs == 1:
            return place * 0
        if mode not in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
            raise Unsupported(mode)
        shift = self.size / 2 * (1 - self.outputs / (self.scale * self.size)) if mode == "half_pixel_symmetric" else 0
        return (place + half) / scale - half + np.float32(shift)


_ROUNDING: dict[str, Any] = {
    "round_prefer_floor": lambda points: np.ceil(points - np.float32(0.5)),
    "round_prefer_ceil": lambda points: np.floor(points + np.float32(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize(call: Call) -> Value:
    """Resize and Upsample of maps and lines."""
    value = call.value()
    shape = call.shape(value)
    axes = [Axis(size, outputs, scale) for size, (outputs, scale) in zip(shape, _targets(call, shape), strict=True)]
    placed = {call.axis(value, place): axis for place, axis in enumerate(axes)}
    if all(axis.size == axis.outputs and axis.exact for axis in axes):
        return value
    if any(placed[place].size != placed[place].outputs for place in (0, 1)):
        raise Unsupported("along batch or channels")
    spatial = [placed[place] for place in range(2, len(axes))]
    rows, columns = spatial if len(spatial) == 2 else (Axis(1, 1, 1.0), *spatial)
    if call.attributes.get("antialias") and any(axis.outputs < axis.size for axis in axes):
        raise Unsupported("with smoothing")
    if call.text("mode", "nearest") == "nearest":
        return on_map(call, value, lambda map: _nearest(call, map, rows, columns))
    op = _interpolation(call, rows, columns)
    return on_map(call, value, lambda map: call.add(op, map, on_map=True))


def _targets(call: Call, shape: tuple[int, ...]) -> list[tuple[int, float]]:
    """Size of the result and ratio, per axis."""
    late = call.opset >= 11 and "scales" not in call.attributes and len(call.inputs) != 2
    scales = call.attributes.get("scales") or _numbers(call.array(2 if late else 1, "scales"))
    sizes = _numbers(call.array(3, "sizes")) if late else None
    axes = [axis % len(shape) for axis in call.ints("axes") or range(len(shape))]
    targets = [(size, 1.0) for size in shape]
    if sizes:
        ratios = [want / shape[axis] for axis, want in zip(axes, sizes, strict=True)]
        policy = call.text("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            ratio = min(ratios) if policy == "not_larger" else max(ratios)
            sizes, ratios = [int(ratio * shape[axis] + 0.5) for axis in axes], [ratio] * len(axes)
        scales = ratios
    elif scales:
        sizes = [
            int(np.floor(np.float32(shape[axis]) * np.float32(scale))) for axis, scale in zip(axes, scales, strict=True)
        ]
    else:
        raise ValueError("sizes and scales are missing")
    for axis, size, scale in zip(axes, sizes, scales, strict=True):
        targets[axis] = (int(size), shortest(scale))
    return targets


def _numbers(array: Array | None) -> list[Any]:
    return [] if array is None else array.tolist()


def _mode(call: Call) -> str:
    return call.text("coordinate_transformation_mode", "half_pixel") if call.opset >= 11 else "asymmetric"


def _nearest(call: Call, map: Value, rows: Axis, columns: Axis) -> Value:
    taken = [_pixels(call, axis) for axis in (rows, columns)]
    if mode := nearest_mode(taken, (rows.size, columns.size)):
        return call.add(Resize((rows.outputs, columns.outputs), mode), map, on_map=True)
    picked = call.add(Gather(2, tuple(taken[0].tolist())), map, part="rows", on_map=True)
    return call.add(Gather(3, tuple(taken[1].tolist())), picked, on_map=True)


def _pixels(call: Call, axis: Axis) -> Array:
    points = axis.points(_mode(call))
    if call.opset < 11:
        rounding = "ceil" if axis.scale < 1 else "floor"
    else:
        rounding = call.text("nearest_mode", "round_prefer_floor")
    return np.clip(_ROUNDING[rounding](points), 0, axis.size - 1).astype(np.int64)


def _interpolation(call: Call, rows: Axis, columns: Axis) -> Resize:
    kind, mode = call.text("mode", "nearest"), _mode(call)
    name = {"linear": "bilinear", "cubic": "bicubic"}[kind]
    for axis in (rows, columns):
        if axis.size == axis.outputs and axis.exact:
            continue
        half = mode in ("half_pixel", "half_pixel_symmetric") or (mode == "pytorch_half_pixel" and axis.outputs > 1)
        if not (half and axis.exact) and mode != "align_corners":
            raise Unsupported(f"{kind}, {mode}{'' if axis.exact else f' at scale {axis.scale}'}")
    usual = shortest(call.attributes.get("cubic_coeff_a", -0.75)) == -0.75 and not call.attributes.get(
        "exclude_outside"
    )
    if kind == "cubic" and not usual:
        raise Unsupported("cubic with other coefficients")
    return Resize((rows.outputs, columns.outputs), name, mode == "align_corners")
