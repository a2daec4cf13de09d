"""Normalisations of single pixels or tokens over their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, TensorType, Terms, Window
from convsmith.ops import spatial
from convsmith.ops.norm import check_eps
from convsmith.ops.pairs import check_bool, check_positive, check_sizes, numbers, same_channels, weight_and_bias

_MAP, _TOKENS = (TensorType((2, 4, 3, 5)),), (TensorType((2, 3, 6)),)


@final
@dataclass(frozen=True)
class LayerNorm2d(Op):
    """Layer normalisation over the channels of each pixel, as ConvNeXt uses it (Liu et al., 2022)."""

    num_channels: int
    eps: float = 1e-6
    affine: bool = True

    def __post_init__(self) -> None:
        check_positive(self, num_channels=self.num_channels)
        check_eps(self, self.eps)
        check_bool(self, affine=self.affine)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        return same_channels(self, types[0], "num_channels", self.num_channels)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return weight_and_bias((self.num_channels,), self.num_channels) if self.affine else {}

    def terms(self, *types: TensorType) -> Terms:
        return Terms(norm=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.LayerNorm2d(self.num_channels, self.eps, self.affine)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(4), _MAP), Sample(cls(4, eps=1e-5), _MAP), Sample(cls(4, affine=False), _MAP))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"num_channels": 5}, _MAP, "num_channels", 5),
            BadSample({"num_channels": 4, "eps": -1.0}, _MAP, "eps", -1.0),
            BadSample({"num_channels": 4, "affine": None}, _MAP, "affine", None),
        )


@final
@dataclass(frozen=True)
class LayerNorm(Op):
    """Normalisation over the last axes (Ba et al., 2016), as ``torch.nn.LayerNorm``.

    Attributes:
        normalized_shape: Sizes of the axes that are normalised together.
        affine: Whether a scale, and with ``bias`` a shift, is learned for each of their elements.
        bias: Never without ``affine``.
    """

    normalized_shape: Shape
    eps: float = 1e-5
    affine: bool = True
    bias: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "normalized_shape", numbers(self.normalized_shape))
        check_bool(self, affine=self.affine, bias=self.bias)
        if not self.affine:
            object.__setattr__(self, "bias", False)
        _check_normalized(self, self.normalized_shape, self.eps)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        return _same_end(self, types[0], self.normalized_shape)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        names = ("weight", "bias")[: self.affine + self.bias]
        return dict.fromkeys(names, self.normalized_shape)

    def terms(self, *types: TensorType) -> Terms:
        return Terms(norm=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        rank = types[0].rank
        return spatial.mixed(rank, range(rank - len(self.normalized_shape), rank))

    def to_torch(self) -> Any:
        from torch import nn

        return nn.LayerNorm(list(self.normalized_shape), self.eps, self.affine, self.bias)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls((6,)), _TOKENS),
            Sample(cls((3, 6), eps=1e-3, bias=False), _TOKENS),
            Sample(cls((5,), affine=False), _MAP),
            Sample(cls((4, 3, 5)), _MAP),
            Sample(cls((6,)), (TensorType((2, 6)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (*_bad_samples(), BadSample({"normalized_shape": 6, "bias": 1}, _TOKENS, "bias", 1))


@final
@dataclass(frozen=True)
class RMSNorm(Op):
    """Division by the root of the mean square over the last axes (Zhang and Sennrich, 2019), as ``torch.nn.RMSNorm``.

    Attributes:
        normalized_shape: Sizes of the axes that are normalised together.
        affine: Whether a scale is learned for each of their elements.
    """

    normalized_shape: Shape
    eps: float = 1e-6
    affine: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "normalized_shape", numbers(self.normalized_shape))
        check_bool(self, affine=self.affine)
        _check_normalized(self, self.normalized_shape, self.eps)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        return _same_end(self, types[0], self.normalized_shape)

    def param_shapes(self, *types: TensorType) -> dict[str, Shape]:
        return {"weight": self.normalized_shape} if self.affine else {}

    def terms(self, *types: TensorType) -> Terms:
        return Terms(norm=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        rank = types[0].rank
        return spatial.mixed(rank, range(rank - len(self.normalized_shape), rank))

    def to_torch(self) -> Any:
        from torch import nn

        return nn.RMSNorm(list(self.normalized_shape), self.eps, self.affine)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls((6,)), _TOKENS),
            Sample(cls((3, 5), eps=1e-3), _MAP),
            Sample(cls((5,), affine=False), _MAP),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return _bad_samples()


def _check_normalized(op: Op, shape: Shape, eps: float) -> None:
    check_sizes(op, "normalized_shape", shape)
    op.require(len(shape) > 0, "must not be empty", "normalized_shape", shape)
    check_eps(op, eps)


def _same_end(op: Op, type: TensorType, shape: Shape) -> TensorType:
    fits = type.rank > len(shape) and type.shape[-len(shape) :] == shape
    op.require(fits, f"must be the last sizes of the input {type.shape}", "normalized_shape", shape)
    return type


def _bad_samples() -> tuple[BadSample, ...]:
    return (
        BadSample({"normalized_shape": (3,)}, _TOKENS, "normalized_shape", (3,)),
        BadSample({"normalized_shape": (2, 3, 6)}, _TOKENS, "normalized_shape", (2, 3, 6)),
        BadSample({"normalized_shape": ()}, _TOKENS, "normalized_shape", ()),
        BadSample({"normalized_shape": 0}, _TOKENS, "normalized_shape", (0,)),
        BadSample({"normalized_shape": 6, "eps": -1.0}, _TOKENS, "eps", -1.0),
        BadSample({"normalized_shape": 6, "affine": 1}, _TOKENS, "affine", 1),
    )
