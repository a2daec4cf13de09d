"""How ONNX's layers become operators: convolutions, pooling, products with stored matrices, normalisations."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convsmith.interop.onnx_call import Array, Call, Unsupported
from convsmith.interop.recorder import Value
from convsmith.ir import Op, Shape, Window
from convsmith.ops import (
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    Linear,
    LocalResponseNorm,
    MatMul,
    MaxPool2d,
    Pad,
    Reduce,
    RMSNorm,
    Scalar,
)

Sides = tuple[tuple[int, int], ...]

_AUTO_PAD: Final = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def on_map(call: Call, value: Value, step: Callable[[Value], Value]) -> Value:
    """A step that needs a map, on a value of three axes as well, which is a map of one row in between."""
    shape = call.shape(value)
    if len(shape) == 4:
        return step(value)
    if len(shape) != 3:
        raise Unsupported(f"on {len(shape)} axes")
    batch, channels, length = shape
    result = step(call.reshape(value, (batch, channels, 1, length), "map"))
    after = call.shape(result)
    return call.reshape(result, (after[0], after[1], after[3]), "row")


def row(numbers: tuple[Any, ...], filler: Any) -> Any:
    """An attribute per spatial axis, for the map of one row that stands for a line."""
    return numbers if len(numbers) == 2 else (filler, *numbers)


def _axes(call: Call, kernel: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Stride and dilation per spatial axis."""
    ones = (1,) * len(kernel)
    return call.ints("strides") or ones, call.ints("dilations") or ones


