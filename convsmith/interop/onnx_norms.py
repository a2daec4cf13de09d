"""Normalisations that an exporter spelled out, because its opset had no word for them, as one node again.

Before opset 17 a layer normalisation is nine nodes, and before opset 21 torch writes a group normalisation as an
instance normalisation of reshaped groups. The weights are needed to tell, so this is no rule of ``canonical``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from convsmith.interop.draft import Draft, op_of
from convsmith.interop.onnx_tidy import Weights
from convsmith.ir import Graph, Node, Op, Shape
from convsmith.ops import (
    Add,
    Constant,
    Div,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
    LayerNorm2d,
    Mul,
    Pointwise,
    Reduce,
    Reshape,
    Scalar,
    Sub,
)


class Norm(NamedTuple):
    """A normalisation that was recognised.

    Attributes:
        op: The operator.
        value: What it reads.
        axes: The axes along which its scale and its shift differ.
    """

    op: Op
    value: str
    axes: Shape


def join_norms(graph: Graph, weights: Weights) -> tuple[Graph, Weights]:
    """The graph with each scaled and shifted normalisation as one node, named after the sum that ends it."""
    draft, arrays = Draft(graph), dict(weights)
    for node in graph.nodes:
        outer = _apart(draft, node, Mul) if type(node.op) is Add else None
        if outer is None:
            continue
        product, shift = outer
        inner = _apart(draft, product, Div) or _apart(draft, product, Reshape)
        if inner is None:
            continue
        normed, scale = inner
        norm = _layer_norm(draft, normed) or _group_norm(draft, normed, weights)
        if norm is None:
            continue
        wanted = tuple(size if axis in norm.axes else 1 for axis, size in enumerate(draft.type(norm.value).shape))
        if all(_aligned(constant, len(wanted)) == wanted for constant in (scale, shift)):
            (shape, *_), own = norm.op.param_shapes(draft.type(norm.value)).values(), {}
            for name, constant in (("weight", scale), ("bias", shift)):
                own[name] = weights[constant.name]["value"].reshape(shape)
            arrays[node.name] = own
            draft.set(node, norm.op, norm.value)
    joined = draft.finished()
    names = {node.name for node in joined.nodes}
    return joined, {name: own for name, own in arrays.items() if name in names}


def _apart(draft: Draft, node: Node, kind: type[Any]) -> tuple[Node, Node] | None:
    """The operand of ``kind``, which nothing else reads, and the constant of a sum or a product."""
    for place in (0, 1):
        constant, other = draft.node(node.inputs[1 - place]), draft.source(node, kind, place)
        if other is not None and constant is not None and type(constant.op) is Constant:
            return other, constant
    return None


def _aligned(constant: Node, rank: int) -> Shape:
    """Shape of a constant with the axes in front that it leaves out."""
    shape = op_of(constant).shape
    return (1,) * (rank - len(shape)) + shape


def _layer_norm(draft: Draft, quotient: Node) -> Norm | None:
    """``(x - mean(x)) / sqrt(mean((x - mean(x)) ** 2) + eps)``."""
    if type(quotient.op) is not Div:
        return None
    centred, root = draft.node(quotient.inputs[0]), _source(draft, quotient, Pointwise("sqrt"), 1)
    if centred is None or root is None or type(centred.op) is not Sub:
        return None
    mean, added = draft.source(centred, Reduce, 1), draft.source(root, Scalar)
    variance = draft.source(added, Reduce) if added is not None and op_of(added).function == "add" else None
    if mean is None or added is None or variance is None or mean.op != variance.op:
        return None
    squares = _source(draft, variance, Scalar("pow", 2.0)) or draft.source(variance, Mul)
    value, op = centred.inputs[0], op_of(mean)
    if squares is None or {*squares.inputs} != {centred.name} or mean.inputs[0] != value:
        return None
    shape, eps = draft.type(value).shape, op_of(added).value
    if op.function != "mean" or not op.keepdim:
        return None
    if op.axes == (1,) and len(shape) == 4:
        return Norm(LayerNorm2d(shape[1], eps), value, (1,))
    first = op.axes[0]
    return Norm(LayerNorm(shape[first:], eps), value, op.axes) if op.axes == tuple(range(first, len(shape))) else None


def _source(draft: Draft, node: Node, op: Op, place: int = 0) -> Node | None:
    """The node that gives an input, if it is this very operator and nothing else reads it."""
    found = draft.source(node, type(op), place)
    return found if found is not None and found.op == op else None


def _group_norm(draft: Draft, back: Node, weights: Weights) -> Norm | None:
    """An instance normalisation, without scale and shift, of groups of channels put in one row each."""
    inner = draft.source(back, InstanceNorm2d) if type(back.op) is Reshape else None
    apart = draft.source(inner, Reshape) if inner is not None else None
    if inner is None or apart is None:
        return None
    value, own = apart.inputs[0], weights[inner.name]
    type_, groups = draft.type(value), op_of(inner).num_features
    plain = (own["weight"] == 1).all() and (own["bias"] == 0).all()
    if not plain or not type_.is_map or type_.shape != draft.type(back.name).shape or type_.shape[1] % groups:
        return None
    return Norm(GroupNorm(groups, type_.shape[1], op_of(inner).eps), value, (1,))
