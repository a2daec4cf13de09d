"""One way to write a network, whichever door it came through, so that the same network gives the same rows.

A design says ``HardSwish``, a module may spell it in four functions and a file in four nodes; torch pads in a step of
its own where ONNX pads within the convolution. Each rule below undoes one such difference and keeps the name of the
node that gives the result, so that parameters keep theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from convsmith.errors import OpError
from convsmith.interop.canonical_activations import clip, mul, pointwise, scalar
from convsmith.interop.draft import Draft, op_of
from convsmith.ir import Graph, Node, Op, Shape
from convsmith.ops import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    Clip,
    Conv2d,
    Dropout,
    DropPath,
    Expand,
    Flatten,
    Gather,
    GlobalAvgPool,
    GlobalMaxPool,
    HardSigmoid,
    MaxPool2d,
    Mul,
    Pad,
    Permute,
    Pointwise,
    Reduce,
    Reshape,
    Resize,
    Scalar,
    Sigmoid,
    Slice,
    Softmax,
    Tanh,
)
from convsmith.ops.resample import nearest_mode

Rule = Callable[[Draft, Node], None]


def canonical(graph: Graph) -> Graph:
    """The same network in the form that all doors share; ``graph`` itself where it has that form already."""
    present = {type(node.op) for node in graph.nodes}
    rules = {
        kind: rule
        for kind, (rule, needs) in _RULES.items()
        if kind in present and (not needs or not needs.isdisjoint(present))
    }
    if not rules:
        return graph
    draft = Draft(graph)
    for node in graph.nodes:
        rule = rules.get(type(node.op))
        if rule is not None and (current := draft.node(node.name)) is not None:
            rule(draft, current)
    return draft.finished()


# What does nothing


def _drop(draft: Draft, node: Node) -> None:
    draft.drop(node)


def _drop_if_same(draft: Draft, node: Node) -> None:
    """An operator that only changes sizes, and does not."""
    if draft.type(node.inputs[0]).shape == draft.type(node.name).shape:
        draft.drop(node)


def _pad(draft: Draft, node: Node) -> None:
    if not any(map(any, op_of(node).padding)):
        draft.drop(node)


def _adaptive(whole: type[Op], windowed: type[AvgPool2d] | type[MaxPool2d]) -> Rule:
    """A pool to a size that is the map's own, or one pixel, or that cuts the map into equal windows."""

    def rule(draft: Draft, node: Node) -> None:
        size, output = draft.type(node.inputs[0]).shape[2:], draft.type(node.name).shape[2:]
        if output == (1, 1):
            draft.set(node, whole(), *node.inputs)
        elif size == output:
            draft.drop(node)
        elif all(pixels % outputs == 0 for pixels, outputs in zip(size, output, strict=True)):
            draft.set(node, windowed((size[0] // output[0], size[1] // output[1])), *node.inputs)

    return rule


# Steps of their own that belong into the next one


def _conv(draft: Draft, node: Node) -> None:
    """Zeros put around a map before a convolution are its padding, rows left out before a 1x1 one are its stride."""
    if draft.source(node, Pad) is None and draft.source(node, Slice) is None:
        return
    family = [(member, _folded(draft, member)) for member in draft.family(node)]
    if len({folded[0] if folded else None for _, folded in family}) > 1:
        return  # shared parameters need the same operator everywhere
    for member, folded in family:
        if folded is not None:
            draft.set(member, *folded)


def _folded(draft: Draft, node: Node) -> tuple[Op, str] | None:
    op, value = op_of(node), node.inputs[0]
    pad = draft.source(node, Pad)
    if pad is not None and _is_border(op_of(pad), 0.0):
        op, value = replace(op, padding=_sum(op.padding, op_of(pad).padding)), pad.inputs[0]
    while (cut := draft.source(Node("", op, (value,)), Slice)) is not None and _skips(draft, cut, op):
        axis, step = op_of(cut).axis - 2, op_of(cut).step
        stride = tuple(step * size if place == axis else size for place, size in enumerate(op.stride))
        op, value = replace(op, stride=stride), cut.inputs[0]
    return None if op is node.op or _infer(draft, op, value) != draft.type(node.name).shape else (op, value)


def _skips(draft: Draft, cut: Node, op: Any) -> bool:
    """Whether a slice leaves out pixels that a 1x1 convolution may as well step over."""
    pointwise = op.kernel_size == (1, 1) and op.padding == ((0, 0), (0, 0))
    return pointwise and op_of(cut).axis >= 2 and op_of(cut).start == 0 and draft.type(cut.name).is_map


def _is_border(pad: Any, value: float) -> bool:
    return pad.mode == "constant" and pad.value == value and min(min(side) for side in pad.padding) >= 0


def _sum(first: Any, second: Any) -> Any:
    return tuple((a + c, b + d) for (a, b), (c, d) in zip(first, second, strict=True))


def _infer(draft: Draft, op: Op, value: str) -> Shape:
    """Shape of ``op`` of a value; empty where it does not take it."""
    try:
        return op.infer(draft.type(value)).shape
    except OpError:
        return ()


def _max_pool(draft: Draft, node: Node) -> None:
    """Padding that never wins is the pool's own."""
    op = op_of(node)
    pad = draft.source(node, Pad)
    if pad is not None and _is_border(op_of(pad), -math.inf):
        _set_pool(draft, node, replace(op, padding=_sum(op.padding, op_of(pad).padding)), pad)


def _avg_pool(draft: Draft, node: Node) -> None:
    """Zeros put around a map are padding that counts; where there is no padding, none counts."""
    op = op_of(node)
    bare = not any(map(any, op.padding))
    pad = draft.source(node, Pad)
    if pad is not None and _is_border(op_of(pad), 0.0) and (bare or op.count_include_pad):
        padded = replace(op, padding=_sum(op.padding, op_of(pad).padding), count_include_pad=True)
        _set_pool(draft, node, padded, pad)
    elif bare and not op.count_include_pad:
        draft.set(node, replace(op, count_include_pad=True), *node.inputs)


def _set_pool(draft: Draft, node: Node, op: Op, pad: Node) -> None:
    if _infer(draft, op, pad.inputs[0]) == draft.type(node.name).shape:
        draft.set(node, op, *pad.inputs)


# Whole maps and shapes


_WHOLE: Final[Mapping[str, type[Op]]] = {"mean": GlobalAvgPool, "max": GlobalMaxPool}


def _reduce(draft: Draft, node: Node) -> None:
    """The mean or maximum over height and width, at once, one after the other, or over both flattened."""
    op = op_of(node)
    whole = _WHOLE.get(op.function)
    maps = (value for value, axes in _reduced(draft, node) if axes == (2, 3) and draft.type(value).is_map)
    value = next(maps, None)
    if whole is None or value is None:
        return
    before, after = draft.type(value), draft.type(node.name)
    if after.shape == (*before.shape[:2], 1, 1):
        draft.set(node, whole(), value)
    else:
        pooled = draft.put_before(node, whole(), value, "pool")
        draft.set(node, Flatten() if after.rank == 2 else Reshape((-1, *after.shape[1:])), pooled)


def _reduced(draft: Draft, node: Node) -> Iterator[tuple[str, Shape]]:
    """What a reduction reads, with the axes; in the same way, what came before it."""
    op = op_of(node)
    yield node.inputs[0], op.axes
    inner = draft.source(node, Reduce)
    if inner is not None and op_of(inner).function == op.function:
        left = [
            axis
            for axis in range(draft.type(inner.inputs[0]).rank)
            if op_of(inner).keepdim or axis not in op_of(inner).axes
        ]
        yield inner.inputs[0], tuple(sorted({*op_of(inner).axes, *(left[axis] for axis in op.axes)}))
    flat = draft.source(node, Reshape)
    if flat is not None and op.axes == (2,) and _joins_pixels(draft, flat):
        yield flat.inputs[0], (2, 3)


def _joins_pixels(draft: Draft, flat: Node) -> bool:
    before, after = draft.type(flat.inputs[0]).shape, draft.type(flat.name).shape
    return len(before) == 4 and after == (*before[:2], before[2] * before[3])


def _reshape(draft: Draft, node: Node) -> None:
    """Only the last of several shapes counts, and one row for each image is called Flatten."""
    op = op_of(node)
    inner = draft.source(node, Reshape) or draft.source(node, Flatten)
    value = node.inputs[0] if inner is None else inner.inputs[0]
    before, after = draft.type(value).shape, draft.type(node.name).shape
    if before == after:
        if inner is not None:
            draft.set(node, op, value)
            node = replace(node, inputs=(value,))
        draft.drop(node)
    elif len(after) == 2 and len(before) > 1 and before[0] == after[0]:
        if type(op) is not Flatten or value != node.inputs[0]:
            draft.set(node, Flatten(), value)
    elif inner is not None:
        draft.set(node, Reshape((-1, *after[1:])), value)


def _gather(draft: Draft, node: Node) -> None:
    """Places among places are places; rows and columns repeated or skipped evenly are a nearest resize."""
    op = op_of(node)
    value, places = node.inputs[0], op.indices
    inner = draft.source(node, Gather)
    if inner is not None and op_of(inner).axis == op.axis:
        places, value = tuple(op_of(inner).indices[place] for place in places), inner.inputs[0]
        draft.set(node, Gather(op.axis, places), value)
        node = replace(node, op=Gather(op.axis, places), inputs=(value,))
    if places == tuple(range(draft.type(value).shape[op.axis])):
        draft.drop(node)
    elif inner is not None and (op_of(inner).axis, op.axis) == (2, 3) and draft.type(node.name).is_map:
        mode = nearest_mode((op_of(inner).indices, places), draft.type(inner.inputs[0]).shape[2:])
        if mode:
            draft.set(node, Resize((len(op_of(inner).indices), len(places)), mode), *inner.inputs)


def _permute(draft: Draft, node: Node) -> None:
    """Axes there and back are none at all, and around a softmax only choose its axis, as older exporters write it."""
    op = op_of(node)
    softmax = draft.source(node, Softmax)
    first = draft.source(node if softmax is None else softmax, Permute)
    if first is None:
        return
    axes = tuple(op_of(first).axes[axis] for axis in op.axes)
    if softmax is None:
        draft.set(node, Permute(axes), *first.inputs)
    elif axes == tuple(range(len(axes))):
        draft.set(node, Softmax(op_of(first).axes[op_of(softmax).axis]), *first.inputs)
    if softmax is None and axes == tuple(range(len(axes))):
        draft.drop(replace(node, inputs=first.inputs))


_RULES: Final[Mapping[type[Op], tuple[Rule, frozenset[type[Op]]]]] = {
    AdaptiveAvgPool2d: (_adaptive(GlobalAvgPool, AvgPool2d), frozenset()),
    AdaptiveMaxPool2d: (_adaptive(GlobalMaxPool, MaxPool2d), frozenset()),
    AvgPool2d: (_avg_pool, frozenset()),
    Clip: (clip, frozenset({Scalar})),
    Conv2d: (_conv, frozenset({Pad, Slice})),
    DropPath: (_drop, frozenset()),
    Dropout: (_drop, frozenset()),
    Expand: (_drop_if_same, frozenset()),
    Flatten: (_reshape, frozenset()),
    Gather: (_gather, frozenset()),
    MaxPool2d: (_max_pool, frozenset({Pad})),
    Mul: (mul, frozenset({Sigmoid, HardSigmoid, Tanh, Scalar})),
    Pad: (_pad, frozenset()),
    Pointwise: (pointwise, frozenset()),
    Permute: (_permute, frozenset()),
    Reduce: (_reduce, frozenset()),
    Reshape: (_reshape, frozenset()),
    Resize: (_drop_if_same, frozenset()),
    Scalar: (scalar, frozenset()),
}
"""The rule of an operator, and the operators of which the network must have one for it to apply."""
