"""The ConvNeXt block: a depthwise convolution that looks around, and two layers within each pixel."""

from __future__ import annotations

from convsmith.design.layers import Activation, Expansion, Kernel, Norm, Rate, conv, join, normalise, patches
from convsmith.ir import Builder
from convsmith.ops import Constant, Mul


def convnext(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: int,
    kernel: Kernel = 7,
    expansion: Expansion = 4.0,
    norm: Norm = "layer",
    activation: Activation = "gelu",
    layer_scale: bool = True,
    drop_path: Rate = 0.0,
) -> str:
    """Look around per channel, then widen and narrow (Liu et al., "A ConvNet for the 2020s", 2022).

    Where the map shrinks or the channels change, a layer of its own comes first: a normalisation and a convolution
    over ``stride`` x ``stride`` pixels that do not overlap. ``layer_scale`` multiplies the branch by a learned number
    per channel, which starts at zero (in the paper at a millionth).
    """
    if stride != 1 or net.channels(x) != width:
        with net.scope("downsample"):
            x = patches(net, normalise(net, x, norm, name="norm"), width, stride, name="conv")
    y = conv(net, x, width, kernel=kernel, groups=width, bias=True, norm=norm, name="spatial")
    y = conv(net, y, round(width * expansion), norm="none", activation=activation, name="expand")
    y = conv(net, y, width, norm="none", name="project")
    if layer_scale:
        y = net.add(Mul(), y, net.add(Constant((width, 1, 1)), name="layer_scale"), name="scale")
    return join(net, x, y, drop_path)
