"""Stem, stages and head of networks that do not name them, against the published stages."""

import pytest

from convsmith.analysis import cost, lanes, levels, receptive_fields, sections
from convsmith.design import lower, zoo
from convsmith.ir import Graph, Node
from convsmith.ops import Add, Concat, Conv2d, GlobalAvgPool, ReLU
from tests.analysis import nets


def outline(graph: Graph) -> list[tuple[str, int, str, str]]:
    """Name, jump, first and last layer of each section."""
    return [(part.name, part.jump[0], part.first, part.last) for part in sections(cost(graph), receptive_fields(graph))]


def nameless(graph: Graph) -> Graph:
    """The same network with names that tell nothing."""
    names = {node.name: f"n{number}" for number, node in enumerate(graph.nodes)}
    nodes = (
        Node(names[node.name], node.op, tuple(names.get(value, value) for value in node.inputs)) for node in graph.nodes
    )
    return Graph("nameless", graph.inputs, tuple(nodes), tuple(names[value] for value in graph.outputs))


def same_borders(graph: Graph) -> bool:
    """Whether names make no difference."""
    number = {node.name: place for place, node in enumerate(graph.nodes)}
    return [number[first] for _, _, first, _ in outline(graph)] == [int(row[2][1:]) for row in outline(nameless(graph))]


@pytest.mark.parametrize("name", zoo.names())
def test_a_design_is_cut_as_it_names_its_parts(name):
    design = zoo.load(name)
    graph = lower(design)
    found = sections(cost(graph))
    assert [part.name for part in found] == ["stem", *(f"stage{n}" for n in range(1, len(design.stage) + 1)), "head"]
    assert all(layer.startswith(f"{part.name}.") for part in found for layer in part.layers)


@pytest.mark.parametrize("build", [nets.mobilenet_v2, nets.densenet, nets.convnext, nets.unet, nets.squeezenet])
def test_every_layer_is_in_one_section_in_running_order(build):
    graph = build(64)
    found = sections(cost(graph))
    assert [layer for part in found for layer in part.layers] == [node.name for node in graph.nodes]
    assert sum(part.macs for part in found) == cost(graph).macs
    assert [(part.first, part.last) for part in found] == [(part.layers[0], part.layers[-1]) for part in found]


@pytest.mark.parametrize("early_stride", [True, False])
def test_resnet_has_its_pooling_in_the_stem(early_stride):
    graph = nets.resnet(224, early_stride=early_stride)
    assert outline(graph) == [
        ("stem", 4, "conv1", "maxpool"),
        ("stage1", 4, "layer1.0.1.conv", "layer1.2.relu"),
        ("stage2", 8, "layer2.0.1.conv", "layer2.3.relu"),
        ("stage3", 16, "layer3.0.1.conv", "layer3.5.relu"),
        ("stage4", 32, "layer4.0.1.conv", "layer4.2.relu"),
        ("head", 32, "pool", "fc"),
    ]
    assert same_borders(graph)


def test_gates_cut_nothing_and_blocks_that_widen_first_are_kept_whole():
    assert outline(nets.mobilenet_v2()) == [
        ("stem", 2, "conv_stem.conv", "conv_stem.act"),
        ("stage1", 2, "blocks.0.0.dw.conv", "blocks.0.0.add"),
        ("stage2", 4, "blocks.1.0.pw.conv", "blocks.1.1.add"),
        ("stage3", 8, "blocks.2.0.pw.conv", "blocks.2.1.add"),
        ("head", 8, "pool", "fc"),
    ]


def test_without_names_a_stage_begins_with_the_step_that_shrinks_the_map():
    graph = nets.mobilenet_v2()
    firsts = [graph.nodes[int(first[1:])].name for _, _, first, _ in outline(nameless(graph))]
    assert firsts == ["conv_stem.conv", "blocks.0.0.dw.conv", "blocks.1.0.dw.conv", "blocks.2.0.dw.conv", "pool"]


def test_a_transition_of_densenet_begins_a_stage():
    assert outline(nets.densenet()) == [
        ("stem", 4, "features.conv0.conv", "features.pool0"),
        ("stage1", 4, "features.denseblock1.layer1.norm", "features.denseblock1.layer2.cat"),
        ("stage2", 8, "features.transition1.norm", "features.denseblock2.layer2.cat"),
        ("head", 8, "pool", "fc"),
    ]


def test_layers_between_the_stages_of_convnext_begin_them():
    assert outline(nets.convnext()) == [
        ("stem", 4, "stem.0", "stem.1"),
        ("stage1", 4, "stages.0.blocks.0.conv_dw", "stages.0.blocks.1.add"),
        ("stage2", 8, "stages.1.downsample.0", "stages.1.blocks.1.add"),
        ("head", 8, "pool", "fc"),
    ]


