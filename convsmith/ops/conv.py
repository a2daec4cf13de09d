"""Convolutions: a kernel slides over the map, multiplies and adds. Stride above one shrinks, below one enlarges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, final

from convsmith.ir import BadSample, Op, Sample, Shape, TensorType, Terms, Window
from convsmith.ops.pairs import (
    Pair,
    Sides,
    check_bool,
    check_channels,
    check_pair,
    check_sides,
    pair,
    same_channels,
    sides,
    symmetric,
    weight_and_bias,
)

_VECTOR: Final = 16
"""Channels that fill the widest vectors of today's processors; see ``torch_modules.StridedPointwiseConv2d``."""


@final
@dataclass(frozen=True)
class Conv2d(Op):
    """Convolution of a map with a bank of kernels, as ``torch.nn.Conv2d``.

    Attributes:
        padding: Zeros at (top, bottom), (left, right); a number or one number per axis is spread to the sides.
        groups: The channels are cut into this many groups that do not see each other.
        learned: Whether kernel and bias are parameters, or else buffers that training leaves alone, as where a map
            is blurred.
    """

    in_channels: int
    out_channels: int
    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: Sides = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True
    learned: bool = True

    def __post_init__(self) -> None:
        for name, spread in (("kernel_size", pair), ("stride", pair), ("padding", sides), ("dilation", pair)):
            object.__setattr__(self, name, spread(getattr(self, name)))
        check_channels(self, self.in_channels, self.out_channels, self.groups)
        check_pair(self, "kernel_size", self.kernel_size, 1)
        check_pair(self, "stride", self.stride, 1)
        check_sides(self, "padding", self.padding)
        check_pair(self, "dilation", self.dilation, 1)
        check_bool(self, bias=self.bias, learned=self.learned)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        batch, _, height, width = _check_map(self, types[0], self.in_channels)
        windows = self.window(*types)
        size = (windows[0].output_size(height), windows[1].output_size(width))
        _check_output(self, size)
        return types[0].with_shape(batch, self.out_channels, *size)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return self.stored_shapes() if self.learned else {}

    def stored_shapes(self, *types: TensorType) -> dict[str, Shape]:
        weight = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        return weight_and_bias(weight, self.out_channels, self.bias)

    def terms(self, *types: TensorType) -> Terms:
        outputs = self.infer(*types).numel
        taps = outputs * (self.in_channels // self.groups) * self.kernel_size[0] * self.kernel_size[1]
        return Terms(taps=taps, bias=outputs if self.bias else 0)

    def window(self, *types: TensorType) -> tuple[Window, Window]:
        return (_forward_window(self, 0), _forward_window(self, 1))

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.conv_matrix(type, self.window(type), weights["weight"], self.groups)

    def to_torch(self) -> Any:
        from convsmith.ops.torch_modules import fixed

        return self._module() if self.learned else fixed(self._module())

    def _module(self) -> Any:
        from torch import nn

        from convsmith.ops.torch_modules import PaddedConv2d, StridedPointwiseConv2d

        options: dict[str, Any] = {"dilation": self.dilation, "groups": self.groups, "bias": self.bias}
        channels = (self.in_channels, self.out_channels, self.kernel_size, self.stride)
        skips = self.kernel_size == (1, 1) and self.stride != (1, 1) and self.padding == ((0, 0), (0, 0))
        if skips and self.in_channels // self.groups < _VECTOR:
            return StridedPointwiseConv2d(*channels, **options)
        if symmetric(self.padding):
            return nn.Conv2d(*channels, padding=(self.padding[0][0], self.padding[1][0]), **options)
        return PaddedConv2d(*channels, sides=self.padding, **options)  # type: ignore[arg-type]

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = TensorType((1, 4, 7, 6))
        return (
            Sample(cls(1, 1, (3, 3), bias=False), (TensorType((1, 1, 4, 4)),)),
            Sample(cls(4, 6, (3, 3), padding=((1, 1), (1, 1))), (map,)),
            Sample(cls(4, 6, (3, 2), (2, 1), ((1, 1), (0, 0)), bias=False), (map,)),
            Sample(cls(4, 6, (3, 3), (2, 2), ((0, 1), (1, 2))), (map,)),
            Sample(cls(4, 8, (3, 3), padding=((2, 2), (2, 2)), dilation=(2, 2), groups=2), (map,)),
            Sample(cls(4, 4, (3, 3), padding=((1, 1), (1, 1)), groups=4), (TensorType((2, 4, 5, 5)),)),
            Sample(cls(4, 2, (1, 1), (2, 2)), (map,)),
            Sample(cls(4, 4, (3, 3), (2, 2), ((1, 1), (1, 1)), groups=4, bias=False, learned=False), (map,)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((1, 4, 7, 6)),)
        good: dict[str, Any] = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
        return (
            BadSample({**good, "kernel_size": 0}, map, "kernel_size", (0, 0)),
            BadSample({**good, "stride": (2, 0)}, map, "stride", (2, 0)),
            BadSample({**good, "padding": -1}, map, "padding", ((-1, -1), (-1, -1))),
            BadSample({**good, "dilation": 0}, map, "dilation", (0, 0)),
            BadSample({**good, "groups": 3}, map, "groups", 3),
            BadSample({**good, "out_channels": 0}, map, "out_channels", 0),
            BadSample({**good, "bias": None}, map, "bias", None),
            BadSample({**good, "learned": 0}, map, "learned", 0),
            BadSample({**good, "in_channels": 5}, map, "in_channels", 5),
            BadSample({**good, "kernel_size": (8, 3)}, map, "kernel_size", (8, 3)),
            BadSample(good, (TensorType((1, 4)),), "input", (1, 4)),
            BadSample(good, map * 2, "inputs", 2),
        )


@final
@dataclass(frozen=True)
class ConvTranspose2d(Op):
    """Transposed convolution, as ``torch.nn.ConvTranspose2d``: a convolution with stride ``1 / stride``.

    Dumoulin and Visin, 2016, section 4: ``stride - 1`` zeros go between the pixels and the flipped kernel slides
    over them in steps of one; its matrix is the transpose of the matrix of the convolution.

    Attributes:
        padding: Rows and columns cut from the result at (top, bottom), (left, right).
        output_padding: Rows and columns added at the end of each axis.
    """

    in_channels: int
    out_channels: int
    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    output_padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        for name in ("kernel_size", "stride", "padding", "output_padding", "dilation"):
            object.__setattr__(self, name, pair(getattr(self, name)))
        check_channels(self, self.in_channels, self.out_channels, self.groups)
        check_pair(self, "kernel_size", self.kernel_size, 1)
        check_pair(self, "stride", self.stride, 1)
        check_pair(self, "padding", self.padding, 0)
        check_pair(self, "output_padding", self.output_padding, 0)
        check_pair(self, "dilation", self.dilation, 1)
        check_bool(self, bias=self.bias)
        for axis in (0, 1):
            limit = max(self.stride[axis], self.dilation[axis])
            rule = f"must be below stride or dilation ({limit})"
            self.require(self.output_padding[axis] < limit, rule, "output_padding", self.output_padding)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        batch, _, height, width = _check_map(self, types[0], self.in_channels)
        windows = self.window(*types)
        size = (windows[0].output_size(height), windows[1].output_size(width))
        self.require(min(size) >= 1, f"cuts away the whole map, leaving {size}", "padding", self.padding)
        return types[0].with_shape(batch, self.out_channels, *size)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        weight = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        return weight_and_bias(weight, self.out_channels, self.bias)

    def terms(self, *types: TensorType) -> Terms:
        taps = types[0].numel * (self.out_channels // self.groups) * self.kernel_size[0] * self.kernel_size[1]
        return Terms(taps=taps, bias=self.infer(*types).numel if self.bias else 0)

    def window(self, *types: TensorType) -> tuple[Window, Window]:
        return (self._window(0), self._window(1))

    def _window(self, axis: int) -> Window:
        margin = self.dilation[axis] * (self.kernel_size[axis] - 1) - self.padding[axis]
        stride = Fraction(1, self.stride[axis])
        return Window(self.kernel_size[axis], stride, margin, margin + self.output_padding[axis], self.dilation[axis])

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.conv_matrix(type, self.window(type), self.sliding_kernel(weights["weight"]), self.groups)

    def sliding_kernel(self, weight: Any) -> Any:
        """The kernel (out, in / groups, kh, kw) that does the same when it slides over the map with zeros inserted."""
        grouped = weight.reshape(self.groups, self.in_channels // self.groups, *weight.shape[1:])
        kernel = grouped.swapaxes(1, 2).reshape(self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        return kernel[:, :, ::-1, ::-1]

    def to_torch(self) -> Any:
        from torch import nn

        return nn.ConvTranspose2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.bias,
            self.dilation,
        )

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = TensorType((1, 4, 4, 5))
        return (
            Sample(cls(1, 1, (3, 3), bias=False), (TensorType((1, 1, 2, 2)),)),
            Sample(cls(4, 6, (4, 4), (2, 2), (1, 1)), (map,)),
            Sample(cls(4, 6, (3, 3), (2, 2), (1, 1), (1, 1), bias=False), (map,)),
            Sample(cls(4, 6, (3, 2), (3, 1), (0, 1), groups=2), (map,)),
            Sample(cls(4, 4, (3, 3), (2, 2), (2, 2), (1, 0), (2, 2), groups=4), (TensorType((2, 4, 4, 5)),)),
            Sample(cls(4, 2, (7, 7)), (TensorType((1, 4, 1, 1)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((1, 4, 4, 5)),)
        good: dict[str, Any] = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
        return (
            BadSample({**good, "kernel_size": 0}, map, "kernel_size", (0, 0)),
            BadSample({**good, "stride": 0}, map, "stride", (0, 0)),
            BadSample({**good, "padding": -1}, map, "padding", (-1, -1)),
            BadSample({**good, "padding": (3, 0)}, map, "padding", (3, 0)),
            BadSample({**good, "stride": 2, "output_padding": 2}, map, "output_padding", (2, 2)),
            BadSample({**good, "dilation": 0}, map, "dilation", (0, 0)),
            BadSample({**good, "groups": 4}, map, "groups", 4),
            BadSample({**good, "in_channels": 3}, map, "in_channels", 3),
            BadSample({**good, "bias": 0}, map, "bias", 0),
            BadSample(good, (TensorType((4, 4)),), "input", (4, 4)),
        )


def _forward_window(op: Conv2d, axis: int) -> Window:
    before, after = op.padding[axis]
    return Window(op.kernel_size[axis], Fraction(op.stride[axis]), before, after, op.dilation[axis])


def _check_map(op: Op, type: TensorType, channels: int) -> tuple[int, ...]:
    op.check_map(type)
    return same_channels(op, type, "in_channels", channels).shape


def _check_output(op: Conv2d, size: tuple[int, int]) -> None:
    op.require(min(size) >= 1, f"does not fit into the padded map, leaving {size}", "kernel_size", op.kernel_size)
