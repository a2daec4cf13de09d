"""S15: pictures of kernels, of feature maps, of what excites a channel, and of what decided a prediction."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from convsmith.cli.main import run
from convsmith.interop.weights import read_metadata, read_weights, write_weights
from tests.explain.explain_digits import draw_digit, train_digits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s15")
    train_digits(folder)
    draw_digit(folder / "one.png", 1)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVSMITH_CACHE", str(tmp_path))


def asked(capsys, *arguments):
    assert run([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_kernels_of_the_first_layer_are_told_apart(folder, capsys):
    """Edges at four angles, a blur and a spot, in a run that otherwise stays as it was learnt."""
    copy = shutil.copytree(folder / "run", folder / "edges")
    weights, about = read_weights(copy / "model.safetensors"), read_metadata(copy / "model.safetensors")
    vertical = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
    diagonal = np.array([[0.0, 1, 1], [-1, 0, 1], [-1, -1, 0]])
    known = [vertical, vertical.T, diagonal, diagonal[:, ::-1], np.ones((3, 3)), [[0, 1, 0], [1, -4, 1], [0, 1, 0]]]
    weights["stem.conv.weight"][:6, 0] = known
    write_weights(copy / "model.safetensors", weights, about)
    (first,) = asked(capsys, "kernels", copy, "--out", folder / "kernels")["layers"]
    kernels = first["kernels"][:6]
    assert [kernel["pattern"] for kernel in kernels] == ["oriented"] * 4 + ["low-pass", "spot"]
    angles = [kernel["angle"] for kernel in kernels[:4]]
    assert angles == pytest.approx([90, 0, 135, 45], abs=0.5)
    assert (folder / "kernels" / "kernels-stem-conv.png").is_file()


def test_a_unit_sees_more_the_deeper_it_lies(folder, capsys):
    found = asked(capsys, "features", folder / "run", folder / "one.png", "--among", "digits", "--out", folder / "seen")
    sides = [field["side"] for field in found["effective_fields"]]
    assert sides == sorted(sides)
    assert sides[0] <= 3
    boxes = [layer["channels"][0]["patches"][0]["box"] for layer in found["excited"]["layers"]]
    assert boxes[0][2] - boxes[0][0] == 3
    assert boxes[1][2] - boxes[1][0] == 11
    with Image.open(folder / "seen" / "excites-stem-stem-act.png") as sheet:
        assert min(sheet.size) > 100


def test_what_decided_lies_on_the_stroke(folder, capsys):
    found = asked(capsys, "saliency", folder / "run", folder / "one.png")
    assert found["class"] == "1"
    occluded = np.array(found["maps"][0]["values"])
    ink = load_digits().images[1] > 8
    assert occluded[ink].mean() > occluded[~ink].mean()
    assert found["maps"][0]["deletion"] < found["by_chance"]["deletion"]
