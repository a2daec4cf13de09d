"""S12: stem, stages, head: a stage downsamples once and repeats a block; foreign networks are split so, too."""

import json
from dataclasses import replace

import pytest

from convsmith.cli.main import run
from convsmith.design import lower, zoo
from convsmith.interop.onnx_file import write_onnx
from convsmith.interop.torch_module import build
from convsmith.interop.weights import weights_of
from convsmith.ir import Graph

BORDERS = {
    # jump, channels and blocks of every stage, as the papers' tables have them
    "resnet18": [(4, 64, 2), (8, 128, 2), (16, 256, 2), (32, 512, 2)],
    "resnet50": [(4, 256, 3), (8, 512, 4), (16, 1024, 6), (32, 2048, 3)],
    "mobilenet-v2": [
        (2, 16, 1), (4, 24, 2), (8, 32, 3), (16, 64, 4), (16, 96, 3), (32, 160, 3), (32, 320, 1),
    ],
    "efficientnet-b0": [
        (2, 16, 1), (4, 24, 2), (8, 40, 2), (16, 80, 3), (16, 112, 3), (32, 192, 4), (32, 320, 1),
    ],
}  # fmt: skip


def inspected(model, capsys):
    assert run(["inspect", str(model), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", BORDERS)
def test_the_stages_of_a_published_network_are_those_of_its_paper(name, capsys):
    found = inspected(f"zoo:{name}", capsys)
    layers = {layer["name"]: layer for layer in found["layers"]}
    kinds = [part["kind"] for part in found["sections"]]
    assert kinds == ["stem", *["stage"] * len(BORDERS[name]), "head"]
    stages = [
        (part["jump"][0], layers[part["last"]]["output"][1], blocks(layers, part["name"]))
        for part in found["sections"]
        if part["kind"] == "stage"
    ]
    assert stages == BORDERS[name]


def blocks(layers, stage):
    return len({name.split(".")[1] for name in layers if name.startswith(f"{stage}.")})


def foreign(graph: Graph) -> Graph:
    """The same network with the names of a module that knows blocks but no stages: all blocks in one row."""
    names, rows = {name: name for name, _ in graph.inputs}, dict[str, int]()
    for node in graph.nodes:
        stage, _, rest = node.name.partition(".")
        block, _, inner = rest.partition(".")
        place = rows.setdefault(f"{stage}.{block}", len(rows))
        names[node.name] = f"features.{place}.{inner}" if block.startswith("block") else f"{stage[0]}{stage[-1]}.{rest}"
    nodes = [
        replace(node, name=names[node.name], inputs=tuple(names[value] for value in node.inputs))
        for node in graph.nodes
    ]
    return Graph("foreign", graph.inputs, tuple(nodes), tuple(names[value] for value in graph.outputs))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2"])
def test_a_foreign_file_is_split_where_its_map_changes_size(name, tmp_path, capsys):
    """Read from a file whose names know no stages, the borders are those of the paper, by size of the map."""
    graph = foreign(lower(zoo.load(name)))
    path = write_onnx(graph, weights_of(build(graph)), tmp_path / "foreign.onnx")
    found = inspected(path, capsys)
    stages = [part for part in found["sections"] if part["kind"] == "stage"]
    jumps = [jump for jump, _, _ in BORDERS[name]]
    assert [part["jump"] for part in stages] == [[jump, jump] for jump in dict.fromkeys(jumps)]
    layers = {layer["name"]: layer["output"][1] for layer in found["layers"]}
    last = {jump: channels for jump, channels, _ in BORDERS[name]}
    assert [layers[part["last"]] for part in stages][:-1] == list(last.values())[:-1]
    assert found["sections"][0]["kind"] == "stem"
    assert found["sections"][-1]["kind"] == "head"
    assert sum(part["macs"] for part in found["sections"]) == found["totals"]["macs"]


@pytest.mark.slow
def test_ghostnet_v2_has_four_stages_by_resolution(tmp_path, capsys):
    """Behind the stem's stage, whose maps are as large as the stem's: maps of 56, 28, 14 and 7 pixels."""
    graph = foreign(lower(zoo.load("ghostnet-v2")))
    found = inspected(write_onnx(graph, weights_of(build(graph)), tmp_path / "foreign.onnx"), capsys)
    jumps = [part["jump"] for part in found["sections"] if part["kind"] == "stage"]
    assert [jump for jump in jumps if jump != [2, 2]] == [[4, 4], [8, 8], [16, 16], [32, 32]]


def test_a_stage_of_a_design_downsamples_once_and_repeats_its_block():
    graph = lower(zoo.load("resnet50"))
    for number in range(1, 5):
        stage = [node for node in graph.nodes if node.name.startswith(f"stage{number}.")]
        sizes = [graph.types[node.name].shape[2] for node in stage]
        first = 1 + max(place for place, node in enumerate(stage) if ".block1." in node.name)
        assert len(set(sizes[first:])) == 1
        repeated = {}
        for node in stage[first:]:
            _, block, rest = node.name.split(".", 2)
            repeated.setdefault(block, []).append((rest, node.op))
        assert len({tuple(layers) for layers in repeated.values()}) == 1
