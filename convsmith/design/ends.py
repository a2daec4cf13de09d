"""Stems and heads: how a network takes an image in and gives its answer out. Same rules as for blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from convsmith.design.layers import Activation, Kernel, Norm, Rate, Width, activate, conv
from convsmith.ir import Builder
from convsmith.ops import Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d


def conv_stem(
    net: Builder,
    x: str,
    *,
    width: int,
    stride: int,
    kernel: Kernel = 3,
    norm: Norm = "batch",
    activation: Activation = "relu",
    pool: Literal["none", "max"] = "none",
) -> str:
    """One convolution of the image, with a 3x3 max pooling of stride 2 behind it where ``pool`` is ``max``."""
    options = {"kernel": kernel, "stride": stride}
    x = conv(net, x, width, **options, norm=norm, activation=activation, name="stem")
    return net.add(MaxPool2d((3, 3), (2, 2), ((1, 1), (1, 1))), x, name="stem.pool") if pool == "max" else x


def classify(
    net: Builder,
    x: str,
    *,
    classes: int,
    conv_width: Annotated[int, Field(ge=0)] = 0,
    pool: Literal["average", "max"] = "average",
    hidden: tuple[Width, ...] = (),
    norm: Norm = "batch",
    activation: Activation = "relu",
    dropout: Rate = 0.0,
) -> str:
    """One number per class: a 1x1 convolution, pooling, fully connected layers, each but the last if asked for.

    ``average`` pools the whole map; ``max`` halves it and hands every pixel on, as VGG does.
    """
    with net.scope("head"):
        if conv_width:
            x = conv(net, x, conv_width, norm=norm, activation=activation, name="expand")
        x = net.add(GlobalAvgPool() if pool == "average" else MaxPool2d((2, 2)), x, name="pool")
        x = net.add(Flatten(), x, name="flatten")
        for number, width in enumerate(hidden, start=1):
            x = net.add(Linear(net.channels(x), width), x, name=f"hidden{number}")
            x = activate(net, x, activation, name=f"act{number}")
            x = _drop(net, x, dropout, name=f"dropout{number}")
        if not hidden:
            x = _drop(net, x, dropout, name="dropout")
        return net.add(Linear(net.channels(x), classes), x, name="classifier")


STEMS: dict[str, Callable[..., str]] = {"conv": conv_stem}
HEADS: dict[str, Callable[..., str]] = {"classify": classify}


def _drop(net: Builder, x: str, rate: float, *, name: str) -> str:
    return net.add(Dropout(rate), x, name=name) if rate else x
