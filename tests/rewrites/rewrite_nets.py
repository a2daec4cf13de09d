"""Random small networks for the tests of rewrites, and their numbers in float64."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

from convsmith.errors import OpError
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights
from convsmith.ir import Builder, Graph, TensorType
from convsmith.ops import (
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    HardSwish,
    Linear,
    MaxPool2d,
    PReLU,
    ReLU,
    Softmax,
)

KINDS = ("conv", "norm", "act", "max", "mean", "up", "add")


@st.composite
def networks(draw, kinds=KINDS, *, most_padding=2, pools=("none", "mean", "max"), first=None) -> Graph:
    """A chain of random layers, a pooling or none, and fully connected layers; ``first`` makes its first operator."""
    net = Builder("random")
    high, wide = draw(st.integers(7, 11)), draw(st.integers(7, 11))
    x = net.input(TensorType((1, draw(st.integers(1, 3)), high, wide)))
    if first is not None:
        x = net.add(first(draw, net.channels(x)), x, name="first")
    for number, kind in enumerate(draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5))):
        try:
            x = layer(net, x, kind, draw, f"layer{number}", most_padding)
        except OpError:
            continue  # what does not fit is left out
    pool = draw(st.sampled_from(pools))
    if pool != "none":
        x = net.add(GlobalAvgPool() if pool == "mean" else GlobalMaxPool(), x, name="head.pool")
    return net.graph(head(net, x, draw))


def layer(net, x, kind, draw, name, most_padding):
    channels, small = net.channels(x), st.integers(1, 3)
    if kind in ("conv", "up"):
        groups = draw(st.sampled_from([1, channels]))
        shape = (channels, groups * draw(small), draw(st.integers(1, 5)), draw(st.integers(1, 2)))
        if kind == "up":
            return net.add(ConvTranspose2d(*shape, padding=draw(st.integers(0, 1)), groups=groups), x, name=name)
        sides = tuple(tuple(draw(st.integers(0, most_padding)) for _ in range(2)) for _ in range(2))
        op = Conv2d(*shape, sides, draw(st.integers(1, 2)), groups, bias=draw(st.booleans()))
        return net.add(op, x, name=name)
    if kind == "add":
        same = net.add(Conv2d(channels, channels, 3, padding=1, bias=False), x, name=f"{name}.conv")
        return net.add(Add(), net.add(BatchNorm2d(channels), same, name=f"{name}.norm"), x, name=f"{name}.sum")
    ops = {
        "norm": BatchNorm2d(channels, affine=draw(st.booleans())),
        "act": draw(st.sampled_from([ReLU(), HardSwish(), PReLU(channels)])),
        "max": MaxPool2d(2, ceil_mode=draw(st.booleans())),
        "mean": AvgPool2d(3, 2, draw(st.integers(0, min(1, most_padding)))),
    }
    return net.add(ops[kind], x, name=name)


def head(net, x, draw):
    x = net.add(Flatten(), x, name="head.flatten")
    for number in range(draw(st.integers(0, 2))):
        x = net.add(Linear(net.channels(x), 5, bias=draw(st.booleans())), x, name=f"head.hidden{number}")
        if draw(st.booleans()):
            x = net.add(BatchNorm1d(5), x, name=f"head.norm{number}")
        x = net.add(ReLU(), x, name=f"head.act{number}")
        x = net.add(Dropout(0.5), x, name=f"head.dropout{number}")
    x = net.add(Linear(net.channels(x), 4), x, name="head.classifier")
    return net.add(Softmax(), x, name="head.softmax") if draw(st.booleans()) else x


def numbers(graph: Graph, weights, image) -> np.ndarray:
    """What a network gives, in float64."""
    module = build(graph).double().eval()
    load_weights(module, weights)
    with torch.inference_mode():
        return module(torch.from_numpy(image)).numpy()


def random_image(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def random_weights(graph: Graph, seed=0):
    """Every array at random, variances above zero."""
    random = np.random.default_rng(seed)
    drawn = {name: random.standard_normal(shape) for name, shape in graph.stored_shapes.items()}
    return {name: abs(array) + 0.5 if name.endswith("running_var") else array for name, array in drawn.items()}
