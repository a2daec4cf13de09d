"""Receptive fields against published figures and against the support of real gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convsmith.analysis import receptive_fields
from convsmith.design import lower, zoo
from convsmith.interop.torch_module import build
from convsmith.ir import Builder, Graph, TensorType
from convsmith.ops import (
    Add,
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    Linear,
    Mul,
    Permute,
    Reduce,
    Reshape,
    Resize,
    Sigmoid,
)
from tests.analysis import nets

# Size at the end, jump, center and shortest path: the resnets and VGG from public tables, MobileNetV1 from Araujo et
# al. (2019), ConvNeXt from its kernels; the others derived by hand from the published architectures.
LAST_MAP = {
    "resnet18": ("stage4.block2.act", 435, 32, 0, 11),
    "resnet34": ("stage4.block3.act", 899, 32, 0, 11),
    "resnet50": ("stage4.block3.act", 427, 32, 0, 11),
    "resnet101": ("stage4.block3.act", 971, 32, 0, 11),
    "resnet152": ("stage4.block3.act", 1451, 32, 0, 11),
    "vgg16": ("head.pool", 212, 32, 15.5, 212),
    "vgg19": ("head.pool", 268, 32, 15.5, 268),
    "mobilenet-v1": ("stage5.block2.project.act", 315, 32, 0, 315),
    "mobilenet-v2": ("head.expand.act", 491, 32, 0, 163),
    "efficientnet-b0": ("head.expand.act", 851, 32, 0, 235),
    "convnext-tiny": ("stage4.block3.add", 1688, 32, 15.5, 32),
}

STAGES = {
    "resnet18": (11, 43, 99, 211, 435),
    "resnet34": (11, 59, 179, 547, 899),
    "resnet50": (11, 35, 91, 267, 427),
    "resnet101": (11, 35, 91, 811, 971),
    "resnet152": (11, 35, 155, 1291, 1451),
}


@pytest.mark.parametrize("name", LAST_MAP)
def test_the_last_map_has_its_published_field(name):
    value, size, jump, center, shortest = LAST_MAP[name]
    field = receptive_fields(lower(zoo.load(name)))[value].height
    assert (field.size, field.jump, field.center, field.min_size) == (size, jump, center, shortest)


@pytest.mark.parametrize("name", STAGES)
def test_stages_end_with_their_published_fields(name):
    graph = lower(zoo.load(name))
    fields = receptive_fields(graph)
    ends = {node.name.split(".")[0]: node.name for node in graph.nodes}
    assert (
        tuple(fields[ends[part]].width.size for part in ("stem", "stage1", "stage2", "stage3", "stage4"))
        == STAGES[name]
    )


def test_squeeze_and_excitation_makes_everything_after_it_global_but_keeps_the_local_field():
    fields = receptive_fields(lower(zoo.load("efficientnet-b0")))
    assert not fields["stage1.block1.spatial.act"].height.whole
    assert fields["stage1.block1.se.scale"].height.whole
    assert fields["stage1.block1.se.scale"].height.size == fields["stage1.block1.spatial.act"].height.size


def test_the_contract_has_whole_numbers_where_they_are_whole():
    fields = receptive_fields(lower(zoo.load("vgg16")))
    assert fields["head.pool"].to_dict() == {
        "size": [212, 212],
        "min_size": [212, 212],
        "jump": [32, 32],
        "center": [15.5, 15.5],
        "padding": [90, 90],
        "global": False,
    }
    assert fields["head.classifier"].to_dict()["global"]


LAYERS = st.one_of(
    st.builds(
        lambda k, s, p, d: Conv2d(1, 1, (k, k), (s, s), ((min(p, k), p), (p, p)), (d, d), bias=False),
        st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2),
    ),
    st.builds(lambda k, s: AvgPool2d((k, k), (s, s)), st.integers(1, 3), st.integers(1, 2)),
    st.builds(
        lambda k, s, p: ConvTranspose2d(1, 1, (k + s, k + s), (s, s), (p, p), bias=False),
        st.integers(0, 2), st.integers(1, 3), st.integers(0, 1),
    ),
    st.builds(lambda n: Resize((n, n)), st.integers(20, 60)),
)  # fmt: skip


def support(graph: Graph) -> list[tuple[int, int]]:
    """First and last input row that each output row really depends on, by gradients with positive weights."""
    module = build(graph).double()
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 1.0)
    images = torch.rand(1, *graph.inputs[0][1].shape[1:], dtype=torch.float64, requires_grad=True)
    rows = module(images)[0, 0].sum(1)
    spans = []
    for row in rows:
        (gradient,) = torch.autograd.grad(row, images, retain_graph=True)
        seen = np.flatnonzero(gradient[0, 0].abs().sum(1).numpy())
        spans.append((int(seen[0]), int(seen[-1])) if len(seen) else (0, -1))
    return spans


@pytest.mark.slow
@given(layers=st.lists(LAYERS, min_size=1, max_size=4))
@settings(max_examples=60)
def test_the_field_of_a_chain_is_the_support_of_its_gradient(layers):
    net = Builder("chain")
    x = net.input(TensorType((1, 1, 40, 40)))
    for number, layer in enumerate(layers):
        if min(net.type(x).shape[2:]) < 12 or net.type(x).shape[2] > 130:
            break
        if nets.takes_exact_pixels(layer, net.type(x)):
            x = net.add(layer, x, name=f"layer{number}")
    graph = net.graph(x)
    field = receptive_fields(graph)[x].height
    used = [node.op for node in graph.nodes]
    sizes = []
    for number, (first, last) in enumerate(support(graph)):
        low, high = field.span(number)
        if last >= first:
            assert low <= first <= last <= high
        if low >= 0 and high <= 39:  # away from the borders, where padding hides pixels
            sizes.append(last - first + 1)
    if sizes and all(isinstance(op, Conv2d | AvgPool2d) for op in used):
        assert set(sizes) == {field.size}
    elif len(sizes) > 12 and len(used) == 1:
        assert max(sizes) == field.size  # the steps of enlarged maps are uneven: the most that any unit sees


def test_branches_are_united_and_the_shortest_path_is_kept():
    net = Builder("branches")
    x = net.input(TensorType((1, 1, 33, 33)))
    a = net.add(Conv2d(1, 1, (7, 7), padding=((3, 3), (3, 3))), x, name="a")
    b = net.add(Conv2d(1, 1, (3, 3), padding=((0, 2), (0, 2))), x, name="b")
    total = net.add(Add(), a, b, name="sum")
    gate = net.add(Sigmoid(), net.add(GlobalAvgPool(), total, name="pool"), name="gate")
    out = net.add(Mul(), total, gate, name="out")
    fields = receptive_fields(net.graph(out))
    assert (fields["b"].height.center, fields["b"].height.size) == (1, 3)
    assert (fields["sum"].height.size, fields["sum"].height.min_size, fields["sum"].height.center) == (7, 3, 0)
    assert fields["out"].height.whole
    assert fields["out"].height.size == 7


def test_tokens_put_back_in_their_places_are_a_map_again():
    net = Builder("tokens")
    x = net.input(TensorType((1, 3, 32, 32)))
    patches = net.add(Conv2d(3, 8, (4, 4), (4, 4)), x, name="patches")
    tokens = net.add(Permute((0, 2, 1)), net.add(Reshape((-1, 8, 64)), patches, name="flat"), name="tokens")
    mixed = net.add(Linear(8, 8), tokens, name="mixed")
    back = net.add(Reshape((-1, 8, 8, 8)), net.add(Permute((0, 2, 1)), mixed, name="columns"), name="back")
    out = net.add(Conv2d(8, 8, (3, 3), (2, 2), 1), back, name="out")
    fields = receptive_fields(net.graph(out))
    assert not fields["mixed"].local
    assert fields["back"].local
    assert fields["back"].height.whole
    assert (fields["out"].height.jump, fields["out"].height.size) == (8, 12)


def test_pixels_moved_into_channels_lengthen_the_jump():
    net = Builder("focus")
    x = net.input(TensorType((1, 3, 8, 8)))
    cut = net.add(Reshape((-1, 3, 4, 2, 4, 2)), x, name="cut")
    out = net.add(Reshape((-1, 12, 4, 4)), net.add(Permute((0, 3, 5, 1, 2, 4)), cut, name="moved"), name="out")
    field = receptive_fields(net.graph(out))["out"]
    assert (field.jump, field.local) == ((2, 2), True)


def test_a_pooled_map_given_another_shape_is_no_map():
    net = Builder("gate")
    x = net.input(TensorType((1, 8, 8, 8)))
    flat = net.add(Flatten(), net.add(GlobalAvgPool(), x, name="pool"), name="flat")
    gate = net.add(Reshape((-1, 8, 1, 1)), flat, name="gate")
    out = net.add(Mul(), x, gate, name="out")
    fields = receptive_fields(net.graph(out))
    assert not fields["gate"].local
    assert (fields["out"].local, fields["out"].jump, fields["out"].height.size) == (True, (1, 1), 1)


def test_an_axis_pooled_away_leaves_the_other_as_it_was():
    """The strips of coordinate attention: each sees all of one axis and its own place along the other."""
    net = Builder("strips")
    x = net.add(Conv2d(1, 1, (3, 3), padding=1), net.input(TensorType((1, 1, 9, 9))), name="conv")
    rows = net.add(Reduce("mean", (3,), keepdim=True), x, name="rows")
    fields = receptive_fields(net.graph(rows))
    assert (fields["rows"].height, fields["rows"].width.local) == (fields["conv"].height, False)
    assert fields["rows"].width.whole


def test_normalising_over_the_map_sees_all_of_it_and_moves_nothing():
    net = Builder("norm")
    x = net.add(Conv2d(3, 4, (3, 3), (2, 2), 1), net.input(TensorType((1, 3, 16, 16))), name="conv")
    x = net.add(GroupNorm(2, 4), x, name="norm")
    out = net.add(Conv2d(4, 4, (3, 3), padding=1), x, name="out")
    field = receptive_fields(net.graph(out))["out"]
    assert (field.local, field.height.whole, field.jump, field.height.size) == (True, True, (2, 2), 7)
