"""``pool``: one pooling on one map, explained."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from convsmith.errors import OpError
from convsmith.ir import Op
from convsmith.jobs.layer import Layer
from convsmith.jobs.layer_options import (
    Numbers,
    Padding,
    read_map,
    read_padding,
    read_pair,
    read_stride,
    remedied,
    settled,
)
from convsmith.ops import AvgPool2d, GlobalAvgPool, GlobalMaxPool, MaxPool2d

KINDS = ("max", "average")
_WHERE = "pool"


def pool(
    input: str | Sequence[int],
    kernel: Numbers | None = None,
    *,
    kind: str = "max",
    global_pool: bool = False,
    stride: Numbers | None = None,
    padding: Padding = 0,
    dilation: Numbers = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    matrix: bool = False,
) -> Layer:
    """The arithmetic of one pooling.

    Args:
        input: The map, (height, width) or (channels, height, width), or text: ``"4x4"``.
        kernel: Size of the window; one number, or one for the height and one for the width.
        kind: ``max`` or ``average``.
        global_pool: Pool the whole map into one pixel, without a kernel.
        stride: Step of the window; the kernel size where it is left out.
        padding: Padding around the map: never the largest value; a zero in a mean.
        dilation: Distance between the pixels of a window of max pooling.
        ceil_mode: Round the output size up, so that a last partial window is kept.
        count_include_pad: Whether the zeros of the padding count in a mean.
        matrix: Whether ``to_dict`` holds the matrix C; max pooling has none.

    Raises:
        OpError: If the settings do not fit each other or the map.
        QuantityError: If text is not a number.
    """
    map = read_map(input, _WHERE)
    if kind not in KINDS:
        raise OpError(f"kind must be one of {', '.join(KINDS)}", received=kind, where=_WHERE, remedy="choose one")
    if global_pool:
        alone = (kernel, stride, str(padding), str(dilation)) == (None, None, "0", "1")
        if not alone or ceil_mode or not count_include_pad:
            raise OpError("global pooling takes the whole map", where=_WHERE, remedy="give it the input and kind alone")
        return Layer(_WHERE, GlobalMaxPool() if kind == "max" else GlobalAvgPool(), map, matrix)
    if kernel is None:
        raise OpError("kernel must be given", where=_WHERE, remedy="give one, or pool the whole map with --global")
    size, spread = read_pair(kernel, "kernel", _WHERE, 1), read_pair(dilation, "dilation", _WHERE, 1)
    high, wide = (Fraction(size[0]), Fraction(size[1])) if stride is None else read_stride(stride, _WHERE)
    if min(high, wide) < 1 <= min(size):
        remedy = "a transposed convolution enlarges a map"
        raise OpError("stride of a pool must be whole", received=str(stride), where=_WHERE, remedy=remedy)
    steps = (int(high), int(wide))
    sides = settled(read_padding(padding, _WHERE), map, size, steps, spread)
    try:
        op = _made(kind, (size, steps, sides), spread, ceil_mode, count_include_pad)
    except OpError as error:
        raise error if error.remedy else remedied(error, _WHERE) from error
    return Layer(_WHERE, op, map, matrix)


def _made(kind: str, window: tuple[Any, Any, Any], dilation: Any, ceil_mode: bool, count_include_pad: bool) -> Op:
    if kind == "max":
        if not count_include_pad:
            raise OpError("padding counts only in a mean", where=_WHERE, remedy="take --kind average")
        return MaxPool2d(*window, dilation, ceil_mode)
    if dilation != (1, 1):
        remedy = "take --kind max, or a convolution"
        raise OpError("dilation of average pooling must be 1", received=dilation, where=_WHERE, remedy=remedy)
    return AvgPool2d(*window, ceil_mode, count_include_pad)
