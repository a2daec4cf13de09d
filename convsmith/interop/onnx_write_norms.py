"""How normalisations are written as ONNX."""

from __future__ import annotations

import numpy as np

from convsmith.errors import ModelError
from convsmith.interop.onnx_draft import Writing
from convsmith.ops import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    LocalResponseNorm,
    RMSNorm,
)


def _ones_and_zeros(call: Writing, *shape: int) -> tuple[str, str]:
    """The scale and the shift of a normalisation that has none."""
    return call.constant("weight", np.ones(shape), np.float32), call.constant("bias", np.zeros(shape), np.float32)


def batch_norm(call: Writing, op: BatchNorm1d | BatchNorm2d) -> str:
    """BatchNormalization."""
    affine = () if op.affine else _ones_and_zeros(call, op.num_features)
    return call.add("BatchNormalization", *call.inputs, *affine, *call.params, epsilon=op.eps)


def group_norm(call: Writing, op: GroupNorm) -> str:
    """GroupNormalization."""
    affine = call.params or _ones_and_zeros(call, op.num_channels)
    return call.add("GroupNormalization", *call.inputs, *affine, num_groups=op.num_groups, epsilon=op.eps)


def instance_norm(call: Writing, op: InstanceNorm2d) -> str:
    """InstanceNormalization."""
    affine = call.params or _ones_and_zeros(call, op.num_features)
    return call.add("InstanceNormalization", *call.inputs, *affine, epsilon=op.eps)


def layer_norm_2d(call: Writing, op: LayerNorm2d) -> str:
    """LayerNormalization over channels, which must lie last."""
    last = call.step("channels_last", "Transpose", *call.inputs, perm=(0, 2, 3, 1))
    affine = call.params or _ones_and_zeros(call, op.num_channels)
    normed = call.step("normed", "LayerNormalization", last, *affine, axis=-1, epsilon=op.eps)
    return call.add("Transpose", normed, perm=(0, 3, 1, 2))


def layer_norm(call: Writing, op: LayerNorm) -> str:
    """LayerNormalization."""
    affine = call.params or _ones_and_zeros(call, *op.normalized_shape)
    axis = -len(op.normalized_shape)
    return call.add("LayerNormalization", *call.inputs, *affine, axis=axis, epsilon=op.eps)


def rms_norm(call: Writing, op: RMSNorm) -> str:
    """Written out: its operator came after opset 21."""
    axes = call.ints("axes", *range(-len(op.normalized_shape), 0))
    mean = call.step("mean", "ReduceMean", call.step("squares", "Mul", *call.inputs * 2), axes)
    length = call.step("length", "Sqrt", call.step("added", "Add", mean, call.constant("eps", op.eps, np.float32)))
    if not op.affine:
        return call.add("Div", *call.inputs, length)
    return call.add("Mul", call.step("normed", "Div", *call.inputs, length), call.stored("weight"))


def local_response_norm(call: Writing, op: LocalResponseNorm) -> str:
    """LRN."""
    if op.size % 2 == 0:
        raise ModelError(
            "size must be odd in ONNX, whose window lies otherwise", received=op.size, where=call.node.name
        )
    return call.add("LRN", *call.inputs, size=op.size, alpha=op.alpha, beta=op.beta, bias=op.k)
