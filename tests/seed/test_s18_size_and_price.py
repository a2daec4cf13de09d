"""S18: parameters and computations are the size and the price of a network, exactly and by a named convention."""

import json

import pytest

from convsmith.cli.main import run

# pycls, dev/model_complexity.json of 2020-09-04: its "flops" are multiply-adds and an addition for each bias.
PYCLS = {
    "resnet50": (25_557_032, 4_089_185_256),
    "efficientnet-b3": (12_233_232, 1_827_162_472),
    "regnetx-400mf": (5_157_512, 397_678_568),
    "regnety-800mf": (6_263_168, 797_183_328),
}

# He et al.'s network by each way of counting: see docs/counting.md for who published which.
RESNET50 = {"macs": 4_089_184_256, "flops": 8_178_368_512, "fvcore": 4_111_512_576, "pycls": 4_089_185_256}


def inspected(name, capsys):
    assert run(["inspect", f"zoo:{name}", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", PYCLS)
def test_size_and_price_as_published(name, capsys):
    found = inspected(name, capsys)
    assert (found["totals"]["params"], found["conventions"]["pycls"]) == PYCLS[name]


def test_every_way_of_counting_has_a_name(capsys):
    conventions = inspected("resnet50", capsys)["conventions"]
    assert {name: conventions[name] for name in RESNET50} == RESNET50


@pytest.mark.parametrize("name", ["ghostnet", "mobilenet-v3-small", "convnext-tiny", "dcgan-generator"])
def test_layers_add_up_to_stages_and_stages_to_the_network(name, capsys):
    found = inspected(name, capsys)
    for key in ("params", "macs"):
        assert sum(layer[key] for layer in found["layers"]) == found["totals"][key]
        assert sum(part[key] for part in found["sections"]) == found["totals"][key]
    assert found["totals"]["weight_bytes"] == 4 * found["totals"]["params"]
    assert found["totals"]["peak_activation_bytes"] > 0
