"""Normalisations of whole channels, in the form they have when a trained network is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, Spread, TensorType, Terms, Window
from convsmith.ops.pairs import check_bool, check_positive, same_channels, weight_and_bias

_MAP = (TensorType((2, 4, 3, 5)),)


class _BatchNorm(Op):
    """What batch normalisation of maps and of rows share: a scale and a shift per channel."""

    num_features: int
    eps: float
    affine: bool

    def check_attributes(self) -> None:
        """Refuse attributes that describe no normalisation.

        Raises:
            OpError: Naming the attribute and the value.
        """
        check_positive(self, num_features=self.num_features)
        check_eps(self, self.eps)
        check_bool(self, affine=self.affine)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return weight_and_bias((self.num_features,), self.num_features) if self.affine else {}

    def stored_shapes(self, *types: TensorType) -> dict[str, Shape]:
        size = (self.num_features,)
        return {**self.param_shapes(*types), "running_mean": size, "running_var": size}

    def terms(self, *types: TensorType) -> Terms:
        return Terms(norm=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        scale = weights.get("weight", 1.0) / np.sqrt(weights["running_var"] + self.eps)
        return sparse.channel_scale(type, scale)

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"num_features": 3}, _MAP, "num_features", 3),
            BadSample({"num_features": 0}, _MAP, "num_features", 0),
            BadSample({"num_features": 4, "eps": -1.0}, _MAP, "eps", -1.0),
            BadSample({"num_features": 4, "affine": 1}, _MAP, "affine", 1),
        )


@final
@dataclass(frozen=True)
class BatchNorm2d(_BatchNorm):
    """Batch normalisation with stored statistics (Ioffe and Szegedy, 2015): a scale and a shift per channel.

    Attributes:
        momentum: Weight of the newest batch in the running statistics while training.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def __post_init__(self) -> None:
        self.check_attributes()

    def infer(self, *types: TensorType) -> TensorType:
        return _same_map(self, types, "num_features", self.num_features)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.BatchNorm2d(self.num_features, self.eps, self.momentum, self.affine)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(4), _MAP), Sample(cls(4, eps=1e-3, momentum=0.01), _MAP), Sample(cls(4, affine=False), _MAP))


@final
@dataclass(frozen=True)
class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (batch, features) or (batch, channels, length), see ``BatchNorm2d``."""

    num_features: int
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def __post_init__(self) -> None:
        self.check_attributes()

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape = types[0].shape
        self.require(len(shape) in (2, 3), "must be (batch, features) or (batch, channels, length)", "input", shape)
        return same_channels(self, types[0], "num_features", self.num_features)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.BatchNorm1d(self.num_features, self.eps, self.momentum, self.affine)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(4), (TensorType((2, 4)),)), Sample(cls(4, eps=1e-3, affine=False), (TensorType((2, 4, 3)),)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        row = (TensorType((2, 4)),)
        return (
            BadSample({"num_features": 3}, row, "num_features", 3),
            BadSample({"num_features": 0}, row, "num_features", 0),
            BadSample({"num_features": 4, "eps": -1.0}, row, "eps", -1.0),
            BadSample({"num_features": 4, "affine": 1}, row, "affine", 1),
            BadSample({"num_features": 4}, _MAP, "input", (2, 4, 3, 5)),
        )


@final
@dataclass(frozen=True)
class GroupNorm(Op):
    """Normalisation over groups of channels and the whole map of one image (Wu and He, 2018)."""

    num_groups: int
    num_channels: int
    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self) -> None:
        check_positive(self, num_groups=self.num_groups, num_channels=self.num_channels)
        divides = self.num_channels % self.num_groups == 0
        self.require(divides, f"must divide num_channels {self.num_channels}", "num_groups", self.num_groups)
        check_eps(self, self.eps)
        check_bool(self, affine=self.affine)

    def infer(self, *types: TensorType) -> TensorType:
        return _same_map(self, types, "num_channels", self.num_channels)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return weight_and_bias((self.num_channels,), self.num_channels) if self.affine else {}

    def terms(self, *types: TensorType) -> Terms:
        return Terms(norm=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.WHOLE, Spread.WHOLE)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.GroupNorm(self.num_groups, self.num_channels, self.eps, self.affine)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(2, 4), _MAP), Sample(cls(1, 4, eps=1e-6), _MAP), Sample(cls(4, 4, affine=False), _MAP))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"num_groups": 3, "num_channels": 4}, _MAP, "num_groups", 3),
            BadSample({"num_groups": 2, "num_channels": 6}, _MAP, "num_channels", 6),
            BadSample({"num_groups": 2, "num_channels": 4, "eps": -1.0}, _MAP, "eps", -1.0),
            BadSample({"num_groups": 2, "num_channels": 4, "affine": 0}, _MAP, "affine", 0),
        )


@final
@dataclass(frozen=True)
class InstanceNorm2d(Op):
    """Normalisation of each map of each image by its own statistics (Ulyanov et al., 2016)."""

    num_features: int
    eps: float = 1e-5
    affine: bool = False

    def __post_init__(self) -> None:
        check_positive(self, num_features=self.num_features)
        check_eps(self, self.eps)
        check_bool(self, affine=self.affine)

    def infer(self, *types: TensorType) -> TensorType:
        type = _same_map(self, types, "num_features", self.num_features)
        self.require(type.shape[2:] != (1, 1), "must have more than one pixel", "input", type.shape)  # torch's rule
        return type

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return weight_and_bias((self.num_features,), self.num_features) if self.affine else {}

    def terms(self, *types: TensorType) -> Terms:
        return Terms(norm=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.WHOLE, Spread.WHOLE)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.InstanceNorm2d(self.num_features, self.eps, affine=self.affine)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(4), _MAP), Sample(cls(4, eps=1e-3, affine=True), _MAP))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"num_features": 3}, _MAP, "num_features", 3),
            BadSample({"num_features": 4, "eps": -1.0}, _MAP, "eps", -1.0),
            BadSample({"num_features": 4, "affine": 1}, _MAP, "affine", 1),
            BadSample({"num_features": 4}, (TensorType((2, 4, 1, 1)),), "input", (2, 4, 1, 1)),
        )


@final
@dataclass(frozen=True)
class LocalResponseNorm(Op):
    """``x / (k + alpha * mean of x ** 2 over neighbouring channels) ** beta`` (Krizhevsky et al., 2012, section 3.3).

    Attributes:
        size: How many channels are neighbours, the one in the middle included.
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self, size=self.size)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        return types[0]

    def terms(self, *types: TensorType) -> Terms:
        return Terms(norm=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    def to_torch(self) -> Any:
        from torch import nn

        return nn.LocalResponseNorm(self.size, self.alpha, self.beta, self.k)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(3, alpha=0.1), _MAP), Sample(cls(2, 0.5, 0.5, 2.0), _MAP))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (BadSample({"size": 0}, _MAP, "size", 0), BadSample({"size": 3}, (TensorType((2, 4)),), "input", (2, 4)))


def check_eps(op: Op, eps: float) -> None:
    """Refuse a negative ``eps``.

    Raises:
        OpError: Naming the value.
    """
    op.require(eps >= 0, "must not be negative", "eps", eps)


def _same_map(op: Op, types: tuple[TensorType, ...], attribute: str, channels: int) -> TensorType:
    op.check_inputs(types)
    op.check_map(types[0])
    return same_channels(op, types[0], attribute, channels)
