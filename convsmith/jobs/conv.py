"""``conv``: one convolution or transposed convolution on one map, explained."""

from __future__ import annotations

from collections.abc import Sequence

from convsmith.errors import OpError
from convsmith.ir import Window
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
from convsmith.ops import Conv2d, ConvTranspose2d
from convsmith.ops.pairs import Pair, Sides, symmetric

_WHERE = "conv"


def conv(
    input: str | Sequence[int],
    kernel: Numbers,
    *,
    stride: Numbers = 1,
    padding: Padding = 0,
    dilation: Numbers = 1,
    groups: int = 1,
    output_padding: Numbers = 0,
    transpose: bool = False,
    out_channels: int | None = None,
    bias: bool = False,
    matrix: bool = False,
) -> Layer:
    """The arithmetic of one convolution.

    Args:
        input: The map, (height, width) or (channels, height, width), or text: ``"4x4"``.
        kernel: Kernel size; one number, or one for the height and one for the width.
        stride: Step of the window; ``Fraction(1, 2)`` or ``"1/2"`` puts one blank between pixels and slides in steps
            of one, which enlarges the map: it is a transposed convolution (Dumoulin and Visin, "A guide to convolution
            arithmetic for deep learning", 2016, section 4).
        padding: Zeros around the map, after blanks are inserted; with ``transpose``, what is cut from the output.
        dilation: Distance between the taps of the kernel.
        groups: Groups of channels that do not see each other.
        output_padding: Rows and columns more at the end, where the map is enlarged.
        transpose: The transposed convolution, as ``torch.nn.ConvTranspose2d`` has it: stride 2 enlarges.
        out_channels: Kernels; as many as groups where it is left out.
        bias: Whether each output channel has a number added.
        matrix: Whether ``to_dict`` holds the matrix C.

    Raises:
        OpError: If the settings do not fit each other or the map.
        QuantityError: If text is not a number.
    """
    map = read_map(input, _WHERE)
    kernel_size, spread = read_pair(kernel, "kernel", _WHERE, 1), read_pair(dilation, "dilation", _WHERE, 1)
    high, wide = read_stride(stride, _WHERE)
    more, given = read_pair(output_padding, "output_padding", _WHERE, 0), read_padding(padding, _WHERE)
    enlarges = min(high, wide) < 1
    if transpose and enlarges:
        remedy = "leave --transpose out, or give the whole number"
        raise OpError("stride of a transposed convolution must be whole", received=str(stride), where=_WHERE,
                      remedy=remedy)  # fmt: skip
    if given == "same" and (transpose or enlarges):
        remedy = "give numbers: padding (kernel - 1) / 2 and output padding n - 1 multiply an odd kernel's map by n"
        raise OpError("padding must be numbers where the map is enlarged", received="same", where=_WHERE, remedy=remedy)
    channels = (map.shape[1], max(groups, 1) if out_channels is None else out_channels, kernel_size)
    try:
        if enlarges:
            steps = (high.denominator, wide.denominator)
            cut, added = _cut(settled(given, map, kernel_size, steps, spread), more, kernel_size, spread)
            op = ConvTranspose2d(*channels, steps, cut, added, spread, groups, bias)
        elif transpose:
            steps = (high.numerator, wide.numerator)
            cut = _both_sides(settled(given, map, kernel_size, steps, spread))
            op = ConvTranspose2d(*channels, steps, cut, more, spread, groups, bias)
        else:
            if more != (0, 0):
                remedy = "give it with --transpose or a stride of 1/2, 1/3, ..."
                raise OpError("output_padding needs a map that is enlarged", received=more, where=_WHERE, remedy=remedy)
            steps = (high.numerator, wide.numerator)
            op = Conv2d(*channels, steps, settled(given, map, kernel_size, steps, spread), spread, groups, bias)
    except OpError as error:
        raise error if error.remedy else remedied(error, _WHERE) from error
    return Layer(_WHERE, op, map, matrix)


def _both_sides(padding: Sides) -> Pair:
    """What a transposed convolution cuts from both sides of each axis."""
    if not symmetric(padding):
        remedy = "give one number for each axis, and --output-padding for more at the end"
        raise OpError("padding of a transposed convolution must be the same on both sides", received=padding,
                      where=_WHERE, remedy=remedy)  # fmt: skip
    return padding[0][0], padding[1][0]


def _cut(padding: Sides, more: Pair, kernel: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Padding and output padding of the transposed convolution that a padding after zero insertion asks for."""
    cut: list[int] = []
    added: list[int] = []
    for (before, after), extra, size, spread in zip(padding, more, kernel, dilation, strict=True):
        reach = Window(size, dilation=spread).extent - 1
        if not 0 <= before <= reach:
            rule = f"padding must be from 0 to dilation * (kernel - 1) = {reach} where the map is enlarged"
            remedy = "what lies further out reads no pixel"
            raise OpError(rule, received=padding, where=_WHERE, remedy=remedy)
        if after < before:
            rule = "padding after must not be below the padding before where the map is enlarged"
            raise OpError(rule, received=padding, where=_WHERE, remedy="swap the sides and mirror the kernel")
        cut.append(reach - before)
        added.append(after - before + extra)
    return (cut[0], cut[1]), (added[0], added[1])
