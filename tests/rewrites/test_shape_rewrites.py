"""Rules that keep only the shapes: of the results, and of the maps that the rest of the network reads."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convsmith.analysis import cost, receptive_fields
from convsmith.design import lower, make_design, parse_design, write_design, zoo
from convsmith.errors import ModelError
from convsmith.ir import Builder, TensorType
from convsmith.ops import (
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    ReLU,
)
from convsmith.rewrites import apply, find_rule
from convsmith.rewrites.same import renaming
from tests.rewrites.rewrite_nets import networks, numbers, random_image, random_weights

FIRST = {
    "strided-convolution": lambda draw, channels: draw(st.sampled_from([MaxPool2d, AvgPool2d]))(
        draw(st.integers(2, 3)),
        draw(st.sampled_from([2, (1, 3), 3])),
        draw(st.integers(0, 1)),
        ceil_mode=draw(st.booleans()),
    ),
    "pooling": lambda draw, channels: Conv2d(
        channels, 4, draw(st.integers(1, 5)), draw(st.sampled_from([2, 3, (2, 1)])), draw(st.integers(0, 3))
    ),
    "two-3x3": lambda draw, channels: Conv2d(
        channels, 4, 5, draw(st.integers(1, 2)), ((draw(st.integers(0, 4)), draw(st.integers(0, 3))), (2, 2))
    ),
    "global-pooling": lambda draw, channels: Conv2d(channels, 4, 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIRST)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_not_rewritten_keeps_its_name_its_shape_and_its_weights(name, data):
    graph = data.draw(networks(first=FIRST[name]))
    weights = random_weights(graph)
    try:
        result = apply(find_rule(name), graph, weights)
    except ModelError:
        assert name == "global-pooling"  # the only one whose place may be missing
        return
    after = result.graph
    assert after.types[after.outputs[0]].shape == graph.types[graph.outputs[0]].shape
    old = {node.name for node in graph.nodes} - set(result.changed)
    kept = [node.name for node in after.nodes if node.name in old]
    for value in kept if name != "global-pooling" else ():
        assert after.types[value] == graph.types[value]
    for full, array in result.weights.items():
        if full.rpartition(".")[0] in kept and full in weights:
            assert array is weights[full] or (array == weights[full]).all()
    assert dict(after.stored_shapes).items() >= {key: array.shape for key, array in result.weights.items()}.items()
    image = random_image(graph.inputs[0][1].shape)
    assert numbers(after, random_weights(after), image).shape == graph.types[graph.outputs[0]].shape


def one(op, shape=(1, 3, 9, 9), *followers):
    net = Builder("one")
    x = net.add(op, net.input(TensorType(shape)), name="layer")
    for number, follower in enumerate(followers):
        x = net.add(follower, x, name=f"after{number}")
    return net.graph(x)


def after(name, graph):
    return apply(find_rule(name), graph, random_weights(graph)).graph


def ops(graph):
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize("stride", [1, 2])
def test_two_small_kernels_see_what_the_large_one_saw(stride):
    graph = one(Conv2d(3, 8, 5, stride, 2, bias=False), (1, 3, 9, 9), BatchNorm2d(8), ReLU())
    small = after("two-3x3", graph)
    first, second = Conv2d(3, 8, 3, 1, 1, bias=False), Conv2d(8, 8, 3, stride, 1, bias=False)
    assert ops(small) == [first, BatchNorm2d(8), ReLU(), second, BatchNorm2d(8), ReLU()]
    assert receptive_fields(small)["layer"].to_dict() == receptive_fields(graph)["layer"].to_dict()
    assert cost(graph).params - 16 == 25 * 3 * 8
    assert cost(small).params - 32 == 9 * 3 * 8 + 9 * 8 * 8


def test_a_depthwise_kernel_becomes_two_depthwise_ones_with_18_of_25_weights():
    graph = one(Conv2d(8, 8, 5, 1, 2, groups=8, bias=False), (1, 8, 9, 9))
    small = after("two-3x3", graph)
    assert ops(small) == [Conv2d(8, 8, 3, 1, 1, groups=8, bias=False)] * 2
    assert cost(small).macs * 25 == cost(graph).macs * 18


def test_a_maximum_becomes_a_convolution_with_an_activation():
    graph = one(MaxPool2d(3, 2, 1))
    assert ops(after("strided-convolution", graph)) == [Conv2d(3, 3, 3, 2, 1), ReLU()]
    assert receptive_fields(after("strided-convolution", graph))["layer"].size == (3, 3)


def test_a_last_window_that_a_pooling_leaves_out_is_left_out_by_its_convolution():
    """Rounded up, a last window would lie in the padding alone, and torch drops it."""
    graph = one(MaxPool2d(2, 3, 1, ceil_mode=True), (1, 3, 8, 8))
    assert graph.types["layer"].shape == (1, 3, 3, 3)
    assert ops(after("strided-convolution", graph)) == [Conv2d(3, 3, 2, 3, ((1, 0), (1, 0))), ReLU()]


@pytest.mark.parametrize("size", [8, 9])
def test_a_stride_becomes_a_pooling_before_the_same_convolution(size):
    graph = one(Conv2d(3, 4, 3, 2, 1), (1, 3, size, size))
    pooled = after("pooling", graph)
    assert ops(pooled) == [AvgPool2d(2, ceil_mode=size % 2 > 0), Conv2d(3, 4, 3, 1, 1)]
    assert pooled.types["layer"].shape == graph.types["layer"].shape
    assert cost(pooled).macs == cost(graph).macs


def test_a_layer_that_shares_its_weights_stays():
    graph = one(Conv2d(3, 3, 5, 2, 2), (1, 3, 9, 9), Conv2d(3, 3, 5, 2, 2))
    first, second = graph.nodes
    shared = replace(graph, nodes=(first, replace(second, shares=first.name)))
    for name in ("pooling", "two-3x3"):
        with pytest.raises(ModelError, match="layer: shares its weights") as caught:
            apply(find_rule(name), shared, random_weights(shared))
        assert f"it applies to {find_rule(name).applies}" in str(caught.value)


def test_global_pooling_leaves_one_layer_behind_the_mean():
    graph = one(MaxPool2d(2), (1, 3, 8, 8), Flatten(), Linear(48, 20), ReLU(), Linear(20, 7))
    assert ops(after("global-pooling", graph)) == [GlobalAvgPool(), Flatten(), Linear(3, 7)]
    bare = one(Conv2d(3, 5, 3), (1, 3, 8, 8), Flatten(), Linear(180, 7))
    assert ops(after("global-pooling", bare)) == [Conv2d(3, 5, 3), GlobalAvgPool(), Flatten(), Linear(5, 7)]


def design(**stage):
    return make_design(
        {
            "name": "small",
            "input": [3, 16, 16],
            "stem": {"block": "conv", "width": 8},
            "stage": [{"block": "conv", "depth": 2, "width": 8, **stage}],
            "head": {"task": "classify", "classes": 5, "pool": "max", "hidden": [12], "dropout": 0.1},
        }
    )


@pytest.mark.parametrize(
    ("name", "stage", "key"),
    [
        ("two-3x3", {"kernel": 5}, "depth = 4"),
        ("pooling", {"stride": 2}, 'downsampling = "avg_pool"'),
        ("global-pooling", {}, 'task = "classify"'),
        ("fold-norm", {}, 'norm = "none"'),
    ],
)
def test_a_design_is_rewritten_as_a_design_where_its_keys_can_say_it(name, stage, key):
    """What it lowers to is, node by node, what the rule makes of the graph."""
    before = design(**stage)
    graph = lower(before)
    result = apply(find_rule(name), graph, random_weights(graph), before)
    assert key in write_design(result.design)
    assert parse_design(write_design(result.design)) == result.design
    alone = apply(find_rule(name), graph, random_weights(graph))
    assert alone.design is None
    assert renaming(alone.graph, lower(result.design)) is not None
    assert result.graph.param_shapes == lower(result.design).param_shapes


def test_a_design_that_cannot_say_it_is_a_graph_from_then_on():
    before = design(stride=2, kernel=5)  # its first block would stride before it looks around
    graph = lower(before)
    assert apply(find_rule("two-3x3"), graph, random_weights(graph), before).design is None


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet-v2", "vgg16"])
def test_every_block_of_the_zoo_has_a_ghost_twin_of_the_same_stages(name):
    before = zoo.load(name)
    result = apply(find_rule("ghost"), lower(before), {}, before)
    after = result.design
    assert {stage.block for stage in after.stage} == {"ghost"}
    assert [(s.depth, s.width, s.stride) for s in after.stage] == [(s.depth, s.width, s.stride) for s in before.stage]
    assert cost(lower(after)).macs < cost(lower(before)).macs
    assert lower(after).types[result.graph.outputs[0]].shape == (1, 1000)


def test_in_a_network_that_is_no_design_a_convolution_becomes_a_ghost_module():
    net = Builder("read")
    x = net.add(Conv2d(3, 8, 3), net.input(TensorType((1, 3, 9, 9))), name="stem")
    x = net.add(ReLU(), net.add(BatchNorm2d(6), net.add(Conv2d(8, 6, 3, 2), x, name="conv"), name="norm"), name="act")
    graph = net.graph(net.add(Conv2d(6, 5, 1), x, name="odd"))
    result = apply(find_rule("ghost"), graph, random_weights(graph))
    half = [BatchNorm2d(3), ReLU()]
    cheap = Conv2d(3, 3, 3, 1, 1, groups=3)
    assert ops(result.graph) == [graph.node("stem").op, Conv2d(8, 3, 3, 2), *half, cheap, *half, Concat(),
                                 graph.node("odd").op]  # fmt: skip
    assert result.graph.node("act").inputs == ("act_primary_act", "act_cheap_act")
    assert result.left == {
        "stem": "it reads the image, which is computed in full", "odd": "5 channels are no two halves",
    }  # fmt: skip
    assert cost(result.graph).macs < cost(graph).macs
    image = random_image((1, 3, 9, 9))
    assert numbers(result.graph, random_weights(result.graph), image).shape == graph.types["odd"].shape


def test_what_is_a_ghost_already_has_no_twin():
    twin = apply(find_rule("ghost"), lower(zoo.load("resnet18")), {}, zoo.load("resnet18")).design
    with pytest.raises(ModelError, match="finds nothing to do"):
        apply(find_rule("ghost"), lower(twin), {}, twin)
