"""Normalisations, in the form they have when a trained network is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, Spread, TensorType, Terms, Window
from convsmith.ops.pairs import check_positive


@final
@dataclass(frozen=True)
class BatchNorm2d(Op):
    """Batch normalisation with stored statistics (Ioffe and Szegedy, 2015): a scale and a shift per channel.

    Attributes:
        momentum: Weight of the newest batch in the running statistics while training.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def __post_init__(self) -> None:
        check_positive(self, num_features=self.num_features)
        _check_eps(self, self.eps)

    def infer(self, *types: TensorType) -> TensorType:
        return _same_map(self, types, "num_features", self.num_features)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return _scale_and_shift(self.num_features) if self.affine else {}

    def terms(self, *types: TensorType) -> Terms:
        return Terms(norm=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        scale = weights.get("weight", 1.0) / np.sqrt(weights["running_var"] + self.eps)
        return sparse.channel_scale(type, scale)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.BatchNorm2d(self.num_features, self.eps, self.momentum, self.affine)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = (TensorType((2, 4, 3, 5)),)
        return (Sample(cls(4), map), Sample(cls(4, eps=1e-3, momentum=0.01), map), Sample(cls(4, affine=False), map))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((2, 4, 3, 5)),)
        return (
            BadSample({"num_features": 3}, map, "num_features", 3),
            BadSample({"num_features": 0}, map, "num_features", 0),
            BadSample({"num_features": 4, "eps": -1.0}, map, "eps", -1.0),
        )


@final
@dataclass(frozen=True)
class GroupNorm(Op):
    """Normalisation over groups of channels and the whole map of one image (Wu and He, 2018)."""

    num_groups: int
    num_channels: int
    eps: float = 1e-5

    def __post_init__(self) -> None:
        check_positive(self, num_groups=self.num_groups, num_channels=self.num_channels)
        divides = self.num_channels % self.num_groups == 0
        self.require(divides, f"must divide num_channels {self.num_channels}", "num_groups", self.num_groups)
        _check_eps(self, self.eps)

    def infer(self, *types: TensorType) -> TensorType:
        return _same_map(self, types, "num_channels", self.num_channels)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return _scale_and_shift(self.num_channels)

    def terms(self, *types: TensorType) -> Terms:
        return Terms(norm=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.WHOLE, Spread.WHOLE)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.GroupNorm(self.num_groups, self.num_channels, self.eps)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = (TensorType((2, 4, 3, 5)),)
        return (Sample(cls(2, 4), map), Sample(cls(1, 4, eps=1e-6), map))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((2, 4, 3, 5)),)
        return (
            BadSample({"num_groups": 3, "num_channels": 4}, map, "num_groups", 3),
            BadSample({"num_groups": 2, "num_channels": 6}, map, "num_channels", 6),
            BadSample({"num_groups": 2, "num_channels": 4, "eps": -1.0}, map, "eps", -1.0),
        )


@final
@dataclass(frozen=True)
class LayerNorm2d(Op):
    """Layer normalisation over the channels of each pixel, as ConvNeXt uses it (Liu et al., 2022)."""

    num_channels: int
    eps: float = 1e-6

    def __post_init__(self) -> None:
        check_positive(self, num_channels=self.num_channels)
        _check_eps(self, self.eps)

    def infer(self, *types: TensorType) -> TensorType:
        return _same_map(self, types, "num_channels", self.num_channels)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return _scale_and_shift(self.num_channels)

    def terms(self, *types: TensorType) -> Terms:
        return Terms(norm=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.LayerNorm2d(self.num_channels, self.eps)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = (TensorType((2, 4, 3, 5)),)
        return (Sample(cls(4), map), Sample(cls(4, eps=1e-5), map))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = (TensorType((2, 4, 3, 5)),)
        return (
            BadSample({"num_channels": 5}, map, "num_channels", 5),
            BadSample({"num_channels": 4, "eps": -1.0}, map, "eps", -1.0),
        )


def _same_map(op: Op, types: tuple[TensorType, ...], attribute: str, channels: int) -> TensorType:
    op.check_inputs(types)
    op.check_map(types[0])
    op.require(
        types[0].shape[1] == channels, f"must equal the {types[0].shape[1]} channels of the input", attribute, channels
    )
    return types[0]


def _scale_and_shift(channels: int) -> dict[str, Shape]:
    return {"weight": (channels,), "bias": (channels,)}


def _check_eps(op: Op, eps: float) -> None:
    op.require(eps >= 0, "must not be negative", "eps", eps)
