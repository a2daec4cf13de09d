"""Some elements of an axis, or all of them moved along it; nothing is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, TensorType, Terms, Window
from convsmith.ops import spatial
from convsmith.ops.pairs import check_axis, check_positive, check_sizes, is_int, numbers

_MAP = (TensorType((2, 3, 4, 5)),)


@final
@dataclass(frozen=True)
class Slice(Op):
    """Every ``step``-th element of an axis from ``start`` on, before ``stop``; all counted from 0."""

    axis: int
    start: int
    stop: int
    step: int = 1

    def __post_init__(self) -> None:
        check_axis(self, "axis", self.axis)
        self.require(is_int(self.start) and self.start >= 0, "must be counted from 0", "start", self.start)
        holds = is_int(self.stop) and self.stop > self.start
        self.require(holds, f"must be above start {self.start}", "stop", self.stop)
        check_positive(self, step=self.step)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape, axis = types[0].shape, self.axis
        check_axis(self, "axis", axis, len(shape))
        self.require(self.stop <= shape[axis], f"must be at most the size {shape[axis]}", "stop", self.stop)
        size = -(-(self.stop - self.start) // self.step)
        return types[0].with_shape(*shape[:axis], size, *shape[axis + 1 :])

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        rank = types[0].rank
        if rank < 4:
            return spatial.moved(True, True)
        if self.axis < rank - 2:
            return (Window(), Window())
        cut = Window(1, Fraction(self.step), -self.start, self.stop - types[0].shape[self.axis])
        return (cut, Window()) if self.axis == rank - 2 else (Window(), cut)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        index = (*(slice(None),) * self.axis, slice(self.start, self.stop, self.step))
        return sparse.selection(type, lambda elements: elements[index])

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Slice(self.axis, self.start, self.stop, self.step)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(1, 1, 3), _MAP),
            Sample(cls(2, 1, 4, 2), _MAP),
            Sample(cls(3, 0, 4, 3), _MAP),
            Sample(cls(3, 1, 5), _MAP),
            Sample(cls(1, 0, 1), (TensorType((2, 4, 3)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"axis": 4, "start": 0, "stop": 1}, _MAP, "axis", 4),
            BadSample({"axis": -1, "start": 0, "stop": 1}, _MAP, "axis", -1),
            BadSample({"axis": 3, "start": -1, "stop": 1}, _MAP, "start", -1),
            BadSample({"axis": 3, "start": 2, "stop": 2}, _MAP, "stop", 2),
            BadSample({"axis": 3, "start": 0, "stop": 6}, _MAP, "stop", 6),
            BadSample({"axis": 3, "start": 0, "stop": 5, "step": 0}, _MAP, "step", 0),
        )


@final
@dataclass(frozen=True)
class Gather(Op):
    """The elements of an axis at the given places, in their order; a place may come again."""

    axis: int
    indices: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", numbers(self.indices))
        check_axis(self, "axis", self.axis)
        check_sizes(self, "indices", self.indices, 0)
        self.require(len(self.indices) > 0, "must not be empty", "indices", self.indices)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape, axis = types[0].shape, self.axis
        check_axis(self, "axis", axis, len(shape))
        last = max(self.indices)
        self.require(last < shape[axis], f"must be below the size {shape[axis]}", "indices", last)
        return types[0].with_shape(*shape[:axis], len(self.indices), *shape[axis + 1 :])

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return _moved_along(types[0].rank, self.axis)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.selection(type, lambda elements: elements.take(self.indices, self.axis))

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Gather(self.axis, self.indices)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(1, (2, 0, 2)), _MAP),
            Sample(cls(3, (4, 1)), _MAP),
            Sample(cls(0, (1, 1, 0)), (TensorType((4, 3)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"axis": 4, "indices": (0,)}, _MAP, "axis", 4),
            BadSample({"axis": 1, "indices": (0, 3)}, _MAP, "indices", 3),
            BadSample({"axis": 1, "indices": (0, -1)}, _MAP, "indices", (0, -1)),
            BadSample({"axis": 1, "indices": ()}, _MAP, "indices", ()),
        )


@final
@dataclass(frozen=True)
class Roll(Op):
    """The elements of an axis moved ``shift`` places on; those that leave at the end come in at the beginning."""

    shift: int
    axis: int

    def __post_init__(self) -> None:
        self.require(is_int(self.shift), "must be an integer", "shift", self.shift)
        check_axis(self, "axis", self.axis)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        check_axis(self, "axis", self.axis, types[0].rank)
        return types[0]

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return _moved_along(types[0].rank, self.axis)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.selection(type, lambda elements: np.roll(elements, self.shift, self.axis))

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.roll, shifts=self.shift, dims=self.axis)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(1, 1), _MAP),
            Sample(cls(-2, 2), _MAP),
            Sample(cls(7, 3), _MAP),
            Sample(cls(1, 1), (TensorType((2, 3)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"shift": 0.5, "axis": 1}, _MAP, "shift", 0.5),
            BadSample({"shift": 1, "axis": 4}, _MAP, "axis", 4),
        )


def _moved_along(rank: int, axis: int) -> tuple[AxisRead, AxisRead]:
    return spatial.moved(rank < 4 or axis == rank - 2, rank < 4 or axis == rank - 1)
