"""Rules that keep the numbers keep them: on random small networks, held against torch in float64."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convsmith.analysis import cost
from convsmith.errors import ModelError
from convsmith.ir import Builder, Graph, TensorType
from convsmith.ops import (
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Linear,
    ReLU,
)
from convsmith.rewrites import apply, find_rule
from tests.rewrites.rewrite_nets import networks, numbers, random_image, random_weights


def rewritten(name, graph, weights):
    try:
        return apply(find_rule(name), graph, weights)
    except ModelError:
        assume(False)


def assert_same(one, other):
    scale = max(1.0, np.abs(one).max())
    assert np.abs(one.ravel() - other.ravel()).max() <= 1e-10 * scale


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full-convolution", "fold-norm", "zero-insertion"])
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_network_gives_the_numbers_it_gave(name, data):
    kinds = {"zero-insertion": ("up", "conv", "act"), "fold-norm": ("conv", "norm", "up", "add", "act")}.get(name)
    graph = data.draw(networks(kinds) if kinds else networks())
    weights = random_weights(graph)
    image = random_image(graph.inputs[0][1].shape)
    result = rewritten(name, graph, weights)
    assert result.keeps == "numbers"
    assert result.weights.keys() == result.graph.stored_shapes.keys()
    assert_same(numbers(graph, weights, image), numbers(result.graph, result.weights, image))
    left = {"full-convolution": (Linear, Flatten), "zero-insertion": (ConvTranspose2d,)}.get(name, ())
    assert not [node for node in result.graph.nodes if isinstance(node.op, left)]


@pytest.mark.slow
@given(networks(most_padding=0, pools=("none", "mean"), kinds=("conv", "norm", "act", "max")), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_on_a_larger_image_every_place_has_the_score_of_its_window(graph, more):
    """Without padding the map of scores is the network slid over the image, window by window."""
    weights = random_weights(graph)
    result = rewritten("full-convolution", graph, weights)
    type = graph.inputs[0][1]
    _, channels, high, wide = type.shape
    large = random_image((1, channels, high + 2 * more, wide + 3))
    wider = result.graph.with_inputs(type.with_shape(*large.shape))
    scores = numbers(wider, result.weights, large)
    assert scores.shape[:2] == (1, 4)
    steps = [strides(graph, axis) for axis in (0, 1)]
    assume(all(size % step == 0 for step, size in zip(steps, (2 * more, 3), strict=True)))
    assert scores.shape[2:] == (2 * more // steps[0] + 1, 3 // steps[1] + 1)
    for row in range(scores.shape[2]):
        for column in range(scores.shape[3]):
            top, left = row * steps[0], column * steps[1]
            window = np.ascontiguousarray(large[:, :, top : top + high, left : left + wide])
            assert_same(numbers(graph, weights, window), scores[:, :, row, column])


def strides(graph: Graph, axis):
    """Pixels from one place to the next: the product of all strides, if no size was rounded anywhere."""
    step = 1
    for node in graph.nodes:
        if hasattr(node.op, "stride"):
            (window, size) = node.op.window(*graph.input_types(node))[axis], graph.input_types(node)[0].shape[2 + axis]
            assume(window.remainder(size) == 0 and not getattr(node.op, "ceil_mode", False))
            step *= node.op.stride[axis]
    return step


def chain(*ops, shape=(1, 4, 6, 5)):
    net = Builder("chain")
    x = net.input(TensorType(shape))
    for number, op in enumerate(ops):
        x = net.add(op, x, name=f"op{number}")
    return net.graph(x)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (Conv2d(4, 6, 3, groups=2, bias=False), BatchNorm2d(6, eps=0.1), (1, 4, 6, 5)),
        (ConvTranspose2d(4, 6, 3, 2, groups=2), BatchNorm2d(6), (1, 4, 6, 5)),
        (Linear(4, 3, bias=False), BatchNorm1d(3), (1, 4)),
        (Linear(4, 3, axis=1), BatchNorm2d(3, affine=False), (1, 4, 6, 5)),
    ],
)
def test_a_norm_folds_into_every_kind_of_layer(layer, norm, shape):
    graph = chain(layer, norm, shape=shape)
    weights = random_weights(graph)
    result = apply(find_rule("fold-norm"), graph, weights)
    assert [type(node.op) for node in result.graph.nodes] == [type(layer)]
    image = random_image(shape)
    assert_same(numbers(graph, weights, image), numbers(result.graph, result.weights, image))


def test_a_norm_stays_where_its_layer_is_read_elsewhere_or_does_not_stand_before_it():
    net = Builder("shared")
    x = net.input(TensorType((1, 2, 5, 5)))
    conv = net.add(Conv2d(2, 2, 1), x, name="conv")
    norm = net.add(BatchNorm2d(2), conv, name="norm")
    late = net.add(BatchNorm2d(2), net.add(ReLU(), norm, name="act"), name="late")
    graph = net.graph(net.add(Add(), late, conv, name="sum"))
    with pytest.raises(ModelError) as caught:
        apply(find_rule("fold-norm"), graph, random_weights(graph))
    message = str(caught.value)
    for part in ("fold-norm finds nothing to do", "norm: the result of conv is also read", "late: no convolution"):
        assert part in message
    assert "batch normalisation directly behind a convolution" in message


def test_an_average_pooling_and_its_convolution_are_the_same_numbers():
    graph = chain(AvgPool2d(3, 2, 1), ReLU())
    weights = random_weights(graph)
    result = apply(find_rule("strided-convolution"), graph, weights)
    assert result.keeps == "numbers"
    assert result.graph.node("op0").op == Conv2d(4, 4, 3, 2, 1)
    image = random_image((1, 4, 6, 5))
    assert_same(numbers(graph, weights, image), numbers(result.graph, result.weights, image))
    uncounted = chain(AvgPool2d(3, 2, 1, count_include_pad=False))
    assert apply(find_rule("strided-convolution"), uncounted, {}).keeps == "shapes"
    rounded = chain(AvgPool2d(2, 2, ceil_mode=True))
    assert apply(find_rule("strided-convolution"), rounded, {}).keeps == "shapes"


def test_what_a_rewrite_says_of_the_cost_is_what_torch_counts():
    graph = chain(ConvTranspose2d(4, 6, 3, 2, 1, 1), BatchNorm2d(6), Flatten(), Linear(6 * 12 * 10, 3))
    weights = random_weights(graph)
    for name in ("full-convolution", "fold-norm", "zero-insertion"):
        result = apply(find_rule(name), graph, weights)
        numel = sum(array.size for key, array in result.weights.items() if "running" not in key)
        assert cost(result.graph).params == numel
    slid = apply(find_rule("zero-insertion"), graph, weights).graph
    assert cost(slid).layers[2].macs == 12 * 10 * 6 * 4 * 9  # blanks are multiplied, too
    assert torch.Size(slid.types["op0"].shape) == torch.Size((1, 6, 12, 10))
