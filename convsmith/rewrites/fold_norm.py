"""Batch normalisation joined with the layer before it: in a network in use it is a scale and a shift per channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from convsmith.design import Design
from convsmith.ir import Node
from convsmith.ops import BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, ConvTranspose2d, Linear
from convsmith.rewrites.work import Array, Work

_LAYERS = (Conv1d, Conv2d, ConvTranspose2d, Linear)


def fold_norm(work: Work) -> None:
    """Fold every batch normalisation into the convolution or fully connected layer that alone feeds it."""
    for name in [node.name for node in work.nodes if isinstance(node.op, BatchNorm1d | BatchNorm2d)]:
        node = work.draft.node(name)
        if node is not None:
            layer = work.draft.node(node.inputs[0])
            reason = _reason(work, node, layer)
            if reason or layer is None:
                work.leave(node.name, reason)
            else:
                _fold(work, layer, node)


def without_norm(design: Design) -> Design:
    """The design whose convolutions have a bias in place of the batch normalisation behind them."""
    parts = [part.model_copy(update={"norm": "none"}) if part.options.get("norm") == "batch" else part
             for part in (design.stem, *design.stage, design.head)]  # fmt: skip
    return design.model_copy(update={"stem": parts[0], "stage": tuple(parts[1:-1]), "head": parts[-1]})


def _reason(work: Work, norm: Node, layer: Node | None) -> str:
    """Why a normalisation stays; empty where it can go."""
    if layer is None or not isinstance(layer.op, _LAYERS):
        return "no convolution or fully connected layer stands directly before it"
    if work.draft.source(norm, type(layer.op)) is None:
        return f"the result of {layer.name} is also read without it"
    if not (work.alone(layer) and work.alone(norm)):
        return f"{layer.name} or the normalisation shares its weights with another layer"
    if isinstance(layer.op, Conv2d) and not layer.op.learned:
        return f"the kernel of {layer.name} is fixed"
    if isinstance(layer.op, Linear) and layer.op.axis == -1 and work.draft.type(layer.name).rank > 2:
        return f"{layer.name} does not work along the channels"
    return ""


def _fold(work: Work, layer: Node, norm: Node) -> None:
    op: Any = layer.op
    weights, statistics = work.weights_of(layer), work.weights_of(norm)
    scale, shift = scale_and_shift(norm.op, statistics)
    weight = weights["weight"] * _along_outputs(op, scale)
    bias = scale * weights["bias"] + shift if op.bias else shift
    work.draft.set(layer, replace(op, bias=True), *layer.inputs)
    work.draft.drop(norm)
    work.store(norm.name)
    work.store(layer.name, {"weight": weight, "bias": bias})
    work.done(norm.name, numbers=True)


def scale_and_shift(op: Any, statistics: Mapping[str, Array]) -> tuple[Array, Array]:
    """What a batch normalisation in use multiplies each channel by, and what it then adds."""
    spread = np.sqrt(statistics["running_var"] + op.eps)
    scale = statistics.get("weight", np.ones_like(spread)) / spread
    return scale, statistics.get("bias", np.zeros_like(spread)) - statistics["running_mean"] * scale


def _along_outputs(op: Any, scale: Array) -> Array:
    """One number per output channel in the shape in which it multiplies the weights of a layer."""
    if isinstance(op, ConvTranspose2d):  # (in, out / groups, h, w): a group of inputs makes a group of outputs
        grouped = scale.reshape(op.groups, 1, op.out_channels // op.groups)
        return np.repeat(grouped, op.in_channels // op.groups, 1).reshape(op.in_channels, -1, 1, 1)
    return scale.reshape(-1, *[1] * (3 if isinstance(op, Conv2d) else 2 if isinstance(op, Conv1d) else 1))
