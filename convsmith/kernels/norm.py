"""Batch normalisation in training, with what is added to it and its activation, as one operator.

Torch makes a map for each of the three, and keeps two of them for the backward pass. Here the input alone is kept: the
backward pass works out again what the activation saw.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convsmith.kernels.activation import Activation
from convsmith.kernels.native import SUFFIXES, Norm, call

_ROW: Final = 512  # elements that the inner loop should see at least
_VECTOR: Final = 16
_PART: Final = 1 << 16  # elements that are summed in one go
_MOST_PARTS: Final = 64


def takes_map(x: Tensor) -> bool:
    """Whether the kernels can take a map (N, C, H, W) as it lies in memory."""
    return (
        x.dtype in SUFFIXES
        and x.device.type == "cpu"
        and x.ndim == 4
        and x.numel() > x.shape[1]
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def takes_norm(norm: nn.BatchNorm2d) -> bool:
    """Whether the kernels can read a normalisation: it learns, and all that it keeps is float32."""
    kept = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return norm.training and all(tensor is None or tensor.dtype == torch.float32 for tensor in kept)


def normalise(x: Tensor, norm: nn.BatchNorm2d, activation: Activation, added: Tensor | None = None) -> Tensor:
    """``activation(norm(x) + added)`` in training: by the statistics of this batch, which the running ones follow.

    Args:
        x: Map (N, C, H, W), float32 or bfloat16, for which ``takes_map`` holds.
        norm: The normalisation, with float32 parameters, in training mode.
        activation: What follows; one that clips, if there is anything added.
        added: Another map of the same kind, or None.

    Returns:
        A map of the same kind.
    """
    assert added is None or activation.clips, "the gradient of this activation cannot be told from its output"
    made = _Normalise.apply(x, norm.weight, norm.bias, added, norm, counted(norm), activation)
    assert isinstance(made, Tensor)
    return made


def counted(norm: nn.BatchNorm2d) -> float:
    """The share of this batch in the running statistics, once the normalisation has counted it."""
    if not norm.track_running_stats or norm.num_batches_tracked is None:
        return 0.0
    norm.num_batches_tracked.add_(1)
    return norm.momentum if norm.momentum is not None else 1.0 / norm.num_batches_tracked.item()


def values_of(x: Tensor, norm: nn.BatchNorm2d, momentum: float, activation: Activation) -> Norm:
    """A normalisation of a map (N, C, H, W), and its activation, for the kernels."""
    size = x.numel()
    return Norm(
        size=size,
        channels=x.shape[1],
        length=_row_length(x.shape[1]),
        weight=address(norm.weight),
        bias=address(norm.bias),
        running_mean=address(norm.running_mean),
        running_var=address(norm.running_var),
        eps=norm.eps,
        momentum=momentum,
        parts=min(_MOST_PARTS, -(-size // _PART)),
        activation=activation.kind,
        low=activation.low,
        high=activation.high,
    )


def room(values: Norm) -> tuple[Tensor, Tensor]:
    """Where the kernels leave what the backward pass needs, and where they work on the way forward."""
    return torch.empty(3 * values.length + 2 * values.channels), torch.empty(2 * values.parts * values.length)


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        added: Tensor | None,
        norm: nn.BatchNorm2d,
        momentum: float,
        activation: Activation,
    ) -> Tensor:
        values = values_of(x, norm, momentum, activation)
        state, work = room(values)
        y = torch.empty_like(x, memory_format=torch.channels_last)
        call("norm_forward", x.dtype, x, added, y, values, state, work)
        keeps_output = added is not None and activation.kind
        ctx.save_for_backward(x, weight, bias, state, y if keeps_output else None)
        ctx.values, ctx.adds = values, added is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, state, y = ctx.saved_tensors
        values: Norm = ctx.values
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        before = torch.empty_like(x) if y is not None else None
        result = torch.empty_like(x)
        work = torch.empty(2 * (values.parts + 1) * values.length)
        of_weight, of_bias = torch.empty(values.channels), torch.empty(values.channels)
        values.weight = address(weight)
        call("norm_backward", x.dtype, x, gradient, y, before, result, values, state, work, of_weight, of_bias)
        of_added = (before if before is not None else gradient) if ctx.adds else None
        return (
            result,
            of_weight if weight is not None else None,
            of_bias if bias is not None else None,
            of_added,
            None,
            None,
            None,
        )


def address(tensor: Tensor | None) -> int | None:
    """Where a tensor lies; None where there is none."""
    return None if tensor is None else tensor.data_ptr()


def _row_length(channels: int) -> int:
    """A multiple of the channels that fills vectors and is long enough for a loop."""
    step = channels * _VECTOR // math.gcd(channels, _VECTOR)
    return step * max(1, _ROW // step)
