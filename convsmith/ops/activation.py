"""Activations: one number in, one number out, nothing learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from convsmith.ir import BadSample, Op, Sample, TensorType, Terms, Window


class _Activation(Op):
    """What all activations share: the shape stays and every element passes once."""

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        return types[0]

    def terms(self, *types: TensorType) -> Terms:
        return Terms(activation=types[0].numel)

    def window(self, *types: TensorType) -> tuple[Window, Window]:
        return (Window(), Window())

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), (TensorType((2, 3, 4, 5)),)), Sample(cls(), (TensorType((1, 6)),)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (BadSample({}, (TensorType((1, 6)), TensorType((1, 6))), "inputs", 2),)


@final
@dataclass(frozen=True)
class ReLU(_Activation):
    """``max(x, 0)``."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.ReLU()


@final
@dataclass(frozen=True)
class ReLU6(_Activation):
    """``min(max(x, 0), 6)``."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.ReLU6()


@final
@dataclass(frozen=True)
class SiLU(_Activation):
    """``x * sigmoid(x)``, also called swish."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.SiLU()


@final
@dataclass(frozen=True)
class HardSwish(_Activation):
    """``x * min(max(x + 3, 0), 6) / 6`` (Howard et al., "Searching for MobileNetV3", 2019)."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Hardswish()


@final
@dataclass(frozen=True)
class Sigmoid(_Activation):
    """``1 / (1 + exp(-x))``."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Sigmoid()


@final
@dataclass(frozen=True)
class HardSigmoid(_Activation):
    """``min(max(x + 3, 0), 6) / 6``."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Hardsigmoid()


@final
@dataclass(frozen=True)
class GELU(_Activation):
    """``x * Phi(x)`` with the exact normal distribution (Hendrycks and Gimpel, 2016)."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.GELU()


@final
@dataclass(frozen=True)
class Softmax(_Activation):
    """Probabilities over the channels (axis 1)."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Softmax(dim=1)
