"""Pooling and strided convolutions in each other's place, and the mean of a map in place of fully connected layers.

A convolution for a pooling: Springenberg et al., "Striving for simplicity", 2015, section 2. A pooling for a stride:
He et al., "Bag of tricks", 2019, section 4 (ResNet-D). The mean: Lin et al., "Network in network", 2014, section 3.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from convsmith.design import Design
from convsmith.ir import Node
from convsmith.ops import (
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    ReLU,
)
from convsmith.ops.pairs import Sides
from convsmith.rewrites.work import Work


def strided_convolution(work: Work) -> None:
    """Put a convolution of the same windows in the place of every pooling that shrinks the map.

    Its kernels begin as the mean of each channel: of an average pooling they keep the numbers. In place of the largest
    value stands a convolution with an activation, as nothing linear is one.
    """
    for node in work.nodes:
        if isinstance(node.op, AvgPool2d | MaxPool2d) and max(node.op.stride) > 1:
            _convolve(work, node, node.op)


def _convolve(work: Work, node: Node, op: AvgPool2d | MaxPool2d) -> None:
    (type,), average = tuple(map(work.draft.type, node.inputs)), isinstance(op, AvgPool2d)
    high, wide = op.window(type)
    padding: Sides = ((high.before, max(0, high.after)), (wide.before, max(0, wide.after)))  # no window less for that
    channels = type.shape[1]
    dilation = op.dilation if isinstance(op, MaxPool2d) else (1, 1)
    conv = Conv2d(channels, channels, op.kernel_size, op.stride, padding, dilation)
    area = op.kernel_size[0] * op.kernel_size[1]
    mean = np.multiply.outer(np.eye(channels), np.full(op.kernel_size, 1 / area))
    arrays = {"weight": mean, "bias": np.zeros(channels)}
    if average:
        work.draft.set(node, conv, *node.inputs)
        work.store(node.name, arrays)
    else:
        name = work.draft.put_before(node, conv, node.inputs[0], "conv")
        work.draft.set(node, ReLU(), name)
        work.store(name, arrays)
    work.done(node.name, numbers=average and _counts_all(op, padding))


def _counts_all(op: Any, padding: Sides) -> bool:
    """Whether every window is divided by its whole area."""
    bare = not any(map(any, padding))
    return bare or (op.count_include_pad and padding == op.padding)


def pooling(work: Work) -> None:
    """Put an average pooling and the same convolution at stride one in the place of every strided convolution."""
    for node in work.nodes:
        if isinstance(node.op, Conv2d) and max(node.op.stride) > 1:
            _pool(work, node, node.op)


def _pool(work: Work, node: Node, op: Conv2d) -> None:
    if not work.alone(node):
        work.leave(node.name, "shares its weights with another layer")
        return
    sizes, outputs = work.draft.type(node.inputs[0]).shape[2:], work.draft.type(node.name).shape[2:]
    pooled = [-(-size // step) for size, step in zip(sizes, op.stride, strict=True)]
    reach = [spread * (kernel - 1) for spread, kernel in zip(op.dilation, op.kernel_size, strict=True)]
    margins = [out - size + more for out, size, more in zip(outputs, pooled, reach, strict=True)]
    assert min(margins) >= 0, "a stride leaves out no more than a kernel's reach"
    down, right = ((margin // 2, margin - margin // 2) for margin in margins)
    rounded = any(size % step for size, step in zip(sizes, op.stride, strict=True))
    value = work.draft.put_before(node, AvgPool2d(op.stride, ceil_mode=rounded), node.inputs[0], "pool")
    work.draft.set(node, replace(op, stride=(1, 1), padding=(down, right)), value)
    work.done(node.name, numbers=False)


def with_downsampling(how: str, design: Design) -> Design | None:
    """The design whose strided stages shrink by ``how``; None if it has none that can say so."""
    stages = [
        stage.model_copy(update={"downsampling": how})
        if stage.stride > 1 and stage.options.get("downsampling", how) != how
        else stage
        for stage in design.stage
    ]
    return design.model_copy(update={"stage": tuple(stages)}) if tuple(stages) != design.stage else None


def global_pooling(work: Work) -> None:
    """Put the mean of each map in the place of a flattened map and the hidden layers that read it."""
    for node in work.nodes:
        if isinstance(node.op, Flatten) and work.draft.type(node.inputs[0]).is_map:
            _average(work, node)


def _average(work: Work, flatten: Node) -> None:
    chain = _chain(work, flatten)
    last = chain[-1] if chain else None
    shape = work.draft.type(flatten.inputs[0]).shape
    if last is None or not isinstance(last.op, Linear):
        work.leave(flatten.name, "no chain of fully connected layers leads from it to a result of the network")
        return
    if shape[2:] == (1, 1) and sum(isinstance(node.op, Linear) for node in chain) == 1:
        work.leave(flatten.name, "the map is pooled to one pixel already, and one layer reads it")
        return
    source = work.draft.node(flatten.inputs[0])
    if source is not None and isinstance(source.op, MaxPool2d | AvgPool2d) and work.only_reader(source.name):
        work.draft.set(source, GlobalAvgPool(), *source.inputs)
        work.draft.infer(source.name)
    elif shape[2:] != (1, 1):
        value = work.draft.put_before(flatten, GlobalAvgPool(), flatten.inputs[0], "pool")
        work.draft.set(flatten, Flatten(), value)
    work.draft.infer(flatten.name)
    value = flatten.name
    before = chain[-2] if len(chain) > 1 else None
    if before is not None and isinstance(before.op, Dropout):
        work.draft.set(before, before.op, value)
        work.draft.infer(before.name)
        value = before.name
    work.draft.set(last, replace(last.op, in_features=shape[1]), value)
    work.store(last.name)
    for node in chain:
        if isinstance(node.op, Linear):
            work.done(node.name, numbers=False)


def _chain(work: Work, flatten: Node) -> list[Node]:
    """The nodes that follow a flattened map one by one to the end; empty if they fork or share weights."""
    chain, value = list[Node](), flatten.name
    while (node := work.only_reader(value)) is not None:
        if len(node.inputs) > 1 or not work.alone(node) or work.draft.type(node.name).rank != 2:
            return []
        chain.append(node)
        value = node.name
    ends = value in work.draft.graph.outputs and not work.readers(value)
    while ends and chain and not isinstance(chain[-1].op, Linear):
        chain.pop()  # what is done to the answers stays
    return chain if ends else []


def with_global_pooling(design: Design) -> Design | None:
    """The design whose head takes the mean of each map and has no hidden layers; None if it has that already."""
    head = design.head.options
    if "hidden" not in head or (head["pool"] == "average" and not head["hidden"]):
        return None
    return design.model_copy(update={"head": design.head.model_copy(update={"pool": "average", "hidden": ()})})
