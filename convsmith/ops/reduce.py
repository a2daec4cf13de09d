"""One number in place of whole axes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from convsmith.ir import AxisRead, BadSample, Kept, Op, Sample, Shape, Spread, TensorType, Terms, Window
from convsmith.ops import spatial
from convsmith.ops.pairs import check_axis, check_bool, check_sizes, is_int, numbers

_FUNCTIONS = ("mean", "sum", "max", "min", "prod", "l1", "l2", "var", "std")
_MAP = (TensorType((2, 3, 4, 5)),)


@final
@dataclass(frozen=True)
class Reduce(Op):
    """Axes summed up by a function.

    Attributes:
        function: ``mean``, ``sum``, ``max``, ``min``, ``prod``, ``l1`` and ``l2`` norm, ``var`` or ``std``.
        axes: The axes, counted from 0, in rising order.
        keepdim: Whether they stay, with size 1.
        correction: What ``var`` and ``std`` take from the number of elements they divide by.
    """

    function: str
    axes: Shape
    keepdim: bool = False
    correction: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", numbers(self.axes))
        self.require(self.function in _FUNCTIONS, f"must be one of {', '.join(_FUNCTIONS)}", "function", self.function)
        check_sizes(self, "axes", self.axes, 0)
        rising = len(self.axes) > 0 and list(self.axes) == sorted(set(self.axes))
        self.require(rising, "must be at least one, in rising order", "axes", self.axes)
        check_bool(self, keepdim=self.keepdim)
        self.require(is_int(self.correction), "must be an integer", "correction", self.correction)
        spread = self.function in ("var", "std") or self.correction == 1
        self.require(spread, "needs function var or std", "correction", self.correction)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        shape, axes = types[0].shape, self.axes
        check_axis(self, "axes", axes[-1], len(shape))
        if self.keepdim:
            return types[0].with_shape(*[1 if axis in axes else size for axis, size in enumerate(shape)])
        return types[0].with_shape(*[size for axis, size in enumerate(shape) if axis not in axes])

    def terms(self, *types: TensorType) -> Terms:
        return Terms(pool=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        rank = types[0].rank
        height, width = spatial.mixed(rank, self.axes)
        if rank < 4 or self.keepdim:
            return (height, width)
        outside = rank - len(self.axes) < 4
        return (
            Spread.PERMUTED if height == Window() and (outside or width != Window()) else height,
            Spread.PERMUTED if width == Window() and outside else width,
        )

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any | None:
        from convsmith.ops import sparse

        if self.function not in ("mean", "sum"):
            return None
        kept = [1 if axis in self.axes else size for axis, size in enumerate(type.shape)]
        outputs = np.broadcast_to(np.arange(math.prod(kept)).reshape(kept), type.shape)
        summed = sparse.sums(outputs)
        return summed * (math.prod(kept) / type.numel) if self.function == "mean" else summed

    def keeps(self) -> Kept:
        return "nothing" if self.function in ("mean", "sum") else "inputs"

    def to_torch(self) -> Any:
        from convsmith.ops import torch_modules

        return torch_modules.Reduce(self.function, self.axes, self.keepdim, self.correction)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        tokens = (TensorType((2, 4, 3)),)
        return (
            *(Sample(cls(function, (2, 3), keepdim=True), _MAP) for function in _FUNCTIONS),
            *(Sample(cls(function, (1,)), tokens) for function in _FUNCTIONS),
            Sample(cls("mean", (1,), keepdim=True), _MAP),
            Sample(cls("sum", (2,)), _MAP),
            Sample(cls("max", (3,), keepdim=True), _MAP),
            Sample(cls("mean", (3,)), (TensorType((1, 2, 3, 4, 5)),)),
            Sample(cls("sum", (2,)), (TensorType((1, 2, 3, 4, 5)),)),
            Sample(cls("max", (4,)), (TensorType((1, 2, 3, 4, 5)),)),
            Sample(cls("sum", (1, 2)), tokens),
            Sample(cls("var", (2,), correction=0), tokens),
        )

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"function": "median", "axes": 1}, _MAP, "function", "median"),
            BadSample({"function": "mean", "axes": (1, 4)}, _MAP, "axes", 4),
            BadSample({"function": "mean", "axes": (3, 2)}, _MAP, "axes", (3, 2)),
            BadSample({"function": "mean", "axes": -1}, _MAP, "axes", (-1,)),
            BadSample({"function": "mean", "axes": ()}, _MAP, "axes", ()),
            BadSample({"function": "mean", "axes": 1, "keepdim": 1}, _MAP, "keepdim", 1),
            BadSample({"function": "mean", "axes": 1, "correction": 0}, _MAP, "correction", 0),
            BadSample({"function": "var", "axes": 1, "correction": 0.5}, _MAP, "correction", 0.5),
        )
