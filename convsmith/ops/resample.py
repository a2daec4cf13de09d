"""Operators that change the size of a map without learning: padding, cropping, interpolation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convsmith.ir import AxisRead, BadSample, Op, Sample, TensorType, Terms, Window
from convsmith.ops.pairs import Pair, Sides, check_bool, check_number, check_pair, check_sides, pair, sides

PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""What numpy and ONNX call the modes of ``Pad``."""
_CENTRES = {"nearest": 0.0, "nearest-exact": 0.5}
_RESIZE_MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")


@final
@dataclass(frozen=True)
class Pad(Op):
    """Rows and columns put around a map, or cut off where a side is negative.

    Attributes:
        padding: (top, bottom), (left, right).
        mode: ``constant`` for one value, ``reflect`` for mirrored pixels, ``replicate`` for repeated ones, ``circular``
            for those of the opposite side.
        value: What ``constant`` puts there.
    """

    padding: Sides
    mode: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", sides(self.padding))
        check_sides(self, "padding", self.padding, least=None if self.mode == "constant" else 0)
        self.require(self.mode in PAD_MODES, f"must be one of {', '.join(PAD_MODES)}", "mode", self.mode)
        check_number(self, value=self.value)
        self.require(self.mode == "constant" or self.value == 0, "needs mode constant", "value", self.value)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        batch, channels, height, width = types[0].shape
        size = (height + sum(self.padding[0]), width + sum(self.padding[1]))
        self.require(min(size) >= 1, f"cuts away the whole map, leaving {size}", "padding", self.padding)
        if self.mode in ("reflect", "circular"):
            reuse = 1 if self.mode == "reflect" else 0  # the edge itself is not mirrored
            fits = max(self.padding[0]) <= height - reuse and max(self.padding[1]) <= width - reuse
            self.require(fits, f"must not be above what the map {(height, width)} can give", "padding", self.padding)
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
        return pad(eye, width, mode=PAD_MODES[self.mode])

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Pad(self.padding, self.mode, self.value)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = (TensorType((1, 2, 5, 6)),)
        return (
            Sample(cls(((1, 1), (1, 1))), map),
            Sample(cls(((0, 2), (-1, 1))), map),
            Sample(cls(((1, 2), (2, 1)), "reflect"), map),
            Sample(cls(((1, 2), (2, 1)), "replicate"), map),
            Sample(cls(((0, 2), (5, 6)), "circular"), map),
            Sample(cls(((1, 0), (1, -1)), value=1.5), map),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((1, 2, 5, 6)),)
        return (
            BadSample({"padding": 1, "mode": "symmetric"}, map, "mode", "symmetric"),
            BadSample({"padding": 1, "mode": "reflect", "value": 1.0}, map, "value", 1.0),
            BadSample({"padding": 1, "value": "zero"}, map, "value", "zero"),
            BadSample({"padding": (6, 1), "mode": "circular"}, map, "padding", ((6, 6), (1, 1))),
            BadSample({"padding": -1, "mode": "reflect"}, map, "padding", ((-1, -1), (-1, -1))),
            BadSample({"padding": (5, 1), "mode": "reflect"}, map, "padding", ((5, 5), (1, 1))),
            BadSample({"padding": -3}, map, "padding", ((-3, -3), (-3, -3))),
        )


