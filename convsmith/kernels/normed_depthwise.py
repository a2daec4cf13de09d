"""Batch normalisation in training, its activation and the depthwise convolution that alone reads it, as one operator.

The map between them is the largest of a network with inverted residuals. Here it never goes to memory: it is worked out
image by image, and once more in the backward pass, which keeps the input of the normalisation alone.
"""

from __future__ import annotations

from ctypes import byref
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from convsmith.kernels.activation import Activation
from convsmith.kernels.depthwise import MOST_PARTS, empty_output, plane_of, taps_of, turned_round
from convsmith.kernels.native import Norm, Plane, call, most_threads
from convsmith.kernels.norm import address, counted, room, values_of


def normed_depthwise(
    x: Tensor, norm: nn.BatchNorm2d, activation: Activation, weight: Tensor, stride: int, padding: int
) -> Tensor:
    """``depthwise(normalise(x, norm, activation), weight, stride, padding)``; see these for what each is."""
    made = _NormedDepthwise.apply(x, norm.weight, norm.bias, weight, norm, counted(norm), activation, stride, padding)
    assert isinstance(made, Tensor)
    return made


class _NormedDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        weight: Tensor,
        norm: nn.BatchNorm2d,
        momentum: float,
        activation: Activation,
        stride: int,
        padding: int,
    ) -> Tensor:
        values, plane = values_of(x, norm, momentum, activation), plane_of(x, weight, stride, padding)
        state, work = room(values)
        y = empty_output(x, plane)
        call("normed_depthwise", x.dtype, x, taps_of(weight), y, byref(values), byref(plane), state, work, _scratch(x))
        ctx.save_for_backward(x, scale, shift, weight, state)
        ctx.values, ctx.plane = values, plane
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, shift, weight, state = ctx.saved_tensors
        plane: Plane = ctx.plane
        values = Norm.from_buffer_copy(ctx.values)
        values.weight, values.parts = address(scale), min(MOST_PARTS, plane.images)
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        turned, back = turned_round(gradient, weight, plane) if plane.stride == 1 else (None, plane)
        result, sums = torch.empty_like(x), torch.empty(values.parts, plane.kernel**2, plane.channels)
        work = torch.empty(2 * (values.parts + 1) * values.length)
        of_scale, of_shift = torch.empty(values.channels), torch.empty(values.channels)
        operands = (x, gradient, taps_of(weight), turned, result, byref(values), byref(plane), byref(back))
        rooms = (state, work, _scratch(x), sums, of_scale, of_shift)
        call("normed_depthwise_backward", x.dtype, *operands, *rooms)
        return (
            result,
            of_scale if scale is not None else None,
            of_shift if shift is not None else None,
            sums.sum(0).t().reshape(weight.shape),
            *[None] * 5,
        )


def _scratch(x: Tensor) -> Tensor:
    """Room for an image and a line of it, for each thread."""
    _, channels, height, width = x.shape
    return torch.empty(most_threads(), (height + 1) * width * channels, dtype=x.dtype)
