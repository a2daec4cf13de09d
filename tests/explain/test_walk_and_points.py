"""Values come out of a network as hooks see them, and the places to look at are those that people mean."""

import pytest
import torch

from convsmith.design import lower, zoo
from convsmith.errors import ModelError
from convsmith.explain.points import find_map, find_point, last_maps, points
from convsmith.explain.walk import pick, walk
from convsmith.interop.torch_module import build
from convsmith.ir import Builder, TensorType
from convsmith.ops import Conv2d, Flatten, Linear, ReLU


@pytest.mark.slow
def test_every_value_is_what_a_hook_sees(network, image):
    module, graph = network.module, network.graph
    seen = {}
    for node in graph.nodes:
        place = module.get_submodule(node.name)
        place.register_forward_hook(lambda _, __, output, name=node.name: seen.update({name: output}))
    whole = module(image)
    for name, value in walk(module, graph, image):
        assert torch.equal(value, seen[name]), name
    assert torch.equal(pick(module, graph, graph.outputs, image)[graph.outputs[0]], whole)


def test_a_node_that_shares_weights_runs_those_of_the_other():
    net = Builder("shared")
    x = net.input(TensorType((1, 2, 5, 5)))
    first = net.add(Conv2d(2, 2, (3, 3), padding=((1, 1), (1, 1))), x, name="first")
    graph = net.graph(net.add(Conv2d(2, 2, (3, 3), padding=((1, 1), (1, 1))), first, name="second"))
    nodes = (graph.nodes[0], type(graph.nodes[1])("second", graph.nodes[0].op, ("first",), shares="first"))
    graph = type(graph)(graph.name, graph.inputs, nodes, graph.outputs)
    module, image = build(graph).eval(), torch.randn(3, 2, 5, 5)
    assert torch.equal(pick(module, graph, ["second"], image)["second"], module(image))


def test_a_layer_is_taken_behind_its_activation_and_a_block_behind_its_sum(network):
    names = [point.name for point in points(network.graph)]
    assert names[:4] == ["stem.act", "stage1.block1.conv1.act", "stage1.block1.conv2.norm", "stage1.block1.act"]
    kinds = {point.name: point.kind for point in points(network.graph)}
    assert kinds["stage1.block1.conv2.norm"] == "layer"
    assert kinds["stage1.block1.act"] == "join"
    assert points(network.graph)[-1].shape == (10,)
    assert {name: point.name for name, point in last_maps(points(network.graph)).items()} == {
        "stem": "stem.act", "stage1": "stage1.block2.act", "stage2": "stage2.block2.act"
    }  # fmt: skip


def test_branches_without_a_map_are_left_out():
    found = points(lower(zoo.load("efficientnet-b0")))
    assert not [point.name for point in found if ".se." in point.layer]
    assert sum(point.kind == "layer" for point in found) == 82 - 2 * 16  # convolutions and classifier, less the gates


def test_the_layers_of_resnet50_are_its_convolutions_and_sums():
    found = points(lower(zoo.load("resnet50")))
    assert sum(point.kind == "layer" for point in found) == 54
    assert sum(point.kind == "join" for point in found) == 16
    assert sum(point.macs for point in found) == 4_089_184_256


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("stage1", "stage1.block2.act"),
        ("stage1.block1", "stage1.block1.act"),
        ("stage1.block1.conv1.conv", "stage1.block1.conv1.act"),
        ("stage1.block1.conv1.norm", "stage1.block1.conv1.norm"),
    ],
)
def test_a_name_may_be_a_value_a_layer_a_block_or_a_stage(network, name, meant):
    assert find_point(network.graph, points(network.graph), name).name == meant


def test_a_wrong_name_gets_the_nearest_right_one(network):
    with pytest.raises(ModelError, match=r"did you mean stage1\.block1\.conv1\.act"):
        find_point(network.graph, points(network.graph), "stage1.block1.cnv1.act")
    with pytest.raises(ModelError, match="a layer that gives a map"):
        find_map(network.graph, points(network.graph), "head.classifier")


def test_a_network_without_sections_of_its_own_is_looked_at_too():
    net = Builder("plain")
    x = net.input(TensorType((1, 1, 6, 6)))
    x = net.add(ReLU(), net.add(Conv2d(1, 4, (3, 3)), x, name="a"), name="b")
    x = net.add(Linear(64, 3), net.add(Flatten(), x, name="c"), name="d")
    assert [(point.name, point.layer, point.shape) for point in points(net.graph(x))] == [
        ("b", "a", (4, 4, 4)), ("d", "d", (3,))
    ]  # fmt: skip
