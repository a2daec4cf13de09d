"""Every block against its paper, written out in torch functions that read the same weights in running order."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from convsmith.analysis import cost
from convsmith.design.blocks import BLOCKS
from convsmith.design.ends import HEADS, STEMS
from convsmith.design.ghost import ghost_module
from convsmith.errors import OpError
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights
from convsmith.ir import Builder, TensorType

silent = torch.nn.Identity()


def built(add, channels, size, **options):
    """One part as a module in float64 and its weights, drawn at random."""
    net = Builder("part")
    graph = net.graph(add(net, net.input(TensorType((2, channels, *size))), **options))
    random = np.random.default_rng(0)
    weights = {
        name: random.uniform(0.5, 1.5, shape) if name.endswith("running_var") else random.normal(0, 0.5, shape)
        for name, shape in graph.stored_shapes.items()
    }
    module = build(graph).double().eval()
    load_weights(module, weights)
    return module, iter([torch.tensor(array) for array in weights.values()])


def norm(x, arrays):
    weight, bias, mean, var = (next(arrays) for _ in range(4))
    return F.batch_norm(x, mean, var, weight, bias, eps=1e-5)


def layer(x, arrays, kernel=(1, 1), stride=1, groups=1, act=silent, padding=None):
    weight = next(arrays)
    assert tuple(weight.shape[2:]) == kernel
    around = [size // 2 for size in kernel] if padding is None else padding
    return act(norm(F.conv2d(x, weight, None, stride, around, groups=groups), arrays))


def gated(x, arrays, squeezed, act, gate):
    s = act(F.conv2d(x.mean((2, 3), keepdim=True), next(arrays), next(arrays)))
    assert s.shape[1] == squeezed
    return x * gate(F.conv2d(s, next(arrays), next(arrays)))


def ghosts(x, arrays, act):
    kept = layer(x, arrays, act=act)
    return torch.cat([kept, layer(kept, arrays, (3, 3), groups=kept.shape[1], act=act)], 1)


def long_range(x, arrays, inner):
    y = layer(F.avg_pool2d(x, 2), arrays)
    y = layer(layer(y, arrays, (1, 5), groups=inner), arrays, (5, 1), groups=inner)
    return F.interpolate(y.sigmoid(), size=x.shape[2:], mode="nearest")


def ghost_bottleneck(x, arrays, stride, inner, se, attended):
    y = ghosts(x, arrays, F.relu)[:, :inner]
    if attended:
        y = y * long_range(x, arrays, inner)
    if stride > 1:
        y = layer(y, arrays, (5, 5), stride, inner)
    if se:
        y = gated(y, arrays, {25: 8, 15: 4}[inner], F.relu, F.hardsigmoid)  # a quarter, to a multiple of 4
    y = ghosts(y, arrays, silent)[:, :10]
    if stride > 1 or x.shape[1] != 10:
        x = layer(layer(x, arrays, (5, 5), stride, x.shape[1]), arrays)
    return y + x


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [10, 6])
@pytest.mark.parametrize("attended", [False, True])
@pytest.mark.parametrize("se", [False, True])
def test_ghost_bottlenecks(stride, channels, attended, se):
    options = {"width": 10, "stride": stride, "kernel": 5, "expansion": 2.5, "se_ratio": 0.25 * se}
    add = partial(BLOCKS["ghost_v2" if attended else "ghost"], **options)
    module, arrays = built(add, channels, (9, 7))
    x = torch.randn(2, channels, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(module(x), ghost_bottleneck(x, arrays, stride, round(2.5 * channels), se, attended))
    assert next(arrays, None) is None


def test_a_map_of_one_row_is_attended_without_pooling():
    module, _ = built(partial(BLOCKS["ghost_v2"], width=4, stride=1), 4, (1, 5))
    assert module(torch.randn(2, 4, 1, 5, dtype=torch.float64)).shape == (2, 4, 1, 5)


@given(
    channels=st.integers(1, 20), width=st.integers(1, 40), ratio=st.integers(2, 5), kernel=st.sampled_from([1, 3, 5]),
    cheap=st.sampled_from([1, 3, 5]), size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)  # fmt: skip
def test_a_ghost_module_costs_what_the_paper_says(channels, width, ratio, kernel, cheap, size):
    """Han et al., 2020, equations 4 and 5, where the ratio divides the width; else the last channels are dropped."""
    net = Builder("ghost")
    x = net.input(TensorType((1, channels, *size)))
    options = {"kernel": kernel, "ratio": ratio, "cheap_kernel": cheap, "norm": "none", "activation": "none"}
    graph = net.graph(ghost_module(net, x, width, **options, name="ghost"))
    computed = -(-width // ratio)
    per_pixel = computed * channels * kernel**2 + (ratio - 1) * computed * cheap**2
    assert cost(graph).macs == size[0] * size[1] * per_pixel
    assert cost(graph).params == per_pixel + ratio * computed  # and the biases
    assert graph.types[graph.outputs[0]].shape == (1, width, *size)


@pytest.mark.parametrize(("stride", "channels"), [(1, 8), (2, 8), (1, 6)])
def test_shuffle(stride, channels):
    module, arrays = built(partial(BLOCKS["shuffle"], width=8, stride=stride), channels, (9, 7))
    x = torch.randn(2, channels, 9, 7, dtype=torch.float64)
    kept, y = x.chunk(2, 1)
    if (stride, channels) != (1, 8):
        kept, y = layer(layer(x, arrays, (3, 3), stride, channels), arrays, act=F.relu), x
    y = layer(layer(layer(y, arrays, act=F.relu), arrays, (3, 3), stride, 4), arrays, act=F.relu)
    expected = torch.stack([kept, y], 2).flatten(1, 2)
    torch.testing.assert_close(module(x), expected)
    torch.testing.assert_close(F.channel_shuffle(torch.cat([kept, y], 1), 2), expected)


def test_an_odd_width_cannot_be_shuffled():
    with pytest.raises(OpError, match=r"width of a shuffle block must be even \(received 7\); give 8"):
        built(partial(BLOCKS["shuffle"], width=7, stride=1), 8, (9, 7))


@pytest.mark.parametrize(("stride", "channels"), [(1, 6), (2, 6), (1, 4), (3, 4)])
@pytest.mark.parametrize("scaled", [True, False])
def test_convnext(stride, channels, scaled):
    add = partial(BLOCKS["convnext"], width=6, stride=stride, layer_scale=scaled)
    module, arrays = built(add, channels, (9, 7))
    x = start = torch.randn(2, channels, 9, 7, dtype=torch.float64)

    def by_pixel(x):
        weight, bias = next(arrays), next(arrays)
        return F.layer_norm(x.movedim(1, -1), x.shape[1:2], weight, bias, 1e-6).movedim(-1, 1)

    if (stride, channels) != (1, 6):
        x = by_pixel(x)
        x = F.conv2d(x, next(arrays), next(arrays), stride)
    y = by_pixel(F.conv2d(x, next(arrays), next(arrays), padding=3, groups=6))
    y = F.conv2d(F.gelu(F.conv2d(y, next(arrays), next(arrays))), next(arrays), next(arrays))
    y = y * next(arrays) if scaled else y
    torch.testing.assert_close(module(start), y + x)


@pytest.mark.parametrize("stride", [1, 2])
def test_inverted_residual_of_mobilenet_v3(stride):
    options = {"width": 10, "stride": stride, "kernel": 5, "expansion": 4.4, "activation": "hardswish"}
    gates = {"se_ratio": 0.25, "se_base": "inner", "se_multiple": 8, "se_activation": "relu", "se_gate": "hardsigmoid"}
    module, arrays = built(partial(BLOCKS["inverted_residual"], **options, **gates), 10, (9, 7))
    squeezed = 16  # 44 / 4 = 11 is nearer to 8, which would lose over a tenth
    x = torch.randn(2, 10, 9, 7, dtype=torch.float64)
    y = layer(x, arrays, act=F.hardswish)
    y = layer(y, arrays, (5, 5), stride, 44, F.hardswish)
    y = layer(gated(y, arrays, squeezed, F.relu, F.hardsigmoid), arrays)
    torch.testing.assert_close(module(x), y if stride > 1 else y + x)


@pytest.mark.parametrize(("size", "kernel", "sides"), [((8, 9), 3, (1, 1, 0, 1)), ((9, 8), 5, (1, 2, 2, 2))])
def test_padding_as_tensorflow_has_it(size, kernel, sides):
    """At stride 2 an even axis is padded after it, an odd one on both sides."""
    options = {"width": 4, "stride": 2, "kernel": kernel, "expansion": 1.0, "padding": "same"}
    module, arrays = built(partial(BLOCKS["inverted_residual"], **options), 4, size)
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    padded = F.pad(x, sides)  # left, right, top, bottom
    expected = layer(layer(padded, arrays, (kernel, kernel), 2, 4, F.relu6, 0), arrays)
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("size", [(9, 7), (8, 8)])
@pytest.mark.parametrize("block", ["residual", "bottleneck"])
def test_shortcuts_of_resnet_d_read_every_pixel(block, size):
    module, arrays = built(partial(BLOCKS[block], width=8, stride=2, shortcut="avg_pool"), 4, size)
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    if block == "residual":
        y = layer(layer(x, arrays, (3, 3), 2, act=F.relu), arrays, (3, 3))
    else:
        y = layer(layer(layer(x, arrays, act=F.relu), arrays, (3, 3), 2, act=F.relu), arrays)
    around = layer(F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False), arrays)
    torch.testing.assert_close(module(x), F.relu(y + around))


def test_the_stem_of_resnet_d():
    three = (3, 3)
    module, arrays = built(partial(STEMS["deep"], width=8, stride=2, pool="max"), 3, (17, 16))
    x = torch.randn(2, 3, 17, 16, dtype=torch.float64)
    y = layer(layer(layer(x, arrays, three, 2, act=F.relu), arrays, three, act=F.relu), arrays, three, act=F.relu)
    torch.testing.assert_close(module(x), F.max_pool2d(y, 3, 2, 1))


def test_the_head_of_convnext_normalises_what_is_pooled():
    module, arrays = built(partial(HEADS["classify"], classes=5, pool_norm="layer"), 6, (4, 3))
    x = torch.randn(2, 6, 4, 3, dtype=torch.float64)
    y = F.layer_norm(x.mean((2, 3)), (6,), next(arrays), next(arrays), 1e-6)
    torch.testing.assert_close(module(x), F.linear(y, next(arrays), next(arrays)))


def test_heads_that_give_maps():
    x = torch.randn(2, 6, 4, 3, dtype=torch.float64)
    module, arrays = built(partial(HEADS["segment"], classes=5), 6, (4, 3))
    torch.testing.assert_close(module(x), F.conv2d(x, next(arrays), next(arrays)))
    module, arrays = built(partial(HEADS["restore"], channels=3, activation="tanh"), 6, (4, 3))
    torch.testing.assert_close(module(x), F.conv2d(x, next(arrays), next(arrays), padding=1).tanh())


def test_the_head_that_detects_gives_classes_sides_and_centre_from_two_towers():
    module, arrays = built(partial(HEADS["detect"], classes=3, tower=2), 6, (4, 5))
    x = torch.randn(2, 6, 4, 5, dtype=torch.float64)
    classes = boxes = x
    for _ in range(2):
        classes = layer(classes, arrays, (3, 3), act=F.relu)
    for _ in range(2):
        boxes = layer(boxes, arrays, (3, 3), act=F.relu)
    ends = [F.conv2d(source, next(arrays), next(arrays), padding=1) for source in (classes, boxes, boxes)]
    assert [end.shape[1] for end in ends] == [3, 4, 1]
    torch.testing.assert_close(module(x), torch.cat(ends, 1))
