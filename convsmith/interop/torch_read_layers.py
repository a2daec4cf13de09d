"""How torch's layers become operators: one small function each, called like the torch function it stands for.

Each takes the trace and the function's own arguments and returns the tensor that stands for the result, or
``NotImplemented`` where the call is not about a tracked tensor or is of a kind that has no operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # the field's name for it

from convsmith.errors import OpError
from convsmith.interop.common_ops import whole_equation
from convsmith.interop.recorder import Value
from convsmith.interop.torch_trace import Trace, make
from convsmith.ir import same_padding
from convsmith.ops import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    DynamicConv2d,
    Einsum,
    Flatten,
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
    Mul,
    Reshape,
    RMSNorm,
    ScaledDotProductAttention,
)

Handler = Callable[..., Any]


def fixed(value: Any) -> Any:
    """Lists as tuples, so that operators can be kept by their attributes."""
    return tuple(value) if isinstance(value, list) else value


def _conv(t: Trace, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
          dilation: Any = 1, groups: int = 1) -> Any:  # fmt: skip
    outputs, inputs, *kernel = weight.shape
    if len(kernel) not in (1, 2) or input.dim() != len(kernel) + 2:
        return NotImplemented
    stride, dilation = fixed(stride), fixed(dilation)
    padding = _same(input, kernel, dilation) if padding == "same" else 0 if padding == "valid" else fixed(padding)
    if id(weight) in t.values:
        geometry = tuple(kernel), stride, padding, dilation, groups
        return _dynamic_conv(t, input, weight, geometry) if bias is None and len(kernel) == 2 else NotImplemented
    value = _fed(t, input, weight)
    if value is None or id(bias) in t.values:
        return NotImplemented
    learned = id(weight) not in t.buffers
    channels = (inputs * groups, outputs)
    if len(kernel) == 1:
        op = make(
            Conv1d,
            *channels,
            kernel[0],
            _single(stride),
            _both_sides(padding),
            _single(dilation),
            groups,
            bias is not None,
        )
    else:
        op = make(Conv2d, *channels, tuple(kernel), stride, padding, dilation, groups, bias is not None, learned)
    return t.layer(op, value, weight, bias)


def _dynamic_conv(t: Trace, input: Tensor, weight: Tensor, geometry: tuple[Any, ...]) -> Any:
    """Kernels that depend on the image: torch takes them for a batch of one."""
    map, kernels = t.values.get(id(input)), t.values[id(weight)]
    if map is None or input.shape[0] != 1:
        return NotImplemented
    flat = t.step(make(Flatten), kernels, function="flatten")
    rows = t.step(make(Reshape, (-1, *t.recorder.shape(flat))), flat, function="reshape")
    return t.track(t.step(make(DynamicConv2d, *geometry), map, rows, function="conv2d"))


def _fed(t: Trace, input: Tensor, weight: Tensor) -> Value | None:
    """The input of a layer whose weights are stored; made into a value where it is itself made from what is stored."""
    value = t.values.get(id(input))
    if value is None and id(weight) in t.params:
        value = t.operand(input)
    return None if id(weight) in t.values else value


def _same(input: Tensor, kernel: Sequence[int], dilation: Any) -> tuple[tuple[int, int], ...]:
    """The padding that ``same`` means; torch allows it for a stride of one."""
    gaps = dilation if isinstance(dilation, tuple) else (dilation,) * len(kernel)
    sizes = input.shape[2:]
    return tuple(same_padding(size, taps, 1, gap) for size, taps, gap in zip(sizes, kernel, gaps, strict=False))


def _single(value: Any) -> int:
    return value[0] if isinstance(value, tuple) else value


def _both_sides(padding: Any) -> tuple[int, int]:
    one = padding[0] if isinstance(padding, tuple) else padding
    return one if isinstance(one, tuple) else (one, one)


def _conv_transpose(t: Trace, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
                    padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Any:  # fmt: skip
    value = t.values.get(id(input))
    if value is None or id(weight) in t.values or weight.dim() != 4:
        return NotImplemented
    inputs, outputs, *kernel = weight.shape
    pairs = [fixed(one) for one in (stride, padding, output_padding, dilation)]
    op = make(ConvTranspose2d, inputs, outputs * groups, tuple(kernel), *pairs, groups, bias is not None)
    return t.layer(op, value, weight, bias)


def _linear(t: Trace, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    value = _fed(t, input, weight)
    if value is None or weight.dim() != 2:
        return NotImplemented
    if id(weight) in t.buffers and bias is None:  # a fixed matrix, nothing that is learned
        return _matmul(t, input, weight.t())
    if bias is not None and t.is_composed(bias):  # such as one of three parts, of which only two are learned
        product = t.values[id(_linear(t, input, weight))]
        return t.track(t.step(make(Add), product, t.operand(bias, product), function="add", on_map=True))
    outputs, inputs = weight.shape
    axis = 1 if value.channels_last else -1
    op = make(Linear, inputs, outputs, bias is not None, axis)
    return t.layer(op, value, weight, bias, on_map=value.channels_last)


def _batch_norm(t: Trace, input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
                weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
                momentum: float = 0.1, eps: float = 1e-5, *_: Any) -> Any:  # fmt: skip
    value = t.values.get(id(input))
    if value is None:
        return NotImplemented
    kind = BatchNorm2d if input.dim() == 4 else BatchNorm1d
    if weight is not None and bias is None:
        plain = t.step(make(kind, input.shape[1], eps, momentum, False), value, function="batch_norm")
        return t.track(_scaled(t, plain, weight))
    op = make(kind, input.shape[1], eps, momentum, weight is not None)
    if weight is None and running_mean is None:
        return t.track(t.step(op, value, function="batch_norm"))
    return t.layer(op, value, weight, bias, *(() if weight is not None else (running_mean,)))


def _layer_norm(t: Trace, input: Tensor, normalized_shape: Any, weight: Tensor | None = None,
                bias: Tensor | None = None, eps: float = 1e-5, *_: Any) -> Any:  # fmt: skip
    value = t.values.get(id(input))
    if value is None:
        return NotImplemented
    shape, affine = tuple(normalized_shape), weight is not None
    on_map = value.channels_last and len(shape) == 1
    if on_map and (bias is not None) == affine:
        op = make(LayerNorm2d, shape[0], eps, affine)
    else:
        on_map, op = False, make(LayerNorm, shape, eps, affine, bias is not None)
    if not affine:
        return t.track(t.step(op, value, function="layer_norm", on_map=on_map))
    return t.layer(op, value, weight, bias, on_map=on_map)


def _rms_norm(
    t: Trace, input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Any:
    value = t.values.get(id(input))
    if value is None:
        return NotImplemented
    op = make(RMSNorm, tuple(normalized_shape), eps or 1e-6, weight is not None)
    return t.track(t.step(op, value, function="rms_norm")) if weight is None else t.layer(op, value, weight)


def _group_norm(t: Trace, input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
                eps: float = 1e-5, *_: Any) -> Any:  # fmt: skip
    value = t.values.get(id(input))
    if value is None:
        return NotImplemented
    both = weight is not None and bias is not None
    op = make(GroupNorm, num_groups, input.shape[1], eps, both)
    if both:
        return t.layer(op, value, weight, bias)
    normed = t.step(op, value, function="group_norm")
    return t.track(normed if weight is None else _scaled(t, normed, weight))


def _scaled(t: Trace, value: Value, weight: Tensor) -> Value:
    """A map times one learned number per channel."""
    column = weight.reshape(-1, *(1,) * (t.recorder.types[value.name].rank - 2))
    t.derive([weight], [column])
    return t.step(make(Mul), value, t.operand(column), function="scale")


def _instance_norm(t: Trace, input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
                   weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True,
                   momentum: float = 0.1, eps: float = 1e-5, *_: Any) -> Any:  # fmt: skip
    value = t.values.get(id(input))
    if value is None or input.dim() != 4:
        return NotImplemented
    op = make(InstanceNorm2d, input.shape[1], eps, weight is not None)
    return t.track(t.step(op, value, function="instance_norm")) if weight is None else t.layer(op, value, weight, bias)


def _local_response_norm(
    t: Trace, input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    value = t.values.get(id(input))
    if value is None:
        return NotImplemented
    return t.track(t.step(make(LocalResponseNorm, size, alpha, beta, k), value, function="local_response_norm"))


def _max_pool(t: Trace, input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
              ceil_mode: bool = False, return_indices: bool = False) -> Any:  # fmt: skip
    value = t.values.get(id(input))
    if value is None or return_indices:
        return NotImplemented
    sizes = fixed(kernel_size), fixed(stride) or fixed(kernel_size), fixed(padding), fixed(dilation)
    return t.track(t.step(make(MaxPool2d, *sizes, bool(ceil_mode)), value, function="max_pool2d"))


def _avg_pool(t: Trace, input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
              count_include_pad: bool = True, divisor_override: int | None = None) -> Any:  # fmt: skip
    value = t.values.get(id(input))
    if value is None or divisor_override is not None:
        return NotImplemented
    sizes = fixed(kernel_size), fixed(stride) or fixed(kernel_size), fixed(padding)
    op = make(AvgPool2d, *sizes, bool(ceil_mode), bool(count_include_pad))
    return t.track(t.step(op, value, function="avg_pool2d"))


def _adaptive(kind: type[Any], whole: type[Any], function: str) -> Handler:
    def handler(t: Trace, input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        value = t.values.get(id(input))
        if value is None or return_indices or input.dim() != 4:
            return NotImplemented
        asked = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
        size = tuple(have if want is None else int(want) for want, have in zip(asked, input.shape[2:], strict=True))
        op = make(whole) if size == (1, 1) else make(kind, size)
        return t.track(t.step(op, value, function=function))

    return handler


def _matmul(t: Trace, input: Tensor, other: Tensor, out: None = None) -> Any:
    if not t.concerns(input, other):
        return NotImplemented
    return t.track(t.step(make(MatMul), t.operand(input), t.operand(other), function="matmul"))


def _einsum(t: Trace, equation: str, *operands: Any) -> Any:
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    if not t.concerns(*tensors) or len(tensors) != 2:
        return NotImplemented
    if "." in equation:
        return NotImplemented
    operator = make(Einsum, whole_equation(equation))
    return t.track(t.step(operator, *map(t.operand, tensors), function="einsum"))


def _attention(t: Trace, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
               dropout_p: float = 0.0, is_causal: bool = False, *, scale: float | None = None,
               enable_gqa: bool = False) -> Any:  # fmt: skip
    tensors = (query, key, value) if attn_mask is None else (query, key, value, attn_mask)
    if not any(id(tensor) in t.values for tensor in tensors):
        return NotImplemented
    if is_causal:
        raise OpError("no operator for a mask of what comes later")
    op = make(ScaledDotProductAttention, scale)
    return t.track(t.step(op, *map(t.operand, tensors), function="attention"))


LAYERS: Mapping[Any, Handler] = {
    torch.conv1d: _conv,
    torch.conv2d: _conv,
    torch.conv_transpose2d: _conv_transpose,
    F.linear: _linear,
    F.batch_norm: _batch_norm,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.group_norm: _group_norm,
    F.instance_norm: _instance_norm,
    F.local_response_norm: _local_response_norm,
    F.max_pool2d: _max_pool,
    torch.max_pool2d: _max_pool,
    F.avg_pool2d: _avg_pool,
    F.adaptive_avg_pool2d: _adaptive(AdaptiveAvgPool2d, GlobalAvgPool, "adaptive_avg_pool2d"),
    F.adaptive_max_pool2d: _adaptive(AdaptiveMaxPool2d, GlobalMaxPool, "adaptive_max_pool2d"),
    torch.matmul: _matmul,
    torch.bmm: _matmul,
    Tensor.matmul: _matmul,
    Tensor.__matmul__: _matmul,
    Tensor.bmm: _matmul,
    torch.einsum: _einsum,
    F.scaled_dot_product_attention: _attention,
}
"""The handler of every function that becomes one layer."""
