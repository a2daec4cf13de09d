"""What an ONNX file computes from shapes and weights alone, worked out while it is read, one small function each.

Exporters spell a reshape as dozens of nodes about shapes, and keep weights behind a Transpose or a Cast. Whoever reads
the network wants neither. Sizes are checked before memory is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from onnx import helper

from convsmith.interop.onnx_call import Array, Call

LARGEST: Final = 2**27
"""Elements of the largest array that is worked out."""

Folder = Callable[..., Any]


def fold(kind: str, call: Call) -> tuple[Array, ...] | None:
    """The results of a node whose inputs are all known, or None if it is not one that is worked out here.

    A table of learned numbers that is read more often than it has elements stays one: its elements are what is learned.

    Raises:
        ValueError: If a result would be absurdly large.
    """
    folder = FOLDERS.get(kind)
    if folder is None or (kind == "Gather" and _is_table(call.attributes.get("axis", 0), *call.inputs)):
        return None
    with np.errstate(all="ignore"):
        result = folder(call, *call.inputs)
    results = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(array) for array in results)


def _is_table(axis: int, array: Any, indices: Any) -> bool:
    return array.dtype.kind == "f" and array.ndim > 1 and indices.size > array.shape[axis] > 1


def target_shape(shape: tuple[int, ...], target: tuple[int, ...], *, zero_is_zero: bool = False) -> tuple[int, ...]:
    """The shape that Reshape gives: 0 keeps a size, -1 takes what is left.

    Raises:
        ValueError: If the elements do not fit.
    """
    sizes = [shape[axis] if size == 0 and not zero_is_zero else size for axis, size in enumerate(target)]
    if sizes.count(-1) == 1:
        known = -math.prod(sizes)
        sizes[sizes.index(-1)] = math.prod(shape) // known if known else 0
    if min(sizes, default=0) < 0 or math.prod(sizes) != math.prod(shape):
        raise ValueError(f"shape {shape} cannot become {target}")
    return tuple(sizes)


def squeezed(shape: tuple[int, ...], axes: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape without ``axes``, or without all axes of one element."""
    rank = len(shape)
    gone = (
        {axis for axis, size in enumerate(shape) if size == 1} if axes is None else {_axis(axis, rank) for axis in axes}
    )
    if any(shape[axis] != 1 for axis in gone):
        raise ValueError(f"axes {axes} of shape {shape} have more than one element")
    return tuple(size for axis, size in enumerate(shape) if axis not in gone)


