"""What ONNX itself tests runtimes with: nine whole networks, and its cases of single operators."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, numpy_helper

from convsmith.errors import ModelError
from convsmith.interop.onnx_reader import read_onnx
from tests.interop.helpers import by_runtime
from tests.interop.onnx_helpers import Array, disagreement, drawn, numbers, rebuilt

pytestmark = pytest.mark.slow

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
PARAMS = {
    "bvlc_alexnet": 60_965_224,
    "densenet121": 8_062_504,
    "inception_v1": 6_998_552,
    "inception_v2": 11_214_888,
    "resnet50": 25_557_032,
    "shufflenet": 1_393_320,
    "squeezenet": 1_235_496,
    "vgg19": 143_667_240,
    "zfnet512": 87_250_536,
}


def with_random_weights(model: ModelProto) -> ModelProto:
    """The network with numbers of a usual size in place of its constants, under which every output is the same."""
    graph, pool = model.graph, numbers(100_003)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    others = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            others.append(node)
            continue
        shape = shapes[node.input[0]].tolist()
        array = np.resize(np.roll(pool, len(others)), shape)
        array = array * np.float32(np.sqrt(1 / np.prod(shape[1:]))) if len(shape) > 1 else np.abs(array) / 2 + 0.25
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), node.output[0]))
    del graph.node[:]
    graph.node.extend(others)
    return model


@pytest.mark.parametrize("name", PARAMS)
def test_a_whole_network_agrees_with_onnxruntime(name: str) -> None:
    path = LIGHT / f"light_{name}.onnx"
    reading = read_onnx(path)
    assert not reading.unknown
    assert sum(int(np.prod(shape)) for shape in reading.graph.param_shapes.values()) == PARAMS[name]
    model = with_random_weights(onnx.load(path))
    assert disagreement(read_onnx(model), model, drawn(reading)) < 1e-5


def test_all_nine_are_there() -> None:
    assert {path.stem.removeprefix("light_") for path in LIGHT.glob("*.onnx")} == set(PARAMS)


# Cases of single operators: those about convolution, pooling, normalisation, resizing and padding.

COVERED = {
    "AveragePool": 13,
    "BatchNormalization": 2,
    "Conv": 6,
    "ConvTranspose": 10,
    "GlobalAveragePool": 2,
    "GlobalMaxPool": 2,
    "GroupNormalization": 2,
    "InstanceNormalization": 2,
    "LRN": 2,
    "LayerNormalization": 13,
    "LpNormalization": 6,
    "MaxPool": 15,
    "Pad": 6,
    "RMSNormalization": 13,
    "Resize": 23,
    "Upsample": 1,
}

UNCOVERED = {
    "AffineGrid": 4,
    "AveragePool (on 5 axes)": 6,
    "AveragePool (padding wider than half the window)": 1,
    "BatchNormalization (with the statistics of a batch, or per pixel)": 2,
    "CausalConvWithState": 13,
    "CenterCropPad": 6,
    "Col2Im": 5,
    "ConvInteger": 2,
    "ConvTranspose (over 3 axes)": 1,
    "DeformConv": 4,
    "GridSample": 18,
    "LayerNormalization (over the batch)": 6,
    "LpPool": 8,
    "MaxPool (on 5 axes)": 4,
    "MaxUnpool": 2,
    "MeanVarianceNormalization": 1,
    "QLinearConv": 1,
    "RMSNormalization (over the batch)": 6,
    "Resize (cubic with other coefficients)": 1,
    "Resize (cubic, asymmetric)": 1,
    "Resize (cubic, half_pixel at scale 0.8)": 2,
    "Resize (linear, half_pixel at scale 0.6)": 1,
    "Resize (linear, half_pixel_symmetric at scale 0.6)": 1,
    "Resize (linear, half_pixel_symmetric at scale 2.3)": 1,
    "Resize (linear, pytorch_half_pixel)": 1,
    "Resize (linear, tf_crop_and_resize)": 4,
    "Resize (with smoothing)": 4,
    "RoiAlign": 3,
}
"""Cases that have no operator here, by the reason that the reader gives."""

FAMILIES = {name.split(" (")[0] for name in (*COVERED, *UNCOVERED)}


@cache
def cases() -> tuple[Any, ...]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the suite's own arithmetic
        return tuple(collect_testcases(None))


def stored(case: Any) -> ModelProto:
    """The model with every input but the first stored, and its first result, as a network in use has them."""
    model = ModelProto()
    model.CopyFrom(case.model)
    inputs, _ = case.data_sets[0]
    for info, array in list(zip(model.graph.input, inputs, strict=True))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), info.name))
    del model.graph.output[1:]
    return model


def expected(case: Any) -> Array:
    """What onnxruntime gives; what the suite expects, where it does not run the case."""
    inputs, outputs = case.data_sets[0]
    try:
        return by_runtime(case.model, [np.asarray(array) for array in inputs])[0]
    except Exception:
        return outputs[0]


def test_cases_of_the_suite_agree_with_onnxruntime_or_have_a_reason() -> None:
    covered, uncovered, wrong = Counter[str](), defaultdict[str, list[str]](list), dict[str, float]()
    for case in cases():
        nodes = case.model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in FAMILIES:
            continue
        reading = read_onnx(stored(case))
        if reading.unknown:
            uncovered[reading.unknown[0].function].append(case.name)
            continue
        with torch.no_grad():
            got = rebuilt(reading)(torch.from_numpy(np.asarray(case.data_sets[0][0][0], np.float32))).numpy()
        want = expected(case).astype(np.float32)
        error = float(np.abs(got - want).max() / np.abs(want).max())
        covered[nodes[0].op_type] += 1
        if got.shape != want.shape or error > 1e-5:
            wrong[case.name] = error
    assert wrong == {}
    assert {name: len(names) for name, names in uncovered.items()} == UNCOVERED
    assert dict(covered) == COVERED


def outcome(case: Any) -> str:
    try:
        model = stored(case)
    except (TypeError, NotImplementedError, ValueError):
        return "no tensors"  # but sequences, text or types that numpy does not have
    try:
        return "unknown" if read_onnx(model).unknown else "read"
    except ModelError as error:
        return str(error)


def test_no_case_of_the_whole_suite_breaks_the_reader() -> None:
    """Every case is read, said not to be understood, or refused in one line; how many are read may only grow."""
    outcomes = Counter(map(outcome, cases()))
    assert outcomes["read"] >= 680
    assert outcomes["no tensors"] < 150
    assert not any("\n" in text for text in outcomes)
