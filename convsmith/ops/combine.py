"""Operators that bring branches together, element by element or one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

from convsmith.ir import AxisRead, BadSample, Kept, Op, Sample, Spread, TensorType, Terms, Window
from convsmith.ops.broadcast import broadcast
from convsmith.ops.pairs import check_axis


class _Elementwise(Op):
    """What all share: two values of one shape, or of shapes that are spread over each other as numpy does it."""

    arity: ClassVar[int | None] = 2

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        first, second = types[0].shape, types[1].shape
        if first == second:
            return types[0]
        return types[0].with_shape(*broadcast(self, first, second, second))

    def terms(self, *types: TensorType) -> Terms:
        return Terms(add=self.infer(*types).numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Window(), Window())

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map, pixel, row = TensorType((2, 3, 4, 5)), TensorType((2, 3, 1, 1)), TensorType((5,))
        return (
            Sample(cls(), (map, map)),
            Sample(cls(), (map, pixel)),
            Sample(cls(), (pixel, map)),
            Sample(cls(), (map, row)),
            Sample(cls(), (TensorType((2, 3, 4, 1)), TensorType((1, 1, 5)))),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = TensorType((2, 3, 4, 5))
        return (
            BadSample({}, (map, TensorType((2, 4, 4, 5))), "second input", (2, 4, 4, 5)),
            BadSample({}, (map, TensorType((2, 3, 2, 5))), "second input", (2, 3, 2, 5)),
            BadSample({}, (map, TensorType((4,))), "second input", (4,)),
            BadSample({}, (map,), "inputs", 1),
        )


@final
@dataclass(frozen=True)
class Add(_Elementwise):
    """Sum of two maps, as at the end of a residual block."""

    def keeps(self) -> Kept:
        return "nothing"

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.add)


@final
@dataclass(frozen=True)
class Sub(_Elementwise):
    """The first minus the second."""

    def keeps(self) -> Kept:
        return "nothing"

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.sub)


@final
@dataclass(frozen=True)
class Mul(_Elementwise):
    """Product of two maps, as where squeeze-and-excitation weighs the channels."""

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.mul)


@final
@dataclass(frozen=True)
class Div(_Elementwise):
    """The first divided by the second."""

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.div)


@final
@dataclass(frozen=True)
class Maximum(_Elementwise):
    """The larger of two numbers, as in a maxout unit."""

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.maximum)


@final
@dataclass(frozen=True)
class Minimum(_Elementwise):
    """The smaller of two numbers."""

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.minimum)


@final
@dataclass(frozen=True)
class Concat(Op):
    """Values one after the other along an axis, by default the channels."""

    arity: ClassVar[int | None] = None

    axis: int = 1

    def __post_init__(self) -> None:
        check_axis(self, "axis", self.axis)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        axis, first = self.axis, types[0].shape
        check_axis(self, "axis", axis, len(first))
        before, after = first[:axis], first[axis + 1 :]
        size = 0
        for type in types:
            shape = type.shape
            fits = len(shape) == len(first) and shape[:axis] == before and shape[axis + 1 :] == after
            self.require(fits, f"must match the first ({first}) in all but axis {axis}", "input", shape)
            size += shape[axis]
        return types[0].with_shape(*before, size, *after)

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        rank = types[0].rank
        if rank < 4 or self.axis < rank - 2:
            return (Window(), Window())
        return (Spread.PERMUTED, Window()) if self.axis == rank - 2 else (Window(), Spread.PERMUTED)

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Concat(self.axis)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map, tokens = TensorType((2, 3, 4, 5)), TensorType((2, 4, 3))
        return (
            Sample(cls(), (map, map)),
            Sample(cls(), (map, TensorType((2, 1, 4, 5)), map)),
            Sample(cls(3), (map, TensorType((2, 3, 4, 2)))),
            Sample(cls(), (TensorType((2, 1, 3)), tokens)),
            Sample(cls(2), (tokens, tokens)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        map = TensorType((2, 3, 4, 5))
        return (
            BadSample({}, (map, TensorType((2, 3, 4, 6))), "input", (2, 3, 4, 6)),
            BadSample({}, (map, TensorType((2, 3))), "input", (2, 3)),
            BadSample({"axis": 4}, (map, map), "axis", 4),
            BadSample({"axis": -1}, (map, map), "axis", -1),
            BadSample({}, (map,), "inputs", 1),
        )
