"""Every ONNX operator that is understood, one small function each; ``READERS`` is the whole list.

A reader takes a call and returns the value that stands for its result: an operand, or one per result of the node. It
raises ``Unsupported`` for what no operator here says, and any of Python's own errors for what is no valid ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from convsmith.interop.common_ops import ADD, DIV, MAXIMUM, MINIMUM, MUL, POW, SUB, Arithmetic, bounded, whole_equation
from convsmith.interop.onnx_call import Call, Operand, Result, Unsupported, shortest
from convsmith.interop.onnx_fold import fold
from convsmith.interop.onnx_read_layers import (
    average_pool,
    batch_norm,
    conv,
    conv_transpose,
    gemm,
    global_pool,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    matmul,
    max_pool,
    rms_norm,
)
from convsmith.interop.onnx_read_resize import resize
from convsmith.interop.onnx_read_shapes import (
    aligned,
    concat,
    depth_to_space,
    expand,
    flatten,
    gather,
    normalize,
    pad,
    reduction,
    reshape,
    slice_,
    space_to_depth,
    split,
    squeeze,
    tile,
    transpose,
    unsqueeze,
)
from convsmith.interop.onnx_types import FLOATS
from convsmith.interop.recorder import Value
from convsmith.ir import Op
from convsmith.ops import (
    ELU,
    GELU,
    Add,
    Clip,
    Einsum,
    GlobalAvgPool,
    GlobalMaxPool,
    HardSwish,
    LeakyReLU,
    Mish,
    Mul,
    Pointwise,
    PReLU,
    ReLU,
    Scalar,
    ScaledDotProductAttention,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from convsmith.ops.arithmetic import FUNCTIONS

Read = Callable[[Call], Result]


def _as(op: Op) -> Read:
    return lambda call: call.pointwise(op)


def _pass(call: Call) -> Value:
    call.only_result()
    return call.value()


def _cast(call: Call) -> Value:
    value = call.value()
    fractions = call.reader.recorder.types[value.name].dtype in FLOATS.values()
    if fractions and call.attributes.get("to", 1) not in FLOATS:
        raise Unsupported("to whole numbers")
    return value


def _clip(call: Call) -> Value:
    low, high = (
        _bound(call.attributes[name] if name in call.attributes else call.array(place, "a bound"))
        for place, name in enumerate(("min", "max"), start=1)
    )
    return call.value() if (low, high) == (None, None) else call.pointwise(bounded(low, high))


def _bound(bound: Any) -> float | None:
    number = None if bound is None else shortest(np.asarray(bound).item())
    return None if number is None or abs(number) >= 3.4028234e38 else number


def _elu(call: Call) -> Value:
    return call.pointwise(ELU(call.number("alpha", 1.0)))


def _celu(call: Call) -> Value:
    alpha = call.number("alpha", 1.0)
    if alpha == 1:
        return call.pointwise(ELU())
    inner = call.add(ELU(), call.pointwise(Scalar("mul", 1 / alpha), part="inner"), part="elu", on_map=True)
    return call.add(Scalar("mul", alpha), inner, on_map=True)


def _selu(call: Call) -> Value:
    alpha, gamma = call.number("alpha", 1.67326319217681884765625), call.number("gamma", 1.05070102214813232421875)
    return call.add(Scalar("mul", gamma), call.pointwise(ELU(alpha), part="elu"), on_map=True)


def _leaky_relu(call: Call) -> Value:
    return call.pointwise(LeakyReLU(call.number("alpha", 0.01)))


def _prelu(call: Call) -> Value:
    value, slope = call.value(), call.needed(1, "slopes")
    if slope.size == 1:
        return call.layer(PReLU(1), value, on_map=True, weight=slope.reshape(1))
    rank = len(call.shape(value))
    wide = [call.axis(value, axis - slope.ndim + rank) for axis, size in enumerate(slope.shape) if size > 1]
    if wide != [1]:
        raise Unsupported("with a slope per pixel")
    return call.layer(PReLU(slope.size), value, on_map=True, weight=slope.reshape(-1))


def _gelu(call: Call) -> Value:
    return call.pointwise(GELU(call.text("approximate", "none")))


def _hard_sigmoid(call: Call) -> Value:
    alpha, beta = call.number("alpha", 0.2), call.number("beta", 0.5)
    scaled = call.pointwise(Scalar("mul", alpha), part="scaled")
    shifted = call.add(Scalar("add", beta), scaled, part="shifted", on_map=True)
    return call.add(Clip(0.0, 1.0), shifted, on_map=True)


def _swish(call: Call) -> Value:
    alpha = call.number("alpha", 1.0)
    gate = call.add(Sigmoid(), call.pointwise(Scalar("mul", alpha), part="scaled"), part="gate", on_map=True)
    return call.add(Mul(), call.value(), gate, on_map=True)


def _softmax(call: Call, name: str = "") -> Value:
    """From opset 13 on along one axis; before, along all from an axis on."""
    value = call.value()
    shape = call.shape(value)
    axis = call.attributes.get("axis", -1 if call.opset >= 13 else 1)
    if call.opset >= 13 or math.prod(shape[axis:]) == shape[axis]:
        return call.add(Softmax(call.axis(value, axis)), value, part=name, on_map=True)
    start = axis % len(shape)
    flat = call.reshape(value, (*shape[:start], math.prod(shape[start:])), "flat")
    return call.reshape(call.add(Softmax(start), flat, part="softmax"), shape, name)


def _log_softmax(call: Call) -> Value:
    return call.add(Pointwise("log"), _softmax(call, "exp"), on_map=True)


def _number(operand: Operand | None, rank: int) -> float | None:
    if isinstance(operand, np.ndarray) and operand.size == 1 and operand.ndim <= rank:
        return shortest(operand.item())
    return None


def _arithmetic(arithmetic: Arithmetic) -> Callable[[Call], Value]:
    """A reader of an operation on two operands, of which one may be a single number."""
    kind, right, left = arithmetic

    def combined(call: Call) -> Value:
        first, second = call.inputs
        if isinstance(first, Value):
            number = _number(second, len(call.shape(first)))
            if number is not None and (op := right(number)):
                return call.pointwise(op)
        elif isinstance(second, Value):
            number = _number(first, len(call.shape(second)))
            if number is not None and (op := left(number)):
                return call.pointwise(op, 1)
        if kind is None:
            raise Unsupported("with an operand that is not a single number")
        values, last = aligned(call)
        return call.add(kind(), *values, on_map=last)

    def read(call: Call) -> Value:
        result = combined(call)
        if call.of_image:
            call.reader.images.add(result.name)
        return result

    return read


def _divide(call: Call) -> Value:
    types = call.reader.recorder.types
    if any(isinstance(operand, Value) and types[operand.name].dtype == "int64" for operand in call.inputs):
        raise Unsupported("of whole numbers")
    return _arithmetic(DIV)(call)


def _chain(arithmetic: Arithmetic) -> Callable[[Call], Value]:
    """A reader of an operation on any number of operands, two at a time."""
    kind: Any = arithmetic.kind

    def read(call: Call) -> Value:
        values, last = aligned(call)
        result = values[0]
        for place, value in enumerate(values[1:], start=2):
            result = call.add(kind(), result, value, part="" if place == len(values) else str(place), on_map=last)
        return result

    return read


def _mean(call: Call) -> Value:
    values, last = aligned(call)
    total = values[0]
    for place, value in enumerate(values[1:], start=2):
        total = call.add(Add(), total, value, part=f"sum{place}", on_map=last)
    return call.add(Scalar("mul", 1 / len(values)), total, on_map=True) if len(values) > 1 else total


def _extreme(arithmetic: Arithmetic) -> Read:
    """A reader of an operation on any number of operands, of which one of two may be a single number."""
    two, many = _arithmetic(arithmetic), _chain(arithmetic)
    return lambda call: two(call) if len(call.inputs) == 2 else many(call)


def _einsum(call: Call) -> Value:
    equation = call.text("equation", "")
    if len(call.inputs) != 2 or "." in equation:
        raise Unsupported(f"{equation!r}")
    return call.add(Einsum(whole_equation(equation)), call.value(0), call.value(1))


def _attention(call: Call) -> Value:
    call.only_result()
    plain = not any(value for name, value in call.attributes.items() if name not in ("q_num_heads", "kv_num_heads"))
    operands = [operand for operand in call.inputs if operand is not None]
    mask = call.operand(3)
    boolean = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
    if not plain or boolean or len(operands) != len(call.inputs[:4]) or len(call.shape(call.value())) != 4:
        raise Unsupported("other than of heads in an axis, with an additive mask")
    return call.add(ScaledDotProductAttention(), *(call.value(place) for place in range(len(operands))))


def _known(kind: str) -> Read:
    return lambda call: fold(kind, call) or ()


READERS: Mapping[str, Read] = {
    **{name.capitalize(): _as(Pointwise(name)) for name in FUNCTIONS if name not in ("rsqrt", "square")},
    "Add": _arithmetic(ADD),
    "Attention": _attention,
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Cast": _cast,
    "CastLike": lambda call: call.value(),
    "Celu": _celu,
    "Clip": _clip,
    "Concat": concat,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "Div": _divide,
    "Dropout": _pass,
    "Einsum": _einsum,
    "Elu": _elu,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Gelu": _gelu,
    "Gemm": gemm,
    "GlobalAveragePool": global_pool(GlobalAvgPool, "mean"),
    "GlobalMaxPool": global_pool(GlobalMaxPool, "max"),
    "GroupNormalization": group_norm,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _as(HardSwish()),
    "Identity": _pass,
    "InstanceNormalization": instance_norm,
    "LRN": local_response_norm,
    "LayerNormalization": layer_norm,
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": _log_softmax,
    "LpNormalization": normalize,
    "MatMul": matmul,
    "Max": _extreme(MAXIMUM),
    "MaxPool": max_pool,
    "Mean": _mean,
    "Min": _extreme(MINIMUM),
    "Mish": _as(Mish()),
    "Mul": _arithmetic(MUL),
    "PRelu": _prelu,
    "Pad": pad,
    "Pow": _arithmetic(POW),
    "RMSNormalization": rms_norm,
    "ReduceL1": reduction("l1"),
    "ReduceL2": reduction("l2"),
    "ReduceLogSum": reduction("sum", after="log"),
    "ReduceLogSumExp": reduction("sum", "exp", "log"),
    "ReduceMax": reduction("max"),
    "ReduceMean": reduction("mean"),
    "ReduceMin": reduction("min"),
    "ReduceProd": reduction("prod"),
    "ReduceSum": reduction("sum"),
    "ReduceSumSquare": reduction("sum", "square"),
    "Relu": _as(ReLU()),
    "Reshape": reshape,
    "Resize": resize,
    "Selu": _selu,
    "Shape": _known("Shape"),
    "Sigmoid": _as(Sigmoid()),
    "Size": _known("Size"),
    "Slice": slice_,
    "Softmax": _softmax,
    "Softplus": _as(Softplus()),
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Sub": _arithmetic(SUB),
    "Sum": _chain(ADD),
    "Swish": _swish,
    "Tanh": _as(Tanh()),
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Upsample": resize,
}
"""The reader of every operator that is understood."""
