"""Published numbers and what the tools themselves say, to the last digit."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import pytest
from torch import nn

from convsmith.analysis import cost
from convsmith.design import lower, zoo
from convsmith.interop.conventions import CONVENTIONS, QUOTED, matching, quoted, totals
from convsmith.interop.torch_reader import read_module
from convsmith.ir import Graph, Op, TensorType, Terms, Window
from convsmith.ops import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Einsum,
    GlobalAvgPool,
    GroupNorm,
    LayerNorm2d,
    MatMul,
    MaxPool2d,
    PReLU,
    ReLU,
    ReLU6,
    Resize,
    Softmax,
)
from tests.interop.helpers import graph_of


def net(name: str) -> Graph:
    return lower(zoo.load(name))


PUBLISHED = [
    # torchvision 0.29.1 (num_params, and _ops at its three decimals) and hand arithmetic
    ("resnet18", "macs", 1_814_073_344),
    ("resnet34", "macs", 3_663_761_408),
    ("resnet50", "macs", 4_089_184_256),  # also NNI's count_flops_params
    ("vgg16", "macs", 15_470_264_320),
    ("vgg19", "macs", 19_632_062_464),
    ("mobilenet-v1", "macs", 568_740_352),
    ("mobilenet-v2", "macs", 300_774_272),
    ("efficientnet-b0", "macs", 385_814_752),
    ("resnet18", "params", 11_689_512),
    ("resnet34", "params", 21_797_672),
    ("resnet50", "params", 25_557_032),
    ("resnet101", "params", 44_549_160),
    ("resnet152", "params", 60_192_808),
    ("vgg16", "params", 138_357_544),
    ("vgg19", "params", 143_667_240),
    ("mobilenet-v1", "params", 4_231_976),
    ("mobilenet-v2", "params", 3_504_872),
    ("efficientnet-b0", "params", 5_288_548),
    # pycls, dev/model_complexity.json
    ("resnet50", "pycls", 4_089_185_256),
    ("resnet101", "pycls", 7_801_406_440),
    ("resnet152", "pycls", 11_513_627_624),
    ("efficientnet-b0", "pycls", 385_825_092),
    ("resnet50", "activations of pycls", 11_315_688),
    ("resnet101", "activations of pycls", 16_433_640),
    ("resnet152", "activations of pycls", 22_755_816),
    ("efficientnet-b0", "activations of pycls", 6_748_036),
    # outputs of convolutions and linear layers
    ("resnet18", "activations", 2_484_712),
    ("resnet34", "activations", 3_739_112),
    ("resnet50", "activations", 11_114_984),
    ("vgg16", "activations", 13_556_712),
    ("vgg19", "activations", 14_861_288),
    ("mobilenet-v2", "activations", 6_679_112),
    # found in the text of public files
    ("resnet50", "flops", 8_178_368_512),
    ("resnet50", "params without norm", 25_503_912),  # NNI
    ("resnet50", "thop 0.0.31", 4_111_514_624),
    ("resnet50", "ptflops 0.7", 4_121_925_096),
]


@pytest.mark.parametrize(("name", "convention", "number"), PUBLISHED)
def test_a_published_number_is_met_and_named(name, convention, number):
    graph = net(name)
    assert (totals(graph) | quoted(graph))[convention] == number
    assert convention in matching(graph, number)


MEASURED = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "peers.json").read_text())["networks"]


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnet-b0"])
def test_every_tool_is_met_where_torch_modules_do_the_work(name):
    found = totals(net(name)) | quoted(net(name))
    assert MEASURED[f"torchvision:{name.replace('-', '_')}"].items() <= found.items()


def called(graph: Graph, pool: str) -> dict[str, str]:
    """A network whose layers are torch.nn modules but for its global pooling."""
    return {node.name: pool if isinstance(node.op, GlobalAvgPool) else type(node.op).__name__ for node in graph.nodes}


# The same tools on torchvision's mobilenet_v2, which pools by a function, and on our own modules, which take a mean.
@pytest.mark.parametrize(
    ("name", "pool", "fvcore", "thop", "ptflops"),
    [
        ("mobilenet-v2", "adaptive_avg_pool2d", 314_193_216, 327_486_720, 320_300_008),
        ("mobilenet-v2", "GlobalAvgPool.mean", 314_130_496, 327_486_720, 320_237_288),
        ("resnet18", "GlobalAvgPool.mean", 1_819_040_768, 1_824_008_192, 1_825_263_592),
        ("resnet50", "GlobalAvgPool.mean", 4_111_412_224, 4_133_640_192, 4_132_236_264),
        ("efficientnet-b0", "mean", 399_290_144, 412_765_536, 405_458_400),
    ],
)
def test_a_function_is_seen_by_some_tools_only(name, pool, fvcore, thop, ptflops):
    graph = net(name)
    found = totals(graph, called(graph, pool))
    assert (found["fvcore"], found["thop"], found["ptflops"]) == (fvcore, thop, ptflops)
    assert found["macs"] == totals(graph)["macs"]


def test_a_total_that_needs_modules_says_so():
    graph = net("resnet50")
    assert matching(graph, 4_111_512_576, called(graph, "mean")) == ("fvcore, if run by torch.nn modules",)
    assert matching(graph, 4_111_512_576) == ("fvcore",)
    assert matching(graph, 4_111_512_577) == ()


def test_every_difference_of_the_small_efficientnet_is_a_bias():
    """385,814,752 without any, 9,340 more for squeeze-and-excitation, 1,000 more for the classifier."""
    graph = net("efficientnet-b0")
    biases = [(row.name, row.terms.bias) for row in cost(graph).layers if row.terms.bias]
    assert sum(bias for name, bias in biases if ".se." in name) == 9_340
    assert sum(bias for _, bias in biases) == totals(graph)["pycls"] - totals(graph)["macs"] == 10_340


# One layer on (1, 8, 12, 10), as fvcore, thop and ptflops count it; the versions above, torch 2.14.1.
SHAPE = (1, 8, 12, 10)
LAYERS = [
    (Conv2d(8, 12, 3, 2, 1), 25_920, 25_920, 26_280),
    (ConvTranspose2d(8, 6, 4, 2, 1), 92_160, 368_640, 95_040),
    (BatchNorm2d(8), 1_920, 3_840, 1_920),
    (BatchNorm2d(8, affine=False), 960, 1_920, 960),
    (GroupNorm(2, 8), 4_800, 0, 1_920),
    (LayerNorm2d(8), 4_800, 3_840, 960),
    (MaxPool2d(3, 2, 1), 0, 0, 1_920),
    (AvgPool2d(3, 2, ceil_mode=True), 0, 240, 1_920),
    (GlobalAvgPool(), 960, 968, 1_920),
    (AdaptiveAvgPool2d((5, 3)), 960, 1_080, 1_920),
    (ReLU(), 0, 0, 1_920),
    (ReLU6(), 0, 0, 960),
    (PReLU(), 0, 960, 1_920),
    (Softmax(1), 0, 2_760, 960),
    (Resize((24, 20)), 3_840, 3_840, 7_680),
    (Resize((7, 5), "bilinear"), 1_120, 3_080, 560),
    (Resize((24, 20), "bicubic"), 0, 994_560, 7_680),
]


@pytest.mark.parametrize(("op", "fvcore", "thop", "ptflops"), LAYERS)
def test_a_layer_is_counted_as_each_tool_counts_it(op, fvcore, thop, ptflops):
    found = totals(graph_of(op, SHAPE))
    assert (found["fvcore"], found["thop"], found["ptflops"]) == (fvcore, thop, ptflops)


def test_products_as_each_tool_counts_them():
    spread = totals(graph_of(MatMul(), (1, 1, 12, 10), (1, 8, 10, 12)))
    assert (spread["macs"], spread["fvcore"], spread["thop"], spread["ptflops"]) == (11_520, 1_440, 0, 1_440)
    batch = totals(graph_of(Einsum("xyz,xyw->xzw"), (1, 8, 120), (1, 8, 120)))
    assert batch["fvcore"] == batch["macs"] == 115_200
    odd = totals(graph_of(Einsum("bchw,bcvw->bhv"), (1, 7, 13, 11), (1, 7, 17, 11)))
    assert odd["macs"] == 17_017
    assert odd["fvcore"] == 17_020  # half of 3.404e+04, as numpy prints 34,035


@pytest.mark.parametrize(
    ("by", "thop", "ptflops"),
    [("ReLU", 0, 1_920), ("relu", 0, 960), ("Block.relu", 0, 960), ("", 0, 960)],
)
def test_ptflops_counts_a_module_and_the_function_within(by, thop, ptflops):
    found = totals(graph_of(ReLU(), SHAPE), {"body.op": by})
    assert (found["thop"], found["ptflops"]) == (thop, ptflops)


@pytest.mark.parametrize("by", ["Conv2dSame.conv2d", "conv2d", ""])
def test_tools_with_hooks_miss_what_no_module_of_theirs_runs(by):
    found = totals(graph_of(Conv2d(8, 12, 3, 2, 1), SHAPE), {"body.op": by})
    assert (found["macs"], found["fvcore"], found["thop"], found["ptflops"]) == (25_920, 25_920, 0, 0)


def test_a_torch_module_through_its_door_is_counted_as_the_tools_count_it():
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    reading = read_module(module, (3, 16, 16))
    found = totals(reading.graph, reading.called)
    assert (found["fvcore"], found["thop"], found["ptflops"]) == (59_944, 64_048, 70_701)


def beside(first: Graph, second: Graph) -> Graph:
    """Both in one graph, neither reading from the other."""
    parts = []
    for prefix, graph in (("first", first), ("second", second)):
        inputs = tuple((f"{prefix}.{name}", type) for name, type in graph.inputs)
        nodes = tuple(
            replace(
                node,
                name=f"{prefix}.{node.name}",
                inputs=tuple(f"{prefix}.{value}" for value in node.inputs),
                shares=node.shares and f"{prefix}.{node.shares}",
            )
            for node in graph.nodes
        )
        parts.append((inputs, nodes, tuple(f"{prefix}.{value}" for value in graph.outputs)))
    return Graph("both", *(first + second for first, second in zip(*parts, strict=True)))


@pytest.mark.parametrize(("first", "second"), [("resnet18", "efficientnet-b0"), ("mobilenet-v2", "mobilenet-v2")])
def test_two_networks_side_by_side_cost_what_they_cost(first, second):
    both = beside(net(first), net(second))
    for count in (totals, quoted):
        one, other = count(net(first)), count(net(second))
        assert count(both) == {name: total + other[name] for name, total in one.items()}


@final
@dataclass(frozen=True)
class Unheard(Op):
    """An operator that no table knows."""

    def infer(self, *types: TensorType) -> TensorType:
        return types[0]

    def terms(self, *types: TensorType) -> Terms:
        return Terms(taps=5, bias=3, norm=11, activation=13, pool=17, add=19, resize=23, attention=2)

    def window(self, *types: TensorType) -> tuple[Window, Window]:
        return Window(), Window()

    def to_torch(self):
        raise AssertionError

    @classmethod
    def samples(cls):
        return ()

    @classmethod
    def bad_samples(cls):
        return ()


def test_an_operator_that_no_table_knows_counts_its_macs():
    found = totals(graph_of(Unheard(), (1, 6)))
    assert {found[name] for name in ("macs", "torchvision", "fvcore", "thop", "ptflops")} == {7}
    assert (found["flops"], found["pycls"]) == (14, 10)


def test_the_names_are_those_of_the_contract_and_each_is_explained_in_a_sentence():
    assert tuple(CONVENTIONS) == ("macs", "flops", "torchvision", "pycls", "fvcore", "thop", "ptflops")
    assert CONVENTIONS.keys() & QUOTED.keys() == set()
    for one in [*CONVENTIONS.values(), *QUOTED.values()]:
        assert one.description.endswith(".")
        assert "\n" not in one.description
