"""S14: ghost networks make a part of their maps from the others by cheap linear maps."""

import json

import numpy as np

from convsmith.analysis.operator import operator
from convsmith.cli.main import run
from convsmith.design import lower, make_design


def test_each_made_map_is_a_linear_map_of_one_computed_map():
    """Y = CX of the cheap operation has entries only between a map and the one it is made from."""
    stage = {"block": "ghost", "depth": 1, "width": 8, "expansion": 2.0}
    head = {"task": "classify", "classes": 2}
    values = {
        "name": "ghosts",
        "input": [3, 6, 5],
        "stem": {"block": "conv", "width": 4},
        "stage": [stage],
        "head": head,
    }
    graph = lower(make_design(values))
    cheap = "stage1.block1.expand.cheap.conv"
    random = np.random.default_rng(0)
    weights = {name: random.normal(size=shape) for name, shape in graph.stored_shapes.items()}
    computed = graph.types["stage1.block1.expand.primary.act"].shape[1]
    assert graph.types["stage1.block1.expand.concat"].shape[1] == 2 * computed == 8
    matrix = operator(graph, cheap, cheap, weights).toarray().reshape(computed, 30, computed, 30)
    linked = np.abs(matrix).sum((1, 3)) > 0
    np.testing.assert_array_equal(linked, np.eye(computed, dtype=bool))


def test_the_network_costs_less_than_the_one_it_was_made_from(capsys):
    """Han et al., 2020, table 7: 141 million multiply-adds in place of MobileNetV3's 219."""
    macs = {}
    for name in ("ghostnet", "mobilenet-v3-large"):
        assert run(["inspect", f"zoo:{name}", "--json"]) == 0
        macs[name] = json.loads(capsys.readouterr().out)["totals"]["macs"]
    assert round(macs["ghostnet"] / 1e6) == 141
    assert macs["ghostnet"] < 0.66 * macs["mobilenet-v3-large"]
