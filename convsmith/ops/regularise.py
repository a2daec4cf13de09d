"""Noise that only training sees; a network in use passes its input through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from convsmith.ir import AxisRead, BadSample, Op, Sample, TensorType, Terms, Window


class _Noise(Op):
    """What both kinds share: in use they change nothing and cost nothing."""

    p: float

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        return types[0]

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.identity(type)

    def check_probability(self) -> None:
        """Refuse anything that leaves nothing to pass.

        Raises:
            OpError: If ``p`` is not in [0, 1).
        """
        self.require(0 <= self.p < 1, "must be at least 0 and below 1", "p", self.p)

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"p": 1.0}, (TensorType((2, 6)),), "p", 1.0),
            BadSample({"p": -0.1}, (TensorType((2, 6)),), "p", -0.1),
        )


@final
@dataclass(frozen=True)
class Dropout(_Noise):
    """Each element is zeroed with probability ``p`` while training (Srivastava et al., 2014)."""

    p: float = 0.5

    def __post_init__(self) -> None:
        self.check_probability()

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Dropout(self.p)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), (TensorType((2, 6)),)), Sample(cls(0.2), (TensorType((2, 3, 4, 5)),)))


@final
@dataclass(frozen=True)
class DropPath(_Noise):
    """A whole residual branch of an image is zeroed with probability ``p`` while training (Huang et al., 2016)."""

    p: float

    def __post_init__(self) -> None:
        self.check_probability()

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.DropPath(self.p)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(0.0), (TensorType((2, 3, 4, 5)),)), Sample(cls(0.2), (TensorType((2, 3, 4, 5)),)))
