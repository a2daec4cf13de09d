"""Blanks between pixels: what a stride below one does to a map before the kernel slides over it in steps of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from convsmith.ir import BadSample, Kept, Op, Sample, TensorType, Terms, Window
from convsmith.ops.conv import Conv2d, ConvTranspose2d
from convsmith.ops.pairs import Pair, check_pair, pair
from convsmith.ops.resample import Pad


@final
@dataclass(frozen=True)
class ZeroInsert(Op):
    """``factor - 1`` zeros between neighbouring pixels (Dumoulin and Visin, 2016, section 4.4)."""

    factor: Pair

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", pair(self.factor))
        check_pair(self, "factor", self.factor, 1)

    def infer(self, *types: TensorType) -> TensorType:
        self.check_inputs(types)
        self.check_map(types[0])
        sizes = zip(self.window(*types), types[0].shape[2:], strict=True)
        return types[0].with_shape(*types[0].shape[:2], *(window.output_size(size) for window, size in sizes))

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[Window, Window]:
        return (Window(stride=Fraction(1, self.factor[0])), Window(stride=Fraction(1, self.factor[1])))

    def keeps(self) -> Kept:
        return "nothing"

    def matrix(self, type: TensorType, weights: Mapping[str, Any]) -> Any:
        from convsmith.ops import sparse

        height, width = (self._axis_matrix(type, axis) for axis in (0, 1))
        return sparse.separable_matrix(type, height, width)

    def _axis_matrix(self, type: TensorType, axis: int) -> Any:
        size = type.shape[2 + axis]
        places = np.zeros((self.infer(type).shape[2 + axis], size))
        places[:: self.factor[axis]] = np.eye(size)
        return places

    def to_torch(self) -> Any:
        from convsmith.ops.torch_modules import Call, insert_zeros

        return Call(insert_zeros, factor=self.factor)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        map = (TensorType((2, 3, 3, 4)),)
        return (Sample(cls((2, 2)), map), Sample(cls((3, 1)), map), Sample(cls((2, 2)), (TensorType((1, 1, 1, 1)),)))

    @classmethod
    def bad_samples(cls) -> tuple[BadSample, ...]:
        return (
            BadSample({"factor": 0}, (TensorType((1, 1, 2, 2)),), "factor", (0, 0)),
            BadSample({"factor": 2}, (TensorType((1, 3)),), "input", (1, 3)),
        )


def zero_inserted(op: ConvTranspose2d) -> tuple[ZeroInsert, Pad, Conv2d]:
    """The other lowering of a transposed convolution: blanks, a margin, and a convolution at stride one.

    Its kernel is ``op.sliding_kernel(weight)``, its bias that of ``op``.
    """
    windows = op.window()
    margins = ((windows[0].before, windows[0].after), (windows[1].before, windows[1].after))
    channels = (op.in_channels, op.out_channels, op.kernel_size)
    conv = Conv2d(*channels, dilation=op.dilation, groups=op.groups, bias=op.bias)
    return ZeroInsert(op.stride), Pad(margins), conv
