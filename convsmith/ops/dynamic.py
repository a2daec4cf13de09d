"""Operators whose weights or places are values: kernels that depend on the image, lookups in a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, final

from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, Spread, TensorType, Terms, Window
from convsmith.ops.pairs import (
    Pair,
    Sides,
    check_axis,
    check_pair,
    check_positive,
    check_sides,
    check_sizes,
    numbers,
    pair,
    sides,
)


@final
@dataclass(frozen=True)
class DynamicConv2d(Op):
    """Convolution of each image with kernels of its own, which a second input brings (Yang et al., "CondConv", 2019).

    Inputs are a map (N, C, H, W) and the kernels (N, M, C / groups * kh * kw), each in one row.

    Attributes:
        padding: Zeros at (top, bottom), (left, right).
    """

    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: Sides = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1

    arity: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        for name, spread in (("kernel_size", pair), ("stride", pair), ("padding", sides), ("dilation", pair)):
            object.__setattr__(self, name, spread(getattr(self, name)))
        check_pair(self, "kernel_size", self.kernel_size, 1)
        check_pair(self, "stride", self.stride, 1)
        check_sides(self, "padding", self.padding)
        check_pair(self, "dilation", self.dilation, 1)
        check_positive(self, groups=self.groups)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        batch, channels, height, width = types[0].shape
        kernels, taps = types[1].shape, math.prod(self.kernel_size)
        fits = len(kernels) == 3 and kernels[0] == batch and kernels[2] * self.groups == channels * taps
        self.require(fits, f"must be (N, M, C / groups * {taps}) for a map {types[0].shape}", "kernels", kernels)
        self.require(kernels[1] % self.groups == 0, f"must divide the {kernels[1]} kernels", "groups", self.groups)
        windows = self.window(*types)
        size = (windows[0].output_size(height), windows[1].output_size(width))
        rule = f"does not fit into the padded map, leaving {size}"
        self.require(min(size) >= 1, rule, "kernel_size", self.kernel_size)
        return types[0].with_shape(batch, kernels[1], *size)

    def terms(self, *types: TensorType) -> Terms:
        return Terms(taps=self.infer(*types).numel * types[1].shape[2])

    def window(self, *types: TensorType) -> tuple[Window, Window]:
        rows, columns = (
            Window(self.kernel_size[axis], Fraction(self.stride[axis]), *self.padding[axis], self.dilation[axis])
            for axis in (0, 1)
        )
        return (rows, columns)

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.DynamicConv2d(self.kernel_size, self.stride, self.padding, self.dilation, self.groups)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = TensorType((2, 4, 7, 6))
        return (
            Sample(cls((1, 1)), (map, TensorType((2, 3, 4)))),
            Sample(cls((3, 3), (2, 1), ((1, 1), (0, 2)), groups=2), (map, TensorType((2, 6, 18)))),
            Sample(cls((3, 3), padding=((2, 2), (2, 2)), dilation=(2, 2), groups=4), (map, TensorType((2, 4, 9)))),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = TensorType((2, 4, 7, 6))
        types = (map, TensorType((2, 6, 36)))
        return (
            BadSample({"kernel_size": 0}, types, "kernel_size", (0, 0)),
            BadSample({"kernel_size": 3, "stride": 0}, types, "stride", (0, 0)),
            BadSample({"kernel_size": 3, "padding": -1}, types, "padding", ((-1, -1), (-1, -1))),
            BadSample({"kernel_size": 3, "dilation": 0}, types, "dilation", (0, 0)),
            BadSample({"kernel_size": 3, "groups": 0}, types, "groups", 0),
            BadSample({"kernel_size": 3, "groups": 2}, types, "kernels", (2, 6, 36)),
            BadSample({"kernel_size": 3, "groups": 4}, (map, TensorType((2, 6, 9))), "groups", 4),
            BadSample({"kernel_size": 3, "dilation": 4}, types, "kernel_size", (3, 3)),
        )


@final
@dataclass(frozen=True)
class Take(Op):
    """The elements of an axis at stored places, as a table of positions is read: ``x[..., index, ...]``.

    Attributes:
        shape: Shape of the stored places, which takes that of the axis; none of them is learned.
    """

    axis: int
    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", numbers(self.shape))
        check_axis(self, "axis", self.axis)
        check_sizes(self, "shape", self.shape, 1)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape = types[0].shape
        check_axis(self, "axis", self.axis, len(shape))
        return types[0].with_shape(*shape[: self.axis], *self.shape, *shape[self.axis + 1 :])

    def stored_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return {"index": self.shape}

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.PERMUTED, Spread.PERMUTED)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.selection(type, lambda elements: elements.take(weights["index"], self.axis))

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Take(self.axis, self.shape)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(1, (2, 3)), (TensorType((2, 5, 3)),)), Sample(cls(2, (4,)), (TensorType((2, 3, 6)),)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        types = (TensorType((2, 5, 3)),)
        return (
            BadSample({"axis": 3, "shape": (2,)}, types, "axis", 3),
            BadSample({"axis": -1, "shape": (2,)}, types, "axis", -1),
            BadSample({"axis": 1, "shape": (2, 0)}, types, "shape", (2, 0)),
        )
