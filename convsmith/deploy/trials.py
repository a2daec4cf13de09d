"""Networks made up to be timed: small, all different, and together with every kind of kernel at many sizes.

They are whole networks and not single operators because a kernel's time depends on where its input and its parameters
lie, which its neighbours decide.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convsmith.analysis import cost
from convsmith.deploy.work import Hardware
from convsmith.design.blocks import BLOCKS
from convsmith.design.ends import classify, conv_stem
from convsmith.errors import OpError
from convsmith.ir import Builder, Graph, Op, TensorType
from convsmith.ops import (
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    HardSwish,
    LayerNorm2d,
    Linear,
    MaxPool2d,
    Pad,
    Resize,
    Sigmoid,
    Softmax,
)

_SIDES: Final = (32, 48, 64, 96, 112, 128, 160, 192, 224)
_SMALLEST: Final = 8
"""Side of a map that may still be halved."""
_MACS: Final = range(1_000_000, 300_000_000)
_LARGE_EVERY: Final = 12
_EXTRA_EVERY: Final = 3


def make_trial(number: int, hardware: Hardware) -> Graph:
    """The trial network of that number; one in twelve has more parameters, or larger maps, than the caches hold."""
    rng = random.Random(number)
    if number % _LARGE_EVERY == 0:
        return (_heavy, _wide)[number // _LARGE_EVERY % 2](number, rng, hardware)
    while True:
        graph = _mixed(number, rng, extra=number % _EXTRA_EVERY == 0)
        if graph is not None and cost(graph).macs in _MACS:
            return graph


def make_weights(graph: Graph) -> dict[str, NDArray[np.float32]]:
    """Random parameters that keep values in range, with neutral running statistics, by name."""
    rng = np.random.default_rng(0)
    weights: dict[str, NDArray[np.float32]] = {}
    for name, shape in graph.stored_shapes.items():
        if len(shape) == 1:
            weights[name] = np.full(shape, name.endswith(("weight", "running_var")), np.float32)
        else:
            weights[name] = rng.standard_normal(shape, dtype=np.float32) * np.float32(np.prod(shape[1:]) ** -0.5)
    return weights


def _mixed(number: int, rng: random.Random, *, extra: bool) -> Graph | None:
    """A stem, two to five blocks of any kind, perhaps some rarer operators, and a head; None if they do not fit."""
    net = Builder(f"trial{number}")
    side, quantum = rng.choice(_SIDES), rng.choice((8, 8, 16, 32, 4, 4, 2, 1))
    activation = rng.choice(("relu", "relu", "relu", "relu6", "silu", "hardswish", "hardsigmoid", "gelu", "sigmoid"))
    width = _multiple(rng.choice((8, 12, 16, 24, 32, 40, 48, 64)), quantum)
    stride = rng.choice((1, 2, 2, 4)) if side > 64 else rng.choice((1, 1, 2))
    x = net.input(TensorType((1, 3, side, side)))
    try:
        pool = rng.choice(("none", "none", "max"))
        x = conv_stem(
            net, x, width=width, stride=stride, kernel=rng.choice((3, 3, 5, 7)), activation=activation, pool=pool
        )
        for place in range(rng.randint(2, 5)):
            width = min(_multiple(width * rng.choice((1, 1.5, 2, 2)), quantum), 768)
            with net.scope(f"block{place}"):
                x = _block(net, x, rng, width=width, activation=activation)
            if extra:
                with net.scope(f"extra{place}"):
                    x = rng.choice(_EXTRAS)(net, x)
        return net.graph(
            classify(net, x, classes=rng.choice((10, 100, 1000)), conv_width=rng.choice((0, 0, 256, 1280)))
        )
    except OpError:
        return None


def _block(net: Builder, x: str, rng: random.Random, *, width: int, activation: str) -> str:
    name = rng.choice(tuple(BLOCKS))
    options: dict[str, Any] = {"kernel": rng.choice((3, 3, 3, 5, 7)), "activation": activation}
    if name == "inverted_residual":
        options["expansion"] = rng.choice((1, 2, 3, 4, 6))
    if name in ("inverted_residual", "residual", "bottleneck"):
        options["se_ratio"] = rng.choice((0, 0, 0, 0.25, 0.125))
    if name == "bottleneck":
        options["groups"] = rng.choice((1, 1, 2, 4, 8))
    stride = rng.choice((1, 2, 2)) if net.type(x).shape[2] >= _SMALLEST else 1
    return BLOCKS[name](net, x, width=width, stride=stride, **options)


def _heavy(number: int, rng: random.Random, hardware: Hardware) -> Graph:
    """Few pixels, and a layer with more parameters than the last cache holds."""
    net = Builder(f"trial{number}")
    width, side = rng.choice((128, 256, 512)), rng.choice((7, 8, 14))
    x = conv_stem(net, net.input(TensorType((1, 3, side, side))), width=width, stride=1)
    for place in range(3):
        with net.scope(f"block{place}"):
            x = BLOCKS[rng.choice(("conv", "residual", "bottleneck"))](net, x, width=width, stride=1)
    features = _multiple((0.3 * hardware.caches[2]) ** 0.5, 8)
    x = net.add(Flatten(), net.add(GlobalAvgPool(), x, name="pool"), name="flatten")
    x = net.add(Linear(width, features), x, name="linear1")
    return net.graph(net.add(Linear(features, features), x, name="linear2"))


def _wide(number: int, rng: random.Random, hardware: Hardware) -> Graph:
    """A few layers on maps nearly as large as the last cache."""
    net = Builder(f"trial{number}")
    width = rng.choice((32, 48, 64))
    side = min(512, _multiple((0.2 * hardware.caches[2] / width) ** 0.5, 8))
    activation = rng.choice(("relu", "relu6", "silu"))
    x = conv_stem(net, net.input(TensorType((1, 3, side, side))), width=width, stride=1, activation=activation)
    x = BLOCKS["depthwise"](net, x, width=width, stride=1, activation=activation)
    x = net.add(rng.choice((MaxPool2d, AvgPool2d))((2, 2)), x, name="pool")
    return net.graph(classify(net, x, classes=10))


def _with(*make: Callable[[tuple[int, ...]], Op]) -> Callable[[Builder, str], str]:
    """Adds operators one after the other, each made for the shape of what it reads."""

    def add(net: Builder, x: str) -> str:
        for place, op in enumerate(make):
            x = net.add(op(net.type(x).shape), x, name=f"step{place}")
        return x

    return add


def _dense(net: Builder, x: str) -> str:
    return net.add(Concat(), BLOCKS["conv"](net, x, width=32, stride=1), x, name="concat")


_EXTRAS: Final[tuple[Callable[[Builder, str], str], ...]] = (
    _dense,
    _with(lambda shape: MaxPool2d((3, 3), (2, 2), ((1, 1), (1, 1)))),
    _with(lambda shape: AvgPool2d((2, 2))),
    _with(lambda shape: LayerNorm2d(shape[1])),
    _with(lambda shape: GroupNorm(1, shape[1])),
    _with(lambda shape: BatchNorm2d(shape[1])),
    _with(lambda shape: Softmax()),
    _with(lambda shape: AvgPool2d((2, 2)), lambda shape: Sigmoid()),
    _with(lambda shape: AvgPool2d((2, 2)), lambda shape: HardSwish()),
    _with(lambda shape: Pad(((1, 1), (1, 1)))),
    _with(lambda shape: Resize((2 * shape[2], 2 * shape[3])), lambda shape: MaxPool2d((2, 2))),
    _with(lambda shape: Resize((2 * shape[2], 2 * shape[3]), "bilinear"), lambda shape: MaxPool2d((2, 2))),
)


def _multiple(width: float, quantum: int) -> int:
    return max(quantum, round(width / quantum) * quantum)
