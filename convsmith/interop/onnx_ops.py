"""Every operator in ONNX, one small function each.

Opset 21 is the newest that all supported versions of onnxruntime know, and it has GroupNormalization, Gelu and
LayerNormalization as operators of their own. Where ONNX or a runtime rounds sizes or coordinates its own way
(ceil_mode, nearest resize), the exact sizes and indices are worked out here and written down instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from convsmith.errors import ModelError
from convsmith.ir import Node, TensorType, Window
from convsmith.ops import (
    GELU,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    DropPath,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    LayerNorm2d,
    Linear,
    MaxPool2d,
    Mul,
    Pad,
    ReLU,
    ReLU6,
    Resize,
    Sigmoid,
    SiLU,
    Softmax,
)

OPSET = 21

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


@dataclass(frozen=True)
class Draft:
    """The ONNX nodes and stored tensors written so far."""

    nodes: list[NodeProto] = field(default_factory=list)
    tensors: list[TensorProto] = field(default_factory=list)

    def add(self, output: str, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node named like its one output; return that name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def store(self, name: str, array: NDArray[Any]) -> str:
        """Append a stored tensor; return its name."""
        self.tensors.append(numpy_helper.from_array(array, name))
        return name


@dataclass(frozen=True)
class Call:
    """One node of the graph on its way into the file.

    Attributes:
        node: The node.
        types: Types of its inputs.
        inputs: Names of the tensors that hold its inputs.
        draft: Where it goes.
    """

    node: Node
    types: tuple[TensorType, ...]
    inputs: tuple[str, ...]
    draft: Draft

    @property
    def params(self) -> tuple[str, ...]:
        """Names of the stored parameters."""
        return tuple(self.stored(name) for name in self.node.op.param_shapes(*self.types))

    def stored(self, name: str) -> str:
        """Full name of a stored weight of this node."""
        return f"{self.node.weights}.{name}"

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append the ONNX node that gives the node's value."""
        return self.draft.add(self.node.name, kind, *inputs, **attributes)

    def step(self, part: str, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append an ONNX node that gives an intermediate value."""
        return self.draft.add(f"{self.node.name}.{part}", kind, *inputs, **attributes)

    def constant(self, part: str, values: Any, dtype: type[np.generic]) -> str:
        """Store a constant of this node."""
        return self.draft.store(f"{self.node.name}.{part}", np.asarray(values, dtype))


def write_node(call: Call) -> str:
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


def _as(kind: str) -> Callable[[Call, Any], str]:
    return lambda call, op: call.add(kind, *call.inputs)


def _pass(call: Call, op: Dropout | DropPath) -> str:
    return call.inputs[0]


def _relu6(call: Call, op: ReLU6) -> str:
    return call.add("Clip", *call.inputs, call.constant("low", 0, np.float32), call.constant("high", 6, np.float32))


def _hard_sigmoid(call: Call, op: HardSigmoid) -> str:
    return call.add("HardSigmoid", *call.inputs, alpha=1 / 6, beta=0.5)


def _silu(call: Call, op: SiLU) -> str:
    return call.add("Mul", *call.inputs, call.step("sigmoid", "Sigmoid", *call.inputs))


def _softmax(call: Call, op: Softmax) -> str:
    return call.add("Softmax", *call.inputs, axis=1)


def _concat(call: Call, op: Concat) -> str:
    return call.add("Concat", *call.inputs, axis=1)


def _flatten(call: Call, op: Flatten) -> str:
    return call.add("Flatten", *call.inputs, axis=1)


def _linear(call: Call, op: Linear) -> str:
    return call.add("Gemm", *call.inputs, *call.params, transB=1)


def _conv(call: Call, op: Conv2d) -> str:
    (top, bottom), (left, right) = op.padding
    return call.add(
        "Conv",
        *call.inputs,
        *call.params,
        kernel_shape=op.kernel_size,
        strides=op.stride,
        pads=(top, left, bottom, right),
        dilations=op.dilation,
        group=op.groups,
    )


def _conv_transpose(call: Call, op: ConvTranspose2d) -> str:
    if any(extra >= stride for extra, stride in zip(op.output_padding, op.stride, strict=True)):
        rule = f"output_padding must be below stride {op.stride} in ONNX"
        raise ModelError(rule, received=op.output_padding, where=call.node.name)
    return call.add(
        "ConvTranspose",
        *call.inputs,
        *call.params,
        kernel_shape=op.kernel_size,
        strides=op.stride,
        pads=op.padding * 2,
        output_padding=op.output_padding,
        dilations=op.dilation,
        group=op.groups,
    )


def _batch_norm(call: Call, op: BatchNorm2d) -> str:
    affine = call.params or (
        call.constant("weight", np.ones(op.num_features), np.float32),
        call.constant("bias", np.zeros(op.num_features), np.float32),
    )
    statistics = (call.stored("running_mean"), call.stored("running_var"))
    return call.add("BatchNormalization", *call.inputs, *affine, *statistics, epsilon=op.eps)


def _group_norm(call: Call, op: GroupNorm) -> str:
    return call.add("GroupNormalization", *call.inputs, *call.params, num_groups=op.num_groups, epsilon=op.eps)


def _layer_norm(call: Call, op: LayerNorm2d) -> str:
    last = call.step("channels_last", "Transpose", *call.inputs, perm=(0, 2, 3, 1))
    normed = call.step("normed", "LayerNormalization", last, *call.params, axis=-1, epsilon=op.eps)
    return call.add("Transpose", normed, perm=(0, 3, 1, 2))


def _max_pool(call: Call, op: MaxPool2d) -> str:
    value, pads = call.inputs[0], _reach(op.padding, op.window(*call.types))
    if any(pad >= op.kernel_size[axis % 2] for axis, pad in enumerate(pads)):  # runtimes refuse that much
        value, pads = _padded(call, pads, -np.inf), (0, 0, 0, 0)
    return call.add("MaxPool", value, kernel_shape=op.kernel_size, strides=op.stride, pads=pads, dilations=op.dilation)


def _avg_pool(call: Call, op: AvgPool2d) -> str:
    value, pads, count = call.inputs[0], _reach(op.padding, op.window(*call.types)), op.count_include_pad
    (top, bottom), (left, right) = op.padding
    if count and pads != (top, left, bottom, right):  # padding counts, what ceil_mode reaches past it does not
        value, count = _padded(call, (top, left, bottom, right), 0), False
        pads = (0, 0, pads[2] - bottom, pads[3] - right)
    return call.add(
        "AveragePool",
        value,
        kernel_shape=op.kernel_size,
        strides=op.stride,
        pads=pads,
        count_include_pad=int(count),
    )


def _reach(padding: tuple[tuple[int, int], ...], windows: tuple[Window, Window]) -> tuple[int, int, int, int]:
    """Pads (top, left, bottom, right) with which rounding down gives the size that ceil_mode gives."""
    (top, bottom), (left, right) = padding
    return top, left, max(bottom, windows[0].after), max(right, windows[1].after)


def _padded(call: Call, pads: tuple[int, int, int, int], value: float) -> str:
    sizes = call.constant("pads", (0, 0, *pads[:2], 0, 0, *pads[2:]), np.int64)
    return call.step("padded", "Pad", call.inputs[0], sizes, call.constant("blank", value, np.float32))


def _pad(call: Call, op: Pad) -> str:
    (top, bottom), (left, right) = op.padding
    sizes = call.constant("pads", (0, 0, top, left, 0, 0, bottom, right), np.int64)
    return call.add("Pad", *call.inputs, sizes, mode=_PAD_MODES[op.mode])


def _resize(call: Call, op: Resize) -> str:
    if op.mode == "nearest":
        return _nearest(call, op)
    mode = "align_corners" if op.align_corners else "half_pixel"
    return _interpolate(call, op, mode="linear", coordinate_transformation_mode=mode)


def _nearest(call: Call, op: Resize) -> str:
    """Enlarging by whole factors is Resize; otherwise runtimes round coordinates differently, and pixels are gathered.

    The pixels are those that torch takes, which computes in float32 as well.
    """
    sizes = call.types[0].shape[2:]
    scales = [np.float32(size) / np.float32(outputs) for size, outputs in zip(sizes, op.size, strict=True)]
    rows, columns = (
        np.minimum(np.arange(outputs, dtype=np.float32) * scale, size - 1).astype(np.int64)
        for outputs, scale, size in zip(op.size, scales, sizes, strict=True)
    )
    if all(_repeats(pixels, size) for pixels, size in ((rows, sizes[0]), (columns, sizes[1]))):
        return _interpolate(call, op, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    picked = call.step("picked", "Gather", *call.inputs, call.constant("rows", rows, np.int64), axis=2)
    return call.add("Gather", picked, call.constant("columns", columns, np.int64), axis=3)


def _repeats(pixels: NDArray[np.int64], size: int) -> bool:
    """Whether every pixel is taken the same number of times, in order."""
    return np.array_equal(pixels, np.repeat(np.arange(size), len(pixels) // size))


def _interpolate(call: Call, op: Resize, **attributes: str) -> str:
    sizes = call.constant("size", op.size, np.int64)
    return call.add("Resize", *call.inputs, "", "", sizes, axes=(2, 3), **attributes)


WRITERS: Mapping[type[Any], Callable[[Call, Any], str]] = {
    Add: _as("Add"),
    AvgPool2d: _avg_pool,
    BatchNorm2d: _batch_norm,
    Concat: _concat,
    Conv2d: _conv,
    ConvTranspose2d: _conv_transpose,
    DropPath: _pass,
    Dropout: _pass,
    Flatten: _flatten,
    GELU: _as("Gelu"),
    GlobalAvgPool: _as("GlobalAveragePool"),
    GroupNorm: _group_norm,
    HardSigmoid: _hard_sigmoid,
    HardSwish: _as("HardSwish"),
    LayerNorm2d: _layer_norm,
    Linear: _linear,
    MaxPool2d: _max_pool,
    Mul: _as("Mul"),
    Pad: _pad,
    ReLU: _as("Relu"),
    ReLU6: _relu6,
    Resize: _resize,
    SiLU: _silu,
    Sigmoid: _as("Sigmoid"),
    Softmax: _softmax,
}
