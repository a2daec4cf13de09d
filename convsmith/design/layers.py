"""The few layers that every block is made of, by the names a design file uses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from convsmith.ir import Builder, Op
from convsmith.ops import (
    GELU,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    DropPath,
    GlobalAvgPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    LayerNorm2d,
    MaxPool2d,
    Mul,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
)

Activation = Literal["relu", "relu6", "silu", "hardswish", "gelu", "sigmoid", "hardsigmoid", "none"]
Norm = Literal["batch", "group", "layer", "none"]
Downsample = Literal["stride", "max_pool", "avg_pool"]
Kernel = Annotated[int, Field(ge=1, le=31, multiple_of=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[int, Field(ge=1)]

_ACTIVATIONS: dict[str, type[Op]] = {
    "relu": ReLU,
    "relu6": ReLU6,
    "silu": SiLU,
    "hardswish": HardSwish,
    "gelu": GELU,
    "sigmoid": Sigmoid,
    "hardsigmoid": HardSigmoid,
}


def conv(
    net: Builder,
    x: str,
    width: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
    norm: Norm = "batch",
    activation: Activation = "none",
    name: str,
) -> str:
    """Convolution, normalisation, activation: ``name.conv``, ``name.norm``, ``name.act``.

    The padding keeps the size at stride one; for an even kernel the odd pixel goes after. The convolution has a
    bias only where no normalisation follows.
    """
    with net.scope(name):
        total = dilation * (kernel - 1)
        padding = (total // 2, total - total // 2)
        op = Conv2d(
            net.channels(x),
            width,
            (kernel, kernel),
            (stride, stride),
            (padding, padding),
            (dilation, dilation),
            groups,
            bias=norm == "none",
        )
        x = net.add(op, x, name="conv")
        x = normalise(net, x, norm, name="norm")
        return activate(net, x, activation, name="act")


def normalise(net: Builder, x: str, norm: Norm, *, name: str) -> str:
    """The normalisation called ``norm``, or nothing."""
    channels = net.channels(x)
    if norm == "batch":
        return net.add(BatchNorm2d(channels), x, name=name)
    if norm == "group":
        groups = next(groups for groups in (32, 16, 8, 4, 2, 1) if channels % groups == 0)
        return net.add(GroupNorm(groups, channels), x, name=name)
    if norm == "layer":
        return net.add(LayerNorm2d(channels), x, name=name)
    return x


def activate(net: Builder, x: str, activation: Activation, *, name: str) -> str:
    """The activation called ``activation``, or nothing."""
    return x if activation == "none" else net.add(_ACTIVATIONS[activation](), x, name=name)


def downsample(net: Builder, x: str, how: Downsample, stride: int) -> tuple[str, int]:
    """Shrink by pooling where asked to; returns the value and the stride left for the convolution that follows."""
    if stride == 1 or how == "stride":
        return x, stride
    pool = MaxPool2d if how == "max_pool" else AvgPool2d
    return net.add(pool((stride, stride)), x, name="pool"), 1


def squeeze_excite(net: Builder, x: str, squeezed: int, *, activation: Activation, gate: Activation = "sigmoid") -> str:
    """Weigh each channel by a number computed from all of them (Hu et al., "Squeeze-and-Excitation", 2018)."""
    with net.scope("se"):
        s = net.add(GlobalAvgPool(), x, name="pool")
        s = conv(net, s, squeezed, norm="none", activation=activation, name="reduce")
        s = conv(net, s, net.channels(x), norm="none", activation=gate, name="expand")
        return net.add(Mul(), x, s, name="scale")


def drop_path(net: Builder, x: str, rate: float) -> str:
    """Stochastic depth on a branch, or nothing at rate zero."""
    return net.add(DropPath(rate), x, name="drop_path") if rate else x
