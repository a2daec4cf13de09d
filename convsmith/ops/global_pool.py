"""Pooling to a size that does not depend on the map, down to a single pixel; nothing is learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from convsmith.ir import AxisRead, BadSample, Kept, Op, Sample, Spread, TensorType, Terms, Window
from convsmith.ops.pairs import Pair, check_pair, pair

_MAP = (TensorType((1, 2, 7, 6)),)


class _Global(Op):
    """What global pools share: one number for each map."""

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        return types[0].with_shape(*types[0].shape[:2], 1, 1)

    def terms(self, *types: TensorType) -> Terms:
        return Terms(pool=types[0].numel)

    def window(self, *types: TensorType) -> tuple[AxisRead, AxisRead]:
        return (Spread.WHOLE, Spread.WHOLE)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), (TensorType((1, 3, 5, 4)),)), Sample(cls(), (TensorType((2, 3, 1, 5)),)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (BadSample({}, (TensorType((1, 3)),), "input", (1, 3)),)


@final
@dataclass(frozen=True)
class GlobalAvgPool(_Global):
    """Mean of each whole map, kept as a 1x1 map."""

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        height, width = type.shape[2:]
        return sparse.separable_matrix(type, np.full((1, height), 1 / height), np.full((1, width), 1 / width))

    def keeps(self) -> Kept:
        return "nothing"

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.mean, dim=(2, 3), keepdim=True)


@final
@dataclass(frozen=True)
class GlobalMaxPool(_Global):
    """Largest value of each whole map, kept as a 1x1 map."""

    def to_torch(self) -> Any:
        import torch

        from convsmith.ops.torch_modules import Call

        return Call(torch.amax, dim=(2, 3), keepdim=True)


class _Adaptive(Op):
    """What adaptive pools share: output ``i`` of ``o`` reads the pixels that ``[i, i + 1] * size / o`` touches."""

    output_size: Pair

    def check_attributes(self) -> None:
        """Keep one form of ``output_size`` and refuse what is no size.

        Raises:
            OpError: Naming the attribute and the value.
        """
        object.__setattr__(self, "output_size", pair(self.output_size))
        check_pair(self, "output_size", self.output_size, 1)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        return types[0].with_shape(*types[0].shape[:2], *self.output_size)

    def terms(self, *types: TensorType) -> Terms:
        """Every pixel once, as counters of work have it, even where windows share pixels."""
        return Terms(pool=types[0].numel)

    def window(self, *types: TensorType) -> tuple[Window, Window]:
        height, width = types[0].shape[2:]
        return (_adaptive_window(height, self.output_size[0]), _adaptive_window(width, self.output_size[1]))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        made: Any = cls  # the attributes are those of the concrete classes
        return tuple(Sample(made(size), _MAP) for size in ((1, 1), (7, 3), (3, 4), (14, 5), (5, 9)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"output_size": 0}, _MAP, "output_size", (0, 0)),
            BadSample({"output_size": (1, 2, 3)}, _MAP, "output_size", (1, 2, 3)),
            BadSample({"output_size": 1}, (TensorType((1, 3)),), "input", (1, 3)),
        )


@final
@dataclass(frozen=True)
class AdaptiveAvgPool2d(_Adaptive):
    """Mean of as many windows as asked for, as ``torch.nn.AdaptiveAvgPool2d``."""

    output_size: Pair

    def __post_init__(self) -> None:
        self.check_attributes()

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        means: list[Any] = []
        for window, size in zip(self.window(type), type.shape[2:], strict=True):
            outputs, _, pixels = sparse.axis_taps(window, size)
            reads = np.zeros((window.output_size(size), size))
            reads[outputs, pixels] = 1.0
            means.append(reads / reads.sum(1, keepdims=True))
        return sparse.separable_matrix(type, *means)

    def keeps(self) -> Kept:
        return "nothing" if self.output_size == (1, 1) else "inputs"

    def to_torch(self) -> Any:
        from torch import nn

        return nn.AdaptiveAvgPool2d(self.output_size)


@final
@dataclass(frozen=True)
class AdaptiveMaxPool2d(_Adaptive):
    """Largest value of as many windows as asked for, as ``torch.nn.AdaptiveMaxPool2d``."""

    output_size: Pair

    def __post_init__(self) -> None:
        self.check_attributes()

    def to_torch(self) -> Any:
        from torch import nn

        return nn.AdaptiveMaxPool2d(self.output_size)


def _adaptive_window(size: int, outputs: int) -> Window:
    """Exact, whether or not the sizes divide.

    At a ratio of p/q output i reads the pixels x from floor(i p/q) on and before ceil((i + 1) p/q): those whose place
    xq, with q - 1 blanks put between pixels, lies from ip - (q - 1) to ip + (p - 1).
    """
    stride = Fraction(size, outputs)
    step, gap = stride.numerator, stride.denominator
    return Window(step + gap - 1, stride, gap - 1).reaching(outputs, size)
