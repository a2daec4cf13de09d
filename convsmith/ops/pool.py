"""Pooling: the largest value or the mean of each window; nothing is learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from convsmith.ir import BadSample, Op, Sample, TensorType, Terms, Window
from convsmith.ops.pairs import Pair, Sides, check_bool, check_pair, check_sides, pair, sides, symmetric


@final
@dataclass(frozen=True)
class MaxPool2d(Op):
    """Largest value of each window, as ``torch.nn.MaxPool2d``; padding never wins.

    Attributes:
        stride: The kernel size where it is left out.
        ceil_mode: Round the output size up, so that a last partial window is kept.
    """

    kernel_size: Pair
    stride: Pair = None  # pyright: ignore[reportAssignmentType]  # the kernel size, see _check_pool
    padding: Sides = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "dilation", pair(self.dilation))
        check_pair(self, "dilation", self.dilation, 1)
        _check_pool(self)

    def infer(self, *types: TensorType) -> TensorType:
        return _infer_pool(self, types)

    def terms(self, *types: TensorType) -> Terms:
        return Terms(pool=self.infer(*types).numel * self.kernel_size[0] * self.kernel_size[1])

    def window(self, *types: TensorType) -> tuple[Window, Window]:
        return _pool_windows(self, self.dilation, types[0])

    def to_torch(self) -> Any:
        from torch import nn

        from convsmith.ops.torch_modules import PaddedMaxPool2d

        options: dict[str, Any] = {"dilation": self.dilation, "ceil_mode": self.ceil_mode}
        if symmetric(self.padding):
            padding = (self.padding[0][0], self.padding[1][0])
            return nn.MaxPool2d(self.kernel_size, self.stride, padding, **options)
        return PaddedMaxPool2d(self.kernel_size, self.stride, sides=self.padding, **options)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = TensorType((1, 2, 7, 6))
        return (
            Sample(cls((2, 2)), (map,)),
            Sample(cls((3, 3), (2, 2), ((1, 1), (1, 1))), (map,)),
            Sample(cls((3, 2), (2, 2), ((0, 1), (0, 1))), (map,)),
            Sample(cls((3, 3), (2, 2), ceil_mode=True), (TensorType((1, 2, 6, 4)),)),
            Sample(cls((2, 2), (1, 1), dilation=(2, 3)), (map,)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((1, 2, 7, 6)),)
        return (
            BadSample({"kernel_size": 0}, map, "kernel_size", (0, 0)),
            BadSample({"kernel_size": 2, "stride": 0}, map, "stride", (0, 0)),
            BadSample({"kernel_size": 2, "padding": 2}, map, "padding", ((2, 2), (2, 2))),
            BadSample({"kernel_size": 2, "dilation": 0}, map, "dilation", (0, 0)),
            BadSample({"kernel_size": 2, "ceil_mode": 1}, map, "ceil_mode", 1),
            BadSample({"kernel_size": 8}, map, "kernel_size", (8, 8)),
            BadSample({"kernel_size": 2}, (TensorType((1, 2)),), "input", (1, 2)),
        )


@final
@dataclass(frozen=True)
class AvgPool2d(Op):
    """Mean of each window, as ``torch.nn.AvgPool2d``.

    Attributes:
        stride: The kernel size where it is left out.
        ceil_mode: Round the output size up; what reaches past the padding is never counted.
        count_include_pad: Whether zeros of the padding count in the mean.
    """

    kernel_size: Pair
    stride: Pair = None  # pyright: ignore[reportAssignmentType]  # the kernel size, see _check_pool
    padding: Sides = ((0, 0), (0, 0))
    ceil_mode: bool = False
    count_include_pad: bool = True

    def __post_init__(self) -> None:
        _check_pool(self)
        check_bool(self, count_include_pad=self.count_include_pad)

    def infer(self, *types: TensorType) -> TensorType:
        return _infer_pool(self, types)

    def terms(self, *types: TensorType) -> Terms:
        return Terms(pool=self.infer(*types).numel * self.kernel_size[0] * self.kernel_size[1])

    def window(self, *types: TensorType) -> tuple[Window, Window]:
        return _pool_windows(self, (1, 1), types[0])

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        rows, columns = (self._axis_matrix(type, axis) for axis in (0, 1))
        return sparse.separable_matrix(type, rows, columns)

    def _axis_matrix(self, type: TensorType, axis: int) -> Any:
        from convsmith.ops import sparse

        size, (before, after) = type.shape[2 + axis], self.padding[axis]
        window = self.window(type)[axis]
        outputs, _, pixels = sparse.axis_taps(window, size)
        mean = np.zeros((window.output_size(size), size))
        mean[outputs, pixels] = 1.0
        if not self.count_include_pad:
            return mean / mean.sum(1, keepdims=True)
        starts = np.arange(len(mean)) * self.stride[axis] - before
        return mean / (np.minimum(starts + self.kernel_size[axis], size + after) - starts)[:, None]

    def to_torch(self) -> Any:
        from torch import nn

        from convsmith.ops.torch_modules import PaddedAvgPool2d

        if symmetric(self.padding):
            padding = (self.padding[0][0], self.padding[1][0])
            return nn.AvgPool2d(self.kernel_size, self.stride, padding, self.ceil_mode, self.count_include_pad)
        return PaddedAvgPool2d(self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = TensorType((1, 2, 7, 6))
        one_pixel = ((1, 1), (1, 1))
        return (
            Sample(cls((2, 2)), (map,)),
            Sample(cls((3, 3), (2, 2), one_pixel), (map,)),
            Sample(cls((3, 3), (2, 2), one_pixel, count_include_pad=False), (map,)),
            Sample(cls((3, 3), (2, 2), one_pixel, ceil_mode=True), (TensorType((2, 2, 6, 4)),)),
            Sample(cls((3, 3), (2, 2), ((0, 1), (1, 0))), (map,)),
            Sample(cls((3, 3), (2, 2), ((0, 1), (1, 0)), count_include_pad=False), (map,)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((1, 2, 7, 6)),)
        return (
            BadSample({"kernel_size": 0}, map, "kernel_size", (0, 0)),
            BadSample({"kernel_size": 2, "stride": 0}, map, "stride", (0, 0)),
            BadSample({"kernel_size": 3, "padding": 2}, map, "padding", ((2, 2), (2, 2))),
            BadSample({"kernel_size": 2, "count_include_pad": 0}, map, "count_include_pad", 0),
            BadSample({"kernel_size": (2, 9)}, map, "kernel_size", (2, 9)),
        )


def _check_pool(op: MaxPool2d | AvgPool2d) -> None:
    object.__setattr__(op, "kernel_size", pair(op.kernel_size))
    object.__setattr__(op, "stride", pair(op.kernel_size if op.stride is None else op.stride))  # pyright: ignore[reportUnnecessaryComparison]
    object.__setattr__(op, "padding", sides(op.padding))
    check_pair(op, "kernel_size", op.kernel_size, 1)
    check_pair(op, "stride", op.stride, 1)
    check_sides(op, "padding", op.padding)
    check_bool(op, ceil_mode=op.ceil_mode)


def _infer_pool(op: MaxPool2d | AvgPool2d, types: tuple[TensorType, ...]) -> TensorType:
    op.check_inputs(types)
    op.check_map(types[0])
    windows = op.window(*types)
    for window, padding in zip(windows, op.padding, strict=True):
        limit = window.kernel // 2  # torch's rule, also where the kernel is dilated
        op.require(max(padding) <= limit, f"must be at most half the kernel ({limit})", "padding", op.padding)
    size = tuple(window.output_size(pixels) for window, pixels in zip(windows, types[0].shape[2:], strict=True))
    op.require(min(size) >= 1, f"does not fit into the padded map, leaving {size}", "kernel_size", op.kernel_size)
    return types[0].with_shape(*types[0].shape[:2], *size)


def _pool_windows(op: MaxPool2d | AvgPool2d, dilation: Pair, type: TensorType) -> tuple[Window, Window]:
    height, width = (
        Window(op.kernel_size[axis], Fraction(op.stride[axis]), *op.padding[axis], dilation[axis]) for axis in (0, 1)
    )
    if op.ceil_mode:
        return (height.ceiled(type.shape[2]), width.ceiled(type.shape[3]))
    return (height, width)
