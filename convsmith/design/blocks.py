"""Building blocks: functions that add nodes. Their keyword arguments are the keys of a stage in a design file.

A block takes the value ``x`` and returns one with ``width`` channels, its size divided by ``stride``: one that takes a
``Stride`` also enlarges, by 1/n.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from convsmith.design.convnext import convnext
from convsmith.design.ghost import ghost, ghost_v2
from convsmith.design.layers import (
    Activation,
    Downsample,
    Expansion,
    Kernel,
    Norm,
    Padding,
    Rate,
    Width,
    activate,
    conv,
    downsample,
    join,
    round_width,
    squeeze_excite,
)
from convsmith.design.shuffle import shuffle
from convsmith.design.stride import Step, Stride
from convsmith.ir import Builder


def single(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: Stride,
    kernel: Kernel = 3,
    groups: Width = 1,
    dilation: Width = 1,
    padding: Padding = "symmetric",
    norm: Norm = "batch",
    activation: Activation = "relu",
    downsampling: Downsample = "stride",
) -> str:
    """One convolution with its normalisation and activation; VGG is made of these."""
    x, stride = downsample(net, x, downsampling, stride)
    options: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "groups": groups,
        "dilation": dilation,
        "padding": padding,
    }
    return conv(net, x, width, **options, norm=norm, activation=activation, name="conv1")


def plain(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: Stride,
    kernel: Kernel = 3,
    norm: Norm = "batch",
    activation: Activation = "relu",
    downsampling: Downsample = "stride",
) -> str:
    """Two convolutions without a shortcut: the residual block's counterpart (He et al., 2016, section 3.3)."""
    x, stride = downsample(net, x, downsampling, stride)
    x = conv(net, x, width, kernel=kernel, stride=stride, norm=norm, activation=activation, name="conv1")
    return conv(net, x, width, kernel=kernel, norm=norm, activation=activation, name="conv2")


def residual(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: Stride,
    kernel: Kernel = 3,
    norm: Norm = "batch",
    activation: Activation = "relu",
    shortcut: Downsample = "stride",
    se_ratio: Rate = 0.0,
    drop_path: Rate = 0.0,
) -> str:
    """Two convolutions and a shortcut around them (He et al., "Deep Residual Learning", 2016).

    With ``shortcut`` ``avg_pool`` a projection that shrinks reads every pixel, as in ResNet-D (He et al., "Bag of
    Tricks", 2019, section 4).
    """
    y = conv(net, x, width, kernel=kernel, stride=stride, norm=norm, activation=activation, name="conv1")
    y = conv(net, y, width, kernel=kernel, norm=norm, name="conv2")
    y = _excite(net, y, x, se_ratio, activation)
    return _join(net, x, y, stride, norm, activation, shortcut, drop_path)


def bottleneck(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: Stride,
    kernel: Kernel = 3,
    expansion: Expansion = 4.0,
    groups: Width = 1,
    norm: Norm = "batch",
    activation: Activation = "relu",
    shortcut: Downsample = "stride",
    se_ratio: Rate = 0.0,
    drop_path: Rate = 0.0,
) -> str:
    """A 1x1 convolution to ``width / expansion`` channels, one that looks around, and a 1x1 back (He et al., 2016).

    The stride sits in the middle convolution, as torchvision has it ("v1.5"); for ``shortcut`` see ``residual``.
    """
    inner = _multiple(width / expansion, groups)
    y = conv(net, x, inner, norm=norm, activation=activation, name="reduce")
    y = conv(
        net, y, inner, kernel=kernel, stride=stride, groups=groups, norm=norm, activation=activation, name="spatial"
    )
    y = _excite(net, y, x, se_ratio, activation)
    y = conv(net, y, width, norm=norm, name="expand")
    return _join(net, x, y, stride, norm, activation, shortcut, drop_path)


def depthwise(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: Stride,
    kernel: Kernel = 3,
    norm: Norm = "batch",
    activation: Activation = "relu",
) -> str:
    """One kernel per channel, then a 1x1 convolution that mixes them (Howard et al., "MobileNets", 2017)."""
    channels = net.channels(x)
    options: dict[str, Any] = {"kernel": kernel, "stride": stride, "groups": channels}
    x = conv(net, x, channels, **options, norm=norm, activation=activation, name="spatial")
    return conv(net, x, width, norm=norm, activation=activation, name="project")


def inverted_residual(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: Stride,
    kernel: Kernel = 3,
    expansion: Expansion = 6.0,
    padding: Padding = "symmetric",
    norm: Norm = "batch",
    activation: Activation = "relu6",
    se_ratio: Rate = 0.0,
    se_base: Literal["input", "inner"] = "input",
    se_multiple: Width = 1,
    se_activation: Activation | None = None,
    se_gate: Literal["sigmoid", "hardsigmoid"] = "sigmoid",
    drop_path: Rate = 0.0,
) -> str:
    """Widen, look around per channel, narrow without activation (Sandler et al., "MobileNetV2", 2018).

    ``se_ratio`` counts from the block's input channels, as in EfficientNet (Tan and Le, 2019), or from the widened
    ones where ``se_base`` is ``inner``, as in MobileNetV3 (Howard et al., 2019), which rounds to a multiple of 8,
    squeezes with ReLU and gates with ``hardsigmoid``. Without ``se_activation`` it is the block's own.
    """
    channels = net.channels(x)
    inner = round(channels * expansion)
    y = conv(net, x, inner, norm=norm, activation=activation, name="expand") if inner != channels else x
    options: dict[str, Any] = {"kernel": kernel, "stride": stride, "groups": inner, "padding": padding}
    y = conv(net, y, inner, **options, norm=norm, activation=activation, name="spatial")
    if se_ratio:
        squeezed = (inner if se_base == "inner" else channels) * se_ratio
        rounded = round_width(squeezed, se_multiple) if se_multiple > 1 else max(1, round(squeezed))
        y = squeeze_excite(net, y, rounded, activation=se_activation or activation, gate=se_gate)
    y = conv(net, y, width, norm=norm, name="project")
    if stride != 1 or width != channels:
        return y
    return join(net, x, y, drop_path)


Block = Callable[..., str]

BLOCKS: dict[str, Block] = {
    "conv": single,
    "plain": plain,
    "residual": residual,
    "bottleneck": bottleneck,
    "depthwise": depthwise,
    "inverted_residual": inverted_residual,
    "ghost": ghost,
    "ghost_v2": ghost_v2,
    "shuffle": shuffle,
    "convnext": convnext,
}


def _join(
    net: Builder, x: str, y: str, stride: Step, norm: Norm, activation: Activation, shortcut: Downsample, rate: float
) -> str:
    """Add the branch ``y`` to ``x``, which is projected where the shapes differ, and activate the sum.

    A projection that enlarges by n has an n x n kernel, so that every pixel of the sum gets its share.
    """
    if stride != 1 or net.channels(x) != net.channels(y):
        with net.scope("shortcut"):
            x, stride = downsample(net, x, shortcut, stride, key="shortcut", partial=True)
        x = conv(net, x, net.channels(y), kernel=stride.denominator, stride=stride, norm=norm, name="shortcut")
    return activate(net, join(net, x, y, rate), activation, name="act")


def _excite(net: Builder, y: str, x: str, se_ratio: float, activation: Activation) -> str:
    if not se_ratio:
        return y
    return squeeze_excite(net, y, max(1, round(net.channels(x) * se_ratio)), activation=activation)


def _multiple(width: float, of: int) -> int:
    return max(of, round(width / of) * of)
