"""Weights out of ONNX files, whose norms another program folded away: the same numbers out, and fit to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from convsmith.data import Normalisation
from convsmith.design import lower, make_design
from convsmith.errors import ModelError
from convsmith.interop.folded_weights import match_layers
from convsmith.interop.onnx_file import write_onnx
from convsmith.interop.onnx_reader import read_onnx
from convsmith.interop.torch_module import build
from convsmith.interop.weights import load_weights, weights_of
from convsmith.ir import Graph
from convsmith.training.batches import TrainingSet
from convsmith.training.initialise import initialise
from convsmith.training.setup import Setup
from convsmith.training.unfold import unfold_norms


def graph(width: int = 12, **change: Any) -> Graph:
    stages = [
        {"block": "residual", "depth": 2, "width": width, "stride": 2},
        {"block": "inverted_residual", "depth": 2, "width": 16, "stride": 2, "expansion": 3.0, "se_ratio": 0.25},
    ]
    stem, head = {"block": "conv", "width": 8}, {"task": "classify", "classes": 5}
    return lower(
        make_design({"name": "net", "input": [3, 20, 20], "stem": stem, "stage": stages, "head": head, **change})
    )


@pytest.fixture(scope="module")
def trained():
    """A network whose norms have seen something, and images."""
    torch.manual_seed(1)
    module = initialise(build(graph()), 3)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 2)
            torch.nn.init.normal_(layer.bias)
    images = torch.rand(256, 3, 20, 20) * 255
    with torch.no_grad():
        for _ in range(30):
            module(images / 128 - 1)
    return module.eval(), images.round().to(torch.uint8)


def exported(module: torch.nn.Module, path: Path, *, fold: bool) -> Path:
    write_onnx(graph(), weights_of(module), path)
    if fold:  # by somebody else's program
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path.with_name("folded.onnx"))
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        path = path.with_name("folded.onnx")
    norms = [node for node in onnx.load(path).graph.node if node.op_type == "BatchNormalization"]
    assert bool(norms) != fold
    return path


def started(path: Path, ours: Graph | None = None) -> torch.nn.Module:
    reading = read_onnx(path)
    assert reading.weights is not None
    module = build(ours or graph())
    load_weights(module, {**weights_of(module), **match_layers(ours or graph(), reading.graph, reading.weights)})
    return module.eval()


@pytest.mark.slow
@pytest.mark.parametrize("fold", [False, True])
def test_the_network_computes_what_the_file_does(fold, trained, tmp_path):
    module, images = trained
    found = started(exported(module, tmp_path / "net.onnx", fold=fold))
    with torch.no_grad():
        given = images.float() / 128 - 1
        np.testing.assert_allclose(found(given), module(given), rtol=1e-3, atol=1e-3)


def test_folded_norms_made_norms_again_keep_the_numbers_and_learn_as_the_network_did(trained, tmp_path):
    module, images = trained
    found = started(exported(module, tmp_path / "net.onnx", fold=True))
    given = images.float() / 128 - 1
    pixels, labels = images.permute(0, 2, 3, 1).numpy(), np.zeros(len(images), np.int64)
    data = TrainingSet(pixels, labels, Normalisation((128.0,) * 3, (128.0,) * 3), 5)

    def error(training: bool) -> float:
        """Of the answers, in units of how far they differ from image to image."""
        with torch.no_grad():
            expected = module.eval()(given)
            answers = found.train(training)(given)
            found.eval()
        return float((answers - expected).square().mean().sqrt() / expected.std(0).mean())

    kept = {name: value.clone() for name, value in found.state_dict().items()}
    assert error(training=False) < 1e-3
    assert error(training=True) > 1  # all that was learnt is gone
    found.load_state_dict(kept)
    norms = sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in found.modules())
    assert unfold_norms(found, data, Setup(threads=1)) == norms
    assert error(training=False) < 1e-3
    assert error(training=True) < 0.2
    assert unfold_norms(found, data, Setup(threads=1)) == 0
    assert unfold_norms(initialise(build(graph()), 0), data, Setup(threads=1)) == 0


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (graph(width=14), "stage1.block1.conv1.conv must have weight of shape .14, 8, 3, 3"),
        (graph(head={"task": "classify", "classes": 5, "hidden": [7]}), "head.* must have weight of shape"),
        (graph(stem={"block": "conv", "width": 8, "norm": "none"}), "stem.conv must have bias of shape .8"),
    ],
)
def test_another_network_is_refused_with_the_first_layer_that_differs(ours, expected, trained, tmp_path):
    path = exported(trained[0], tmp_path / "net.onnx", fold=False)
    with pytest.raises(ModelError, match=f"{expected}.*give the design of the network"):
        started(path, ours)


def test_a_file_with_fewer_or_more_layers_is_refused(trained, tmp_path):
    path = exported(trained[0], tmp_path / "net.onnx", fold=True)
    stages = [{"block": "residual", "depth": 2, "width": 12, "stride": 2}]
    with pytest.raises(ModelError, match=r"must have weight|has a layer"):
        started(path, graph(stage=stages))
