"""The pixels that units see against the support of gradients in float64, and fields against those pixels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convsmith.analysis import receptive_fields, supports
from convsmith.errors import OpError
from convsmith.interop.torch_module import build
from convsmith.ir import Builder, Graph, Node, TensorType
from convsmith.ops import (
    Add,
    AvgPool2d,
    Constant,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    Mul,
    Pad,
    ReLU,
    Resize,
)
from tests.analysis.nets import takes_exact_pixels

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
strides = st.tuples(st.integers(1, 3), st.integers(1, 3))
sides = st.tuples(st.integers(0, 2), st.integers(0, 2))

SHRINKING = st.one_of(
    st.builds(
        lambda kernel, stride, rows, columns, dilation: Conv2d(
            1, 1, kernel, stride, (rows, columns), dilation, bias=False
        ),
        pairs, strides, sides, sides, st.tuples(st.integers(1, 3), st.integers(1, 2)),
    ),
    st.builds(lambda kernel, stride, ceil: AvgPool2d(kernel, stride, ceil_mode=ceil), pairs, strides, st.booleans()),
)  # fmt: skip
GROWING = st.one_of(
    st.builds(lambda kernel, stride: ConvTranspose2d(1, 1, kernel, stride, bias=False), pairs, strides),
    st.builds(lambda height, width, mode: Resize((height, width), mode),
              st.integers(6, 24), st.integers(6, 24), st.sampled_from(["nearest", "bilinear"])),
    st.builds(lambda rows, columns: Pad((rows, columns)), sides, sides),
)  # fmt: skip


@st.composite
def networks(draw, layers, *, means: bool = True):
    """Layers on earlier values, some joined with another value of the same size, some with their own mean added."""
    net = Builder("random")
    values = [net.input(TensorType((1, 1, draw(st.integers(10, 20)), draw(st.integers(10, 20)))))]
    for number in range(draw(st.integers(1, 6))):
        x, op = draw(st.sampled_from(values[-3:])), draw(layers)
        try:
            size = op.infer(net.type(x)).shape[2:]
        except OpError:
            continue
        if min(size) < 3 or max(size) > 40 or not takes_exact_pixels(op, net.type(x)):
            continue
        x = net.add(op, x, name=f"layer{number}")
        twins = [value for value in values if net.type(value) == net.type(x)]
        if twins and draw(st.booleans()):
            x = net.add(Add(), x, draw(st.sampled_from(twins)), name=f"sum{number}")
        if means and draw(st.integers(0, 5)) == 0:
            x = net.add(Add(), x, net.add(GlobalAvgPool(), x, name=f"pool{number}"), name=f"global{number}")
        values.append(x)
    return net.graph(values[-1])


def gradient_support(graph: Graph, axis: int) -> list[int]:
    """For each position of the output, the pixels with a gradient; all weights and pixels are positive."""
    module = build(graph).double()
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 1.0)
    image = torch.rand(graph.inputs[0][1].shape, dtype=torch.float64) + 0.1
    image.requires_grad_()
    lines = module(image)[0, 0].movedim(axis, 0).flatten(1).sum(1)
    weights: list[list[float]] = []
    for line in lines:
        (gradient,) = torch.autograd.grad(line, image, retain_graph=True, allow_unused=True)
        weights.append([] if gradient is None else gradient[0, 0].movedim(axis, 0).flatten(1).sum(1).tolist())
    # Of all units together: one that reads a blank alone gets a rounding error's worth of the pixel beside it.
    least = 1e-9 * max((weight for row in weights for weight in row), default=0.0)
    return [sum(1 << pixel for pixel, weight in enumerate(row) if weight > least) for row in weights]


@pytest.mark.slow
@given(networks(st.one_of(SHRINKING, GROWING)))
@settings(max_examples=60)
def test_units_see_the_pixels_that_have_a_gradient(graph):
    seen = supports(graph, 0), supports(graph, 1)
    assume(graph.nodes)
    assume(all(any(support) for axis in seen for support in axis.values()))  # no map of blanks along an axis
    for axis in (0, 1):
        assert list(seen[axis][graph.outputs[0]]) == gradient_support(graph, axis)


@pytest.mark.slow
@given(networks(st.one_of(SHRINKING, GROWING)))
@settings(max_examples=150)
def test_no_unit_sees_beyond_its_field(graph):
    fields = receptive_fields(graph)
    for axis in (0, 1):
        for value, support in supports(graph, axis).items():
            field = (fields[value].height, fields[value].width)[axis]
            for unit, mask in enumerate(support if field.local and not field.whole else ()):
                first, last = field.span(unit)
                for pixel in pixels(mask):
                    assert first <= pixel <= last


@pytest.mark.slow
@given(networks(SHRINKING, means=False))
@settings(max_examples=150)
def test_units_inside_the_image_see_to_both_ends_of_their_field(graph):
    fields = receptive_fields(graph)
    assume(all(len({fields[value].jump for value in node.inputs}) == 1 for node in graph.nodes))
    for axis in (0, 1):
        size = graph.inputs[0][1].shape[2 + axis]
        for value, support in supports(graph, axis).items():
            field = (fields[value].height, fields[value].width)[axis]
            for unit, mask in enumerate(support):
                first, last = field.span(unit)
                if first >= 0 and last < size:
                    assert (min(pixels(mask)), max(pixels(mask))) == (first, last)


@pytest.mark.slow
@given(networks(SHRINKING, means=False))
@settings(max_examples=100)
def test_the_shortest_path_is_the_chain_that_sees_least(graph):
    """Every path alone is a chain; what its units see is known from the test above."""
    field = receptive_fields(graph)[graph.outputs[0]].height
    sizes = [receptive_fields(chain)[chain.outputs[0]].height.size for chain in chains(graph, graph.outputs[0])]
    assert (field.min_size, field.size >= max(sizes)) == (min(sizes), True)


def pixels(mask: int) -> list[int]:
    return [pixel for pixel in range(mask.bit_length()) if mask >> pixel & 1]


def chains(graph: Graph, value: str) -> list[Graph]:
    """A graph for every path from the input to ``value``, in which nothing joins."""
    if value in dict(graph.inputs):
        return [Graph("chain", graph.inputs, (), (value,))]
    node = graph.node(value)
    found = []
    for source in node.inputs:
        for chain in chains(graph, source):
            step = () if isinstance(node.op, Add) else (Node(value, node.op, chain.outputs),)
            found.append(Graph("chain", graph.inputs, chain.nodes + step, (value,) if step else chain.outputs))
    return found


def test_a_grid_of_dilated_taps_leaves_holes():
    net = Builder("grid")
    x = net.input(TensorType((1, 1, 33, 33)))
    for number in range(2):
        x = net.add(Conv2d(1, 1, 3, padding=2, dilation=2), x, name=f"dilated{number}")
    graph = net.graph(x)
    seen = pixels(supports(graph, 0)[x][16])
    assert seen == [12, 14, 16, 18, 20]
    assert receptive_fields(graph)[x].height.size == 9


def test_branches_that_do_not_line_up_are_united():
    """One branch looks two pixels further up than the other: their union is longer than either."""
    net = Builder("unaligned")
    x = net.input(TensorType((1, 1, 16, 16)))
    up = net.add(Conv2d(1, 1, 3, padding=((2, 0), (2, 0))), x, name="up")
    down = net.add(Conv2d(1, 1, 3, padding=((0, 2), (0, 2))), x, name="down")
    total = net.add(Add(), up, down, name="sum")
    graph = net.graph(total)
    assert pixels(supports(graph, 0)[total][8]) == [6, 7, 8, 9, 10]
    field = receptive_fields(graph)[total].height
    assert (field.size, field.min_size, field.center) == (5, 3, 0)


def test_branches_whose_jumps_differ_are_inside_the_field_to_the_last_unit():
    """Seven units spread over what the other branch sees with thirteen: they drift apart by half a pixel a unit."""
    net = Builder("drift")
    x = net.input(TensorType((1, 1, 26, 26)))
    fine = net.add(Conv2d(1, 1, 2, 2), x, name="fine")
    coarse = net.add(Conv2d(1, 1, 4, 4), x, name="coarse")
    spread = net.add(Resize((13, 13)), coarse, name="spread")
    total = net.add(Add(), fine, spread, name="sum")
    graph = net.graph(total)
    fields = receptive_fields(graph)
    assert fields["fine"].height.jump != fields["spread"].height.jump
    for unit, mask in enumerate(supports(graph, 0)[total]):
        first, last = fields["sum"].height.span(unit)
        assert first <= min(pixels(mask)) <= max(pixels(mask)) <= last


def test_of_two_jumps_the_field_takes_the_one_with_which_it_is_smallest():
    """Strides of 2 and 3 that give three units each: what the coarse branch sees is always within the other's field."""
    net = Builder("strides")
    x = net.input(TensorType((1, 1, 10, 10)))
    coarse = net.add(AvgPool2d(2, 3), x, name="coarse")
    fine = net.add(Conv2d(1, 1, 3, 2, dilation=2), x, name="fine")
    total = net.add(Add(), coarse, fine, name="sum")
    field = receptive_fields(net.graph(total))[total].height
    assert (field.size, field.jump, field.center) == (5, 2, 2)


