"""Building blocks: functions that add nodes. Their keyword arguments are the keys of a stage in a design file.

A block takes the value ``x`` and returns one with ``width`` channels, its size divided by ``stride``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from convsmith.design.layers import (
    Activation,
    Downsample,
    Kernel,
    Norm,
    Rate,
    Width,
    activate,
    conv,
    downsample,
    drop_path,
    squeeze_excite,
)
from convsmith.ir import Builder
from convsmith.ops import Add

Expansion = Annotated[float, Field(gt=0)]


def single(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: int,
    kernel: Kernel = 3,
    groups: Width = 1,
    dilation: Width = 1,
    norm: Norm = "batch",
    activation: Activation = "relu",
    downsampling: Downsample = "stride",
) -> str:
    """One convolution with its normalisation and activation; VGG is made of these."""
    x, stride = downsample(net, x, downsampling, stride)
    options = {"kernel": kernel, "stride": stride, "groups": groups, "dilation": dilation}
    return conv(net, x, width, **options, norm=norm, activation=activation, name="conv1")


def plain(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: int,
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
    stride: int,
    kernel: Kernel = 3,
    norm: Norm = "batch",
    activation: Activation = "relu",
    se_ratio: Rate = 0.0,
    drop_path: Rate = 0.0,
) -> str:
    """Two convolutions and a shortcut around them (He et al., "Deep Residual Learning", 2016)."""
    y = conv(net, x, width, kernel=kernel, stride=stride, norm=norm, activation=activation, name="conv1")
    y = conv(net, y, width, kernel=kernel, norm=norm, name="conv2")
    return _join(net, x, _excite(net, y, x, se_ratio, activation), stride, norm, activation, drop_path)


def bottleneck(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: int,
    kernel: Kernel = 3,
    expansion: Expansion = 4.0,
    groups: Width = 1,
    norm: Norm = "batch",
    activation: Activation = "relu",
    se_ratio: Rate = 0.0,
    drop_path: Rate = 0.0,
) -> str:
    """A 1x1 convolution to ``width / expansion`` channels, one that looks around, and a 1x1 back (He et al., 2016).

    The stride sits in the middle convolution, as torchvision has it ("v1.5").
    """
    inner = _multiple(width / expansion, groups)
    y = conv(net, x, inner, norm=norm, activation=activation, name="reduce")
    y = conv(
        net, y, inner, kernel=kernel, stride=stride, groups=groups, norm=norm, activation=activation, name="spatial"
    )
    y = _excite(net, y, x, se_ratio, activation)
    y = conv(net, y, width, norm=norm, name="expand")
    return _join(net, x, y, stride, norm, activation, drop_path)


def depthwise(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: int,
    kernel: Kernel = 3,
    norm: Norm = "batch",
    activation: Activation = "relu",
) -> str:
    """One kernel per channel, then a 1x1 convolution that mixes them (Howard et al., "MobileNets", 2017)."""
    channels = net.channels(x)
    options = {"kernel": kernel, "stride": stride, "groups": channels}
    x = conv(net, x, channels, **options, norm=norm, activation=activation, name="spatial")
    return conv(net, x, width, norm=norm, activation=activation, name="project")


def inverted_residual(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: int,
    kernel: Kernel = 3,
    expansion: Expansion = 6.0,
    norm: Norm = "batch",
    activation: Activation = "relu6",
    se_ratio: Rate = 0.0,
    drop_path: Rate = 0.0,
) -> str:
    """Widen, look around per channel, narrow without activation (Sandler et al., "MobileNetV2", 2018).

    ``se_ratio`` counts from the block's input channels, as in EfficientNet (Tan and Le, 2019).
    """
    channels = net.channels(x)
    inner = round(channels * expansion)
    y = conv(net, x, inner, norm=norm, activation=activation, name="expand") if inner != channels else x
    options = {"kernel": kernel, "stride": stride, "groups": inner}
    y = conv(net, y, inner, **options, norm=norm, activation=activation, name="spatial")
    y = _excite(net, y, x, se_ratio, activation)
    y = conv(net, y, width, norm=norm, name="project")
    if stride != 1 or width != channels:
        return y
    return _add(net, x, y, drop_path)


Block = Callable[..., str]

BLOCKS: dict[str, Block] = {
    "conv": single,
    "plain": plain,
    "residual": residual,
    "bottleneck": bottleneck,
    "depthwise": depthwise,
    "inverted_residual": inverted_residual,
}


def _join(net: Builder, x: str, y: str, stride: int, norm: Norm, activation: Activation, rate: float) -> str:
    """Add the branch ``y`` to ``x``, which is projected where the shapes differ, and activate the sum."""
    if stride != 1 or net.channels(x) != net.channels(y):
        x = conv(net, x, net.channels(y), stride=stride, norm=norm, name="shortcut")
    return activate(net, _add(net, x, y, rate), activation, name="act")


def _add(net: Builder, x: str, y: str, rate: float) -> str:
    return net.add(Add(), drop_path(net, y, rate), x, name="add")


def _excite(net: Builder, y: str, x: str, se_ratio: float, activation: Activation) -> str:
    if not se_ratio:
        return y
    return squeeze_excite(net, y, max(1, round(net.channels(x) * se_ratio)), activation=activation)


def _multiple(width: float, of: int) -> int:
    return max(of, round(width / of) * of)
