"""Fully connected layers and the step from a map to a row of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, Spread, TensorType, Terms
from convsmith.ops.pairs import check_positive


@final
@dataclass(frozen=True)
class Linear(Op):
    """Fully connected layer on the last axis: every output reads every input."""

    in_features: int
    out_features: int
    bias: bool = True

    def __post_init__(self) -> None:
        check_positive(self, in_features=self.in_features, out_features=self.out_features)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape = types[0].shape
        self.require(len(shape) == 2, "must be (batch, features)", "input", shape)
        rule = f"must equal the {shape[-1]} features of the input"
        self.require(shape[-1] == self.in_features, rule, "in_features", self.in_features)
        return types[0].with_shape(shape[0], self.out_features)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        weight = (self.out_features, self.in_features)
        return {"weight": weight, "bias": (self.out_features,)} if self.bias else {"weight": weight}

    def terms(self, *types: TensorType) -> Terms:
        outputs = types[0].shape[0] * self.out_features
        return Terms(taps=outputs * self.in_features, bias=outputs if self.bias else 0)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.WHOLE, Spread.WHOLE)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.per_image(weights["weight"], type.shape[0])

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Linear(self.in_features, self.out_features, self.bias)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(6, 4), (TensorType((1, 6)),)), Sample(cls(6, 4, bias=False), (TensorType((3, 6)),)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"in_features": 5, "out_features": 4}, (TensorType((1, 6)),), "in_features", 5),
            BadSample({"in_features": 6, "out_features": 0}, (TensorType((1, 6)),), "out_features", 0),
            BadSample({"in_features": 6, "out_features": 4}, (TensorType((1, 6, 2, 2)),), "input", (1, 6, 2, 2)),
        )


@final
@dataclass(frozen=True)
class Flatten(Op):
    """A map as one row of numbers: channels first, then rows, then columns."""

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape = types[0].shape
        self.require(len(shape) >= 2, "must have a batch axis and at least one more", "input", shape)
        return types[0].with_shape(shape[0], types[0].numel // shape[0])

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.PERMUTED, Spread.PERMUTED)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.identity(type)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Flatten()

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), (TensorType((2, 3, 4, 5)),)), Sample(cls(), (TensorType((1, 6)),)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (BadSample({}, (TensorType((6,)),), "input", (6,)),)
