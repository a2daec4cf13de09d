"""Operators that change the size of a map without learning: padding, cropping, interpolation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from convsmith.ir import AxisRead, BadSample, Op, Sample, TensorType, Terms, Window
from convsmith.ops.pairs import Pair, Sides, check_pair, check_sides, pair, sides

_NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


@final
@dataclass(frozen=True)
class Pad(Op):
    """Rows and columns put around a map, or cut off where a side is negative.

    Attributes:
        padding: (top, bottom), (left, right).
        mode: ``constant`` for zeros, ``reflect`` for mirrored pixels, ``replicate`` for repeated ones.
    """

    padding: Sides
    mode: str = "constant"

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", sides(self.padding))
        check_sides(self, "padding", self.padding, least=None if self.mode == "constant" else 0)
        self.require(self.mode in _NUMPY_MODES, f"must be one of {', '.join(_NUMPY_MODES)}", "mode", self.mode)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        batch, channels, height, width = types[0].shape
        size = (height + sum(self.padding[0]), width + sum(self.padding[1]))
        self.require(min(size) >= 1, f"cuts away the whole map, leaving {size}", "padding", self.padding)
        if self.mode == "reflect":
            fits = max(self.padding[0]) < height and max(self.padding[1]) < width
            self.require(fits, "must be below the size of the map to be mirrored", "padding", self.padding)
        return types[0].with_shape(batch, channels, *size)

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        (top, bottom), (left, right) = self.padding
        return (Window(before=top, after=bottom), Window(before=left, after=right))

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        rows, columns = (self._axis_matrix(type.shape[2 + axis], *self.padding[axis]) for axis in (0, 1))
        return sparse.separable_matrix(type, rows, columns)

    def _axis_matrix(self, size: int, before: int, after: int) -> Any:
        eye: Any = np.eye(size)[max(0, -before) : size - max(0, -after)]
        width = ((max(0, before), max(0, after)), (0, 0))
        pad: Any = np.pad  # its overloads want the mode spelled out
        return pad(eye, width, mode=_NUMPY_MODES[self.mode])

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Pad(self.padding, self.mode)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = (TensorType((1, 2, 5, 6)),)
        return (
            Sample(cls(((1, 1), (1, 1))), map),
            Sample(cls(((0, 2), (-1, 1))), map),
            Sample(cls(((1, 2), (2, 1)), "reflect"), map),
            Sample(cls(((1, 2), (2, 1)), "replicate"), map),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((1, 2, 5, 6)),)
        return (
            BadSample({"padding": 1, "mode": "circular"}, map, "mode", "circular"),
            BadSample({"padding": -1, "mode": "reflect"}, map, "padding", ((-1, -1), (-1, -1))),
            BadSample({"padding": (5, 1), "mode": "reflect"}, map, "padding", ((5, 5), (1, 1))),
            BadSample({"padding": -3}, map, "padding", ((-3, -3), (-3, -3))),
        )


@final
@dataclass(frozen=True)
class Resize(Op):
    """Interpolation to ``size`` (height, width), as ``torch.nn.functional.interpolate``.

    Attributes:
        mode: ``nearest`` or ``bilinear``; no smoothing before shrinking.
        align_corners: For ``bilinear``: whether corner pixels keep their place, instead of corner edges.
    """

    size: Pair
    mode: str = "nearest"
    align_corners: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", pair(self.size))
        check_pair(self, "size", self.size, 1)
        self.require(self.mode in ("nearest", "bilinear"), "must be nearest or bilinear", "mode", self.mode)
        nearest = self.mode == "nearest" and self.align_corners
        self.require(not nearest, "needs mode bilinear", "align_corners", self.align_corners)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        return types[0].with_shape(*types[0].shape[:2], *self.size)

    def terms(self, *types: TensorType) -> Terms:
        return Terms(resize=self.infer(*types).numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        height, width = types[0].shape[2:]
        return (self._window(height, self.size[0]), self._window(width, self.size[1]))

    def _window(self, size: int, outputs: int) -> Window:
        """After zero insertion the pixels read lie strictly within one pixel distance of the sampled point."""
        if self.align_corners and outputs > 1 and size > 1:
            stride = Fraction(size - 1, outputs - 1)
            gap = stride.denominator
            return Window(2 * gap - 1, stride, gap - 1).reaching(outputs, size)
        stride = Fraction(size, outputs)
        step, gap = stride.numerator, stride.denominator
        if self.mode == "nearest" or self.align_corners:  # corners of a single pixel: every output is that pixel
            return Window(gap, stride, gap - 1).reaching(outputs, size)
        whole = (step - gap) % 2 == 0
        kernel, before = (2 * gap - 1, gap - 1 - (step - gap) // 2) if whole else (2 * gap, (3 * gap - step - 1) // 2)
        return Window(kernel, stride, before).reaching(outputs, size)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        height, width = type.shape[2:]
        rows, columns = self._axis_matrix(height, self.size[0]), self._axis_matrix(width, self.size[1])
        return sparse.separable_matrix(type, rows, columns)

    def _axis_matrix(self, size: int, outputs: int) -> Any:
        matrix = np.zeros((outputs, size))
        for output in range(outputs):
            for pixel, share in self._reads(output, outputs, size):
                matrix[output, pixel] += float(share)
        return matrix

    def _reads(self, output: int, outputs: int, size: int) -> tuple[tuple[int, Fraction], ...]:
        if self.mode == "nearest":
            return ((output * size // outputs, Fraction(1)),)
        if self.align_corners:
            point = Fraction(output * (size - 1), max(outputs - 1, 1))
        else:
            point = max(Fraction(0), Fraction((2 * output + 1) * size, 2 * outputs) - Fraction(1, 2))
        low = point.numerator // point.denominator
        return ((low, 1 - (point - low)), (min(low + 1, size - 1), point - low))

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Upsample(
            self.size, mode=self.mode, align_corners=self.align_corners if self.mode == "bilinear" else None
        )

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = (TensorType((1, 2, 4, 5)),)
        return (
            Sample(cls((8, 10)), map),
            Sample(cls((6, 3)), map),
            Sample(cls((8, 15), "bilinear"), map),
            Sample(cls((6, 7), "bilinear"), map),
            Sample(cls((2, 3), "bilinear"), map),
            Sample(cls((7, 9), "bilinear", align_corners=True), map),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((1, 2, 4, 5)),)
        return (
            BadSample({"size": 0}, map, "size", (0, 0)),
            BadSample({"size": 8, "mode": "bicubic"}, map, "mode", "bicubic"),
            BadSample({"size": 8, "align_corners": True}, map, "align_corners", True),
        )