def test_a_chain_has_its_first_layer_as_stem_and_a_last_pooling_in_its_head():
    net = nets.Net(32, channels=3)
    x = net.x
    for stage in (1, 2):
        for number in (1, 2):
            x = net.add(ReLU(), net.conv(x, 4, 3, name=f"conv{stage}_{number}"), name=f"relu{stage}_{number}")
        x = net.pool(x, 2, 2, 0, name=f"pool{stage}")
    assert outline(net.classify(x)) == [
        ("stem", 1, "conv1_1", "relu1_1"),
        ("stage1", 1, "conv1_2", "relu1_2"),
        ("stage2", 2, "pool1", "relu2_2"),
        ("head", 4, "pool2", "fc"),
    ]


def test_a_depthwise_convolution_begins_the_first_block():
    """As in MobileNetV2, whose first block has no shortcut: the map forks only later."""
    net = nets.Net(32, channels=3)
    x = net.layer(net.layer(net.x, 8, 3, 2, name="a"), 8, 3, name="b")
    x = net.layer(net.layer(x, 8, 3, groups=8, name="depthwise"), 16, 1, name="c")
    x = net.add(Add(), x, net.layer(x, 16, 3, name="d"), name="sum")
    assert outline(net.classify(x)) == [
        ("stem", 2, "a.conv", "b.act"),
        ("stage1", 2, "depthwise.conv", "sum"),
        ("head", 2, "pool", "fc"),
    ]


def test_levels_end_where_feature_extractors_take_their_maps():
    graph = nets.resnet(224, early_stride=False)
    found = levels(graph, receptive_fields(graph))
    assert [(level.last, level.jump[0]) for level in found] == [
        ("relu", 2), ("layer1.2.relu", 4), ("layer2.3.relu", 8), ("layer3.5.relu", 16), ("layer4.2.relu", 32),
    ]  # fmt: skip
    assert [level.start for level in found[1:]] == [level.stop for level in found[:-1]]
    assert lanes(graph, receptive_fields(graph)) == ()


def test_parallel_ways_of_shrinking_are_one_border():
    """The stem of Inception-v4: pooling beside a convolution of stride 2, joined again."""
    net = nets.Net(64, channels=3)
    x = net.layer(net.x, 8, 3, 2, name="conv1")
    parts = net.pool(x, 3, 2, name="mixed.pool"), net.layer(x, 8, 3, 2, name="mixed.conv")
    x = net.layer(net.add(Concat(), *parts, name="mixed.cat"), 8, 3, name="after")
    assert outline(net.classify(x)) == [
        ("stem", 2, "conv1.conv", "conv1.act"),
        ("stage1", 4, "mixed.pool", "after.act"),
        ("head", 4, "pool", "fc"),
    ]


def test_an_auxiliary_output_cuts_nothing():
    graph = nets.resnet(224, early_stride=False, depths=(1, 1), widths=(64, 128))
    head = [Node("aux.pool", GlobalAvgPool(), ("layer1.0.relu",)), Node("aux.conv", Conv2d(256, 2, 1), ("aux.pool",))]
    place = next(number for number, node in enumerate(graph.nodes) if node.name.startswith("layer2"))
    nodes = (*graph.nodes[:place], *head, *graph.nodes[place:])
    with_aux = Graph("aux", graph.inputs, nodes, (*graph.outputs, "aux.conv"))
    assert [row[:2] for row in outline(with_aux)] == [row[:2] for row in outline(graph)]


def test_several_resolutions_at_once_are_lanes():
    graph = nets.unet()
    found = sections(cost(graph))
    assert [(part.name, part.kind) for part in found][:2] == [("stem", "stem"), ("lanes1", "lanes")]
    rows = lanes(graph, receptive_fields(graph))
    assert [(row.jump, row.first, row.last, row.layers) for row in rows] == [
        ((1, 1), "inc.conv", "outc", 3),
        ((2, 2), "down1.pool", "up1.conv.act", 2),
        ((4, 4), "down2.pool", "down2.conv.act", 1),
    ]
    assert rows[1].to_dict() == {"jump": [2, 2], "first": "down1.pool", "last": "up1.conv.act", "layers": 2}


def test_a_network_without_maps_is_all_head():
    net = nets.Net((1, 1), channels=6)
    graph = net.classify(net.x)
    assert [part.name for part in sections(cost(graph))] == ["head"]


def test_the_contract_of_a_section():
    (stem, *_) = sections(cost(nets.convnext()))
    assert stem.to_dict() == {
        "name": "stem", "kind": "stem", "first": "stem.0", "last": "stem.1", "params": 3 * 8 * 16 + 16,
        "macs": 8 * 16 * 16 * 48, "jump": [4, 4],
    }  # fmt: skip
