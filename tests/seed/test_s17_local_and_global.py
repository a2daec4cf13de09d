"""S17: one layer sees locally, many together globally: the exact receptive field of every layer."""

import json

import pytest

from convsmith.cli.main import run

# Pixels along a side that one unit sees, and the step between units. Araujo et al., Distill 2019 (VGG16, MobileNetV1);
# torchvision's geometry for the rest; ConvNeXt-T by its kernels of 7 and steps of 4 and 2.
SEEN = {
    "vgg16": {
        "stem.conv": (3, 1), "stage2.block1.pool": (6, 2), "stage5.block1.pool": (100, 16), "head.pool": (212, 32),
    },
    "mobilenet-v1": {"stem.act": (3, 2)},
    "resnet50": {
        "stem.conv": (7, 2), "stem.pool": (11, 4), "stage1.block3.act": (35, 4), "stage4.block3.act": (427, 32),
    },
    "mobilenet-v2": {"head.expand.act": (491, 32)},
    "efficientnet-b0": {"head.expand.act": (851, 32)},
    "convnext-tiny": {
        "stem.norm": (4, 4), "stage1.block3.add": (76, 4), "stage2.block3.add": (224, 8),
        "stage3.block9.add": (1096, 16), "stage4.block3.add": (1688, 32),
    },
}  # fmt: skip


def fields(name, capsys):
    assert run(["inspect", f"zoo:{name}", "--json"]) == 0
    return {layer["name"]: layer["receptive_field"] for layer in json.loads(capsys.readouterr().out)["layers"]}


@pytest.mark.parametrize("name", SEEN)
def test_a_unit_sees_what_is_published(name, capsys):
    seen = fields(name, capsys)
    for layer, (size, jump) in SEEN[name].items():
        assert seen[layer]["size"] == [size, size], layer
        assert seen[layer]["jump"] == [jump, jump], layer


def test_mobilenet_v1_ends_with_315_pixels(capsys):
    local = [field for field in fields("mobilenet-v1", capsys).values() if not field["global"]]
    assert local[-1]["size"] == [315, 315]


@pytest.mark.parametrize("name", ["ghostnet-v2", "mobilenet-v3-small"])
def test_gates_see_the_whole_map_and_the_layers_beside_them_do_not(name, capsys):
    seen = fields(name, capsys)
    gates = [layer for layer in seen if ".se." in layer and not layer.endswith("scale")]
    assert gates
    assert all(seen[layer]["global"] for layer in gates)
    assert not seen["stem.act"]["global"]


def test_the_field_has_its_shortest_path_its_centre_and_its_jump(capsys):
    seen = fields("resnet50", capsys)
    first, last = seen["stem.conv"], seen["stage4.block3.act"]
    assert (first["center"], first["jump"]) == ([0, 0], [2, 2])
    assert last["min_size"][0] < last["size"][0] == 427
