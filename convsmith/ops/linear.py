"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, TensorType, Terms
from convsmith.ops import spatial
from convsmith.ops.pairs import check_bool, check_positive, weight_and_bias


@final
@dataclass(frozen=True)
class Linear(Op):
    """Fully connected layer: along one axis every output reads every input.

    Attributes:
        axis: The axis of the features: the last one, or 1 for the channels of a map.
    """

    in_features: int
    out_features: int
    bias: bool = True
    axis: int = -1

    def __post_init__(self) -> None:
        check_positive(self, in_features=self.in_features, out_features=self.out_features)
        check_bool(self, bias=self.bias)
        self.require(self.axis in (-1, 1), "must be -1, or 1 for the channels of a map", "axis", self.axis)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape = types[0].shape
        least = 2 if self.axis == -1 else 3
        self.require(len(shape) >= least, f"must have at least {least} axes", "input", shape)
        rule = f"must equal the {shape[self.axis]} features of the input"
        self.require(shape[self.axis] == self.in_features, rule, "in_features", self.in_features)
        if self.axis == 1:
            return types[0].with_shape(shape[0], self.out_features, *shape[2:])
        return types[0].with_shape(*shape[:-1], self.out_features)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return weight_and_bias((self.out_features, self.in_features), self.out_features, self.bias)

    def terms(self, *types: TensorType) -> Terms:
        taps = types[0].numel * self.out_features
        return Terms(taps=taps, bias=taps // self.in_features if self.bias else 0)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        rank = types[0].rank
        return spatial.mixed(rank, (self.axis % rank,))

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.along_axis(type, self.axis % type.rank, weights["weight"])

    def to_torch(self) -> Any:
        from torch import nn

        from convsmith.ops.torch_modules import ChannelLinear

        return (nn.Linear if self.axis == -1 else ChannelLinear)(self.in_features, self.out_features, self.bias)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(6, 4), (TensorType((1, 6)),)),
            Sample(cls(6, 4, bias=False), (TensorType((3, 6)),)),
            Sample(cls(6, 4), (TensorType((2, 3, 6)),)),
            Sample(cls(6, 4), (TensorType((2, 3, 4, 6)),)),
            Sample(cls(3, 4, axis=1), (TensorType((2, 3, 4, 5)),)),
            Sample(cls(3, 2, bias=False, axis=1), (TensorType((2, 3, 5)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        good = {"in_features": 6, "out_features": 4}
        return (
            BadSample({**good, "in_features": 5}, (TensorType((1, 6)),), "in_features", 5),
            BadSample({**good, "out_features": 0}, (TensorType((1, 6)),), "out_features", 0),
            BadSample({**good, "bias": 1}, (TensorType((1, 6)),), "bias", 1),
            BadSample({**good, "axis": 2}, (TensorType((1, 6, 6)),), "axis", 2),
            BadSample({**good, "axis": 1}, (TensorType((1, 6)),), "input", (1, 6)),
            BadSample(good, (TensorType((1, 6, 2, 2)),), "in_features", 6),
            BadSample(good, (TensorType((6,)),), "input", (6,)),
        )
