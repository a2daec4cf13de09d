"""How ONNX's operators that move, cut, join and sum up elements become operators; see ``onnx_read_ops``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from convsmith.interop.onnx_call import Array, Call, Result, Unsupported, shortest
from convsmith.interop.onnx_fold import parts, slices, squeezed, target_shape, unsqueezed
from convsmith.interop.onnx_read_layers import on_map
from convsmith.interop.recorder import Value
from convsmith.ir import Op, Shape
from convsmith.ops import (
    Concat,
    Constant,
    Div,
    Expand,
    Gather,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    Pointwise,
    Reduce,
    Slice,
    Take,
)
from convsmith.ops.resample import PAD_MODES

_PAD_MODES = {theirs: ours for ours, theirs in PAD_MODES.items()}


def aligned(call: Call) -> tuple[list[Value], bool]:
    """All inputs as values in one layout, and whether that is the graph's own order of axes."""
    known = [operand for operand in call.inputs if isinstance(operand, Value)]
    last = bool(known) and all(value.channels_last for value in known)
    learned = not call.of_image  # no network learns how its images are normalised
    values = [
        operand
        if isinstance(operand, Value)
        else call.reader.constant(operand, call.source(place), channels_last=last, learned=learned)
        for place, operand in enumerate(call.inputs)
        if operand is not None
    ]
    return values, last


def reshape(call: Call) -> Value:
    """Reshape to a shape that is known."""
    value = call.value()
    target = tuple(call.needed(1, "a shape").tolist())
    zero_is_zero = bool(call.attributes.get("allowzero", 0))
    return call.reshape(value, target_shape(call.shape(value), target, zero_is_zero=zero_is_zero))


