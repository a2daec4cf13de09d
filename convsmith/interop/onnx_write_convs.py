"""How convolutions are written as ONNX."""

from __future__ import annotations

import numpy as np

from convsmith.errors import ModelError
from convsmith.interop.onnx_draft import Writing
from convsmith.ops import Conv1d, Conv2d, ConvTranspose2d, ZeroInsert


def conv(call: Writing, op: Conv2d) -> str:
    """Conv over maps."""
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


def conv1d(call: Writing, op: Conv1d) -> str:
    """Conv over sequences."""
    return call.add(
        "Conv",
        *call.inputs,
        *call.params,
        kernel_shape=[op.kernel_size],
        strides=[op.stride],
        pads=op.padding,
        dilations=[op.dilation],
        group=op.groups,
    )


def conv_transpose(call: Writing, op: ConvTranspose2d) -> str:
    """ConvTranspose, whose output padding ONNX bounds."""
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


def zero_insert(call: Writing, op: ZeroInsert) -> str:
    """Each pixel stamped as it is, a stride apart."""
    channels = call.types[0].shape[1]
    one = call.constant("weight", np.ones((channels, 1, 1, 1)), np.float32)
    return call.add("ConvTranspose", *call.inputs, one, strides=op.factor, group=channels)
