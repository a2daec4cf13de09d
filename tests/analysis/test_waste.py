"""Pixels never read, against gradients that do not arrive and the hand-derived figures of published networks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convsmith.analysis import nearest_sizes, receptive_fields, waste
from convsmith.design import lower, zoo
from convsmith.errors import OpError
from convsmith.interop.torch_module import build
from convsmith.ir import Builder, Graph, TensorType
from convsmith.ops import AvgPool2d, Conv2d, ConvTranspose2d, Flatten, GlobalAvgPool, Linear, Slice
from tests.analysis import nets


def wasted(graph: Graph):
    return waste(graph, receptive_fields(graph))


def at(graph: Graph, height: int, width: int | None = None) -> Graph:
    (_, type), *_ = graph.inputs
    return graph.with_inputs(type.with_shape(*type.shape[:2], height, width or height))


def left_over(graph: Graph) -> list[tuple[str, int, int]]:
    """Layers whose windows end before their input does, with positions of padding and real rows left over."""
    layers = wasted(graph).layers.items()
    return [
        (name, layer.rows.padding, layer.rows.edge) for name, layer in layers if layer.rows.padding or layer.rows.edge
    ]


def test_resnet50_leaves_eight_layers_with_a_remainder_and_loses_nothing():
    graph = lower(zoo.load("resnet50"))
    assert left_over(graph) == [
        ("stem.conv", 1, 0),
        ("stem.pool", 1, 0),
        *(
            row
            for stage in (2, 3, 4)
            for row in ((f"stage{stage}.block1.spatial.conv", 1, 0), (f"stage{stage}.block1.shortcut.conv", 0, 1))
        ),
    ]
    assert wasted(graph).lossy == ()


def test_resnet50_with_its_strides_on_1x1_loses_a_row_and_three_quarters_of_the_map():
    graph = nets.resnet(224, early_stride=True)
    found = wasted(graph)
    assert found.lossy == tuple(f"layer{stage}.0.{part}" for stage in (2, 3, 4) for part in ("1.conv", "downsample.0"))
    for name in found.lossy:
        layer = found.layers[name]
        assert (layer.rows.lost_edge, layer.columns.lost_edge, layer.lost_share) == (1, 1, 0.75)
    assert found.layers["layer2.0.1.conv"].rows.lost_inside == 27


def test_at_225_pixels_nothing_of_resnet50_is_left_over():
    assert left_over(at(lower(zoo.load("resnet50")), 225)) == []


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_vgg_leaves_nothing_over(name):
    assert left_over(lower(zoo.load(name))) == []


def test_alexnet_leaves_over_padding_only():
    assert left_over(nets.alexnet_torchvision(224)) == [("conv2d1", 1, 0)]


def test_rows_and_columns_are_told_apart():
    graph = at(nets.resnet(224, early_stride=True), 224, 225)
    layer = wasted(graph).layers["layer2.0.downsample.0"]
    assert (layer.rows.lost_edge, layer.columns.lost_edge) == (1, 0)


READERS = st.one_of(
    st.builds(
        lambda kernel, stride, dilation: Conv2d(1, 1, kernel, stride, 0, dilation, bias=False),
        st.tuples(st.integers(1, 3), st.integers(1, 3)), st.tuples(st.integers(1, 4), st.integers(1, 4)),
        st.tuples(st.integers(1, 2), st.integers(1, 2)),
    ),
    st.builds(lambda kernel, stride: AvgPool2d(kernel, stride), st.integers(1, 3), st.integers(1, 4)),
    st.builds(lambda axis, start, step: Slice(axis, start, 8, step), st.sampled_from([2, 3]), st.integers(0, 3),
              st.integers(1, 3)),
    st.builds(lambda kernel, padding: ConvTranspose2d(1, 1, kernel + 3, 2, padding, bias=False),
              st.integers(0, 1), st.integers(0, 3)),
)  # fmt: skip


@given(st.integers(8, 13), st.integers(8, 13), st.lists(READERS, min_size=1, max_size=3))
@settings(max_examples=80)
def test_pixels_that_nothing_reads_are_those_without_a_gradient(height, width, readers):
    net = Builder("readers")
    x = net.input(TensorType((1, 1, height, width)))
    graph = net.graph(*(net.add(op, x, name=f"reader{number}") for number, op in enumerate(readers)))
    module = build(graph).double()
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 1.0)
    image = torch.rand(1, 1, height, width, dtype=torch.float64, requires_grad=True)
    given_back = module(image)
    parts = given_back if isinstance(given_back, tuple | list) else [given_back]
    (gradient,) = torch.autograd.grad(sum(part.sum() for part in parts), image)
    unread = gradient[0, 0] == 0
    for layer in wasted(graph).layers.values():
        assert layer.rows.lost == unread.all(1).sum()
        assert layer.columns.lost == unread.all(0).sum()
        assert layer.lost_share == pytest.approx(unread.double().mean().item())


def test_what_one_slice_skips_the_others_read():
    net = Builder("focus")
    x = net.input(TensorType((1, 3, 8, 8)))
    rows = [net.add(Slice(2, start, 8, 2), x, name=f"rows{start}") for start in (0, 1)]
    graph = net.graph(*rows)
    layer = wasted(graph).layers["rows0"]
    assert (layer.rows.inside, layer.rows.edge, layer.rows.lost, layer.lost_share) == (3, 1, 0, 0.0)


def test_multiplications_by_padding():
    net = Builder("padding")
    x = net.input(TensorType((1, 2, 4, 4)))
    out = net.add(Conv2d(2, 3, 3, padding=1), x, name="conv")
    found = wasted(net.graph(out))
    # 16 windows of 9 taps; along an axis 2 of the 12 taps fall on padding: 10 times 10 are real
    assert found.padding_macs == found.layers["conv"].padding_macs == 2 * 3 * (144 - 100)


@pytest.mark.parametrize(
    ("build", "margins"), [("resnet50", (0, 31)), ("vgg16", (15.5, 15.5)), ("mobilenet-v1", (0, 31))]
)
def test_centers_of_the_last_map_leave_margins(build, margins):
    layers = wasted(lower(zoo.load(build))).layers
    last = list(layers.values())[-1]
    assert last.rows.margins == last.columns.margins == margins
    assert last.rows.off_center == margins[1] - margins[0]


def test_layers_of_resnet50_sleep_below_75_and_427_pixels():
    """The feasible sizes that the receptive field analysis toolbox gives for ResNet-50."""
    graph = lower(zoo.load("resnet50"))
    layers = wasted(graph).layers.values()
    assert max(layer.min_wakes for layer in layers if layer.min_wakes) == (75, 75)
    assert max(layer.wakes for layer in layers if layer.wakes) == (427, 427)
    assert (wasted(at(graph, 75)).min_unproductive, wasted(at(graph, 427)).unproductive) == ((), ())
    assert wasted(at(graph, 74)).min_unproductive == ("stage4.block2.expand.conv", "stage4.block3.expand.conv")
    assert wasted(at(graph, 426)).unproductive == ("stage4.block3.expand.conv",)


def test_an_axis_that_still_has_something_new_keeps_a_layer_productive():
    graph = lower(zoo.load("vgg16"))
    assert wasted(at(graph, 224, 224)).unproductive == ()
    net = nets.Net((8, 64))
    x = net.conv(net.conv(net.x, 1, 11, 1, 5), 1, 3, 1, 1, name="last")
    assert wasted(net.build.graph(x)).unproductive == ()
    assert wasted(at(net.build.graph(x), 8, 8)).unproductive == ("last",)


def test_gates_and_classifiers_are_no_layers_on_a_map():
    layers = wasted(nets.mobilenet_v2()).layers
    assert layers["blocks.1.0.se.fc"].wakes is None
    assert "fc" not in layers


def test_the_contract_of_a_layer():
    graph = lower(zoo.load("resnet50"))
    axis = {"padding": 0, "edge": 1, "inside": 27, "lost_edge": 0, "lost_inside": 0, "margins": [0, 7]}
    assert wasted(graph).layers["stage2.block1.shortcut.conv"].to_dict() == {
        "rows": axis, "columns": axis, "lost_share": 0.0, "padding_macs": 0, "wakes": [35, 35], "min_wakes": [11, 11],
    }  # fmt: skip


def test_the_nearest_sizes_of_resnet50_are_225_at_13_percent_more_and_193():
    sizes = nearest_sizes(lower(zoo.load("resnet50")))
    assert [size.to_dict() for size in sizes if size] == [
        {"size": [193, 193], "macs": 3_468_932_288},
        {"size": [225, 225], "macs": 4_626_713_792},
    ]


def test_at_the_nearest_sizes_nothing_is_left_over_and_between_them_something():
    graph = lower(zoo.load("mobilenet-v2"))
    assert [size.size for size in nearest_sizes(at(graph, 100, 70)) if size] == [(97, 65), (129, 97)]
    assert [height for height in range(97, 130) if not left_over(at(graph, height, 97))] == [97, 129]


def test_sizes_that_do_not_fit_are_passed_over():
    assert nearest_sizes(lower(zoo.load("vgg16"))) == (None, None)
    net = Builder("flat")
    x = net.add(Conv2d(1, 1, 2, 2), net.input(TensorType((1, 1, 8, 8))), name="conv")
    flat = net.graph(net.add(Linear(16, 2), net.add(Flatten(), x, name="flatten"), name="fc"))
    assert nearest_sizes(flat) == (None, None)
    with pytest.raises(OpError):
        at(flat, 10).types  # noqa: B018


def test_a_network_without_maps_wastes_nothing():
    net = Builder("flat")
    x = net.input(TensorType((1, 6)))
    assert wasted(net.graph(net.add(Linear(6, 2), x, name="fc"))).layers == {}
    pooled = Builder("pooled")
    x = pooled.add(GlobalAvgPool(), pooled.input(TensorType((1, 3, 5, 5))), name="pool")
    assert wasted(pooled.graph(x)).layers == {}
