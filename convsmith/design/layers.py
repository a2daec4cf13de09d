"""The few layers that every block is made of, by the names a design file uses."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field

from convsmith.design.stride import Step, enlarging, whole
from convsmith.errors import OpError
from convsmith.ir import Builder, Op, Shape, same_padding
from convsmith.ops import (
    GELU,
    Add,
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
    Tanh,
)

Activation = Literal["relu", "relu6", "silu", "hardswish", "gelu", "sigmoid", "hardsigmoid", "tanh", "none"]
Norm = Literal["batch", "group", "layer", "none"]
Padding = Literal["symmetric", "same"]
Downsample = Literal["stride", "max_pool", "avg_pool"]
Kernel = Annotated[int, Field(ge=1, le=31, multiple_of=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[int, Field(ge=1)]
Expansion = Annotated[float, Field(gt=0)]

_ACTIVATIONS: dict[str, type[Op]] = {
    "relu": ReLU,
    "relu6": ReLU6,
    "silu": SiLU,
    "hardswish": HardSwish,
    "gelu": GELU,
    "sigmoid": Sigmoid,
    "hardsigmoid": HardSigmoid,
    "tanh": Tanh,
}


def conv(
    net: Builder,
    x: str,
    width: int,
    *,
    kernel: int = 1,
    stride: Step = 1,
    groups: int = 1,
    dilation: int = 1,
    padding: Padding = "symmetric",
    bias: bool | None = None,
    norm: Norm = "batch",
    activation: Activation = "none",
    name: str,
) -> str:
    """Convolution, normalisation, activation: ``name.conv``, ``name.norm``, ``name.act``.

    ``symmetric`` padding keeps the size at stride one, and for an even kernel the odd pixel goes after; ``same`` is
    TensorFlow's SAME, which at larger strides depends on the size of the map. At a stride of 1/n the convolution is
    transposed and multiplies the size by n. Unless ``bias`` says otherwise, it has one only where no normalisation
    follows.
    """
    biased = norm == "none" if bias is None else bias
    with net.scope(name):
        if stride < 1:
            _check_symmetric(padding, stride)
            channels = net.channels(x)
            op = enlarging(channels, width, kernel, stride, dilation=dilation, groups=groups, bias=biased)
        else:
            op = _convolution(net.type(x).shape, width, kernel, int(stride), dilation, groups, padding, bias=biased)
        x = net.add(op, x, name="conv")
        x = normalise(net, x, norm, name="norm")
        return activate(net, x, activation, name="act")


@lru_cache(maxsize=2**12, typed=True)
def _convolution(
    shape: Shape, width: int, kernel: int, stride: int, dilation: int, groups: int, padding: Padding, *, bias: bool
) -> Conv2d:
    step = stride if padding == "same" else 1  # at stride one the padding is that of every size
    high, wide = (same_padding(size, kernel, step, dilation) for size in shape[2:])
    sizes = ((kernel, kernel), (stride, stride), (high, wide), (dilation, dilation))
    return Conv2d(shape[1], width, *sizes, groups, bias=bias)


def _check_symmetric(padding: Padding, stride: Step) -> None:
    if padding == "same":
        rule = f'padding must be "symmetric" where the stride is {stride}: SAME is a rule for keeping and shrinking'
        raise OpError(rule, received=padding, remedy="leave padding out, or give a stride of 1 or more")


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


def downsample(
    net: Builder, x: str, how: Downsample, stride: Step, *, key: str = "downsampling", partial: bool = False
) -> tuple[str, Step]:
    """Shrink by pooling where asked to; returns the value and the stride left for the convolution that follows.

    ``key`` is what a design file calls ``how``; ``partial`` keeps windows that reach past the map at its end.

    Raises:
        OpError: If the map is to be enlarged by pooling.
    """
    if stride == 1 or how == "stride":
        return x, stride
    step = whole(stride, key, how)
    pool = MaxPool2d if how == "max_pool" else AvgPool2d
    left_over = any(size % step for size in net.type(x).shape[2:])
    return net.add(pool((step, step), ceil_mode=partial and left_over), x, name="pool"), 1


def patches(net: Builder, x: str, width: int, size: int, *, name: str) -> str:
    """A convolution with a bias over patches of ``size`` that do not overlap; pixels left over are dropped."""
    return net.add(Conv2d(net.channels(x), width, (size, size), (size, size)), x, name=name)


def squeeze_excite(net: Builder, x: str, squeezed: int, *, activation: Activation, gate: Activation = "sigmoid") -> str:
    """Weigh each channel by a number computed from all of them (Hu et al., "Squeeze-and-Excitation", 2018)."""
    with net.scope("se"):
        s = net.add(GlobalAvgPool(), x, name="pool")
        s = conv(net, s, squeezed, norm="none", activation=activation, name="reduce")
        s = conv(net, s, net.channels(x), norm="none", activation=gate, name="expand")
        return net.add(Mul(), x, s, name="scale")


def round_width(width: float, quantum: int) -> int:
    """Nearest multiple of ``quantum``, one more if that loses over a tenth, never zero."""
    rounded = max(quantum, int(width + quantum / 2) // quantum * quantum)
    return rounded + quantum if rounded < 0.9 * width else rounded


def drop_path(net: Builder, x: str, rate: float) -> str:
    """Stochastic depth on a branch, or nothing at rate zero."""
    return net.add(DropPath(rate), x, name="drop_path") if rate else x


def join(net: Builder, x: str, branch: str, rate: float) -> str:
    """Add a branch to what goes around it; ``rate`` is that of the branch's stochastic depth."""
    return net.add(Add(), drop_path(net, branch, rate), x, name="add")
