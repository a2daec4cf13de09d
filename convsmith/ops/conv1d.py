"""Convolution of sequences, as where channel attention slides along the channels (Wang et al., "ECA-Net", 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, TensorType, Terms, Window
from convsmith.ops.pairs import (
    Pair,
    check_bool,
    check_channels,
    check_pair,
    check_positive,
    pair,
    same_channels,
    weight_and_bias,
)


@final
@dataclass(frozen=True)
class Conv1d(Op):
    """Convolution of (batch, channels, length), as ``torch.nn.Conv1d``; the length counts as a width.

    Attributes:
        padding: Zeros before and after; a number is spread to both sides.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    padding: Pair = (0, 0)
    dilation: int = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", pair(self.padding))
        check_channels(self, self.in_channels, self.out_channels, self.groups)
        check_positive(self, kernel_size=self.kernel_size, stride=self.stride, dilation=self.dilation)
        check_pair(self, "padding", self.padding, 0)
        check_bool(self, bias=self.bias)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape = types[0].shape
        self.require(len(shape) == 3, "must be (batch, channels, length)", "input", shape)
        same_channels(self, types[0], "in_channels", self.in_channels)
        size = self._window().output_size(shape[2])
        self.require(size >= 1, f"does not fit into the padded length, leaving {size}", "kernel_size", self.kernel_size)
        return types[0].with_shape(shape[0], self.out_channels, size)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        weight = (self.out_channels, self.in_channels // self.groups, self.kernel_size)
        return weight_and_bias(weight, self.out_channels, self.bias)

    def terms(self, *types: TensorType) -> Terms:
        outputs = self.infer(*types).numel
        taps = outputs * (self.in_channels // self.groups) * self.kernel_size
        return Terms(taps=taps, bias=outputs if self.bias else 0)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), self._window())

    def _window(self) -> Window:
        return Window(self.kernel_size, Fraction(self.stride), *self.padding, self.dilation)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        row = type.with_shape(*type.shape[:2], 1, type.shape[2])
        return sparse.conv_matrix(row, (Window(), self._window()), weights["weight"][:, :, None], self.groups)

    def to_torch(self) -> Any:
        from torch import nn

        from convsmith.ops.torch_modules import PaddedConv1d

        channels = (self.in_channels, self.out_channels, self.kernel_size, self.stride)
        options: dict[str, Any] = {"dilation": self.dilation, "groups": self.groups, "bias": self.bias}
        if self.padding[0] == self.padding[1]:
            return nn.Conv1d(*channels, padding=self.padding[0], **options)
        return PaddedConv1d(*channels, sides=self.padding, **options)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        row = (TensorType((2, 4, 9)),)
        return (
            Sample(cls(1, 1, 3, padding=(1, 1), bias=False), (TensorType((2, 1, 6)),)),
            Sample(cls(4, 6, 3, 2, (1, 0)), row),
            Sample(cls(4, 6, 2, dilation=3, groups=2), row),
            Sample(cls(4, 2, 1), row),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        row = (TensorType((2, 4, 9)),)
        good: dict[str, Any] = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
        return (
            BadSample({**good, "kernel_size": 0}, row, "kernel_size", 0),
            BadSample({**good, "kernel_size": 10}, row, "kernel_size", 10),
            BadSample({**good, "stride": 0}, row, "stride", 0),
            BadSample({**good, "dilation": 0}, row, "dilation", 0),
            BadSample({**good, "padding": -1}, row, "padding", (-1, -1)),
            BadSample({**good, "groups": 4}, row, "groups", 4),
            BadSample({**good, "bias": 1}, row, "bias", 1),
            BadSample({**good, "in_channels": 3}, row, "in_channels", 3),
            BadSample(good, (TensorType((2, 4, 9, 9)),), "input", (2, 4, 9, 9)),
        )