def _padding(call: Call, sizes: Shape, kernel: tuple[int, ...], *, crops: bool = False) -> Sides:
    """(before, after) per spatial axis, given or worked out so that the size is divided by the stride alone.

    Args:
        call: The node.
        sizes: Sizes of the input.
        kernel: Size of the window.
        crops: Whether pixels are cut off, evenly, where strides leave out more than one.
    """
    stride, dilation = _axes(call, kernel)
    mode = call.text("auto_pad", "NOTSET")
    if mode not in _AUTO_PAD:
        raise ValueError(f"auto_pad {mode!r}")
    if not mode.startswith("SAME"):
        pads = call.ints("pads") if mode == "NOTSET" else None
        return _sides(pads or (0,) * (2 * len(kernel)))
    padding = list[tuple[int, int]]()
    for size, taps, step, gap in zip(sizes, kernel, stride, dilation, strict=True):
        total = Window(taps, Fraction(step), dilation=gap).reaching(-(-size // step), size).after
        total = total if crops else max(0, total)
        before = int((total if mode == "SAME_UPPER" else total + 1) / 2)  # towards zero, as onnxruntime crops
        padding.append((before, total - before))
    return tuple(padding)


def _sides(pads: tuple[int, ...]) -> Sides:
    half = len(pads) // 2
    return tuple(zip(pads[:half], pads[half:], strict=True))


def conv(call: Call) -> Value:
    """Conv, of lines and maps."""
    value, weight, bias = call.value(), call.needed(1, "kernels"), call.array(2, "a bias")
    outputs, inputs, *kernel = weight.shape
    sizes = call.shape(value)[2:]
    if len(kernel) not in (1, 2) or len(sizes) != len(kernel):
        raise Unsupported(f"over {len(kernel)} axes")
    groups = call.attributes.get("group", 1)
    stride, dilation = _axes(call, tuple(kernel))
    padding = _padding(call, sizes, tuple(kernel))
    channels = (inputs * groups, outputs)
    if len(kernel) == 1:
        op: Op = Conv1d(*channels, kernel[0], stride[0], padding[0], dilation[0], groups, bias is not None)
    else:
        op = Conv2d(*channels, tuple(kernel), stride, padding, dilation, groups, bias is not None)  # pyright: ignore[reportArgumentType]
    return call.layer(op, value, weight=weight, bias=bias)


def conv_transpose(call: Call) -> Value:
    """ConvTranspose, of lines and maps; what torch's padding cannot say is cut off afterwards."""
    value, weight, bias = call.value(), call.needed(1, "kernels"), call.array(2, "a bias")
    inputs, outputs, *kernel = weight.shape
    if len(kernel) not in (1, 2):
        raise Unsupported(f"over {len(kernel)} axes")
    groups = call.attributes.get("group", 1)
    stride, dilation = _axes(call, tuple(kernel))
    plan = [
        _transposed_axis(*axis) for axis in zip(_transposed_sides(call, value, kernel), stride, dilation, strict=True)
    ]
    padding, extra, cut = (tuple(part) for part in zip(*plan, strict=True))
    if len(kernel) == 1:
        weight = weight[:, :, None]
    sizes = row(tuple(kernel), 1), row(stride, 1), row(padding, 0), row(extra, 0), row(dilation, 1)
    op = ConvTranspose2d(inputs, outputs * groups, *sizes, groups, bias is not None)

    def step(map: Value) -> Value:
        if not any(any(sides) for sides in cut):
            return call.layer(op, map, weight=weight, bias=bias)
        whole = call.layer(op, map, part="whole", weight=weight, bias=bias)
        return call.add(Pad(row(tuple((-before, -after) for before, after in cut), (0, 0))), whole)

    return on_map(call, value, step)


def _transposed_sides(call: Call, value: Value, kernel: list[int]) -> list[tuple[int, int, int]]:
    """(cut before, cut after, added after) per axis."""
    stride, dilation = _axes(call, tuple(kernel))
    extra = call.ints("output_padding") or (0,) * len(kernel)
    mode, asked = call.text("auto_pad", "NOTSET"), call.ints("output_shape")
    if asked is None and not mode.startswith("SAME"):
        pads = call.ints("pads") if mode == "NOTSET" else None
        sides = _sides(pads or (0,) * (2 * len(kernel)))
        return [(*pair, more) for pair, more in zip(sides, extra, strict=True)]
    sizes = call.shape(value)[2:]
    wanted = asked[-len(kernel) :] if asked else tuple(size * step for size, step in zip(sizes, stride, strict=True))
    planned = list[tuple[int, int, int]]()
    for size, want, taps, step, gap, more in zip(sizes, wanted, kernel, stride, dilation, extra, strict=True):
        total = (size - 1) * step + more + gap * (taps - 1) + 1 - want
        more, total = more + (max(0, -total) if asked else 0), max(0, total)
        small, large = total // 2, total - total // 2
        planned.append((small, large, more) if mode == "SAME_UPPER" else (large, small, more))
    return planned


def _transposed_axis(sides: tuple[int, int, int], stride: int, dilation: int) -> tuple[int, int, tuple[int, int]]:
    """Padding, output padding and what to cut off afterwards, so that both sides come out as they should."""
    before, after, extra = sides
    more = before - after + extra
    if 0 <= more < max(stride, dilation):
        return before, more, (0, 0)
    if more < 0:
        return before, 0, (0, -more)
    return after, extra, (before - after, 0)


def max_pool(call: Call) -> Value:
    """MaxPool; padding that torch does not take is put around the map beforehand."""
    call.only_result()
    return _pool(call, MaxPool2d, -math.inf)


def average_pool(call: Call) -> Value:
    """AveragePool; windows with gaps are a convolution with equal weights."""
    if max(call.ints("dilations") or (1,)) > 1:
        return _dilated_average(call)
    return _pool(call, AvgPool2d, 0.0)


def _pool(call: Call, kind: type[MaxPool2d] | type[AvgPool2d], blank: float) -> Value:
    value, kernel = call.value(), call.ints("kernel_shape") or ()
    stride, dilation = _axes(call, kernel)
    padding = _padding(call, call.shape(value)[2:], kernel, crops=True)
    options: dict[str, Any] = {"ceil_mode": bool(call.attributes.get("ceil_mode", 0))}
    if kind is MaxPool2d:
        options["dilation"] = row(dilation, 1)
    elif any(map(any, padding)):
        options["count_include_pad"] = bool(call.attributes.get("count_include_pad", 0))
    apart = any(not 0 <= side <= taps // 2 for sides, taps in zip(padding, kernel, strict=True) for side in sides)
    if apart and not options.get("count_include_pad", True) and max(map(max, padding)) > 0:
        raise Unsupported("padding wider than half the window")
    if apart and options.pop("ceil_mode"):
        padding = _rounded_up(call, padding, kernel, counted=kind is AvgPool2d)

    def step(map: Value) -> Value:
        sides = row(padding, (0, 0))
        if apart:
            map = call.add(Pad(sides, value=blank), map, part="padded")
            sides = ((0, 0), (0, 0))
            options.pop("count_include_pad", None)
        return call.add(kind(row(kernel, 1), row(stride, 1), sides, **options), map)

    return on_map(call, value, step)


def _windows(call: Call, padding: Sides, kernel: tuple[int, ...]) -> list[tuple[Window, int]]:
    """The window along each spatial axis, with the size of the axis."""
    stride, dilation = _axes(call, kernel)
    axes = zip(kernel, stride, padding, dilation, call.shape(call.value())[2:], strict=True)
    return [(Window(taps, Fraction(step), *sides, gap), size) for taps, step, sides, gap, size in axes]


def _rounded_up(call: Call, padding: Sides, kernel: tuple[int, ...], *, counted: bool) -> Sides:
    """The padding with which rounding down gives the size that ceil_mode gives.

    Raises:
        Unsupported: If it is wider and the mean counts it, which must not count what lies past the padding.
    """
    pairs = [(window, window.ceiled(size)) for window, size in _windows(call, padding, kernel)]
    if counted and any(rounded.after > window.after for window, rounded in pairs):
        raise Unsupported("windows that reach past padding which counts")
    return tuple(
        (window.before, max(window.after, rounded.after) if counted else rounded.after) for window, rounded in pairs
    )


def _dilated_average(call: Call) -> Value:
    value, kernel = call.value(), call.ints("kernel_shape") or ()
    stride, dilation = _axes(call, kernel)
    channels, *sizes = call.shape(value)[1:]
    padding = _padding(call, tuple(sizes), kernel)
    if len(kernel) > 2:
        raise Unsupported(f"on {len(kernel) + 2} axes")
    if any(map(any, padding)) and not call.attributes.get("count_include_pad"):
        raise Unsupported("dilated, with padding that does not count")
    if call.attributes.get("ceil_mode"):
        padding = _rounded_up(call, padding, kernel, counted=True)
    shape, strides, gaps = row(kernel, 1), row(stride, 1), row(dilation, 1)
    op = Conv2d(channels, channels, shape, strides, row(padding, (0, 0)), gaps, channels, bias=False, learned=False)
    weight = np.full((channels, 1, *op.kernel_size), 1 / math.prod(kernel), np.float32)
    return on_map(call, value, lambda map: call.layer(op, map, weight=weight))


def global_pool(kind: type[GlobalAvgPool] | type[GlobalMaxPool], function: str) -> Callable[[Call], Value]:
    """GlobalAveragePool and GlobalMaxPool, over all axes but batch and channels."""

    def read(call: Call) -> Value:
        value = call.value()
        rank = len(call.shape(value))
        return call.add(kind() if rank == 4 else Reduce(function, tuple(range(2, rank)), True), value)

    return read


def gemm(call: Call) -> Value:
    """Gemm: a fully connected layer where the second matrix is stored, else a product of two activations."""
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    first, second, third = call.value(), call.operand(1), call.operand(2)
    if call.attributes.get("transA"):
        first = call.permute(first, (1, 0), "turned")
    if isinstance(second, Value) or second is None:
        second = call.value(1)
        second = call.permute(second, (1, 0), "columns") if call.attributes.get("transB") else second
        return _plus(call, call.add(MatMul(), first, second, part="product"), alpha, beta)
    weight = _scaled(second if call.attributes.get("transB") else second.T, alpha)
    outputs, inputs = weight.shape
    if third is None:
        return call.layer(Linear(inputs, outputs, False), first, weight=weight)
    if isinstance(third, Value) or third.size not in (1, outputs) or third.shape[-1:] not in ((), (1,), (outputs,)):
        product = call.layer(Linear(inputs, outputs, False), first, part="product", weight=weight)
        return _plus(call, product, 1.0, beta)
    bias = _scaled(np.broadcast_to(third.reshape(-1), (outputs,)), beta)
    return call.layer(Linear(inputs, outputs), first, weight=weight, bias=bias)


def _scaled(array: Array, factor: float) -> Array:
    return array if factor == 1 else array * array.dtype.type(factor)


def _plus(call: Call, product: Value, alpha: float, beta: float) -> Value:
    """``alpha`` times the product plus ``beta`` times the third input."""
    if alpha != 1:
        product = call.add(Scalar("mul", alpha), product, part="scaled")
    if call.operand(2) is None:
        return product
    added = call.value(2)
    if beta != 1:
        added = call.add(Scalar("mul", beta), added, part="weighed", on_map=True)
    return call.add(Add(), product, added)


def matmul(call: Call) -> Value:
    """MatMul: a fully connected layer where the second matrix is stored, else a product of two activations."""
    first, second = call.operand(0), call.operand(1)
    if isinstance(first, Value) and isinstance(second, np.ndarray) and second.ndim == 2 and len(call.shape(first)) > 1:
        inputs, outputs = second.shape
        axis = 1 if first.channels_last else -1
        op = Linear(inputs, outputs, False, axis)
        return call.layer(op, first, on_map=first.channels_last, weight=second.T)
    return call.add(MatMul(), call.value(0), call.value(1))


def batch_norm(call: Call) -> Value:
    """BatchNormalization with stored statistics."""
    call.only_result()
    if call.attributes.get("training_mode") or call.attributes.get("spatial", 1) != 1:
        raise Unsupported("with the statistics of a batch, or per pixel")
    value = call.value()
    names = ("weight", "bias", "running_mean", "running_var")
    weights: dict[str, Any] = {name: call.needed(place, "statistics") for place, name in enumerate(names, start=1)}
    kind = {2: BatchNorm1d, 3: BatchNorm1d, 4: BatchNorm2d}.get(len(call.shape(value)))
    if kind is None:
        raise Unsupported(f"on {len(call.shape(value))} axes")
    return call.layer(kind(weights["weight"].size, call.number("epsilon", 1e-5)), value, **weights)


def instance_norm(call: Call) -> Value:
    """InstanceNormalization."""
    weight, bias = call.needed(1, "a scale"), call.needed(2, "a shift")
    op = InstanceNorm2d(weight.size, call.number("epsilon", 1e-5), affine=True)
    return on_map(call, call.value(), lambda map: call.layer(op, map, weight=weight, bias=bias))


def group_norm(call: Call) -> Value:
    """GroupNormalization; before opset 21 it scales groups and not channels."""
    value, groups = call.value(), call.attributes["num_groups"]
    channels = call.shape(value)[1]
    weight, bias = (
        np.repeat(array, channels // array.size) for array in (call.needed(1, "a scale"), call.needed(2, "a shift"))
    )
    op = GroupNorm(groups, channels, call.number("epsilon", 1e-5))
    return on_map(call, value, lambda map: call.layer(op, map, weight=weight, bias=bias))


def layer_norm(call: Call) -> Value:
    """LayerNormalization over the last axes."""
    call.only_result()
    value, weight, bias = call.value(), call.needed(1, "a scale"), call.array(2, "a shift")
    shape, eps = _normalized(call, value), call.number("epsilon", 1e-5)
    if value.channels_last and len(shape) == 1 and bias is not None:
        op: Op = LayerNorm2d(shape[0], eps)
        return call.layer(op, value, on_map=True, weight=weight.reshape(shape), bias=bias.reshape(shape))
    op = LayerNorm(shape, eps, bias=bias is not None)
    return call.layer(op, value, weight=_full(weight, shape), bias=None if bias is None else _full(bias, shape))


def rms_norm(call: Call) -> Value:
    """RMSNormalization over the last axes."""
    value, weight = call.value(), call.needed(1, "a scale")
    shape = _normalized(call, value)
    return call.layer(RMSNorm(shape, call.number("epsilon", 1e-5)), value, weight=_full(weight, shape))


def _normalized(call: Call, value: Value) -> Shape:
    shape = call.shape(value)
    first = call.attributes.get("axis", -1) % len(shape)
    if first == 0:
        raise Unsupported("over the batch")
    return shape[first:]


def _full(array: Array, shape: Shape) -> Array:
    return np.broadcast_to(array, shape)


def local_response_norm(call: Call) -> Value:
    """LRN; over an even number of channels ONNX and torch place the window differently."""
    size = call.attributes["size"]
    if size % 2 == 0:
        raise Unsupported("over an even number of channels")
    op = LocalResponseNorm(size, call.number("alpha", 1e-4), call.number("beta", 0.75), call.number("bias", 1.0))
    return on_map(call, call.value(), lambda map: call.add(op, map))
