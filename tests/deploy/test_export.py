"""The parity gate lets a right file through, stops every kind of wrong one, and leaves no wrong file behind."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnxruntime
import pytest
import torch

from convsmith.data.resample import resample_matrix
from convsmith.deploy.export import export_onnx
from convsmith.deploy.parity import check_parity
from convsmith.errors import GateError
from convsmith.interop.onnx_file import Preprocess, write_onnx
from convsmith.interop.torch_module import build
from convsmith.interop.weights import weights_of
from convsmith.ir import Builder, TensorType
from convsmith.ops import BatchNorm2d, Conv2d, Flatten, GlobalAvgPool, Linear, ReLU

PREPROCESS = Preprocess(mean=(120.0, 110.0, 100.0), std=(60.0, 61.0, 62.0))


@pytest.fixture(scope="module")
def graph():
    net = Builder("small")
    x = net.input(TensorType((1, 3, 12, 12)))
    x = net.add(Conv2d(3, 8, 3, padding=1, bias=False), x, name="conv")
    x = net.add(ReLU(), net.add(BatchNorm2d(8), x, name="norm"), name="act")
    x = net.add(Flatten(), net.add(GlobalAvgPool(), x, name="pool"), name="flat")
    return net.graph(net.add(Linear(8, 5), x, name="classifier"))


@pytest.fixture
def module(graph):
    torch.manual_seed(3)
    module = build(graph)
    module.train()(torch.randn(32, 3, 12, 12))  # statistics that are not zero and one
    return module.eval()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (10, 12, 12, 3), dtype=np.uint8)


def parity_of(written, graph, module, images, path, expected=PREPROCESS):
    return check_parity(write_onnx(graph, weights_of(module), path, preprocess=written), module, expected, images)


def test_a_right_file_passes_and_tells_what_was_compared(graph, module, images, tmp_path):
    parity = parity_of(PREPROCESS, graph, module, images, tmp_path / "model.onnx")
    assert parity.passed
    assert (parity.images, parity.batches, parity.agreement) == (10, (1, 2, 7), 1.0)
    assert 0 < parity.relative < 1e-5
    assert parity.to_dict()["passed"] is True


def test_resampling_inside_the_file_passes_on_the_sizes_with_most_exact_halves(graph, module, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)
    matrix = resample_matrix(16, 12)
    preprocess = dataclasses.replace(PREPROCESS, resample=(matrix, matrix))
    assert parity_of(preprocess, graph, module, images, tmp_path / "model.onnx", preprocess).passed
    other = dataclasses.replace(preprocess, resample=(matrix, matrix[::-1].copy()))
    assert not parity_of(other, graph, module, images, tmp_path / "model.onnx", preprocess).passed


@pytest.mark.parametrize(
    "wrong",
    [
        dataclasses.replace(PREPROCESS, mean=(120.5, 110.0, 100.0)),
        dataclasses.replace(PREPROCESS, mean=(100.0, 110.0, 120.0), std=(62.0, 61.0, 60.0)),
        dataclasses.replace(PREPROCESS, std=(60.0, 61.0, 63.0)),
    ],
    ids=["mean off by half", "channels swapped", "std off by one"],
)
def test_wrong_preprocessing_is_caught(wrong, graph, module, images, tmp_path):
    assert not parity_of(wrong, graph, module, images, tmp_path / "model.onnx").passed


@pytest.mark.parametrize("value", [0.05, float("nan")])
def test_one_changed_weight_is_caught(value, graph, module, images, tmp_path):
    path = write_onnx(graph, weights_of(module), tmp_path / "model.onnx", preprocess=PREPROCESS)
    with torch.no_grad():
        module.get_submodule("conv").weight[0, 0, 0, 0] += value
    assert not check_parity(path, module, PREPROCESS, images).passed


def test_logits_that_are_no_numbers_never_pass(graph, module, images, tmp_path):
    weights = weights_of(module)
    weights["classifier.bias"][0] = np.nan
    path = write_onnx(graph, weights, tmp_path / "model.onnx", preprocess=PREPROCESS)
    parity = check_parity(path, module, PREPROCESS, images)
    assert not parity.passed
    assert parity.absolute == float("inf")


def test_a_single_image_is_repeated_to_fill_every_batch(graph, module, images, tmp_path):
    parity = parity_of(PREPROCESS, graph, module, images[:1], tmp_path / "model.onnx")
    assert parity.passed
    assert parity.images == 1


def test_the_gate_leaves_the_module_as_it_was(graph, module, images, tmp_path):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    parity_of(PREPROCESS, graph, module, images, tmp_path / "model.onnx")
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(value.dtype != torch.float64 for value in module.state_dict().values())


def test_export_writes_one_file_that_takes_pixels_and_gives_the_networks_answers(graph, module, images, tmp_path):
    path = tmp_path / "model.onnx"
    parity = export_onnx(graph, module, path, preprocess=PREPROCESS, images=images, metadata={"classes": "猫"})
    assert parity.passed
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["classes"] == "猫"
    (logits,) = session.run(None, {"pixels": images})
    pixels = (images.astype(np.float32) - np.float32(PREPROCESS.mean)) / np.float32(PREPROCESS.std)
    with torch.inference_mode():
        expected = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(np.asarray(logits), expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("older", [None, b"an older model"])
def test_a_failed_gate_leaves_what_was_there(older, graph, module, images, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    if older:
        path.write_bytes(older)
    spoiled = {name: value + 0.01 for name, value in weights_of(module).items()}
    monkeypatch.setattr("convsmith.deploy.export.weights_of", lambda _: spoiled)
    with pytest.raises(GateError, match=r"relative difference .* of 10 images") as caught:
        export_onnx(graph, module, path, preprocess=PREPROCESS, images=images)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == ([older] if older else [])
