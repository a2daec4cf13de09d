"""S11: convolutions and global pooling in place of pooling and fully connected layers, from the command line."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import convsmith
from convsmith.cli.main import run
from convsmith.data import Normalisation
from convsmith.design import lower, make_design, read_design, write_design
from convsmith.interop.onnx_file import run_onnx, write_onnx
from convsmith.interop.onnx_reader import read_onnx
from convsmith.interop.torch_module import build
from convsmith.interop.weights import weights_of
from convsmith.jobs.preparation import Preparation
from convsmith.jobs.run_folder import RunFolder, TrainedNetwork
from convsmith.rewrites import RULES

CLASSES = ("dark", "bright")


def small(**head):
    return make_design(
        {
            "name": "small",
            "input": [3, 16, 16],
            "stem": {"block": "conv", "width": 8, "stride": 2, "pool": "max"},
            "stage": [{"block": "residual", "depth": 1, "width": 8}],
            "head": {"task": "classify", "classes": 2, **head},
        }
    )


@pytest.fixture
def trained(tmp_path):
    """A run folder; its network calls a window bright whose pixels are, whatever its random weights say besides."""
    design = small(pool="max", hidden=[6])
    graph = lower(design)
    torch.manual_seed(0)
    module = build(graph).eval()
    preparation = Preparation(16, 3, "squash", 16, Normalisation((128.0,) * 3, (64.0,) * 3))
    folder = RunFolder.create(tmp_path / "run")
    folder.write_network(TrainedNetwork(design, graph, module, CLASSES, preparation))
    return folder.path


@pytest.fixture
def file(tmp_path):
    graph = lower(small())
    return write_onnx(graph, weights_of(build(graph)), tmp_path / "model.onnx")


def asked(capsys, *arguments):
    assert run(["rewrite", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_list_has_every_rule_with_what_it_keeps(capsys):
    assert run(["rewrite", "--list"]) == 0
    shown = capsys.readouterr().out
    for rule in RULES:
        line = next(line for line in shown.splitlines() if line.startswith(f"{rule.name} "))
        assert rule.keeps in line
        assert rule.summary in line


@pytest.mark.parametrize("head", [{}, {"pool": "max", "hidden": [12, 7], "dropout": 0.2}])
def test_a_fully_connected_layer_and_its_convolution_give_equal_logits(head, tmp_path, capsys):
    graph = lower(small(**head))
    module = build(graph).eval()
    path = write_onnx(graph, weights_of(module), tmp_path / "dense.onnx")
    found = asked(capsys, path, "--rule", "full-convolution", "--out", tmp_path / "sliding.onnx")
    assert found["keeps"] == "numbers"
    assert found["difference"]["relative"] < 1e-12
    assert found["before"]["totals"]["params"] == found["after"]["totals"]["params"]
    image = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    there = run_onnx(tmp_path / "sliding.onnx")(image)
    assert there.shape == (1, 2, 1, 1)
    with torch.inference_mode():
        assert np.allclose(there.ravel(), module(torch.from_numpy(image)).numpy().ravel(), atol=1e-5)


def test_on_a_larger_image_it_gives_a_map_of_scores(trained, tmp_path, capsys):
    out = tmp_path / "large.onnx"
    asked(capsys, trained, "--rule", "full-convolution", "--out", out, "--larger", "3x32x48")
    image = np.random.default_rng(0).standard_normal((1, 3, 32, 48)).astype(np.float32)
    assert run_onnx(out)(image).shape == (1, 2, 3, 5)
    assert read_onnx(out).graph.inputs[0][1].shape == (1, 3, 32, 48)


@pytest.mark.slow
def test_the_map_of_scores_is_drawn_over_a_photograph(trained, tmp_path, capsys):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    picture = tmp_path / "scores.png"
    drawing = ["--photo", tmp_path / "photo.png", "--picture", picture, "--label", "bright"]
    found = asked(capsys, trained, "--rule", "full-convolution", *drawing)["score_map"]
    assert found["label"] == "bright"
    assert found["image"] == [32, 48]
    assert np.shape(found["probabilities"]) == tuple(found["places"]) == (3, 5)
    done = convsmith.rewrite(trained, "full-convolution")
    module = build(done.on((3, 32, 48))).eval()
    module.load_state_dict({name: torch.tensor(array) for name, array in done.weights.items()}, strict=False)
    scaled = np.asarray(Image.fromarray(pixels).resize((48, 32), Image.Resampling.BILINEAR))
    normalised = (torch.from_numpy(scaled.copy()).permute(2, 0, 1)[None].float() - 128) / 64
    with torch.inference_mode():
        shares = module(normalised).softmax(1)[0, 1]
    assert np.allclose(found["probabilities"], shares.numpy(), atol=1e-5)
    assert found["highest"] == pytest.approx(shares.max().item(), abs=1e-5)
    drawn = np.asarray(Image.open(picture))
    assert drawn.shape[0] > 300
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 20


@pytest.mark.slow
def test_an_exported_file_gives_the_map_that_its_run_gives(trained, tmp_path, capsys):
    """It prepares pixels itself, and a run says how it is done: both see the same numbers."""
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (48, 40, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    assert run(["export", str(trained)]) == 0
    capsys.readouterr()
    drawing = ["--photo", tmp_path / "photo.png", "--picture", tmp_path / "scores.png", "--label", "1"]
    maps = [asked(capsys, model, "--rule", "full-convolution", *drawing) for model in (trained, trained / "model.onnx")]
    one, other = (np.array(found["score_map"]["probabilities"]) for found in maps)
    assert np.allclose(one, other, atol=1e-5)
    assert one.std() > 1e-4
    assert "takes bytes" in maps[1]["warnings"][0]


@pytest.mark.parametrize(
    ("rule", "keeps"),
    [("strided-convolution", "shapes"), ("pooling", "shapes"), ("global-pooling", "shapes"), ("fold-norm", "numbers")],
)
def test_the_other_rules_say_what_they_keep_and_cost(rule, keeps, capsys, tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(write_design(small(pool="max", hidden=[12])))
    found = asked(capsys, path, "--rule", rule)
    assert found["keeps"] == keeps
    assert (found["difference"] is None) == (keeps == "shapes")
    assert found["changed"]
    assert run(["rewrite", str(path), "--rule", rule]) == 0
    shown = capsys.readouterr().out
    assert f"{found['before']['totals']['params']:,}" in shown
    assert f"{found['after']['totals']['params']:,}" in shown
    assert ("float64" in shown) == (keeps == "numbers")


def test_folding_gives_an_onnx_file_the_same_numbers_with_fewer_layers(file, tmp_path, capsys):
    folded = tmp_path / "folded.onnx"
    found = asked(capsys, file, "--rule", "fold-norm", "--out", folded)
    assert found["difference"]["relative"] < 1e-12
    image = np.random.default_rng(1).standard_normal((1, 3, 16, 16)).astype(np.float32)
    assert np.allclose(run_onnx(file)(image), run_onnx(folded)(image), atol=1e-5)
    before, after = read_onnx(file).graph, read_onnx(folded).graph
    assert len(before.nodes) - len(after.nodes) == len(found["changed"]) == 3


def test_a_run_is_written_as_a_run_that_predicts_the_same(trained, tmp_path, capsys):
    out = tmp_path / "folded"
    assert run(["rewrite", str(trained), "--rule", "fold-norm", "--out", str(out)]) == 0
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    one, other = (convsmith.predict(folder, [tmp_path / "a.png"]).predictions[0] for folder in (trained, out))
    assert dict(one.labels) == pytest.approx(dict(other.labels), abs=1e-5)
    assert read_design(out / "design.toml").stem.options["norm"] == "none"
    capsys.readouterr()
    assert run(["rewrite", str(trained), "--rule", "global-pooling", "--out", str(tmp_path / "untrained")]) == 2
    assert "must be trained again" in capsys.readouterr().err
    larger = ["--input", "3x32x32", "--out", str(tmp_path / "untrained")]
    assert run(["rewrite", str(trained), "--rule", "fold-norm", *larger]) == 2
    assert "leave --input out" in capsys.readouterr().err
    assert not (tmp_path / "untrained").exists()


def test_a_design_file_is_written_where_its_keys_can_say_it(tmp_path, capsys):
    path, out = tmp_path / "small.toml", tmp_path / "mean.toml"
    path.write_text(write_design(small(pool="max", hidden=[12])))
    assert run(["rewrite", str(path), "--rule", "global-pooling", "--out", str(out)]) == 0
    assert read_design(out) == small()
    capsys.readouterr()
    assert run(["rewrite", str(path), "--rule", "strided-convolution", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "the keys of a design cannot say this network" in error
    assert "file.onnx" in error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["zoo:resnet18", "--rule", "fold-nrom"], ["did you mean fold-norm?", "'fold-nrom'"]),
        (["zoo:resnet18", "--rule", "two-3x3"], ["finds nothing to do", "a 5x5 convolution", "resnet18"]),
        (["zoo:resnet18", "--rule", "zero-insertion"], ["finds nothing to do", "stride of 1/2"]),
        (["zoo:resnet18"], ["--rule is missing", "--list"]),
        ([], ["a model is missing", "--list"]),
        (["zoo:resnet18", "--rule", "fold-norm", "--larger", "3x64x64"], ["--larger needs --out FILE.onnx"]),
        (["zoo:resnet18", "--rule", "fold-norm", "--photo", "a.jpg"], ["--photo and --picture need each other"]),
        (["nothing.toml", "--rule", "fold-norm"], ["nothing.toml"]),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments, expected, capsys):
    assert run(["rewrite", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    for part in expected:
        assert part in captured.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--out", "x.bin"], ["'x.bin'", "file.onnx or file.toml"]),
        (["--out", "x.onnx", "--larger", "3x8x8"], ["(3, 8, 8)", "at least its own size"]),
        (["--photo", "missing.jpg", "--picture", "p.png"], ["not a readable picture", "missing.jpg"]),
    ],
)
def test_what_cannot_be_written_is_said_in_one_line(arguments, expected, trained, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["rewrite", str(trained), "--rule", "full-convolution", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for part in expected:
        assert part in error


def test_a_label_or_a_mean_that_is_none_is_refused(trained, tmp_path, capsys):
    Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    drawing = ["--photo", str(tmp_path / "photo.png"), "--picture", str(tmp_path / "p.png")]
    for more, part in (
        (["--label", "grey"], "give one of dark, bright"),
        (["--mean", "1,2"], "mean must be one number or 3"),
        (["--std", "0"], "above zero"),
        (["--mean", "x"], "--mean must be numbers"),
    ):
        assert run(["rewrite", str(trained), "--rule", "full-convolution", *drawing, *more]) == 2
        assert part in capsys.readouterr().err


def test_a_torch_module_is_rewritten_with_its_own_weights():
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(4 * 36, 5),
    ).eval()  # fmt: skip
    module[1].running_var.uniform_(0.5, 2.0)
    done = convsmith.rewrite(convsmith.rewrite(module, "fold-norm", input=(3, 8, 8)).graph, "full-convolution")
    assert done.graph.types[done.graph.outputs[0]].shape == (1, 5, 1, 1)
    folded = convsmith.rewrite(module, "fold-norm", input=(3, 8, 8))
    image = torch.randn(1, 3, 8, 8)
    network = build(folded.graph).eval()
    network.load_state_dict({name: torch.tensor(array).float() for name, array in folded.weights.items()})
    with torch.inference_mode():
        assert torch.allclose(network(image), module(image), atol=1e-5)
