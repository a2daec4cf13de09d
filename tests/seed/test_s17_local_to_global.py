"""S17: one layer sees locally, many together see globally: exact fields, per path, with centre and jump."""

import json

import pytest

from convsmith.cli.main import run


def layers(capsys, name):
    assert run(["inspect", f"zoo:{name}", "--json"]) == 0
    return {layer["name"]: layer["receptive_field"] for layer in json.loads(capsys.readouterr().out)["layers"]}


@pytest.mark.parametrize(
    ("name", "first", "largest"), [("resnet50", 7, 427), ("vgg16", 3, 212), ("mobilenet-v1", 3, 315)]
)
def test_published_fields(name, first, largest, capsys):
    fields = layers(capsys, name)
    assert next(iter(fields.values()))["size"] == [first, first]
    assert max(field["size"][0] for field in fields.values()) == largest


def test_the_field_has_its_shortest_path_its_centre_and_its_jump(capsys):
    fields = layers(capsys, "resnet50")
    first, last = fields["stem.conv"], fields["stage4.block3.act"]
    assert (first["center"], first["jump"]) == ([0, 0], [2, 2])
    assert last["jump"] == [32, 32]
    assert last["min_size"][0] < last["size"][0] == 427