def flatten(call: Call) -> Value:
    """Flatten to two axes."""
    value = call.value()
    shape = call.shape(value)
    axis = call.attributes.get("axis", 1)
    lead = math.prod(shape[: axis if axis >= 0 else axis + len(shape)])
    return call.reshape(value, (lead, math.prod(shape) // lead))


def squeeze(call: Call) -> Value:
    """Squeeze."""
    value = call.value()
    return call.reshape(value, squeezed(call.shape(value), call.ints("axes", 1)))


def unsqueeze(call: Call) -> Value:
    """Unsqueeze."""
    value = call.value()
    return call.reshape(value, unsqueezed(call.shape(value), call.ints("axes", 1) or ()))


def transpose(call: Call) -> Value:
    """Transpose."""
    value = call.value()
    return call.permute(value, call.ints("perm") or tuple(reversed(range(len(call.shape(value))))))


def expand(call: Call) -> Value:
    """Expand to a shape that is known."""
    value = call.value()
    before = call.shape(value)
    shape = np.broadcast_shapes(before, tuple(call.needed(1, "a shape").tolist()))
    if shape == before:
        return value
    kept = len(shape) == len(before) and shape[0] == before[0]
    return call.add(Expand((-1, *shape[1:]) if kept else shape), value)


def tile(call: Call) -> Value:
    """Tile, as a value joined to itself."""
    value = call.value()
    repeats = [(axis, times) for axis, times in enumerate(call.needed(1, "repeats").tolist()) if times != 1]
    if any(not 1 <= times <= 64 for _, times in repeats):
        raise Unsupported("repeated so often")
    for axis, times in repeats:
        last = axis == repeats[-1][0]
        value = call.add(
            Concat(call.axis(value, axis)), *[value] * times, part="" if last else f"axis{axis}", on_map=True
        )
    return value


def concat(call: Call) -> Value:
    """Concat of values and stored arrays."""
    values, last = aligned(call)
    if len(values) == 1:
        return values[0]
    axis = call.axis(values[0], call.attributes["axis"])
    if not last:
        axis = call.attributes["axis"] % len(call.shape(values[0]))
    return call.add(Concat(axis), *values, on_map=last)


def cut(call: Call, value: Value, axis: int, kept: range, part: str = "") -> Value:
    """The positions ``kept`` of an axis of the file."""
    size = call.shape(value)[axis]
    if kept == range(size):
        return value
    if not kept:
        raise Unsupported("nothing is left")
    place = call.axis(value, axis)
    op: Op = Slice(place, kept.start, kept.stop, kept.step) if kept.step > 0 else Gather(place, tuple(kept))
    return call.add(op, value, part=part, on_map=True)


def slice_(call: Call) -> Value:
    """Slice, an axis at a time."""
    value = call.value()
    shape = call.shape(value)
    chosen = [(axis, kept) for axis, kept in slices(call, shape).items() if kept != range(shape[axis])]
    for number, (axis, kept) in enumerate(chosen, start=1):
        value = cut(call, value, axis, kept, "" if number == len(chosen) else f"axis{axis}")
    return value


def split(call: Call) -> Result:
    """Split, as one slice for each part that is read."""
    value = call.value()
    axis = call.attributes.get("axis", 0)
    ranges = [range(*part) for part in parts(call, call.shape(value)[axis])]
    return tuple(
        cut(call, value, axis, kept, str(place)) if read else None
        for place, (kept, read) in enumerate(zip(ranges, call.outputs, strict=True))
    )


def gather(call: Call) -> Value:
    """Gather at places that are known, of a value or of a stored table."""
    value, indices = call.value(), call.needed(1, "places")
    shape = call.shape(value)
    axis = call.attributes.get("axis", 0) % len(shape)
    if np.any((indices < -shape[axis]) | (indices >= shape[axis])):
        raise IndexError(f"place beyond the {shape[axis]} of axis {axis}")
    places = indices.reshape(-1) % shape[axis]
    if not isinstance(call.operand(0), Value):
        return call.layer(Take(axis, indices.shape), value, index=places.reshape(indices.shape))
    part = "" if indices.ndim == 1 else "picked"
    if len(places) == 1:
        picked = cut(call, value, axis, range(int(places[0]), int(places[0]) + 1), part)
    else:
        op = Gather(call.axis(value, axis), tuple(places.tolist()))
        picked = call.add(op, value, part=part, on_map=True)
    return call.reshape(picked, (*shape[:axis], *indices.shape, *shape[axis + 1 :]))


def depth_to_space(call: Call) -> Value:
    """DepthToSpace: PixelShuffle, where the channels are in depth order first after a change of their order."""
    value, factor = call.value(), call.attributes["blocksize"]
    if call.text("mode", "DCR") == "DCR":
        channels = call.shape(value)[1]
        order = np.arange(channels).reshape(factor * factor, -1).T.reshape(-1)
        value = call.add(Gather(1, tuple(order.tolist())), value, part="order") if channels > factor**2 else value
    return call.add(PixelShuffle(factor), value)


def space_to_depth(call: Call) -> Value:
    """SpaceToDepth: PixelUnshuffle, then its channels in depth order."""
    value, factor = call.value(), call.attributes["blocksize"]
    channels = call.shape(value)[1]
    if channels == 1 or call.text("mode", "DCR") == "CRD":
        return call.add(PixelUnshuffle(factor), value)
    apart = call.add(PixelUnshuffle(factor), value, part="apart")
    order = np.arange(channels * factor**2).reshape(channels, -1).T.reshape(-1)
    return call.add(Gather(1, tuple(order.tolist())), apart)


def reduction(function: str, before: str = "", after: str = "") -> Callable[[Call], Value]:
    """A reader of a reduction, of a function of the elements, with another function of the result."""

    def read(call: Call) -> Value:
        axes = call.ints("axes", 1)
        if not axes and call.attributes.get("noop_with_empty_axes"):
            return call.pointwise(Pointwise(before)) if before else call.value()
        value = call.pointwise(Pointwise(before), part=before) if before else call.value()
        rank, keep = len(call.shape(value)), bool(call.attributes.get("keepdims", 1))
        value, axes = call.reader.recorder.reduced(value, axes or range(rank), keepdim=keep)
        result = call.add(Reduce(function, axes, keep), value, part="reduced" if after else "", on_map=True)
        result = result if keep else Value(result.name)
        return call.add(Pointwise(after), result, on_map=True) if after else result

    return read


def normalize(call: Call) -> Value:
    """LpNormalization: a value divided by its length along an axis."""
    value = call.value()
    op = Reduce(f"l{call.attributes.get('p', 2)}", (call.axis(value, call.attributes.get("axis", -1)),), True)
    return call.add(Div(), value, call.add(op, value, part="length", on_map=True), on_map=True)


def pad(call: Call) -> Value:
    """Pad: around the map, or stored numbers joined to other axes."""
    value = call.value()
    rank = len(call.shape(value))
    sides = _pads(call, rank)
    mode = _PAD_MODES[call.text("mode", "constant")]
    number = call.array(2, "a padding value")
    blank = shortest(call.attributes.get("value", 0.0) if number is None or not number.size else number.item())
    places = {call.axis(value, axis): pair for axis, pair in enumerate(sides) if any(pair)}
    if not places:
        return value
    if min(places) >= 2 and rank in (3, 4):
        around: Any = (places.get(2, (0, 0)), places.get(3, (0, 0))) if rank == 4 else ((0, 0), places[2])
        return on_map(call, value, lambda map: call.add(Pad(around, mode, blank), map, on_map=True))
    if mode != "constant" or 0 in places:
        raise Unsupported(f"{mode} along batch or channels")
    return _joined(call, value, places, blank)


def _pads(call: Call, rank: int) -> list[tuple[int, int]]:
    pads = call.ints("pads", 1) or ()
    axes = call.ints("axes", 3) or tuple(range(rank))
    sides = [(0, 0)] * rank
    for place, axis in enumerate(axes):
        sides[axis] = (pads[place], pads[place + len(axes)])
    return sides


def _joined(call: Call, value: Value, places: dict[int, tuple[int, int]], blank: float) -> Value:
    """Stored numbers before and after the elements of each axis; negative sides cut."""
    for axis, (before, after) in places.items():
        shape = call.reader.recorder.types[value.name].shape
        kept = Slice(axis, max(0, -before), shape[axis] - max(0, -after))
        if (kept.start, kept.stop) != (0, shape[axis]):
            value = call.add(kept, value, part=f"cut{axis}", on_map=True)
        ends = [_blank(call, shape, axis, size, blank, value) if size > 0 else None for size in (before, after)]
        parts = [part for part in (ends[0], value, ends[1]) if part is not None]
        if len(parts) > 1:
            last = axis == max(places)
            value = call.add(Concat(axis), *parts, part="" if last else f"axis{axis}", on_map=True)
    return value


def _blank(call: Call, shape: Shape, axis: int, size: int, number: float, like: Value) -> Value:
    sizes = (*shape[:axis], size, *shape[axis + 1 :])
    value = call.add(Constant(sizes, learned=False), part="blank")
    array: Array = np.broadcast_to(np.float32(number), sizes)
    call.reader.weights[value.name] = {"value": array}
    return Value(value.name, like.channels_last)
