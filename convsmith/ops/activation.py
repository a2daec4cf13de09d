"""Activations: one number in, one number out; only PReLU learns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

from convsmith.ir import AxisRead, BadSample, Kept, Op, Sample, Shape, TensorType, Terms, Window
from convsmith.ops import spatial
from convsmith.ops.pairs import check_axis, check_number, check_positive

_MAP, _ROW = (TensorType((2, 3, 4, 5)),), (TensorType((1, 6)),)


class Activation(Op):
    """What functions of single elements share: the shape stays and every element passes once."""

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        return types[0]

    def terms(self, *types: TensorType) -> Terms:
        return Terms(activation=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), _MAP), Sample(cls(), _ROW))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (BadSample({}, _ROW * 2, "inputs", 2),)


@final
@dataclass(frozen=True)
class ReLU(Activation):
    """``max(x, 0)``."""

    def keeps(self) -> Kept:
        return "output"

    def to_torch(self) -> Any:
        from torch import nn

        return nn.ReLU()


@final
@dataclass(frozen=True)
class ReLU6(Activation):
    """``min(max(x, 0), 6)``."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.ReLU6()


@final
@dataclass(frozen=True)
class SiLU(Activation):
    """``x * sigmoid(x)``, also called swish."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.SiLU()


@final
@dataclass(frozen=True)
class HardSwish(Activation):
    """``x * min(max(x + 3, 0), 6) / 6`` (Howard et al., "Searching for MobileNetV3", 2019)."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Hardswish()


@final
@dataclass(frozen=True)
class Sigmoid(Activation):
    """``1 / (1 + exp(-x))``."""

    def keeps(self) -> Kept:
        return "output"

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Sigmoid()


@final
@dataclass(frozen=True)
class HardSigmoid(Activation):
    """``min(max(x + 3, 0), 6) / 6``."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Hardsigmoid()


@final
@dataclass(frozen=True)
class Tanh(Activation):
    """Hyperbolic tangent."""

    def keeps(self) -> Kept:
        return "output"

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Tanh()


@final
@dataclass(frozen=True)
class Mish(Activation):
    """``x * tanh(log(1 + exp(x)))`` (Misra, 2019)."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Mish()


@final
@dataclass(frozen=True)
class Softplus(Activation):
    """``log(1 + exp(x))``."""

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Softplus()


@final
@dataclass(frozen=True)
class GELU(Activation):
    """``x * Phi(x)`` with the normal distribution (Hendrycks and Gimpel, 2016).

    Attributes:
        approximate: ``none``, or ``tanh`` for the approximation of section 2 of the paper.
    """

    approximate: str = "none"

    def __post_init__(self) -> None:
        known = self.approximate in ("none", "tanh")
        self.require(known, "must be none or tanh", "approximate", self.approximate)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.GELU(self.approximate)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), _MAP), Sample(cls("tanh"), _ROW))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (BadSample({"approximate": "sigmoid"}, _MAP, "approximate", "sigmoid"),)


@final
@dataclass(frozen=True)
class LeakyReLU(Activation):
    """``x`` where it is positive, ``negative_slope * x`` elsewhere (Maas et al., 2013)."""

    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        check_number(self, negative_slope=self.negative_slope)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.LeakyReLU(self.negative_slope)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), _MAP), Sample(cls(0.2), _ROW))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (BadSample({"negative_slope": None}, _MAP, "negative_slope", None),)


@final
@dataclass(frozen=True)
class ELU(Activation):
    """``x`` where it is positive, ``alpha * (exp(x) - 1)`` elsewhere (Clevert et al., 2016)."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, alpha=self.alpha)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.ELU(self.alpha)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), _MAP), Sample(cls(0.5), _ROW))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (BadSample({"alpha": "1"}, _MAP, "alpha", "1"),)


@final
@dataclass(frozen=True)
class PReLU(Activation):
    """A leaky ReLU whose slope is learned: one for all, or one per channel (He et al., 2015)."""

    num_parameters: int = 1

    def __post_init__(self) -> None:
        check_positive(self, num_parameters=self.num_parameters)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        if self.num_parameters != 1:
            self.require(types[0].rank >= 2, "must have channels", "input", types[0].shape)
            rule = f"must be 1 or the {types[0].shape[1]} channels of the input"
            self.require(self.num_parameters == types[0].shape[1], rule, "num_parameters", self.num_parameters)
        return types[0]

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return {"weight": (self.num_parameters,)}

    def to_torch(self) -> Any:
        from torch import nn

        return nn.PReLU(self.num_parameters)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), _MAP), Sample(cls(3), _MAP), Sample(cls(6), _ROW))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"num_parameters": 0}, _MAP, "num_parameters", 0),
            BadSample({"num_parameters": 4}, _MAP, "num_parameters", 4),
            BadSample({"num_parameters": 4}, (TensorType((4,)),), "input", (4,)),
        )


@final
@dataclass(frozen=True)
class Clip(Activation):
    """``min(max(x, low), high)``, where either bound may be missing."""

    low: float | None
    high: float | None

    def __post_init__(self) -> None:
        for name, bound in (("low", self.low), ("high", self.high)):
            if bound is not None:
                check_number(self, **{name: bound})
                self.require(math.isfinite(bound), "must be finite, or None", name, bound)
        if self.low is None or self.high is None:
            self.require(self.low is not self.high, "must be a number where low is None", "high", self.high)
        else:
            self.require(self.low <= self.high, f"must not be below low ({self.low})", "high", self.high)

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.clamp, min=self.low, max=self.high)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(-1.0, 1.0), _MAP), Sample(cls(0.5, None), _MAP), Sample(cls(None, 1.0), _ROW))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"low": 1.0, "high": 0.0}, _MAP, "high", 0.0),
            BadSample({"low": None, "high": None}, _MAP, "high", None),
            BadSample({"low": float("-inf"), "high": 1.0}, _MAP, "low", float("-inf")),
        )


@final
@dataclass(frozen=True)
class Softmax(Activation):
    """Probabilities along an axis, by default over the channels."""

    axis: int = 1

    def __post_init__(self) -> None:
        check_axis(self, "axis", self.axis)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        check_axis(self, "axis", self.axis, types[0].rank)
        return types[0]

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return spatial.mixed(types[0].rank, (self.axis,))

    def keeps(self) -> Kept:
        return "output"

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Softmax(dim=self.axis)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), _MAP),
            Sample(cls(), _ROW),
            Sample(cls(3), _MAP),
            Sample(cls(2), (TensorType((2, 3, 4)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (BadSample({"axis": 2}, _ROW, "axis", 2), BadSample({"axis": -1}, _MAP, "axis", -1))
