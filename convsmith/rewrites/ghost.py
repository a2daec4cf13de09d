"""Blocks for their ghost twins: half of the maps computed in full, the others made from these by cheap kernels.

Han et al., "GhostNet: more features from cheap operations", 2020.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from convsmith.design import Design, Stage, make_design
from convsmith.ir import Node
from convsmith.ops import BatchNorm2d, Concat, Conv2d
from convsmith.ops.activation import Activation
from convsmith.rewrites.work import Work

_TWIN: Final = "ghost"
_GHOSTS: Final = frozenset({"ghost", "ghost_v2"})
_SHARED: Final = ("kernel", "norm", "activation", "se_ratio", "drop_path")
"""Keys that say the same of a block and of its twin."""


def with_ghosts(design: Design) -> Design | None:
    """The design whose stages have ghost blocks of the same width, depth and stride; None if none can have them.

    A block that widens or narrows inside keeps how much: a bottleneck's ``expansion`` of 4 is a quarter here, which is
    how the ghost block counts. Others work at the width of their input.
    """
    changed = [_twin(stage) for stage in design.stage]
    if not any(changed):
        return None
    values: dict[str, Any] = design.model_dump()
    values["stage"] = tuple(twin or old for twin, old in zip(changed, values["stage"], strict=True))
    return make_design(values, where=f"{design.name}, with ghost blocks")


def _twin(stage: Stage) -> dict[str, Any] | None:
    if stage.block in _GHOSTS or stage.stride < 1:
        return None
    keys = {key: value for key, value in stage.options.items() if key in _SHARED}
    own = {"block": _TWIN, "depth": stage.depth, "width": stage.width, "stride": stage.stride}
    return {**own, **keys, "expansion": _expansion(stage)}


def _expansion(stage: Stage) -> float:
    expansion = stage.options.get("expansion", 1.0)
    return 1 / expansion if stage.block == "bottleneck" else expansion


def ghost_modules(work: Work) -> None:
    """Put a ghost module (section 3.1) in the place of every convolution over all channels but those of the image.

    Half of its channels are computed in full, with the normalisation and activation that follow; from each of them a
    depthwise kernel makes one of the other half.
    """
    images = {name for name, _ in work.draft.graph.inputs}
    for node in work.nodes:
        if isinstance(node.op, Conv2d) and node.op.groups == 1 < node.op.out_channels and node.op.learned:
            reason = _reason(work, node, node.op, images)
            if reason:
                work.leave(node.name, reason)
            else:
                _halve(work, node, node.op)


def _reason(work: Work, node: Node, op: Conv2d, images: set[str]) -> str:
    if images.intersection(node.inputs):
        return "it reads the image, which is computed in full"
    if op.out_channels % 2:
        return f"{op.out_channels} channels are no two halves"
    return "" if work.alone(node) else "shares its weights with another layer"


def _halve(work: Work, node: Node, op: Conv2d) -> None:
    half = op.out_channels // 2
    last, followers = node, list[Any]()
    for kind in (BatchNorm2d, Activation):
        follower = work.only_reader(last.name)
        if follower is None or not isinstance(follower.op, kind) or not work.alone(follower):
            break
        last = follower
        followers.append(
            replace(follower.op, num_features=half) if isinstance(follower.op, BatchNorm2d) else follower.op
        )
    whole = replace(op, out_channels=half)
    cheap = Conv2d(half, half, (3, 3), padding=((1, 1), (1, 1)), groups=half, bias=op.bias)
    value, parts = node.inputs[0], list[str]()
    for part, layer in (("primary", whole), ("cheap", cheap)):
        value = work.draft.put_before(last, layer, value, part)
        for follower in followers:
            value = work.draft.put_before(
                last, follower, value, f"{part}_{'norm' if follower is followers[0] else 'act'}"
            )
        parts.append(value)
    work.draft.set(last, Concat(), *parts)
    work.store(node.name)
    work.store(last.name)
    work.done(node.name, numbers=False)
