"""How torch's functions that change the size of a map become operators; see ``torch_read_layers``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F  # the field's name for it

from convsmith.interop.recorder import CHANNELS_FIRST, Value
from convsmith.interop.torch_read_layers import Handler
from convsmith.interop.torch_trace import Trace, make
from convsmith.ops import AdaptiveAvgPool2d, Concat, Constant, Pad, PixelShuffle, PixelUnshuffle, Resize, Slice


def _pad(t: Trace, input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    source = t.values.get(id(input))
    if source is None:
        return NotImplemented
    sides = [(0, 0)] * input.dim()
    for number in range(len(pad) // 2):
        sides[-1 - number] = (int(pad[2 * number]), int(pad[2 * number + 1]))
    if source.channels_last:
        sides = [sides[axis] for axis in CHANNELS_FIRST]
    if not any(map(any, sides)):
        return t.track(source)
    if len(sides) == 4 and sides[:2] == [(0, 0), (0, 0)]:
        op = make(Pad, (sides[2], sides[3]), mode, float(value or 0))
        return t.track(t.step(op, source, function="pad", on_map=True))
    if mode == "constant" and not value:
        return t.track(_pad_with_zeros(t, source, sides))
    return NotImplemented


def _pad_with_zeros(t: Trace, value: Value, sides: Sequence[tuple[int, int]]) -> Value:
    """Zeros around any axes, as stored zeros joined to the value; negative sides cut."""
    for axis, (before, after) in enumerate(sides):
        size = t.recorder.types[value.name].shape[axis]
        cut = (max(0, -before), size - max(0, -after))
        if cut != (0, size):
            value = t.step(make(Slice, axis, *cut, 1), value, function="slice", on_map=True)
        parts = [part for part in (_zeros(t, value, axis, before), value, _zeros(t, value, axis, after)) if part]
        if len(parts) > 1:
            value = t.step(make(Concat, axis), *parts, function="pad", on_map=True)
    return value


def _zeros(t: Trace, like: Value, axis: int, size: int) -> Value | None:
    """Stored zeros to join to a value along an axis, if any."""
    if size <= 0:
        return None
    shape = t.recorder.types[like.name].shape
    zeros = t.step(make(Constant, (*shape[:axis], size, *shape[axis + 1 :]), False), function="zeros")
    return Value(zeros.name, like.channels_last)


def _interpolate(t: Trace, input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                 align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                 antialias: bool = False) -> Any:  # fmt: skip
    value = t.values.get(id(input))
    if value is None or input.dim() != 4 or antialias:
        return NotImplemented
    if size is None:
        scales = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor, scale_factor)
        size = [int(have * scale) for have, scale in zip(input.shape[2:], scales, strict=True)]
    size = tuple(map(int, size)) if isinstance(size, tuple | list) else (int(size), int(size))
    if size == tuple(input.shape[2:]) and mode != "bicubic":
        return t.track(value)
    if mode == "area":
        return t.track(t.step(make(AdaptiveAvgPool2d, size), value, function="interpolate"))
    op = make(Resize, size, mode, bool(align_corners))
    return t.track(t.step(op, value, function="interpolate"))


def _shuffled(kind: type[Any], function: str) -> Handler:
    def handler(t: Trace, input: Tensor, factor: int) -> Any:
        value = t.values.get(id(input))
        return NotImplemented if value is None else t.track(t.step(make(kind, factor), value, function=function))

    return handler


RESAMPLE: Mapping[Any, Handler] = {
    F.pad: _pad,
    F.interpolate: _interpolate,
    F.pixel_shuffle: _shuffled(PixelShuffle, "pixel_shuffle"),
    F.pixel_unshuffle: _shuffled(PixelUnshuffle, "pixel_unshuffle"),
}
"""The handler of every function that changes the size of a map."""
