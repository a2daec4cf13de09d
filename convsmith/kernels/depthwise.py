"""Depthwise convolution in training: every channel has one filter of its own.

Torch's own is good forward; its gradient by the input of a strided one in bfloat16 falls back to a plain loop (2.13).
"""

from __future__ import annotations

from ctypes import byref
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convsmith.kernels.native import Plane, call

_LARGEST_KERNEL: Final = 7
MOST_PARTS: Final = 16
"""Of the images, each with its own sums of the weights' gradient."""


def takes_depthwise(module: nn.Module) -> bool:
    """Whether the kernels can do the work of a convolution: depthwise, square, without dilation and bias."""
    if type(module) is not nn.Conv2d or isinstance(module.padding, str):
        return False
    square = all(pair[0] == pair[1] for pair in (module.kernel_size, module.stride, module.padding))
    return (
        module.groups == module.in_channels == module.out_channels
        and square
        and 1 < module.kernel_size[0] <= _LARGEST_KERNEL
        and module.padding[0] < module.kernel_size[0]
        and module.dilation == (1, 1)
        and module.bias is None
        and module.padding_mode == "zeros"
    )


def depthwise(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """The depthwise convolution of a map.

    Args:
        x: Map (N, C, H, W), float32 or bfloat16, channels last in memory.
        weight: float32 (C, 1, K, K), K up to 7.
        stride: Along both axes.
        padding: On all four sides, less than K.

    Returns:
        A map (N, C, (H + 2 padding - K) // stride + 1, ...) of the same type.
    """
    made = _Depthwise.apply(x, weight, stride, padding)
    assert isinstance(made, Tensor)
    return made


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        taps, plane = taps_of(weight), plane_of(x, weight, stride, padding)
        y = empty_output(x, plane)
        call("depthwise", x.dtype, x, taps, y, byref(plane))
        ctx.save_for_backward(x, weight)
        ctx.plane = plane
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        plane: Plane = ctx.plane
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _gradient(x, gradient, weight, plane)
        if ctx.needs_input_grad[1]:
            parts = min(MOST_PARTS, plane.images)
            sums = torch.empty(parts, plane.kernel**2, plane.channels)
            call("depthwise_weight_gradient", x.dtype, x, gradient, sums, parts, byref(plane))
            of_weight = sums.sum(0).t().reshape(weight.shape)
        return of_x, of_weight, None, None


def _gradient(x: Tensor, gradient: Tensor, weight: Tensor, plane: Plane) -> Tensor:
    result = torch.empty_like(x)
    if plane.stride == 1:
        turned, back = turned_round(gradient, weight, plane)
        call("depthwise", x.dtype, gradient, turned, result, byref(back))
    else:
        call("depthwise_gradient", x.dtype, gradient, taps_of(weight), result, byref(plane))
    return result


def turned_round(gradient: Tensor, weight: Tensor, plane: Plane) -> tuple[Tensor, Plane]:
    """The convolution that takes the gradient of the output to that of the input, where the stride is 1."""
    return taps_of(weight.flip(2, 3)), plane_of(gradient, weight, 1, plane.kernel - 1 - plane.padding)


def empty_output(x: Tensor, plane: Plane) -> Tensor:
    """Room for the output of a convolution of ``x``."""
    shape = (x.shape[0], x.shape[1], plane.out_height, plane.out_width)
    return torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)


def taps_of(weight: Tensor) -> Tensor:
    """(C, 1, K, K) as float32 (K K, C)."""
    return weight.detach().float().reshape(len(weight), -1).t().contiguous()


def plane_of(x: Tensor, weight: Tensor, stride: int, padding: int) -> Plane:
    """The sizes of a convolution of ``x``, for the kernels."""
    images, channels, height, width = x.shape
    kernel = weight.shape[-1]
    out_height, out_width = ((size + 2 * padding - kernel) // stride + 1 for size in (height, width))
    return Plane(images, height, width, channels, out_height, out_width, kernel, stride, padding)
