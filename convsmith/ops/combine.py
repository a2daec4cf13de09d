"""Operators that bring branches together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

from convsmith.ir import AxisRead, BadSample, Op, Sample, TensorType, Terms, Window


class _Elementwise(Op):
    """What a sum and a product share: two maps of one shape, or a second that has one pixel per channel."""

    arity: ClassVar[int | None] = 2

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        first, second = types[0].shape, types[1].shape
        spread = len(first) == 4 and second == (*first[:2], 1, 1)
        rule = f"must have the shape {first} of the first, or 1x1 maps"
        self.require(first == second or spread, rule, "second input", second)
        return types[0]

    def terms(self, *types: TensorType) -> Terms:
        return Terms(add=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = TensorType((2, 3, 4, 5))
        return (Sample(cls(), (map, map)), Sample(cls(), (map, TensorType((2, 3, 1, 1)))))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = TensorType((2, 3, 4, 5))
        return (
            BadSample({}, (map, TensorType((2, 4, 4, 5))), "second input", (2, 4, 4, 5)),
            BadSample({}, (map, TensorType((2, 3, 2, 5))), "second input", (2, 3, 2, 5)),
            BadSample({}, (map,), "inputs", 1),
        )


@final
@dataclass(frozen=True)
class Add(_Elementwise):
    """Sum of two maps, as at the end of a residual block."""

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Add()


@final
@dataclass(frozen=True)
class Mul(_Elementwise):
    """Product of two maps, as where squeeze-and-excitation weighs the channels."""

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Mul()


@final
@dataclass(frozen=True)
class Concat(Op):
    """Maps of one size stacked along the channels."""

    arity: ClassVar[int | None] = None

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        first = types[0].shape
        for type in types:
            self.check_map(type)
            fits = type.shape[0] == first[0] and type.shape[2:] == first[2:]
            self.require(fits, f"must match the first ({first}) in all but channels", "input", type.shape)
        return types[0].with_shape(first[0], sum(type.shape[1] for type in types), *first[2:])

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Concat()

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = TensorType((2, 3, 4, 5))
        return (Sample(cls(), (map, map)), Sample(cls(), (map, TensorType((2, 1, 4, 5)), map)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = TensorType((2, 3, 4, 5))
        return (
            BadSample({}, (map, TensorType((2, 3, 4, 6))), "input", (2, 3, 4, 6)),
            BadSample({}, (map,), "inputs", 1),
        )
