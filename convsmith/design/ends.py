"""Stems and heads: how a network takes an image in and gives its answer out. Same rules as for blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from convsmith.design.layers import (
    Activation,
    Kernel,
    Norm,
    Padding,
    Rate,
    Width,
    activate,
    conv,
    normalise,
    patches,
)
from convsmith.design.stride import Stride
from convsmith.ir import Builder
from convsmith.ops import Concat, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d

StemPool = Literal["none", "max"]
Classes = Annotated[int, Field(ge=2)]


def conv_stem(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: Stride,
    kernel: Kernel = 3,
    padding: Padding = "symmetric",
    norm: Norm = "batch",
    activation: Activation = "relu",
    pool: StemPool = "none",
) -> str:
    """One convolution of the image, with a 3x3 max pooling of stride 2 behind it where ``pool`` is ``max``."""
    options: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
    return _pooled(net, conv(net, x, width, **options, norm=norm, activation=activation, name="stem"), pool)


def deep_stem(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: Stride,
    norm: Norm = "batch",
    activation: Activation = "relu",
    pool: StemPool = "none",
) -> str:
    """Three 3x3 convolutions, the first two of half the width, in place of one large one.

    The stem of ResNet-C and ResNet-D (He et al., "Bag of Tricks for Image Classification", 2019, section 4).
    """
    narrow = max(1, width // 2)
    for number, (channels, step) in enumerate(((narrow, stride), (narrow, 1), (width, 1)), start=1):
        options: dict[str, Any] = {"kernel": 3, "stride": step}
        x = conv(net, x, channels, **options, norm=norm, activation=activation, name=f"stem.conv{number}")
    return _pooled(net, x, pool)


def patch_stem(net: Builder, x: str, *, width: int, stride: int, norm: Norm = "layer") -> str:
    """One convolution over patches of ``stride`` x ``stride`` pixels that do not overlap, and a normalisation.

    The stem of ConvNeXt (Liu et al., "A ConvNet for the 2020s", 2022, section 2.2).
    """
    return normalise(net, patches(net, x, width, stride, name="stem.conv"), norm, name="stem.norm")


def classify(
    net: Builder,
    x: str,
    *,
    classes: Classes,
    conv_width: Annotated[int, Field(ge=0)] = 0,
    pool: Literal["average", "max"] = "average",
    pool_norm: Norm = "none",
    hidden: tuple[Width, ...] = (),
    norm: Norm = "batch",
    activation: Activation = "relu",
    dropout: Rate = 0.0,
) -> str:
    """One number per class: a 1x1 convolution, pooling, fully connected layers, each but the last if asked for.

    ``average`` pools the whole map; ``max`` halves it and hands every pixel on, as VGG does. ``pool_norm`` normalises
    what is pooled, as in ConvNeXt; ``norm`` belongs to the convolution.
    """
    with net.scope("head"):
        if conv_width:
            x = conv(net, x, conv_width, norm=norm, activation=activation, name="expand")
        x = net.add(GlobalAvgPool() if pool == "average" else MaxPool2d((2, 2)), x, name="pool")
        x = normalise(net, x, pool_norm, name="pool_norm")
        x = net.add(Flatten(), x, name="flatten")
        for number, width in enumerate(hidden, start=1):
            x = net.add(Linear(net.channels(x), width), x, name=f"hidden{number}")
            x = activate(net, x, activation, name=f"act{number}")
            x = _drop(net, x, dropout, name=f"dropout{number}")
        if not hidden:
            x = _drop(net, x, dropout, name="dropout")
        return net.add(Linear(net.channels(x), classes), x, name="classifier")


def segment(net: Builder, x: str, *, classes: Classes) -> str:
    """One number per class at each pixel of the last map, by a 1x1 convolution (Long et al., 2015)."""
    return conv(net, x, classes, norm="none", name="head.classifier")


def detect(
    net: Builder,
    x: str,
    *,
    classes: Annotated[int, Field(ge=1)],
    tower: Annotated[int, Field(ge=0)] = 1,
    norm: Norm = "batch",
    activation: Activation = "relu",
) -> str:
    """Objects, at each pixel of the last map: a number per class, four distances to a box's sides, and centre-ness.

    All are channels of one map, in this order. Classes and boxes each have a tower of 3x3 convolutions before the one
    that gives the numbers; FCOS (Tian et al., 2019, figure 2) has four, and such a head at each of five scales.
    """
    with net.scope("head"):
        ends = {"class": x, "box": x}
        for kind in ends:
            for number in range(1, tower + 1):
                options: dict[str, Any] = {"kernel": 3, "norm": norm, "activation": activation}
                ends[kind] = conv(net, ends[kind], net.channels(x), **options, name=f"{kind}{number}")
        plain: dict[str, Any] = {"kernel": 3, "norm": "none"}
        scores = conv(net, ends["class"], classes, **plain, name="classes")
        sides = conv(net, ends["box"], 4, **plain, name="sides")
        centre = conv(net, ends["box"], 1, **plain, name="centre")
        return net.add(Concat(), scores, sides, centre, name="objects")


def restore(
    net: Builder,
    x: str,
    *,
    channels: Width,
    stride: Stride = 1,
    kernel: Kernel = 3,
    bias: bool = True,
    activation: Activation = "none",
) -> str:
    """An image: one convolution to its channels, transposed where ``stride`` enlarges; ``tanh`` keeps it in (-1, 1)."""
    options: dict[str, Any] = {"kernel": kernel, "stride": stride, "bias": bias}
    return conv(net, x, channels, **options, norm="none", activation=activation, name="head.image")


STEMS: dict[str, Callable[..., str]] = {"conv": conv_stem, "deep": deep_stem, "patch": patch_stem}
HEADS: dict[str, Callable[..., str]] = {
    "classify": classify,
    "detect": detect,
    "segment": segment,
    "restore": restore,
}


def _pooled(net: Builder, x: str, pool: StemPool) -> str:
    return net.add(MaxPool2d((3, 3), (2, 2), ((1, 1), (1, 1))), x, name="stem.pool") if pool == "max" else x


def _drop(net: Builder, x: str, rate: float, *, name: str) -> str:
    return net.add(Dropout(rate), x, name=name) if rate else x
