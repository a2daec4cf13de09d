"""Torch modules for operators that torch.nn does not have as layers. Only ``to_torch`` methods import this file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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


def fixed(module: nn.Module) -> nn.Module:
    """The module with its parameters turned into buffers of the same names, which no optimizer sees."""
    for name, parameter in list(module.named_parameters()):
        delattr(module, name)
        module.register_buffer(name, parameter.detach())
    return module


class Call(nn.Module):
    """A function of tensors as a layer, with the options it is called with."""

    def __init__(self, function: Callable[..., Tensor], **options: object) -> None:
        super().__init__()
        self.function = function
        self.options = options

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the function gives."""
        return self.function(*inputs, **self.options)

    def extra_repr(self) -> str:
        """The function and its options."""
        return ", ".join([self.function.__name__, *(f"{name}={value!r}" for name, value in self.options.items())])


def insert_zeros(input: Tensor, factor: Sequence[int]) -> Tensor:
    """(N, C, H, W) to (N, C, (H - 1) * down + 1, (W - 1) * right + 1), the pixels ``factor`` apart."""
    down, right = factor
    apart = input[:, :, :, None, :, None]
    blanks = functional.pad(apart, (0, right - 1, 0, 0, 0, down - 1))
    whole = blanks.flatten(4, 5).flatten(2, 3)
    return whole[:, :, : whole.shape[2] - down + 1, : whole.shape[3] - right + 1]


class PaddedConv1d(nn.Conv1d):
    """A convolution of sequences whose padding differs from side to side."""

    def __init__(self, *args: int, sides: tuple[int, int], **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.sides = sides

    def forward(self, input: Tensor) -> Tensor:
        """Pad with zeros, then convolve."""
        return super().forward(functional.pad(input, self.sides))


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
    has it, in channels_last layout, where the input channels do not fill a vector of the processor: up to 7 with AVX2;
    up to 15 with AVX-512, there with two threads and an odd number of images. Where no gradient is kept it is torch's
    own step, and whoever follows the steps, as ``interop.torch_reader``, sees the one convolution that it is.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, M, ceil(H / stride), ceil(W / stride))."""
        if not torch.is_grad_enabled():
            return super().forward(input)
        down, right = self.stride
        kept = input[..., ::down, ::right]
        if self.groups == 1 and input.is_contiguous(memory_format=torch.channels_last):
            return pointwise(kept, self.weight, self.bias)
        return functional.conv2d(kept, self.weight, self.bias, groups=self.groups)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 1x1 convolution of a map whose channels are last in memory: a product of two matrices, faster taken for one."""
    return functional.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)


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


class ChannelLinear(nn.Linear):
    """A fully connected layer along axis 1."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) to (N, M, ...)."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Concat(nn.Module):
    """Values one after the other along an axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *inputs: Tensor) -> Tensor:
        """(N, C1, H, W), (N, C2, H, W), ... to (N, C1 + C2 + ..., H, W) where the axis is 1."""
        return torch.cat(inputs, self.axis)


class Constant(nn.Module):
    """A stored value, a parameter or a buffer, that starts at zero."""

    value: Tensor

    def __init__(self, shape: Sequence[int], learned: bool) -> None:
        super().__init__()
        if learned:
            self.value = nn.Parameter(torch.zeros(tuple(shape)))
        else:
            self.register_buffer("value", torch.zeros(tuple(shape)))

    def forward(self) -> Tensor:
        """The value."""
        return self.value


class Einsum(nn.Module):
    """Sum of products over named indices."""

    def __init__(self, equation: str) -> None:
        super().__init__()
        self.equation = equation

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """As the equation says."""
        return torch.einsum(self.equation, first, second)


class Slice(nn.Module):
    """Every ``step``-th element of an axis from ``start`` on, before ``stop``."""

    def __init__(self, axis: int, start: int, stop: int, step: int) -> None:
        super().__init__()
        self.index = (*(slice(None),) * axis, slice(start, stop, step))

    def forward(self, input: Tensor) -> Tensor:
        """A view of the input."""
        return input[self.index]


