"""One kernel as two smaller ones, and a transposed convolution as the sliding window that it is.

Two 3x3 for one 5x5: Szegedy et al., "Rethinking the Inception architecture", 2016, section 3.1. Blanks between pixels:
Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, section 4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from convsmith.design import Design
from convsmith.ir import Node
from convsmith.ops import BatchNorm2d, Conv2d, ConvTranspose2d, GroupNorm, InstanceNorm2d, LayerNorm2d
from convsmith.ops.activation import Activation
from convsmith.ops.pairs import Sides
from convsmith.ops.zero_insert import zero_inserted
from convsmith.rewrites.work import Work

_NORMS: Final = (BatchNorm2d, GroupNorm, InstanceNorm2d, LayerNorm2d)


def two_small_kernels(work: Work) -> None:
    """Put two 3x3 convolutions in the place of every 5x5, each with its normalisation and activation."""
    for node in work.nodes:
        if isinstance(node.op, Conv2d) and node.op.kernel_size == (5, 5):
            if not work.alone(node) or not node.op.learned:
                work.leave(node.name, "shares its weights with another layer, or has a fixed kernel")
            else:
                _split(work, node, node.op)


def _split(work: Work, node: Node, op: Conv2d) -> None:
    first, second = zip(*(_halves(before, after) for before, after in op.padding), strict=True)
    small = replace(op, kernel_size=(3, 3), out_channels=op.out_channels, stride=(1, 1), padding=_two(first))
    value = work.draft.put_before(node, small, node.inputs[0], "first")
    follower = work.only_reader(node.name)
    for kinds, part in ((_NORMS, "norm"), ((Activation,), "act")):
        if follower is not None and isinstance(follower.op, kinds) and len(follower.inputs) == 1:
            value = work.draft.put_before(node, follower.op, value, part)
            follower = work.only_reader(follower.name)
    large = replace(op, in_channels=op.out_channels, kernel_size=(3, 3), padding=_two(second))
    work.draft.set(node, large, value)
    work.store(node.name)
    work.done(node.name, numbers=False)


def _halves(before: int, after: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding of the first and the second of two kernels."""
    return (before - before // 2, after - after // 2), (before // 2, after // 2)


def _two(sides: tuple[tuple[int, int], ...]) -> Sides:
    return sides[0], sides[1]


def with_small_kernels(design: Design) -> Design | None:
    """The design whose stages of 5x5 convolutions have twice as many 3x3; None if it has no such stage."""
    stages = [
        stage.model_copy(update={"kernel": 3, "depth": 2 * stage.depth})
        if stage.block == "conv" and stage.options["kernel"] == 5
        else stage
        for stage in design.stage
    ]
    return design.model_copy(update={"stage": tuple(stages)}) if tuple(stages) != design.stage else None


def zero_insertion(work: Work) -> None:
    """Write every transposed convolution as blanks between pixels, a margin, and a convolution at stride one."""
    for node in work.nodes:
        if not isinstance(node.op, ConvTranspose2d):
            continue
        if not work.alone(node):
            work.leave(node.name, "shares its weights with another layer")
            continue
        blanks, margin, conv = zero_inserted(node.op)
        value = work.draft.put_before(node, blanks, node.inputs[0], "blanks")
        value = work.draft.put_before(node, margin, value, "margin")
        arrays = work.weights_of(node)
        arrays["weight"] = node.op.sliding_kernel(arrays["weight"]).copy()
        work.draft.set(node, conv, value)
        work.store(node.name, arrays)
        work.done(node.name, numbers=True)
