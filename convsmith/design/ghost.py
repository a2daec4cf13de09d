"""Blocks that compute a part of their maps and make the rest from it by cheap linear maps: the GhostNets."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field

from convsmith.design.layers import (
    Activation,
    Expansion,
    Kernel,
    Norm,
    Rate,
    conv,
    join,
    normalise,
    round_width,
    squeeze_excite,
)
from convsmith.ir import Builder
from convsmith.ops import AvgPool2d, Concat, Conv2d, Mul, Resize, Sigmoid, Slice

Ratio = Annotated[int, Field(ge=2, le=16)]

_GATE_MULTIPLE = 4
_ATTENTION_KERNEL = 5


def ghost_module(
    net: Builder,
    x: str,
    width: int,
    *,
    kernel: int = 1,
    ratio: int = 2,
    cheap_kernel: int = 3,
    norm: Norm = "batch",
    activation: Activation = "relu",
    name: str,
) -> str:
    """A convolution to ``width / ratio`` channels, and the other channels from these, each from one of them.

    Han et al., "GhostNet: More Features from Cheap Operations", 2020, section 3.1. Where ``ratio`` does not divide
    ``width``, the last channels are computed and dropped, as in the authors' code.
    """
    computed = math.ceil(width / ratio)
    with net.scope(name):
        kept = conv(net, x, computed, kernel=kernel, norm=norm, activation=activation, name="primary")
        options: dict[str, Any] = {"kernel": cheap_kernel, "groups": computed}
        made = conv(net, kept, computed * (ratio - 1), **options, norm=norm, activation=activation, name="cheap")
        x = net.add(Concat(), kept, made, name="concat")
        return x if net.channels(x) == width else net.add(Slice(1, 0, width), x, name="crop")


def ghost(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: int,
    kernel: Kernel = 3,
    expansion: Expansion = 6.0,
    ratio: Ratio = 2,
    cheap_kernel: Kernel = 3,
    norm: Norm = "batch",
    activation: Activation = "relu",
    se_ratio: Rate = 0.0,
    drop_path: Rate = 0.0,
) -> str:
    """Widen and narrow by ghost modules, with a shortcut around them (Han et al., "GhostNet", 2020, section 3.2).

    One in ``ratio`` channels is computed in full; the others are made from these by a kernel of ``cheap_kernel``.
    Channels are only looked at in space by ``kernel`` where the stride is above one. ``se_ratio`` counts from the
    widened channels.
    """
    inner = round(net.channels(x) * expansion)
    module: dict[str, Any] = {"ratio": ratio, "cheap_kernel": cheap_kernel, "norm": norm}
    y = ghost_module(net, x, inner, **module, activation=activation, name="expand")
    y = _shrink(net, y, kernel, stride, norm, inner, se_ratio, activation)
    y = ghost_module(net, y, width, **module, activation="none", name="project")
    return join(net, _shortcut(net, x, width, kernel, stride, norm), y, drop_path)


def ghost_v2(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: int,
    kernel: Kernel = 3,
    expansion: Expansion = 6.0,
    ratio: Ratio = 2,
    cheap_kernel: Kernel = 3,
    norm: Norm = "batch",
    activation: Activation = "relu",
    se_ratio: Rate = 0.0,
    drop_path: Rate = 0.0,
) -> str:
    """The ghost block whose widened map is weighed by an attention along rows and columns.

    Tang et al., "GhostNetV2: Enhance Cheap Operation with Long-Range Attention", 2022; see ``decoupled_attention``.
    """
    inner = round(net.channels(x) * expansion)
    module: dict[str, Any] = {"ratio": ratio, "cheap_kernel": cheap_kernel, "norm": norm}
    y = ghost_module(net, x, inner, **module, activation=activation, name="expand")
    y = net.add(Mul(), y, decoupled_attention(net, x, inner, norm=norm, name="attend"), name="attend.scale")
    y = _shrink(net, y, kernel, stride, norm, inner, se_ratio, activation)
    y = ghost_module(net, y, width, **module, activation="none", name="project")
    return join(net, _shortcut(net, x, width, kernel, stride, norm), y, drop_path)


def decoupled_attention(net: Builder, x: str, width: int, *, norm: Norm = "batch", name: str) -> str:
    """A number in (0, 1) for each of ``width`` channels at each pixel of ``x``, from the pixels of its row and column.

    Decoupled fully connected attention in the form in which it is used (Tang et al., 2022, section 4): on the map
    halved by pooling, a 1x1 convolution, then each channel along its rows and along its columns; a map of one row or
    column is not halved.
    """
    height, length = net.type(x).shape[2:]
    with net.scope(name):
        y = net.add(AvgPool2d((2, 2)), x, name="pool") if min(height, length) > 1 else x
        y = conv(net, y, width, norm=norm, name="mix")
        y = _along(net, y, (1, _ATTENTION_KERNEL), norm, "horizontal")
        y = _along(net, y, (_ATTENTION_KERNEL, 1), norm, "vertical")
        y = net.add(Sigmoid(), y, name="gate")
        return net.add(Resize((height, length)), y, name="resize")


def _along(net: Builder, x: str, kernel: tuple[int, int], norm: Norm, name: str) -> str:
    """One kernel per channel along one axis."""
    channels = net.channels(x)
    high, wide = ((size // 2, size // 2) for size in kernel)
    op = Conv2d(channels, channels, kernel, padding=(high, wide), groups=channels, bias=norm == "none")
    with net.scope(name):
        return normalise(net, net.add(op, x, name="conv"), norm, name="norm")


def _shrink(
    net: Builder, y: str, kernel: int, stride: int, norm: Norm, inner: int, se_ratio: float, activation: Activation
) -> str:
    """What stands between the two modules: a depthwise convolution where the map shrinks, and the gates."""
    if stride > 1:
        y = conv(net, y, inner, kernel=kernel, stride=stride, groups=inner, norm=norm, name="spatial")
    if not se_ratio:
        return y
    squeezed = round_width(inner * se_ratio, _GATE_MULTIPLE)
    return squeeze_excite(net, y, squeezed, activation=activation, gate="hardsigmoid")


def _shortcut(net: Builder, x: str, width: int, kernel: int, stride: int, norm: Norm) -> str:
    channels = net.channels(x)
    if stride == 1 and channels == width:
        return x
    with net.scope("shortcut"):
        x = conv(net, x, channels, kernel=kernel, stride=stride, groups=channels, norm=norm, name="spatial")
        return conv(net, x, width, norm=norm, name="project")