class Gather(nn.Module):
    """The elements of an axis at fixed places."""

    indices: Tensor

    def __init__(self, axis: int, indices: Sequence[int]) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("indices", torch.tensor(indices), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """The input with the places in their order along the axis."""
        return input.index_select(self.axis, self.indices)


class Reduce(nn.Module):
    """Axes summed up by a function, see ``convsmith.ops.Reduce``."""

    def __init__(self, function: str, axes: tuple[int, ...], keepdim: bool, correction: int) -> None:
        super().__init__()
        self.function = function
        self.options: dict[str, Any] = {"dim": axes, "keepdim": keepdim}
        if function in ("var", "std"):
            self.options["correction"] = correction

    def forward(self, input: Tensor) -> Tensor:
        """One number for all elements along the axes."""
        return _REDUCTIONS[self.function](input, **self.options)


def _product(input: Tensor, dim: tuple[int, ...], keepdim: bool) -> Tensor:
    for axis in reversed(dim):  # torch takes one axis at a time
        input = input.prod(axis, keepdim)
    return input


def _length(input: Tensor, dim: tuple[int, ...], keepdim: bool) -> Tensor:
    return input.square().sum(dim, keepdim).sqrt()


def _absolute_sum(input: Tensor, dim: tuple[int, ...], keepdim: bool) -> Tensor:
    return input.abs().sum(dim, keepdim)


_REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "max": torch.amax,
    "min": torch.amin,
    "prod": _product,
    "l1": _absolute_sum,
    "l2": _length,
    "var": torch.var,
    "std": torch.std,
}


def expand(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A view with axes of size 1 repeated and new ones in front."""
    return input.expand(shape)


class Pad(nn.Module):
    """One value, mirrored, repeated or opposite pixels around a map; negative sides crop."""

    def __init__(self, sides: Sides, mode: str, value: float) -> None:
        super().__init__()
        self.sides = sides
        self.mode = mode
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H + top + bottom, W + left + right)."""
        value = self.value if self.mode == "constant" else None
        return functional.pad(input, _pad_order(self.sides), self.mode, value)


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
        keep = torch.rand(input.shape[0], *[1] * (input.dim() - 1), device=input.device) >= self.p
        return input * keep.to(input.dtype) / (1 - self.p)


class DynamicConv2d(nn.Module):
    """A convolution of each image with its own kernels."""

    def __init__(
        self, kernel_size: Sequence[int], stride: Sequence[int], sides: Sides, dilation: Sequence[int], groups: int
    ) -> None:
        super().__init__()
        self.kernel_size = tuple(kernel_size)
        self.stride = list(stride)
        self.dilation = list(dilation)
        self.sides = sides
        self.groups = groups

    def forward(self, input: Tensor, kernels: Tensor) -> Tensor:
        """(N, C, H, W) and (N, M, C / groups * kh * kw) to (N, M, H', W'): all images as groups of one."""
        images = len(input)
        padded = functional.pad(input, _pad_order(self.sides)).flatten(0, 1)[None]
        weight = kernels.reshape(images * kernels.shape[1], -1, *self.kernel_size)
        groups = self.groups * images
        output = functional.conv2d(padded, weight, None, self.stride, 0, self.dilation, groups)
        return output.reshape(images, -1, *output.shape[2:])


class Take(nn.Module):
    """The elements of an axis at stored places."""

    index: Tensor

    def __init__(self, axis: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("index", torch.zeros(tuple(shape), dtype=torch.int64))

    def forward(self, input: Tensor) -> Tensor:
        """(..., size, ...) to (..., *shape, ...)."""
        before, after = input.shape[: self.axis], input.shape[self.axis + 1 :]
        return input.index_select(self.axis, self.index.ravel()).reshape(*before, *self.index.shape, *after)
