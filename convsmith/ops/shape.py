"""The same elements in another shape or order; nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from convsmith.ir import AxisRead, BadSample, Op, Sample, Shape, Spread, TensorType, Terms
from convsmith.ops import spatial
from convsmith.ops.pairs import check_sizes, numbers

_MAP = (TensorType((2, 3, 4, 5)),)


@final
@dataclass(frozen=True)
class Flatten(Op):
    """A map as one row of numbers: channels first, then rows, then columns."""

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape = types[0].shape
        self.require(len(shape) >= 2, "must have a batch axis and at least one more", "input", shape)
        return types[0].with_shape(shape[0], types[0].numel // shape[0])

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.PERMUTED, Spread.PERMUTED)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.identity(type)

    def to_torch(self) -> Any:
        from torch import nn

        return nn.Flatten()

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), _MAP), Sample(cls(), (TensorType((1, 6)),)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (BadSample({}, (TensorType((6,)),), "input", (6,)),)


@final
@dataclass(frozen=True)
class Reshape(Op):
    """The elements in the order they are in, cut into other axes.

    Attributes:
        shape: The new sizes. One may be -1: what the others leave, as the batch does.
    """

    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", numbers(self.shape))
        _check_new_sizes(self, self.shape)
        self.require(self.shape.count(-1) <= 1, "must be -1 at most once", "shape", self.shape)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        known = math.prod([size for size in self.shape if size != -1])
        rest, over = divmod(types[0].numel, known)
        fits = over == 0 and (rest == 1 or -1 in self.shape)
        self.require(fits, f"must hold the elements of the input {types[0].shape}", "shape", self.shape)
        return types[0].with_shape(*[rest if size == -1 else size for size in self.shape])

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        before, after = types[0].shape, self.infer(*types).shape
        moves = min(len(before), len(after)) < 4 or before[-2:] != after[-2:]
        return spatial.moved(moves, moves)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.identity(type)

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.reshape, shape=self.shape)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls((-1, 3, 20)), _MAP),
            Sample(cls((-1, 3, 1, 4, 5)), _MAP),
            Sample(cls((-1, 3, 5, 4)), _MAP),
            Sample(cls((-1, 2, 6, 5)), _MAP),
            Sample(cls((-1, 2, 3, 4)), (TensorType((2, 6, 4)),)),
            Sample(cls((3, -1)), (TensorType((6,)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"shape": (-1, 7)}, _MAP, "shape", (-1, 7)),
            BadSample({"shape": (2, 30)}, _MAP, "shape", (2, 30)),
            BadSample({"shape": (-1, -1)}, _MAP, "shape", (-1, -1)),
            BadSample({"shape": (0, 60)}, _MAP, "shape", (0, 60)),
        )


@final
@dataclass(frozen=True)
class Expand(Op):
    """Axes of size 1 repeated, and new ones put in front.

    Attributes:
        shape: The new sizes; -1 leaves an axis as it is.
    """

    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", numbers(self.shape))
        _check_new_sizes(self, self.shape)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        before = (0,) * (len(self.shape) - types[0].rank) + types[0].shape
        fits = len(before) == len(self.shape) and all(
            new == old or (new == -1 and old) or (new > 0 and old < 2)
            for old, new in zip(before, self.shape, strict=True)
        )
        self.require(fits, f"must spread the input {types[0].shape}", "shape", self.shape)
        return types[0].with_shape(*[old if new == -1 else new for old, new in zip(before, self.shape, strict=True)])

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        before, after = types[0].shape, self.infer(*types).shape
        outside = len(before) < 4
        return spatial.moved(outside or before[-2] != after[-2], outside or before[-1] != after[-1])

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.selection(type, lambda elements: np.broadcast_to(elements, self.infer(type).shape))

    def to_torch(self) -> Any:
        from convsmith.ops.torch_modules import Call, expand

        return Call(expand, shape=self.shape)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls((-1, 3, 4, 5)), (TensorType((2, 3, 1, 5)),)),
            Sample(cls((-1, 6, -1, -1)), (TensorType((2, 1, 4, 5)),)),
            Sample(cls((4, -1, 3)), (TensorType((2, 1)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"shape": (2, 6, 4, 5)}, _MAP, "shape", (2, 6, 4, 5)),
            BadSample({"shape": (-1, 2, 3, 4, 5)}, _MAP, "shape", (-1, 2, 3, 4, 5)),
            BadSample({"shape": (4, 5)}, _MAP, "shape", (4, 5)),
            BadSample({"shape": (0, 5)}, _MAP, "shape", (0, 5)),
        )


@final
@dataclass(frozen=True)
class Permute(Op):
    """The axes in another order.

    Attributes:
        axes: For each axis of the result, the axis of the input, counted from 0.
    """

    axes: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", numbers(self.axes))
        check_sizes(self, "axes", self.axes, 0)
        holds = sorted(self.axes) == list(range(len(self.axes)))
        self.require(holds, "must be every axis from 0 on once", "axes", self.axes)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape = types[0].shape
        self.require(len(self.axes) == len(shape), f"must be the {len(shape)} axes of the input", "axes", self.axes)
        return types[0].with_shape(*[shape[axis] for axis in self.axes])

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        rank = len(self.axes)
        if rank < 4:
            return spatial.moved(True, True)
        return spatial.moved(self.axes[-2] != rank - 2, self.axes[-1] != rank - 1)

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        return sparse.selection(type, lambda elements: elements.transpose(self.axes))

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.permute, dims=self.axes)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls((0, 2, 3, 1)), _MAP),
            Sample(cls((0, 2, 1, 3)), _MAP),
            Sample(cls((0, 2, 1, 3, 4)), (TensorType((1, 2, 3, 4, 5)),)),
            Sample(cls((2, 0, 1)), (TensorType((3, 4, 5)),)),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"axes": (0, 1, 2)}, _MAP, "axes", (0, 1, 2)),
            BadSample({"axes": (0, 1, 1, 2)}, _MAP, "axes", (0, 1, 1, 2)),
            BadSample({"axes": (0, 1, -1, 2)}, _MAP, "axes", (0, 1, -1, 2)),
        )


def _check_new_sizes(op: Op, shape: Shape) -> None:
    check_sizes(op, "shape", shape, -1)
    op.require(0 not in shape, "must not be 0", "shape", shape)
