"""Y = CX against the layers themselves, brute-force counting and what the rest of the analysis says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convsmith.analysis import operator, receptive_fields, supports, waste
from convsmith.errors import GraphError, OpError
from convsmith.interop.torch_module import build
from convsmith.ir import Builder, Graph, Node, TensorType
from convsmith.ops import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    Pad,
    ReLU,
    Resize,
)


def one(op, *shape: int) -> Graph:
    net = Builder("one")
    return net.graph(net.add(op, net.input(TensorType(shape)), name="op"))


def ones(graph: Graph) -> dict[str, np.ndarray]:
    return {name: np.ones(shape) for name, shape in graph.param_shapes.items()}


def counted(op, height: int, width: int) -> np.ndarray:
    """Brute force: how often each output pixel meets each input pixel, by sliding every tap over every pixel."""
    kernel, stride, dilation = op.kernel_size, op.stride, getattr(op, "dilation", (1, 1))
    size = op.infer(TensorType((1, 1, height, width))).shape[2:]
    found = np.zeros((*size, height, width), dtype=int)
    for y, x in itertools.product(range(size[0]), range(size[1])):
        for i, j in itertools.product(range(kernel[0]), range(kernel[1])):
            if isinstance(op, ConvTranspose2d):
                row, column = y + op.padding[0] - i * dilation[0], x + op.padding[1] - j * dilation[1]
                if row % stride[0] or column % stride[1]:
                    continue
                row, column = row // stride[0], column // stride[1]
            else:
                row = y * stride[0] + i * dilation[0] - op.padding[0][0]
                column = x * stride[1] + j * dilation[1] - op.padding[1][0]
            if 0 <= row < height and 0 <= column < width:
                found[y, x, row, column] += 1
    return found.reshape(size[0] * size[1], height * width)


def check(op, height: int, width: int) -> None:
    """Matrix, real taps, supports and waste of one layer against the count."""
    graph = one(op, 1, 1, height, width)
    expected = counted(op, height, width)
    matrix = operator(graph, "op", "op", ones(graph)).toarray()
    assert np.array_equal(matrix != 0, expected > 0)
    if not isinstance(op, AvgPool2d):
        assert np.array_equal(matrix, expected)
    layer = waste(graph, receptive_fields(graph)).layers["op"]
    taps = op.terms(TensorType((1, 1, height, width))).taps
    if taps:
        assert taps - layer.padding_macs == expected.sum()
    if not expected.any():
        return  # one axis reads padding alone, so nothing is read, whatever the other axis would
    size = graph.types["op"].shape[2:]
    met = (expected > 0).reshape(*size, height, width)
    for axis, others in ((0, (1, 3)), (1, (0, 2))):
        masks = [sum(1 << pixel for pixel in np.flatnonzero(row)) for row in met.any(others)]
        assert list(supports(graph, axis)["op"]) == masks


def configurations(sizes, kernels, strides, paddings, dilations):
    """Convolutions, poolings and transposed convolutions, with other numbers along the width than along the height."""
    for size, kernel, stride, padding, dilation in itertools.product(sizes, kernels, strides, paddings, dilations):
        turned = (kernel, max(kernels) + 1 - kernel), (stride, max(strides) + 1 - stride)
        sides = ((padding, max(paddings) - padding), (padding, padding))
        yield Conv2d(1, 1, *turned, sides, (dilation, 1), bias=False), size, size + 1
        yield AvgPool2d(*turned, sides, ceil_mode=dilation == 2), size, size + 1
        yield ConvTranspose2d(1, 1, *turned, (padding, 0), 0, (dilation, 1), bias=False), size, size + 1


def run(cases) -> int:
    """Check every case that a layer accepts; the number of those."""
    done = 0
    for op, height, width in cases:
        try:
            op.infer(TensorType((1, 1, height, width)))
        except OpError:
            continue
        check(op, height, width)
        done += 1
    return done


def test_layers_agree_with_brute_force_counting():
    assert run(configurations((4, 5), (1, 2, 3), (1, 2), (0, 1), (1, 2))) > 100


@pytest.mark.slow
def test_thousands_of_layers_agree_with_brute_force_counting():
    assert run(configurations((3, 4, 5, 6, 7, 8), (1, 2, 3, 4, 5), (1, 2, 3, 4), (0, 1, 2), (1, 2, 3))) > 2000


CHANNELS = st.sampled_from([(1, 1, 1), (4, 6, 1), (4, 6, 2), (4, 4, 4)])
LAYERS = st.one_of(
    st.builds(
        lambda channels, kernel, stride, padding, dilation: Conv2d(
            *channels[:2], kernel, stride, padding, dilation, channels[2]
        ),
        CHANNELS, st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2),
    ),
    st.builds(
        lambda channels, kernel, stride, padding: ConvTranspose2d(
            *channels[:2], kernel + padding, stride, padding, groups=channels[2]
        ),
        CHANNELS, st.integers(1, 3), st.integers(1, 3), st.integers(0, 1),
    ),
)  # fmt: skip


@given(LAYERS, st.integers(5, 8), st.integers(5, 8), st.integers(1, 2))
@settings(max_examples=60)
def test_the_matrix_is_the_layer_and_its_nonzeros_are_the_real_taps(op, height, width, batch):
    graph = one(op, batch, op.in_channels, height, width)
    module = build(graph).double()
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    matrix = operator(graph, "op", "op", weights)
    image = torch.randn(graph.inputs[0][1].shape, dtype=torch.float64)
    with torch.no_grad():
        expected = module(image) - module(torch.zeros_like(image))
    assert np.allclose(matrix @ image.numpy().ravel(), expected.numpy().ravel(), rtol=0, atol=1e-12)
    layer = waste(graph, receptive_fields(graph)).layers["op"]
    assert matrix.nnz == op.terms(graph.inputs[0][1]).taps - layer.padding_macs


def stretch(size: int = 12) -> Graph:
    net = Builder("stretch")
    x = net.add(ReLU(), net.input(TensorType((1, 2, size, size))), name="act")
    x = net.add(Pad(1), x, name="pad")
    x = net.add(Conv2d(2, 3, 3, 2, bias=False), x, name="conv")
    x = net.add(BatchNorm2d(3), x, name="norm")
    x = net.add(Conv2d(3, 3, 1, 2, groups=3), x, name="skips")
    x = net.add(Resize((8, 8)), x, name="resize")
    x = net.add(AvgPool2d(2), x, name="mean")
    x = net.add(MaxPool2d(2), x, name="max")
    x = net.add(GlobalAvgPool(), x, name="pool")
    return net.graph(net.add(Linear(3, 2), net.add(Flatten(), x, name="flatten"), name="fc"))


def test_a_stretch_of_linear_layers_is_one_matrix():
    graph = stretch()
    module = build(graph).double().eval()
    torch.manual_seed(0)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    matrix = operator(graph, "pad", "mean", weights)
    linear = build(Graph("linear", (("act", graph.types["act"]),), graph.nodes[1:7], ("mean",))).double().eval()
    linear.load_state_dict(
        {name: tensor for name, tensor in module.state_dict().items() if name in linear.state_dict()}
    )
    image = torch.randn(1, 2, 12, 12, dtype=torch.float64)
    with torch.no_grad():
        expected = linear(image) - linear(torch.zeros_like(image))
    assert np.allclose(matrix @ image.numpy().ravel(), expected.numpy().ravel(), rtol=0, atol=1e-12)
    head = operator(graph, "pool", "fc", weights)
    assert head.shape == (2, 3 * 2 * 2)


def test_columns_are_the_field_and_empty_ones_the_pixels_that_are_lost():
    """A 1x1 of stride 2 behind a 3x3 of stride 2 leaves out every other row of a map that has seen all rows."""
    net = Builder("chain")
    x = net.input(TensorType((1, 1, 13, 13)))
    x = net.add(Conv2d(1, 1, 3, 2, bias=False), x, name="first")
    x = net.add(Conv2d(1, 1, 1, 2, bias=False), x, name="skips")
    graph = net.graph(x)
    matrix = operator(graph, "first", "skips", ones(graph)).toarray().reshape(3, 3, 13, 13)
    for unit in range(3):
        rows = np.flatnonzero(matrix[unit, 0].any(1))
        first, last = receptive_fields(graph)["skips"].height.span(unit)
        assert (rows[0], rows[-1]) == (first, last)
    unread = np.flatnonzero(~matrix.any((0, 1, 3)))
    assert list(unread) == [3, 7, 11, 12]
    union = 0
    for mask in supports(graph, 0)["skips"]:
        union |= mask
    assert [row for row in range(13) if not union >> row & 1] == [3, 7, 11, 12]


def test_what_is_not_linear_is_refused_by_name():
    graph = stretch()
    weights = {name: tensor.numpy() for name, tensor in build(graph).state_dict().items()}
    with pytest.raises(GraphError, match=r"max: must be linear .*MaxPool2d"):
        operator(graph, "mean", "max", weights)
    with pytest.raises(GraphError, match=r"act: must be linear .*ReLU"):
        operator(graph, "act", "conv", weights)


def test_a_stretch_must_be_a_chain():
    net = Builder("joins")
    x = net.input(TensorType((1, 1, 4, 4)))
    a = net.add(Conv2d(1, 1, 1, bias=False), x, name="a")
    b = net.add(Conv2d(1, 1, 1, bias=False), x, name="b")
    graph = net.graph(net.add(Conv2d(1, 1, 1, bias=False), net.add(Add(), a, b, name="sum"), name="last"))
    with pytest.raises(GraphError, match=r"sum: a stretch must not join branches .*Add"):
        operator(graph, "a", "last", ones(graph))
    with pytest.raises(GraphError, match=r"b: the stretch must lead to its last node .*'a'"):
        operator(graph, "a", "b", ones(graph))
    with pytest.raises(GraphError, match=r"no node has this name .*'c'"):
        operator(graph, "c", "b", ones(graph))


def test_missing_weights_are_named():
    with pytest.raises(GraphError, match=r"op: weights must be given .*'weight'"):
        operator(one(Conv2d(1, 1, 3), 1, 1, 8, 8), "op", "op", {})


def test_shared_weights_are_found_under_their_owner():
    net = Builder("shared")
    x = net.input(TensorType((1, 1, 4, 4)))
    x = net.add(Conv2d(1, 1, 1, bias=False), x, name="owner")
    graph = net.graph(x)
    again = Node("other", graph.nodes[0].op, ("owner",), shares="owner")
    shared = Graph("shared", graph.inputs, (*graph.nodes, again), ("other",))
    matrix = operator(shared, "owner", "other", {"owner.weight": np.full((1, 1, 1, 1), 3.0)})
    assert (matrix.diagonal() == 9).all()


def test_a_matrix_above_the_cap_is_refused_before_it_is_built():
    graph = one(Conv2d(64, 64, 3, padding=1, bias=False), 1, 64, 224, 224)
    with pytest.raises(
        GraphError, match=r"op to op: the matrix must have at most 50,000,000 non-zeros .*18\d\d\d\d\d\d\d\d"
    ):
        operator(graph, "op", "op", {})
    small = one(Conv2d(1, 1, 3, bias=False), 1, 1, 8, 8)
    assert operator(small, "op", "op", ones(small), largest=36 * 9).nnz == 36 * 9
    with pytest.raises(GraphError, match=r"at most 323"):
        operator(small, "op", "op", ones(small), largest=36 * 9 - 1)


def test_the_cap_knows_that_a_row_has_no_more_entries_than_columns():
    net = Builder("deep")
    x = net.input(TensorType((1, 1, 4, 4)))
    for number in range(5):
        x = net.add(Conv2d(1, 1, 3, padding=1, bias=False), x, name=f"conv{number}")
    graph = net.graph(x)
    assert operator(graph, "conv0", "conv4", ones(graph), largest=16 * 16).nnz == 16 * 16
