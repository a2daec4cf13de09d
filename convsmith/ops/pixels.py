"""Channels dealt out as pixels, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

from convsmith.ir import AxisRead, BadSample, Op, Sample, TensorType, Terms, Window
from convsmith.ops.pairs import check_positive


@final
@dataclass(frozen=True)
class PixelShuffle(Op):
    """Each ``factor ** 2`` channels of a pixel become a square of pixels (Shi et al., 2016)."""

    factor: int

    def __post_init__(self) -> None:
        check_positive(self, factor=self.factor)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        batch, channels, height, width = types[0].shape
        out, over = divmod(channels, self.factor**2)
        self.require(over == 0, f"squared must divide the {channels} channels", "factor", self.factor)
        return types[0].with_shape(batch, out, height * self.factor, width * self.factor)

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        copies = Window(self.factor, Fraction(1, self.factor), self.factor - 1, self.factor - 1)
        return (copies, copies)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        batch, channels, height, width = self.infer(type).shape
        apart = (batch, channels, self.factor, self.factor, *type.shape[2:])
        whole = (batch, channels, height, width)
        return sparse.selection(type, lambda x: x.reshape(apart).transpose(0, 1, 4, 2, 5, 3).reshape(whole))

    def to_torch(self) -> Any:
        from torch import nn

        return nn.PixelShuffle(self.factor)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(2), (TensorType((2, 8, 3, 2)),)),
            Sample(cls(3), (TensorType((1, 9, 2, 3)),)),
            Sample(cls(1), (TensorType((1, 2, 3, 4)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"factor": 2}, (TensorType((1, 6, 3, 2)),), "factor", 2),
            BadSample({"factor": 0}, (TensorType((1, 6, 3, 2)),), "factor", 0),
            BadSample({"factor": 1}, (TensorType((1, 6)),), "input", (1, 6)),
        )


@final
@dataclass(frozen=True)
class PixelUnshuffle(Op):
    """Each square of ``factor ** 2`` pixels becomes the channels of one, the opposite of ``PixelShuffle``."""

    factor: int

    def __post_init__(self) -> None:
        check_positive(self, factor=self.factor)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        batch, channels, height, width = types[0].shape
        fits = height % self.factor == 0 and width % self.factor == 0
        self.require(fits, f"must divide the map {(height, width)}", "factor", self.factor)
        return types[0].with_shape(batch, channels * self.factor**2, height // self.factor, width // self.factor)

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        square = Window(self.factor, Fraction(self.factor))
        return (square, square)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        batch, channels, height, width = type.shape
        size = self.factor
        apart = (batch, channels, height // size, size, width // size, size)
        return sparse.selection(type, lambda x: x.reshape(apart).transpose(0, 1, 3, 5, 2, 4))

    def to_torch(self) -> Any:
        from torch import nn

        return nn.PixelUnshuffle(self.factor)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(2), (TensorType((2, 2, 4, 6)),)),
            Sample(cls(3), (TensorType((1, 1, 6, 3)),)),
            Sample(cls(1), (TensorType((1, 2, 3, 4)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"factor": 2}, (TensorType((1, 2, 4, 5)),), "factor", 2),
            BadSample({"factor": 0}, (TensorType((1, 2, 4, 4)),), "factor", 0),
            BadSample({"factor": 1}, (TensorType((1, 6)),), "input", (1, 6)),
        )
