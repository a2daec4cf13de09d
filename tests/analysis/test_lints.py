"""Every hint where it must come, and nowhere in networks that have nothing to hint at."""

from __future__ import annotations

import pytest
import torch

from convsmith.analysis import cost, lints, receptive_fields, waste
from convsmith.analysis.lints import RULES
from convsmith.design import lower, zoo
from convsmith.ir import Builder, Graph, TensorType
from convsmith.ops import (
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    LayerNorm2d,
    Linear,
    MaxPool2d,
    Mul,
    ReLU,
    Sigmoid,
    SiLU,
)
from tests.analysis import nets


def hints(graph: Graph) -> dict[str, list[tuple[str, str]]]:
    """Node and reason of every hint, by rule."""
    found: dict[str, list[tuple[str, str]]] = {}
    for lint in lints(cost(graph), waste(graph, receptive_fields(graph))):
        found.setdefault(lint.rule, []).append((lint.node, lint.reason))
    return found


def chain(*ops, channels: int = 8, size: int = 16) -> Graph:
    """One operator after the other, named ``a``, ``b``, ``c`` and so on."""
    net = Builder("chain")
    x = net.input(TensorType((1, channels, size, size)))
    for name, op in zip("abcdefg", ops, strict=False):
        x = net.add(op, x, name=name)
    return net.graph(x)


def test_channels_that_do_not_fill_a_vector():
    graph = chain(Conv2d(8, 20, 3), ReLU(), Conv2d(20, 16, 1), GlobalAvgPool(), Conv2d(16, 5, 1), Conv2d(5, 8, 1))
    assert hints(graph) == {"channels": [("a", "its 20 channels fill vectors of 8 numbers to 83 % only")]}


def test_the_number_of_classes_of_a_map_is_no_choice():
    assert hints(chain(Conv2d(8, 21, 1))) == {}


def test_groups_too_narrow_for_a_vector():
    narrow, depthwise, wide = (Conv2d(16, 16, 3, groups=groups) for groups in (8, 16, 4))
    graph = chain(narrow, depthwise, wide, channels=16)
    reason = "groups of 2 channels are too narrow for a vector and too wide for depthwise code"
    assert hints(graph) == {"narrow groups": [("a", reason)]}


def test_a_bias_that_the_normalisation_takes_away():
    reason = "its 8 biases are taken away again by the normalisation 'b'"
    assert hints(chain(Conv2d(8, 8, 3), BatchNorm2d(8))) == {"bias before normalisation": [("a", reason)]}
    assert hints(chain(Conv2d(8, 8, 3, bias=False), BatchNorm2d(8))) == {}
    assert hints(chain(Conv2d(8, 8, 3), ReLU(), BatchNorm2d(8))) == {}
    assert hints(chain(Conv2d(8, 8, 3), LayerNorm2d(8))) == {}


def test_a_bias_that_others_see_is_none_of_it():
    net = Builder("both")
    x = net.add(Conv2d(8, 8, 1), net.input(TensorType((1, 8, 4, 4))), name="conv")
    assert hints(net.graph(net.add(BatchNorm2d(8), x, name="norm"), x)) == {}


def test_pixels_that_a_stride_skips():
    assert hints(chain(Conv2d(8, 8, 1, 2))) == {
        "skipped pixels": [
            ("a", "its kernel is smaller than its stride and never reads 75 % of its input; nothing else reads 75 %")
        ]
    }
    found = hints(nets.resnet(64, early_stride=False, depths=(1, 1), widths=(16, 16)))["skipped pixels"]
    reason = "its kernel is smaller than its stride and never reads 75 % of its input; others read the rest"
    assert found == [("layer2.0.downsample.0", reason)]
    assert hints(chain(Conv2d(8, 8, 2, 2))) == {}