@final
@dataclass(frozen=True)
class Resize(Op):
    """Interpolation to ``size`` (height, width), as ``torch.nn.functional.interpolate``.

    Attributes:
        mode: ``nearest``, ``nearest-exact``, ``bilinear`` or ``bicubic`` (Keys, 1981, with a = -0.75); no smoothing
            before shrinking. ``nearest`` takes the pixel at the upper left corner of an output, ``nearest-exact`` the
            one at its middle.
        align_corners: For ``bilinear`` and ``bicubic``: whether corner pixels keep their place, or corner edges do.
    """

    size: Pair
    mode: str = "nearest"
    align_corners: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", pair(self.size))
        check_pair(self, "size", self.size, 1)
        self.require(self.mode in _RESIZE_MODES, f"must be one of {', '.join(_RESIZE_MODES)}", "mode", self.mode)
        check_bool(self, align_corners=self.align_corners)
        smooth = self.mode in ("bilinear", "bicubic") or not self.align_corners
        self.require(smooth, "needs mode bilinear or bicubic", "align_corners", self.align_corners)

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
        """After zero insertion the pixels read lie strictly within one pixel of the sampled point, or two if bicubic.

        Bicubic weights are zero at the neighbours of a pixel that is hit: where every point hits one, the window is
        that of bilinear; where some do, they read less than it says. Exact where ``nearest_pixels`` rounds.
        """
        if self.align_corners and outputs > 1 and size > 1:
            stride = Fraction(size - 1, outputs - 1)
            gap = stride.denominator
            reach = 2 * gap if self.mode == "bicubic" and gap > 1 else gap
            return Window(2 * reach - 1, stride, reach - 1).reaching(outputs, size)
        stride = Fraction(size, outputs)
        step, gap = stride.numerator, stride.denominator
        if self.mode == "nearest-exact":
            return Window(gap, stride, gap - 1 - step // 2).reaching(outputs, size)
        if self.mode == "nearest" or self.align_corners:  # corners of a single pixel: every output is that pixel
            return Window(gap, stride, gap - 1).reaching(outputs, size)
        shift, half = divmod(step - gap, 2)  # the first point is half a place further on where half is 1
        reach = 2 * gap if self.mode == "bicubic" and (gap > 1 or half) else gap
        return Window(2 * reach - 1 + half, stride, reach - 1 - shift).reaching(outputs, size)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        height, width = type.shape[2:]
        rows, columns = self._axis_matrix(height, self.size[0]), self._axis_matrix(width, self.size[1])
        return sparse.separable_matrix(type, rows, columns)

    def _axis_matrix(self, size: int, outputs: int) -> Any:
        if self.mode in _CENTRES:
            return np.eye(size)[nearest_pixels(self.mode, size, outputs)]
        matrix = np.zeros((outputs, size))
        for output in range(outputs):
            for pixel, share in self._reads(output, outputs, size):
                matrix[output, pixel] += float(share)
        return matrix

    def _reads(self, output: int, outputs: int, size: int) -> tuple[tuple[int, Fraction], ...]:
        """The pixels that an output of a smooth mode reads, with their weights."""
        if self.align_corners:
            point = Fraction(output * (size - 1), max(outputs - 1, 1))
        else:
            point = Fraction((2 * output + 1) * size, 2 * outputs) - Fraction(1, 2)
        low = math.floor(point)
        taps, weight = (range(low - 1, low + 3), _cubic) if self.mode == "bicubic" else (range(low, low + 2), _tent)
        return tuple((min(max(tap, 0), size - 1), weight(abs(point - tap))) for tap in taps)

    def to_torch(self) -> Any:
        from torch import nn

        smooth = self.mode in ("bilinear", "bicubic")
        return nn.Upsample(self.size, mode=self.mode, align_corners=self.align_corners if smooth else None)

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
            Sample(cls((8, 3), "nearest-exact"), map),
            Sample(cls((8, 3), "bicubic"), map),
            Sample(cls((7, 9), "bicubic", align_corners=True), map),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((1, 2, 4, 5)),)
        return (
            BadSample({"size": 0}, map, "size", (0, 0)),
            BadSample({"size": 8, "mode": "area"}, map, "mode", "area"),
            BadSample({"size": 8, "mode": "bilinear", "align_corners": 1}, map, "align_corners", 1),
            BadSample({"size": 8, "align_corners": True}, map, "align_corners", True),
        )


def nearest_pixels(mode: str, size: int, outputs: int) -> NDArray[np.int64]:
    """The pixel of ``size`` that each output takes in mode ``nearest`` or ``nearest-exact``.

    Torch computes the place in float32, which now and then falls just short of a whole number: of 2 pixels enlarged
    to 82, output 41 takes the first one, not the second.
    """
    places = np.arange(outputs, dtype=np.float32) + np.float32(_CENTRES[mode])
    points = places * (np.float32(size) / np.float32(outputs))
    return np.minimum(points, size - 1).astype(np.int64)


def nearest_mode(taken: Sequence[ArrayLike], sizes: Sequence[int]) -> str:
    """The nearest mode that takes these rows and columns of a map of ``sizes``; empty if none does."""
    for mode in _CENTRES:
        pixels = [nearest_pixels(mode, size, len(np.asarray(axis))) for axis, size in zip(taken, sizes, strict=True)]
        if all(np.array_equal(*pair) for pair in zip(pixels, taken, strict=True)):
            return mode
    return ""


def _tent(distance: Fraction) -> Fraction:
    return max(Fraction(0), 1 - distance)


def _cubic(distance: Fraction) -> Fraction:
    """Weight of a pixel at this distance (Keys, "Cubic convolution interpolation", 1981, eq. 15), with a = -3/4."""
    a, x = Fraction(-3, 4), distance
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return a * (((x - 5) * x + 8) * x - 4) if x < 2 else Fraction(0)