def test_the_whole_map_is_what_any_of_its_units_sees():
    net = Builder("whole")
    x = net.input(TensorType((1, 2, 9, 9)))
    skipped = net.add(Conv2d(2, 2, 1, 2), x, name="skips")
    pooled = net.add(GlobalAvgPool(), skipped, name="pool")
    out = net.add(Linear(2, 3), net.add(Flatten(), pooled, name="flatten"), name="fc")
    assert [pixels(mask) for mask in supports(net.graph(out), 1)[out]] == [[0, 2, 4, 6, 8]]


def test_constants_see_nothing_and_add_nothing():
    net = Builder("constant")
    x = net.input(TensorType((1, 3, 8, 8)))
    scale = net.add(ReLU(), net.add(Constant((1, 3, 1, 1)), name="scale"), name="positive")
    out = net.add(Mul(), net.add(Conv2d(3, 3, 3, padding=1), x, name="conv"), scale, name="out")
    graph = net.graph(out)
    assert set(supports(graph, 0)) == set(receptive_fields(graph)) == {"input", "conv", "out"}
    assert receptive_fields(graph)["out"] == receptive_fields(graph)["conv"]


def test_one_pixel_spread_over_a_map_is_seen_by_all_of_it():
    net = Builder("spread")
    x = net.input(TensorType((1, 1, 8, 6)))
    column = net.add(AvgPool2d((1, 6)), x, name="column")
    out = net.add(Add(), x, column, name="out")
    graph = net.graph(out)
    assert {tuple(pixels(mask)) for mask in supports(graph, 1)[out]} == {(0, 1, 2, 3, 4, 5)}
    assert [pixels(mask) for mask in supports(graph, 0)[out]] == [[row] for row in range(8)]