def test_an_even_kernel_at_stride_one():
    reason = "an even kernel at stride 1 moves the map by half a pixel"
    assert hints(chain(Conv2d(8, 8, (3, 4)))) == {"even kernel": [("a", reason)]}


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("padding", [0, 1])
def test_an_enlargement_whose_outputs_are_sums_of_unequal_many_products(kernel, stride, padding):
    """A map of ones, through a kernel of ones, shows how many products each output is made of."""
    if kernel <= 2 * padding:
        return
    op = ConvTranspose2d(8, 8, kernel, stride, padding)
    line = torch.nn.functional.conv_transpose1d(torch.ones(1, 1, 16), torch.ones(1, 1, kernel), None, stride, padding)
    numbers = sorted({int(value) for value in line[0, 0, 2 * kernel : -2 * kernel]})
    found = hints(chain(op)).get("checkerboard", [])
    assert bool(found) == (len(numbers) > 1)
    if found:
        shown = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]} products"
        assert f"its kernel of {kernel} at stride 1/{stride} makes neighbours of {shown}" in found[0][1]


def test_dilation_that_leaves_a_grid():
    """Wang et al., "Understanding Convolution for Semantic Segmentation", 2018: rates 2, 2 leave holes, 1, 2 do not."""
    grid = chain(Conv2d(8, 8, 3, padding=2, dilation=2), Conv2d(8, 8, 3, padding=2, dilation=2))
    assert [node for node, _ in hints(grid)["gridding"]] == ["a", "b"]
    reason = "its dilation leaves 4 pixels unseen within the field of a unit, as a grid"
    assert hints(grid)["gridding"][1] == ("b", reason)
    mended = chain(Conv2d(8, 8, 3, padding=3, dilation=3), Conv2d(8, 8, 3, padding=2, dilation=2))
    assert [node for node, _ in hints(mended)["gridding"]] == ["a"]
    dense = chain(Conv2d(8, 8, 3, padding=1), Conv2d(8, 8, 3, padding=2, dilation=2))
    assert hints(dense) == {}


def test_a_classifier_that_holds_most_parameters_because_the_map_was_flattened():
    flat = chain(
        Conv2d(8, 8, 3, padding=1), MaxPool2d(2), Flatten(), Dropout(), Linear(8 * 64, 100), ReLU(), Linear(100, 8)
    )
    params = 8 * 64 * 100 + 100
    share = params / cost(flat).params
    assert hints(flat) == {
        "heavy layer": [
            ("e", f"it holds {100 * share:.0f} % of all parameters, 64 times what it would on a pooled map")
        ]
    }
    assert hints(chain(Conv2d(8, 8, 3), GlobalAvgPool(), Flatten(), Linear(8, 1000))) == {}


def gated(activation) -> Graph:
    net = Builder("gated")
    x = net.input(TensorType((1, 8, 8, 8)))
    y = net.add(activation, net.add(Conv2d(8, 8, 3), x, name="conv"), name="act")
    gate = net.add(Conv2d(8, 8, 1), net.add(GlobalAvgPool(), y, name="pool"), name="fc")
    return net.graph(net.add(Mul(), y, net.add(Sigmoid(), gate, name="gate"), name="scale"))


def test_swish_and_gates_before_int8():
    reason = "SiLU loses accuracy and gates lack support in int8: EfficientNet-Lite has ReLU6 and no gates"
    assert hints(gated(SiLU())) == {"int8": [("scale", reason)]}
    assert hints(gated(ReLU())) == {}
    assert hints(chain(Conv2d(8, 8, 3), SiLU())) == {}


def test_what_no_output_depends_on():
    net = Builder("unused")
    x = net.input(TensorType((1, 8, 8, 8)))
    side = net.add(Conv2d(8, 8, 3), x, name="side")
    net.add(ReLU(), side, name="act")
    graph = net.graph(net.add(Conv2d(8, 8, 3), x, name="main"))
    assert hints(graph) == {"unused": [("side", "no output depends on it"), ("act", "no output depends on it")]}


def test_a_hint_is_one_sentence_with_its_rule_and_node():
    (lint,) = lints(cost(gated(SiLU())), waste(gated(SiLU()), receptive_fields(gated(SiLU()))))
    assert lint.to_dict() == {"rule": "int8", "node": "scale", "reason": lint.reason}
    assert lint.rule in RULES


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("resnet50", {"skipped pixels"}),
        ("mobilenet-v1", set()),
        ("mobilenet-v2", set()),
        ("vgg16", {"heavy layer"}),
        ("efficientnet-b0", {"int8"}),
    ],
)
def test_what_is_said_of_published_networks(name, rules):
    assert set(hints(lower(zoo.load(name)))) == rules
