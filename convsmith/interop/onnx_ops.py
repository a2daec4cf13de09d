"""Every operator in ONNX, one small function each.

Opset 21 is the newest that all supported versions of onnxruntime know, and it has GroupNormalization, Gelu and
LayerNormalization as operators of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from convsmith.errors import ModelError
from convsmith.interop.onnx_draft import Writing
from convsmith.interop.onnx_write_convs import conv, conv1d, conv_transpose, zero_insert
from convsmith.interop.onnx_write_maps import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    max_pool,
    pad,
    pixel_unshuffle,
    resize,
)
from convsmith.interop.onnx_write_norms import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    layer_norm_2d,
    local_response_norm,
    rms_norm,
)
from convsmith.ops import (
    ELU,
    GELU,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Clip,
    Concat,
    Constant,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Div,
    Dropout,
    DropPath,
    Einsum,
    Expand,
    Flatten,
    Gather,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    MatMul,
    Maximum,
    MaxPool2d,
    Minimum,
    Mish,
    Mul,
    Pad,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    Pointwise,
    PReLU,
    Reduce,
    ReLU,
    ReLU6,
    Reshape,
    Resize,
    RMSNorm,
    Roll,
    Scalar,
    ScaledDotProductAttention,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    Softplus,
    Sub,
    Take,
    Tanh,
    ZeroInsert,
)

OPSET = 21


def write_node(call: Writing) -> str:
    """Write one node and return the name of the tensor that holds its value.

    Raises:
        ModelError: If the operator has no form in ONNX.
    """
    writer = WRITERS.get(type(call.node.op))
    if writer is None:
        raise ModelError(
            "the operator cannot be written as ONNX", received=type(call.node.op).__name__, where=call.node.name
        )
    return writer(call, call.node.op)


def _as(kind: str) -> Callable[[Writing, Any], str]:
    return lambda call, op: call.add(kind, *call.inputs)


def _pass(call: Writing, op: Dropout | DropPath) -> str:
    return call.inputs[0]


# Elements


def _clip(call: Writing, low: float | None, high: float | None) -> str:
    bounds = [
        "" if bound is None else call.constant(name, bound, np.float32)
        for name, bound in (("low", low), ("high", high))
    ]
    return call.add("Clip", *call.inputs, *bounds)


def _hard_sigmoid(call: Writing, op: HardSigmoid) -> str:
    return call.add("HardSigmoid", *call.inputs, alpha=1 / 6, beta=0.5)


def _silu(call: Writing, op: SiLU) -> str:
    return call.add("Mul", *call.inputs, call.step("sigmoid", "Sigmoid", *call.inputs))


def _prelu(call: Writing, op: PReLU) -> str:
    slope = call.stored("weight")
    if op.num_parameters > 1 and call.types[0].rank > 2:
        shape = call.ints("slope.shape", -1, *[1] * (call.types[0].rank - 2))
        slope = call.step("slope", "Reshape", slope, shape)
    return call.add("PRelu", *call.inputs, slope)


def _pointwise(call: Writing, op: Pointwise) -> str:
    if op.function == "rsqrt":
        return call.add("Reciprocal", call.step("sqrt", "Sqrt", *call.inputs))
    if op.function == "square":
        return call.add("Mul", *call.inputs, *call.inputs)
    return call.add(op.function.capitalize(), *call.inputs)


def _scalar(call: Writing, op: Scalar) -> str:
    value = call.constant("value", op.value, np.float32)
    if op.function in ("rsub", "rdiv"):
        return call.add(op.function[1:].capitalize(), value, *call.inputs)
    return call.add(op.function.capitalize(), *call.inputs, value)


# Products


def _linear(call: Writing, op: Linear) -> str:
    rank = call.types[0].rank
    if rank == 2:
        return call.add("Gemm", *call.inputs, *call.params, transB=1)
    weight = call.step("columns", "Transpose", call.stored("weight"), perm=(1, 0))
    if op.axis == -1:
        return _times(call, op, call.inputs[0], weight, call.add)
    last = call.step("channels_last", "Transpose", *call.inputs, perm=(0, *range(2, rank), 1))
    value = _times(call, op, last, weight, lambda kind, *inputs: call.step("linear", kind, *inputs))
    return call.add("Transpose", value, perm=(0, rank - 1, *range(1, rank - 1)))


def _times(call: Writing, op: Linear, value: str, weight: str, finish: Callable[..., str]) -> str:
    """A product with a stored matrix, and the bias; ``finish`` appends the last of the nodes."""
    if not op.bias:
        return finish("MatMul", value, weight)
    return finish("Add", call.step("product", "MatMul", value, weight), call.stored("bias"))


def _einsum(call: Writing, op: Einsum) -> str:
    return call.add("Einsum", *call.inputs, equation=op.equation)


def _attention(call: Writing, op: ScaledDotProductAttention) -> str:
    query, key, value, *mask = call.inputs
    rank, features = call.types[0].rank, call.types[0].shape[-1]
    turned = call.step("keys", "Transpose", key, perm=(*range(rank - 2), rank - 1, rank - 2))
    scale = call.constant("scale", 1 / math.sqrt(features) if op.scale is None else op.scale, np.float32)
    scores = call.step("scores", "Mul", call.step("product", "MatMul", query, turned), scale)
    if mask:
        scores = call.step("masked", "Add", scores, *mask)
    return call.add("MatMul", call.step("weights", "Softmax", scores, axis=-1), value)


# Axes and shapes


def _reduce(call: Writing, op: Reduce) -> str:
    if op.function in ("var", "std"):
        return _spread(call, op)
    return call.add(f"Reduce{op.function.capitalize()}", *call.inputs, call.ints("axes", *op.axes), keepdims=op.keepdim)


def _spread(call: Writing, op: Reduce) -> str:
    """Variance, or its root."""
    axes, shape = call.ints("axes", *op.axes), call.types[0].shape
    centred = call.step("centred", "Sub", *call.inputs, call.step("mean", "ReduceMean", *call.inputs, axes))
    squares = call.step("squares", "ReduceSumSquare", centred, axes, keepdims=op.keepdim)
    count = call.constant("count", math.prod(shape[axis] for axis in op.axes) - op.correction, np.float32)
    if op.function == "var":
        return call.add("Div", squares, count)
    return call.add("Sqrt", call.step("var", "Div", squares, count))


def _reshape(call: Writing, op: Reshape) -> str:
    return call.add("Reshape", *call.inputs, call.ints("shape", *op.shape))


def _expand(call: Writing, op: Expand) -> str:
    return call.add("Expand", *call.inputs, call.ints("shape", *(1 if size == -1 else size for size in op.shape)))


def _slice(call: Writing, op: Slice) -> str:
    places = (("start", op.start), ("stop", op.stop), ("axis", op.axis), ("step", op.step))
    return call.add("Slice", *call.inputs, *(call.ints(name, value) for name, value in places))


def _gather(call: Writing, op: Gather) -> str:
    return call.add("Gather", *call.inputs, call.ints("indices", *op.indices), axis=op.axis)


def _roll(call: Writing, op: Roll) -> str:
    size = call.types[0].shape[op.axis]
    order = np.roll(np.arange(size), op.shift).tolist()
    return call.add("Gather", *call.inputs, call.ints("indices", *order), axis=op.axis)


WRITERS: Mapping[type[Any], Callable[[Writing, Any], str]] = {
    AdaptiveAvgPool2d: adaptive_avg_pool,
    AdaptiveMaxPool2d: adaptive_max_pool,
    Add: _as("Add"),
    AvgPool2d: avg_pool,
    BatchNorm1d: batch_norm,
    BatchNorm2d: batch_norm,
    Clip: lambda call, op: _clip(call, op.low, op.high),
    Concat: lambda call, op: call.add("Concat", *call.inputs, axis=op.axis),
    Constant: lambda call, op: call.stored("value"),
    Conv1d: conv1d,
    Conv2d: conv,
    ConvTranspose2d: conv_transpose,
    Div: _as("Div"),
    DropPath: _pass,
    Dropout: _pass,
    ELU: lambda call, op: call.add("Elu", *call.inputs, alpha=op.alpha),
    Einsum: _einsum,
    Expand: _expand,
    Flatten: lambda call, op: call.add("Flatten", *call.inputs, axis=1),
    GELU: lambda call, op: call.add("Gelu", *call.inputs, approximate=op.approximate),
    Gather: _gather,
    GlobalAvgPool: _as("GlobalAveragePool"),
    GlobalMaxPool: _as("GlobalMaxPool"),
    GroupNorm: group_norm,
    HardSigmoid: _hard_sigmoid,
    HardSwish: _as("HardSwish"),
    InstanceNorm2d: instance_norm,
    LayerNorm: layer_norm,
    LayerNorm2d: layer_norm_2d,
    LeakyReLU: lambda call, op: call.add("LeakyRelu", *call.inputs, alpha=op.negative_slope),
    Linear: _linear,
    LocalResponseNorm: local_response_norm,
    MatMul: _as("MatMul"),
    MaxPool2d: max_pool,
    Maximum: _as("Max"),
    Minimum: _as("Min"),
    Mish: _as("Mish"),
    Mul: _as("Mul"),
    PReLU: _prelu,
    Pad: pad,
    Permute: lambda call, op: call.add("Transpose", *call.inputs, perm=op.axes),
    PixelShuffle: lambda call, op: call.add("DepthToSpace", *call.inputs, blocksize=op.factor, mode="CRD"),
    PixelUnshuffle: pixel_unshuffle,
    Pointwise: _pointwise,
    RMSNorm: rms_norm,
    ReLU: _as("Relu"),
    ReLU6: lambda call, op: _clip(call, 0, 6),
    Reduce: _reduce,
    Reshape: _reshape,
    Resize: resize,
    Roll: _roll,
    Scalar: _scalar,
    ScaledDotProductAttention: _attention,
    SiLU: _silu,
    Sigmoid: _as("Sigmoid"),
    Slice: _slice,
    Softmax: lambda call, op: call.add("Softmax", *call.inputs, axis=op.axis),
    Softplus: _as("Softplus"),
    Sub: _as("Sub"),
    Take: lambda call, op: call.add("Gather", *call.inputs, call.stored("index"), axis=op.axis),
    Tanh: _as("Tanh"),
    ZeroInsert: zero_insert,
}
