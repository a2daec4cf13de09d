"""Lowering: a design becomes a graph, each part by its own block function, under names that follow the structure."""

from __future__ import annotations

from convsmith.design.blocks import BLOCKS
from convsmith.design.ends import HEADS, STEMS
from convsmith.design.model import Design, Head, Stage, Stem
from convsmith.design.stride import Step
from convsmith.errors import DesignError, OpError
from convsmith.ir import Builder, Graph, TensorType


def lower(design: Design) -> Graph:
    """The graph of a design, for a batch of one.

    Raises:
        DesignError: If a layer does not fit, or a stage would shrink the map below 1x1; names the layer and shapes.
    """
    net = Builder(design.name)
    try:
        x = add_stem(net, net.input(TensorType((1, *design.input))), design.stem)
        for number, stage in enumerate(design.stage, start=1):
            with net.scope(f"stage{number}"):
                x = add_stage(net, x, stage)
        return net.graph(add_head(net, x, design.head))
    except OpError as error:
        raise DesignError(str(error), where=design.name) from error


def add_stem(net: Builder, x: str, stem: Stem) -> str:
    """Append a stem."""
    _check_size(net, x, stem.stride, "stem")
    return STEMS[stem.block](net, x, width=stem.width, stride=stem.stride, **stem.options)


def add_stage(net: Builder, x: str, stage: Stage) -> str:
    """Append every block of a stage, as ``block1``, ``block2`` and so on."""
    for number in range(1, stage.depth + 1):
        with net.scope(f"block{number}"):
            x = add_block(net, x, stage, stride=stage.stride if number == 1 else 1)
    return x


def add_block(net: Builder, x: str, stage: Stage, *, stride: Step) -> str:
    """Append one block of a stage."""
    _check_size(net, x, stride, stage.block)
    return BLOCKS[stage.block](net, x, width=stage.width, stride=stride, **stage.options)


def add_head(net: Builder, x: str, head: Head) -> str:
    """Append a head."""
    return HEADS[head.task](net, x, **head.options)


def _check_size(net: Builder, x: str, stride: Step, what: str) -> None:
    """A padded convolution would give 1x1 from 1x1 at any stride: it fits, but it no longer is what was asked for."""
    height, width = net.type(x).shape[2:]
    if min(height, width) < stride:
        raise OpError(
            f"{what} after {x!r} has stride {stride} on a {height}x{width} map and would shrink it below 1x1",
            remedy="enlarge the input or remove a stride",
        )
