"""The four commands as a user meets them."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import convsmith
from convsmith.cli.main import run
from convsmith.errors import ConvsmithError
from tests.explain.explain_digits import draw_digit

pytestmark = pytest.mark.slow


def asked(capsys, *arguments):
    assert run([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def check_page(folder, name):
    """The page holds every picture, and nothing that is fetched or runs."""
    page = (folder / f"{name}.html").read_text()
    pictures = sorted(folder.glob("*.png"))
    assert page.count("data:image/png;base64,") == len(pictures) > 0
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    for picture in pictures:
        with Image.open(picture) as opened:
            assert np.asarray(opened).std() > 0, picture.name
    return page


def test_features_shows_the_last_map_of_every_section(run_folder, digit, tmp_path, capsys):
    found = asked(capsys, "features", run_folder, digit, "--out", tmp_path / "out")
    assert [layer["name"] for layer in found["layers"]] == ["stem.act", "stage1.block2.act", "stage2.block2.act"]
    assert found["layers"][1]["shape"] == [8, 8, 8]
    assert len(found["layers"][1]["channels"]) == 8
    assert found["native"] == [8, 8]
    assert found["excited"] is None
    page = check_page(tmp_path / "out", "features")
    assert "stage2.block2.act" in page
    assert run(["features", str(run_folder), str(digit)]) == 0
    captured = capsys.readouterr()
    assert "stage1.block2.act" in captured.out
    assert "--out" in captured.err


def test_a_picture_of_any_size_and_colour_is_brought_to_the_network(run_folder, tmp_path):
    large = draw_digit(tmp_path / "large.png", size=(64, 40))
    with Image.open(large) as opened:
        expected = np.asarray(opened.resize((8, 8), Image.Resampling.BILINEAR))
        opened.convert("RGB").save(tmp_path / "colour.png")
    for path in (large, tmp_path / "colour.png"):
        found = convsmith.features(run_folder, path).picture
        assert found.native.shape[:2] == (40, 64)
        np.testing.assert_array_equal(found.pixels[..., 0], expected)


def test_features_finds_what_excites_and_makes_images(run_folder, digit, tmp_path, capsys):
    found = asked(
        capsys, "features", run_folder, digit, "--layer", "stage1", "--among", "digits", "--make", "--patches", 3,
        "--out", tmp_path / "out",
    )  # fmt: skip
    (layer,) = found["excited"]["layers"]
    assert found["excited"]["images"] == 1797
    assert all(len(channel["patches"]) == 3 for channel in layer["channels"])
    assert layer["channels"][0]["patches"][0]["path"].startswith("digits/")
    assert found["effective_field_images"] == 32
    (made,) = found["made"]
    assert all(after >= before for before, after in zip(made["before"], made["after"], strict=True))
    check_page(tmp_path / "out", "features")
    assert len(list((tmp_path / "out").glob("excites-*.png"))) == 1


def test_kernels_are_shown_and_tagged(run_folder, tmp_path, capsys):
    found = asked(capsys, "kernels", run_folder, "--layer", "stage2.block1.conv1", "--out", tmp_path / "out")
    first, second = found["layers"]
    assert (first["layer"], first["shape"]) == ("stem.conv", [8, 1, 3, 3])
    assert second["layer"] == "stage2.block1.conv1.conv"
    assert sum(first["patterns"].values()) == 8 == len(first["kernels"])
    check_page(tmp_path / "out", "kernels")
    assert run(["kernels", str(run_folder)]) == 0
    assert "cycles per pixel" in capsys.readouterr().out


def test_similarity_says_what_is_alike(run_folder, tmp_path, capsys):
    found = asked(capsys, "similarity", run_folder, "digits", "--count", 256, "--out", tmp_path / "out")
    table = np.array(found["cka"], float)
    assert len(table) == len(found["layers"])
    np.testing.assert_allclose(np.diagonal(table), 1)
    np.testing.assert_allclose(table, table.T)
    assert found["batches"] == 16
    assert found["contrast"]["interval"][0] < found["contrast"]["difference"] < found["contrast"]["interval"][1]
    assert {one["name"] for one in found["stages"]} == {"stage1", "stage2"}
    assert [one["channels"] for one in found["stages"]] == [16, 32]
    assert all(0 <= one["restored_single"] <= one["restored"] + 0.05 <= 1.05 for one in found["ghostable"])
    check_page(tmp_path / "out", "similarity")
    assert asked(capsys, "similarity", run_folder, "digits", "--count", 256)["cka"] == found["cka"]


def test_similarity_of_few_images_has_no_nan_and_says_so(run_folder, capsys):
    found = asked(capsys, "similarity", run_folder, "digits", "--count", 5)
    assert found["batches"] == 1
    assert found["contrast"] is None or found["contrast"]["interval"] is None
    assert "NaN" not in json.dumps(found)


def test_dead_channels_and_dead_layers_are_named(run_folder, tmp_path, capsys):
    from convsmith.interop.weights import read_metadata, read_weights, write_weights

    copy = shutil.copytree(run_folder, tmp_path / "run")
    weights, about = read_weights(copy / "model.safetensors"), read_metadata(copy / "model.safetensors")
    for part in ("weight", "bias"):
        weights[f"stage1.block1.conv1.norm.{part}"][:] = 0
        weights[f"stem.norm.{part}"][3] = 0
    write_weights(copy / "model.safetensors", weights, about)
    found = asked(capsys, "similarity", copy, "digits", "--count", 64)
    assert "stage1.block1.conv1.act" in found["constant"]
    at = [layer["name"] for layer in found["layers"]].index("stage1.block1.conv1.act")
    assert set(found["cka"][at]) == {None}
    assert {"layer": "stem.act", "channel": 3} in found["channels"][0]["constant"]
    assert run(["similarity", str(copy), "digits", "--count", "64", "--out", str(tmp_path / "out")]) == 0
    assert "do not vary" in capsys.readouterr().err


def test_saliency_explains_the_answer_and_scores_every_map(run_folder, digit, tmp_path, capsys):
    found = asked(capsys, "saliency", run_folder, digit, "--out", tmp_path / "out")
    assert (found["class"], found["answer"]) == ("0", "0")
    assert [(one["method"], one["layer"]) for one in found["maps"]] == [
        ("occlusion", ""), ("gradient x input", ""),
        ("Grad-CAM", "stage1.block2.act"), ("HiResCAM", "stage1.block2.act"),
        ("Grad-CAM", "stage2.block2.act"), ("HiResCAM", "stage2.block2.act"),
    ]  # fmt: skip
    assert np.array(found["maps"][0]["values"]).shape == (8, 8)
    assert found["maps"][0]["deletion"] < found["by_chance"]["deletion"]
    check_page(tmp_path / "out", "saliency")
    other = asked(capsys, "saliency", run_folder, digit, "--class", "3")
    assert other["class"] == "3"
    assert other["probability"] < found["probability"]


def test_an_onnx_file_and_a_module_are_looked_into_as_well(run_folder, digit, capsys):
    from convsmith.jobs.run_folder import RunFolder

    by_run = asked(capsys, "features", run_folder, digit)
    by_file = asked(capsys, "features", run_folder / "model.onnx", digit)
    strongest = [max(channel["max"] for channel in one["layers"][-1]["channels"]) for one in (by_run, by_file)]
    assert strongest[0] == pytest.approx(strongest[1], rel=1e-4)
    module = RunFolder(run_folder).read_network().module
    seen = convsmith.view_kernels(module, input=(1, 8, 8))
    assert seen.layers[0].weights.shape == (8, 1, 3, 3)
    assert "0 to 1" in seen.trained.notes[0]


def convolution(*shape):
    """A network on its own, of an image of this shape."""
    from torch import nn

    return nn.Sequential(nn.Conv2d(shape[0], 4, 3), nn.ReLU()), shape


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((2, 9, 9), "1 or 3 channels"), ((3, 9, 8), "square"), ((3, 2, 2), "kernel")],
)
def test_an_image_that_a_network_cannot_take_is_refused(shape, expected, digit):
    module, size = convolution(*shape)
    with pytest.raises(ConvsmithError, match=expected):
        convsmith.features(module, digit, input=size)


def test_a_module_that_is_no_classifier_has_nothing_to_explain(digit):
    module, size = convolution(3, 9, 9)
    with pytest.raises(ConvsmithError, match="classifier"):
        convsmith.saliency(module, digit, input=size)
    assert convsmith.features(module, digit, input=size).maps[0].values.shape == (4, 7, 7)


@pytest.fixture
def broken(run_folder, tmp_path):
    """Places and files by name, as the messages are asked for."""
    (tmp_path / "text.png").write_text("no picture")
    unfinished = shutil.copytree(run_folder, tmp_path / "unfinished")
    (unfinished / "model.safetensors").unlink()
    (tmp_path / "empty").mkdir()
    one = tmp_path / "one"
    for name in ("a", "b"):
        (one / name).mkdir(parents=True)
        draw_digit(one / name / "0.png")
    return {"RUN": str(run_folder), "TEXT": str(tmp_path / "text.png"), "UNFINISHED": str(unfinished),
            "EMPTY": str(tmp_path / "empty"), "FEW": str(one), "PICTURE": str(draw_digit(tmp_path / "0.png")),
            "FILE": str(tmp_path / "text.png")}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["features", "RUN", "TEXT"], "not a readable picture"),
        (["features", "RUN", "missing.png"], "No such file"),
        (["saliency", "RUN", "TEXT"], "not a readable picture"),
        (["features", "UNFINISHED", "PICTURE"], "no model.safetensors"),
        (["kernels", "UNFINISHED"], "no model.safetensors"),
        (["similarity", "UNFINISHED", "digits"], "no model.safetensors"),
        (["saliency", "UNFINISHED", "PICTURE"], "no model.safetensors"),
        (["kernels", "EMPTY"], "not a run"),
        (["kernels", "zoo:resnet18"], "has no weights"),
        (["kernels", "RUN", "--input", "1x9x9"], "a run knows what its network takes"),
        (["similarity", "RUN", "FEW"], "at least 4"),
        (["similarity", "RUN", "digits", "--count", "1"], "at least 4"),
        (["similarity", "RUN", "digits", "--batch", "2"], "at least 4"),
        (["features", "RUN", "PICTURE", "--layer", "stage1.blok2.act"], "did you mean stage1.block2.act?"),
        (["saliency", "RUN", "PICTURE", "--layer", "stage9"], "did you mean stage"),
        (["kernels", "RUN", "--layer", "stem.cnv"], "did you mean stem.conv?"),
        (["similarity", "RUN", "digits", "--layer", "head.classifer"], "did you mean head.classifier?"),
        (["features", "RUN", "PICTURE", "--layer", "head.classifier"], "gives a map"),
        (["saliency", "RUN", "PICTURE", "--class", "seven"], "does not know this class"),
        (["saliency", "RUN", "PICTURE", "--window", "9"], "from 1 to 8"),
        (["features", "RUN", "PICTURE", "--out", "FILE"], "cannot write"),
        (["features", "RUN", "PICTURE", "--scale", "both"], "own"),
    ],
)
def test_what_cannot_be_gets_one_clear_line(arguments, expected, broken, capsys):
    assert run([broken.get(word, word) for word in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    *progress, message = captured.err.splitlines()
    assert expected in message
    assert all(line.startswith("reading images") for line in progress)
    assert "Traceback" not in captured.err