def unsqueezed(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with axes of one element put in where ``axes`` say."""
    rank = len(shape) + len(axes)
    new = {_axis(axis, rank) for axis in axes}
    sizes = iter(shape)
    return tuple(1 if axis in new else next(sizes) for axis in range(rank))


def slices(call: Call, shape: tuple[int, ...]) -> dict[int, range]:
    """For each axis that a Slice node cuts, the positions that it keeps."""
    starts, ends = call.ints("starts", 1), call.ints("ends", 2)
    if starts is None or ends is None:
        raise ValueError("starts and ends are missing")
    axes = call.ints("axes", 3) or tuple(range(len(starts)))
    steps = call.ints("steps", 4) or (1,) * len(starts)
    return {
        _axis(axis, len(shape)): range(*slice(start, end, step).indices(shape[axis]))
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True)
    }


def parts(call: Call, size: int) -> list[tuple[int, int]]:
    """(start, stop) of each part that a Split node cuts an axis of ``size`` into."""
    lengths = call.ints("split", 1)
    count = len(call.outputs)
    if lengths is None:
        step = -(-size // count)
        lengths = tuple(min(step, size - step * part) for part in range(count))
    stops = np.cumsum(lengths).tolist()
    if len(lengths) != count or min(lengths) < 0 or stops[-1] != size:
        raise ValueError(f"cannot split {size} into {lengths} for {count} results")
    return list(zip([0, *stops[:-1]], stops, strict=True))


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise IndexError(f"axis {axis} of {rank} axes")
    return axis % rank


def _sized(*shape: int) -> tuple[int, ...]:
    if min(shape, default=0) < 0 or math.prod(shape) > LARGEST:
        raise ValueError(f"would need an array of shape {shape}")
    return shape


def _spread(function: Folder) -> Folder:
    """An elementwise function of arrays that are spread over each other."""

    def folder(call: Call, *arrays: Array) -> Any:
        _sized(*np.broadcast_shapes(*(array.shape for array in arrays)))
        return function(*arrays)

    return folder


def _divide(first: Array, second: Array) -> Array:
    if first.dtype.kind == "f":
        return first / second
    quotient = np.abs(first) // np.abs(second)
    return np.asarray(np.sign(first) * np.sign(second) * quotient, first.dtype)


def _power(first: Array, second: Array) -> Array:
    return np.asarray(np.power(first, second), first.dtype)


def _fold_over(function: Folder) -> Folder:
    def reduced(first: Array, *others: Array) -> Array:
        for other in others:
            first = function(first, other)
        return first

    return _spread(reduced)


def _constant(call: Call) -> Array:
    (name, value), *_ = call.attributes.items()
    if name == "value":
        return value
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    return np.asarray(value, kinds[name])


def _constant_of_shape(call: Call, shape: Array) -> Array:
    value = call.attributes.get("value", np.zeros(1, np.float32))
    return np.broadcast_to(value.reshape(()), _sized(*shape.tolist()))


def _shape(call: Call, array: Any) -> Array:
    sizes = call.shape(array)
    return np.array(sizes[call.attributes.get("start", 0) : call.attributes.get("end", len(sizes))], np.int64)


def _size(call: Call, array: Any) -> Array:
    return np.array(math.prod(call.shape(array)), np.int64)


def _cast(call: Call, array: Array) -> Array:
    dtype = helper.tensor_dtype_to_np_dtype(call.attributes["to"])
    return array.astype(dtype if dtype.isbuiltin == 1 else np.float32)


def _concat(call: Call, *arrays: Array) -> Array:
    _sized(sum(array.size for array in arrays))
    return np.concatenate(arrays, call.attributes["axis"])


def _gather(call: Call, array: Array, indices: Array) -> Array:
    axis = _axis(call.attributes.get("axis", 0), array.ndim)
    _sized(*array.shape[:axis], *indices.shape, *array.shape[axis + 1 :])
    return np.take(array, indices.astype(np.int64), axis)


def _slice(call: Call, array: Array, *_: Array | None) -> Array:
    for axis, kept in slices(call, array.shape).items():
        array = np.take(array, kept, axis)
    return array


def _split(call: Call, array: Array, *_: Array | None) -> tuple[Array, ...]:
    axis = _axis(call.attributes.get("axis", 0), array.ndim)
    return tuple(np.take(array, range(start, stop), axis) for start, stop in parts(call, array.shape[axis]))


def _reshape(call: Call, array: Array, target: Array) -> Array:
    zero_is_zero = bool(call.attributes.get("allowzero", 0))
    return array.reshape(target_shape(array.shape, tuple(target.tolist()), zero_is_zero=zero_is_zero))


def _flatten(call: Call, array: Array) -> Array:
    axis = call.attributes.get("axis", 1)
    return array.reshape(math.prod(array.shape[:axis]), -1)


def _squeeze(call: Call, array: Array, *_: Array | None) -> Array:
    return array.reshape(squeezed(array.shape, call.ints("axes", 1)))


def _unsqueeze(call: Call, array: Array, *_: Array | None) -> Array:
    return array.reshape(unsqueezed(array.shape, call.ints("axes", 1) or ()))


def _transpose(call: Call, array: Array) -> Array:
    return array.transpose(call.ints("perm"))


def _expand(call: Call, array: Array, shape: Array) -> Array:
    return np.broadcast_to(array, _sized(*np.broadcast_shapes(array.shape, tuple(shape.tolist()))))


def _tile(call: Call, array: Array, repeats: Array) -> Array:
    _sized(*(size * times for size, times in zip(array.shape, repeats.tolist(), strict=True)))
    return np.tile(array, repeats.tolist())


def _range(call: Call, start: Array, limit: Array, delta: Array) -> Array:
    first, last, step = start.item(), limit.item(), delta.item()
    _sized(max(0, math.ceil((last - first) / step)))
    return np.arange(first, last, step, dtype=start.dtype)


def _where(call: Call, condition: Array, first: Array, second: Array) -> Array:
    _sized(*np.broadcast_shapes(condition.shape, first.shape, second.shape))
    return np.where(condition, first, second)


def _clip(call: Call, array: Array, low: Array | None = None, high: Array | None = None) -> Array:
    bounds = [call.attributes.get(name, bound) for name, bound in (("min", low), ("max", high))]
    return array if bounds == [None, None] else np.clip(array, *bounds).astype(array.dtype)


def _reduce(function: Folder) -> Folder:
    def folder(call: Call, array: Array, *_: Array | None) -> Any:
        axes = call.ints("axes", 1)
        if not axes and call.attributes.get("noop_with_empty_axes"):
            return array
        keep = bool(call.attributes.get("keepdims", 1))
        return function(array, axis=axes or None, keepdims=keep).astype(array.dtype)

    return folder


def _cumulate(call: Call, array: Array, axis: Array) -> Array:
    if call.attributes.get("exclusive") or call.attributes.get("reverse"):
        raise ValueError("exclusive and reverse sums of constants are not worked out")
    return np.cumsum(array, int(axis.item()), array.dtype)


def _triangle(call: Call, array: Array, offset: Array | None = None) -> Array:
    cut = np.triu if call.attributes.get("upper", 1) else np.tril
    return cut(array, 0 if offset is None else int(offset.item()))


def _scatter(call: Call, array: Array, indices: Array, updates: Array) -> Array:
    if call.attributes.get("reduction", b"none") != b"none":
        raise ValueError("constants that are scattered and reduced are not worked out")
    result = array.copy()
    result[tuple(np.moveaxis(indices, -1, 0))] = updates
    return result


def _batch_norm(call: Call, array: Array, scale: Array, shift: Array, mean: Array, variance: Array) -> Array:
    """Standardised weights, which some networks compute from those they store."""
    over = (0, *range(2, array.ndim))
    if call.attributes.get("training_mode"):
        mean, variance = array.mean(over), array.var(over)
    shape = (1, -1, *[1] * (array.ndim - 2))
    factor = scale / np.sqrt(variance + np.float32(call.number("epsilon", 1e-5)))
    return ((array - mean.reshape(shape)) * factor.reshape(shape) + shift.reshape(shape)).astype(array.dtype)


def _dequantize(call: Call, array: Array, scale: Array, zero: Array | None = None) -> Array:
    if call.attributes.get("block_size"):
        raise ValueError("constants quantised in blocks are not worked out")
    shape = [1] * array.ndim
    if scale.size > 1:
        shape[call.attributes.get("axis", 1)] = scale.size
    offset = np.float32(0) if zero is None else zero.astype(np.float32).reshape(shape if zero.size > 1 else ())
    return (array.astype(np.float32) - offset) * scale.reshape(shape if scale.size > 1 else ())


FOLDERS: Mapping[str, Folder] = {
    "Abs": _spread(np.abs),
    "Add": _spread(np.add),
    "And": _spread(np.logical_and),
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "CastLike": lambda call, array, like: array.astype(like.dtype),
    "Ceil": _spread(np.ceil),
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "CumSum": _cumulate,
    "DequantizeLinear": _dequantize,
    "Div": _spread(_divide),
    "Equal": _spread(np.equal),
    "Exp": _spread(np.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _spread(np.floor),
    "Gather": _gather,
    "Greater": _spread(np.greater),
    "GreaterOrEqual": _spread(np.greater_equal),
    "Identity": lambda call, array: array,
    "Less": _spread(np.less),
    "LessOrEqual": _spread(np.less_equal),
    "Log": _spread(np.log),
    "Max": _fold_over(np.maximum),
    "Min": _fold_over(np.minimum),
    "Mod": _spread(np.mod),
    "Mul": _spread(np.multiply),
    "Neg": _spread(np.negative),
    "Not": _spread(np.logical_not),
    "Or": _spread(np.logical_or),
    "Pow": _spread(_power),
    "Range": _range,
    "Reciprocal": _spread(np.reciprocal),
    "ReduceMax": _reduce(np.max),
    "ReduceMean": _reduce(np.mean),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "Reshape": _reshape,
    "ScatterND": _scatter,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "Sqrt": _spread(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _spread(np.subtract),
    "Sum": _fold_over(np.add),
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _triangle,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
    "Xor": _spread(np.logical_xor),
}
"""The function of every operator that is worked out."""
