"""Torch modules for operators that torch.nn does not have as layers. Only ``to_torch`` methods import this file."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Sides = tuple[tuple[int, int], tuple[int, int]]


def _pad_order(padding: Sides) -> list[int]:
    """Ours is (top, bottom), (left, right); torch wants left, right, top, bottom."""
    return [*padding[1], *padding[0]]


def _drop_late(pooled: Tensor, input: Tensor, stride: Sequence[int], sides: Sides) -> Tensor:
    """Leave out windows that start past the input and its padding before, as torch does with its own padding."""
    height, width = (-(-(input.shape[2 + axis] + sides[axis][0]) // stride[axis]) for axis in (0, 1))
    return pooled[:, :, :height, :width]


class PaddedConv2d(nn.Conv2d):
    """A convolution whose padding differs from side to side."""

    def __init__(self, *args: int, sides: Sides, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.sides = sides

    def forward(self, input: Tensor) -> Tensor:
        """Pad with zeros, then convolve."""
        return super().forward(functional.pad(input, _pad_order(self.sides)))


class StridedPointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution that skips pixels: they are left out first, and the rest is convolved at stride one.

    The same numbers as ``nn.Conv2d``, whose gradient by the weights writes outside its memory in oneDNN as torch 2.13
    has it, for 2 to 7 input channels in channels_last layout on processors with AVX2.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, M, ceil(H / stride), ceil(W / stride))."""
        down, right = self.stride
        return functional.conv2d(input[..., ::down, ::right], self.weight, self.bias, groups=self.groups)


class PaddedMaxPool2d(nn.MaxPool2d):
    """Max pooling whose padding differs from side to side."""

    def __init__(self, *args: object, sides: Sides, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.sides = sides

    def forward(self, input: Tensor) -> Tensor:
        """Pad with minus infinity, then pool."""
        padded = functional.pad(input, _pad_order(self.sides), value=-torch.inf)
        pooled = functional.max_pool2d(padded, self.kernel_size, self.stride, 0, self.dilation, self.ceil_mode)
        return _drop_late(pooled, input, self.stride, self.sides)  # type: ignore[arg-type]  # two numbers, see Pair


class PaddedAvgPool2d(nn.Module):
    """Average pooling whose padding differs from side to side, counted in the mean or not."""

    def __init__(
        self, kernel_size: Sequence[int], stride: Sequence[int], sides: Sides, ceil_mode: bool, count_include_pad: bool
    ) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(tuple(kernel_size), tuple(stride), ceil_mode=ceil_mode)  # type: ignore[arg-type]
        self.sides = sides
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """Pad with zeros, average, and take the padding out of the mean where it does not count."""
        pooled = self._pool(input)
        return pooled if self.count_include_pad else pooled / self._pool(torch.ones_like(input[:1, :1]))

    def _pool(self, input: Tensor) -> Tensor:
        pooled = self.pool(functional.pad(input, _pad_order(self.sides)))
        return _drop_late(pooled, input, self.pool.stride, self.sides)  # type: ignore[arg-type]  # two numbers


class GlobalAvgPool(nn.Module):
    """Mean over height and width, kept as a 1x1 map."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 1, 1)."""
        return input.mean((2, 3), keepdim=True)


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Add(nn.Module):
    """Sum of two maps."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Elementwise, a 1x1 second map spread over the first."""
        return first + second


class Mul(nn.Module):
    """Product of two maps."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Elementwise, a 1x1 second map spread over the first."""
        return first * second


class Concat(nn.Module):
    """Maps stacked along the channels."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """(N, C1, H, W), (N, C2, H, W), ... to (N, C1 + C2 + ..., H, W)."""
        return torch.cat(inputs, 1)


class Pad(nn.Module):
    """Zeros, mirrored or repeated pixels around a map; negative sides crop."""

    def __init__(self, sides: Sides, mode: str) -> None:
        super().__init__()
        self.sides = sides
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H + top + bottom, W + left + right)."""
        return functional.pad(input, _pad_order(self.sides), mode=self.mode)


class DropPath(nn.Module):
    """Stochastic depth: a whole branch of an image is zeroed with probability ``p`` while training.

    Huang et al., "Deep Networks with Stochastic Depth", 2016; kept branches are scaled by ``1 / (1 - p)``.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        """Identity in evaluation mode."""
        if not self.training or self.p == 0:
            return input
        keep = torch.rand(input.shape[0], 1, 1, 1, device=input.device) >= self.p
        return input * keep.to(input.dtype) / (1 - self.p)
