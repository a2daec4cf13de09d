"""Fully connected layers as convolutions whose kernel is the whole map: the network then slides over larger images.

Sermanet et al., "OverFeat", 2014, section 3.5; Long et al., "Fully convolutional networks", 2015, section 3.1.
"""

from __future__ import annotations

from typing import Any

from convsmith.ir import Node, Window
from convsmith.ops import (
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Linear,
    MaxPool2d,
    Mul,
    Softmax,
)
from convsmith.rewrites.work import Work


def full_convolution(work: Work) -> None:
    """Let every row of numbers that a map was flattened to stay a map."""
    for node in work.nodes:
        if isinstance(node.op, Flatten) and work.draft.type(node.inputs[0]).is_map:
            _convert(work, node)


def _convert(work: Work, flatten: Node) -> None:
    """Convert all that follows a flattened map, or nothing of it."""
    rows, layers = {flatten.name}, list[Node]()
    for node in work.nodes:
        if node.name != flatten.name and rows.intersection(node.inputs):
            reason = _reason(work, node, rows)
            if reason:
                work.leave(flatten.name, f"{node.name} {reason}")
                return
            rows.add(node.name)
            layers.append(node)
    if not any(isinstance(node.op, Linear) for node in layers):
        work.leave(flatten.name, "no fully connected layer follows it")
        return
    _keep_map(work, flatten)
    for layer in layers:
        node = work.draft.node(layer.name)
        assert node is not None
        if isinstance(node.op, Linear):
            _convolve(work, node)
        elif isinstance(node.op, BatchNorm1d):
            op = node.op
            work.draft.set(node, BatchNorm2d(op.num_features, op.eps, op.momentum, op.affine), *node.inputs)
        work.draft.infer(node.name)


def _reason(work: Work, node: Node, rows: set[str]) -> str:
    """Why a node that reads rows cannot read maps of a pixel instead; empty where it can."""
    op = node.op
    if not work.alone(node):
        return "shares its weights with another layer"
    if isinstance(op, Linear):
        return "" if op.axis == -1 else "works along another axis than the features"
    if isinstance(op, Add | Mul | Concat):
        whole = rows.issuperset(node.inputs) and getattr(op, "axis", 1) == 1
        return "" if whole else "joins it with what is no row of a flattened map"
    if isinstance(op, Softmax):
        return "" if op.axis == 1 else "works along another axis than the features"
    types = tuple(map(work.draft.type, node.inputs))
    local = len(types) == 1 and types[0].rank == 2 and op.window(*types) == (Window(), Window())
    return "" if local else f"is a {type(op).__name__}, which has no counterpart on maps here"


def _keep_map(work: Work, flatten: Node) -> None:
    """Take the flattening away; pooling of the whole map becomes pooling of windows as large as the map."""
    value = flatten.inputs[0]
    pool = work.draft.node(value)
    if pool is not None and isinstance(pool.op, GlobalAvgPool | GlobalMaxPool) and work.only_reader(value):
        height, width = work.draft.type(pool.inputs[0]).shape[2:]
        window = AvgPool2d if isinstance(pool.op, GlobalAvgPool) else MaxPool2d
        work.draft.set(pool, window((height, width), (1, 1)), *pool.inputs)
        work.done(pool.name, numbers=True)
    work.draft.drop(flatten)


def _convolve(work: Work, node: Node) -> None:
    op: Any = node.op
    _, channels, height, width = work.draft.type(node.inputs[0]).shape
    work.draft.set(node, Conv2d(channels, op.out_features, (height, width), bias=op.bias), *node.inputs)
    arrays = work.weights_of(node)
    arrays["weight"] = arrays["weight"].reshape(op.out_features, channels, height, width)
    work.store(node.name, arrays)
    work.done(node.name, numbers=True)
