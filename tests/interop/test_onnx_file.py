from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from convsmith.errors import ModelError, OpError
from convsmith.interop.onnx_file import Preprocess, run_onnx, write_onnx
from convsmith.interop.weights import weights_of
from convsmith.ir import Builder, Graph, Op, Sample, TensorType, Terms, Window
from convsmith.ops import (
    ALL_OPS,
    Add,
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    DynamicConv2d,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    Resize,
)
from tests.interop.helpers import (
    by_runtime,
    exact,
    one_node,
    random_inputs,
    randomised,
    relative_error,
    residual,
)


def writable(op: Op) -> bool:
    even = isinstance(op, LocalResponseNorm) and op.size % 2 == 0
    return not (even or isinstance(op, DynamicConv2d))


SAMPLES = [
    pytest.param(sample, id=f"{op.__name__}-{i}")
    for op in ALL_OPS
    for i, sample in enumerate(op.samples())
    if writable(sample.op)
]


def takes(graph: Graph, batch: int) -> bool:
    arrays = random_inputs(graph, batch)
    try:
        return bool(graph.with_inputs(*(TensorType(array.shape) for array in arrays)).types)
    except OpError:
        return False


def check(graph: Graph, path: Path, batches: tuple[int, ...]) -> None:
    module = randomised(graph)
    write_onnx(graph, weights_of(module), path)
    for batch in [batch for batch in batches if takes(graph, batch)] or [None]:
        inputs = random_inputs(graph, batch)
        want = exact(module, inputs)
        for optimised in (False, True):
            assert relative_error(by_runtime(path, inputs, optimised=optimised)[0], want) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_operator_runs_as_in_float64_torch(sample: Sample, tmp_path: Path) -> None:
    check(one_node(sample.op, sample.types), tmp_path / "one.onnx", (1, 2, 7))


@pytest.mark.slow
def test_the_batch_is_open_wherever_the_operator_takes_any(tmp_path: Path) -> None:
    fixed = set[str]()
    for sample in [sample for op in ALL_OPS for sample in op.samples() if writable(sample.op) and sample.types]:
        graph = one_node(sample.op, sample.types)
        path = write_onnx(graph, weights_of(randomised(graph)), tmp_path / "one.onnx")
        if onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0].dim_param != "batch":
            fixed.add(type(sample.op).__name__)
    assert fixed == {"Reshape"}  # one of its samples has the batch in its shape


# Cases in which runtimes or ONNX and torch are known to round sizes, counts or coordinates differently.
PITFALLS: list[tuple[Op, tuple[int, int]]] = [
    (AvgPool2d(3, 2, 1, ceil_mode=True), (6, 8)),
    (AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (6, 8)),
    (AvgPool2d(3, 2, 0, ceil_mode=True), (6, 5)),
    (AvgPool2d((2, 4), (3, 3), (1, 2), ceil_mode=True), (7, 9)),
    (AvgPool2d(1, 3, ceil_mode=True), (6, 7)),
    (AvgPool2d(4, 3, ((1, 2), (0, 1)), ceil_mode=True), (7, 9)),
    (MaxPool2d(1, 3, ceil_mode=True), (6, 7)),
    (MaxPool2d(3, 2, 1, ceil_mode=True), (6, 9)),
    (MaxPool2d(2, 2, dilation=3, ceil_mode=True), (7, 8)),
    (MaxPool2d(2, 4, dilation=3, ceil_mode=True), (9, 10)),
    (Resize((2, 4)), (14, 14)),
    (Resize((6, 7)), (10, 10)),
    (Resize((41, 3)), (1, 1)),
    (Resize((1, 1), "bilinear"), (5, 4)),
    (Resize((1, 8), "bilinear", align_corners=True), (5, 4)),
    (Conv2d(2, 2, 2, 2, ((0, 3), (4, 1)), 2), (5, 6)),
]


@pytest.mark.parametrize(("op", "size"), PITFALLS)
def test_known_pitfalls(op: Op, size: tuple[int, int], tmp_path: Path) -> None:
    check(one_node(op, (TensorType((1, 2, *size)),)), tmp_path / "one.onnx", (2,))


def test_a_network_with_branches_and_shared_weights(tmp_path: Path) -> None:
    check(residual(), tmp_path / "residual.onnx", (1, 2, 7))


def test_names_shapes_and_metadata_of_the_file(tmp_path: Path) -> None:
    graph = residual()
    path = write_onnx(graph, weights_of(randomised(graph)), tmp_path / "m.onnx", metadata={"labels": "a,b"})
    model = onnx.load(path)
    (input,), (output,) = model.graph.input, model.graph.output

    def dims(info: Any) -> list[Any]:
        return [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]

    assert (input.name, dims(input)) == ("input", ["batch", 3, 8, 8])
    assert (output.name, dims(output)) == ("logits", ["batch", 5])
    assert model.producer_name == "convsmith"
    assert {entry.key: entry.value for entry in model.metadata_props} == {"labels": "a,b"}
    names = [tensor.name for tensor in model.graph.initializer]
    assert sorted(names) == sorted(weights_of(randomised(graph)))
    shapes = {info.name: dims(info) for info in model.graph.value_info}
    for node in graph.nodes:
        if not isinstance(node.op, Dropout):
            assert shapes[node.name] == ["batch", *graph.types[node.name].shape[1:]]
    assert not any(node.op_type == "Dropout" for node in model.graph.node)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    graph = residual()
    first, second = (
        write_onnx(graph, weights_of(randomised(graph)), tmp_path / name, metadata={"a": "1", "b": "2"}).read_bytes()
        for name in ("1", "2")
    )
    assert first == second


def test_several_outputs_keep_their_names_even_where_a_dropout_vanishes(tmp_path: Path) -> None:
    builder = Builder("two")
    x = builder.input(TensorType((1, 2, 3, 3)))
    kept = builder.add(ReLU(), x, name="act")
    graph = builder.graph(kept, builder.add(Dropout(), kept, name="drop"), x)
    path = write_onnx(graph, {}, tmp_path / "two.onnx")
    assert [output.name for output in onnx.load(path).graph.output] == ["act", "drop", "input"]
    with pytest.raises(ModelError, match=r"one output \(received \(1, 3\)\)"):
        run_onnx(path)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resampled", [False, True])
def test_preprocess_takes_pixels_as_image_libraries_give_them(tmp_path: Path, channels: int, resampled: bool) -> None:
    builder = Builder("pre")
    x = builder.input(TensorType((1, channels, 6, 5)))
    graph = builder.graph(builder.add(Conv2d(channels, 4, 3), x, name="conv"))
    random = np.random.default_rng(0)
    # Rows that overshoot, so that rounding and clipping are seen.
    matrices = (random.normal(0.1, 0.4, (6, 9)).astype(np.float32), random.normal(0.1, 0.4, (5, 7)).astype(np.float32))
    preprocess = Preprocess(
        (120.0, 110.5, 99.25)[:channels], (60.0, 61.5, 0.5)[:channels], matrices if resampled else None
    )
    module = randomised(graph)
    run = run_onnx(write_onnx(graph, weights_of(module), tmp_path / "p.onnx", preprocess=preprocess))
    size = (9, 7) if resampled else (6, 5)
    pixels = random.integers(0, 256, (3, *size, channels), np.uint8)

    maps = pixels.astype(np.float32).transpose(0, 3, 1, 2)
    if resampled:
        values = np.einsum("ph,nchw,qw->ncpq", matrices[0], maps, matrices[1], dtype=np.float64)
        assert values.min() < 0
        assert values.max() > 255
        assert np.abs(values % 1 - 0.5).min() > 1e-4  # no value so near a half that float32 may round it the other way
        maps = np.rint(values).clip(0, 255)
    mean, std = (np.reshape(numbers, (1, channels, 1, 1)) for numbers in (preprocess.mean, preprocess.std))
    want = exact(module, [(maps - mean) / std])
    assert relative_error(run(pixels), want) < 1e-5


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        (Preprocess((1.0,), (1.0,)), "3 values each"),
        (Preprocess((1.0, 1.0, 1.0), (1.0, 0.0, 1.0)), "std must be positive"),
        (Preprocess((1.0,) * 3, (1.0,) * 3, (np.eye(8, dtype=np.float32), np.eye(7, dtype=np.float32))), "8×8"),
    ],
)
def test_a_preprocess_that_does_not_fit_is_refused(tmp_path: Path, preprocess: Preprocess, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        write_onnx(residual(), weights_of(randomised(residual())), tmp_path / "m.onnx", preprocess=preprocess)


def test_preprocess_needs_a_single_input(tmp_path: Path) -> None:
    map = TensorType((1, 3, 4, 4))
    graph = one_node(Add(), (map, map))
    with pytest.raises(ModelError, match=r"one input \(received 2\)"):
        write_onnx(graph, {}, tmp_path / "m.onnx", preprocess=Preprocess((1.0,) * 3, (1.0,) * 3))


@dataclass(frozen=True)
class Mystery(Op):
    def infer(self, *types: TensorType) -> TensorType:
        return types[0]

    def terms(self, *types: TensorType) -> Terms:
        return Terms()

    def window(self, *types: TensorType) -> tuple[Window, Window]:
        return (Window(), Window())

    def to_torch(self) -> Any:
        raise NotImplementedError

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return ()

    bad_samples: Any = None


def unknown() -> Graph:
    return one_node(Mystery(), (TensorType((1, 2, 3, 3)),))


def odd_transpose() -> Graph:
    op = ConvTranspose2d(2, 2, 3, output_padding=1, dilation=2, bias=False)
    return one_node(op, (TensorType((1, 2, 3, 3)),))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (unknown, r"body\.op: the operator cannot be written as ONNX \(received 'Mystery'\)"),
        (odd_transpose, r"body\.op: output_padding must be below stride \(1, 1\) in ONNX \(received \(1, 1\)\)"),
    ],
)
def test_what_onnx_cannot_say_is_refused_by_name(make: Callable[[], Graph], message: str, tmp_path: Path) -> None:
    graph = make()
    weights = {name: np.zeros(shape, np.float32) for name, shape in graph.param_shapes.items()}
    with pytest.raises(ModelError, match=message):
        write_onnx(graph, weights, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    weights = weights_of(randomised(residual()))
    del weights["stem.norm.running_mean"]
    with pytest.raises(ModelError, match=r"missing stem\.norm\.running_mean"):
        write_onnx(residual(), weights, tmp_path / "m.onnx")


def test_a_name_that_clashes_with_the_output_is_refused(tmp_path: Path) -> None:
    builder = Builder("clash")
    x = builder.input(TensorType((1, 2, 3, 3)))
    x = builder.add(ReLU(), x, name="logits")
    graph = builder.graph(builder.add(ReLU(), x, name="last"))
    with pytest.raises(ModelError, match="clash: the graph is no valid ONNX model"):
        write_onnx(graph, {}, tmp_path / "m.onnx")
    last = replace(graph, outputs=("logits",))
    write_onnx(last, {}, tmp_path / "m.onnx")


def test_run_onnx_takes_bytes_and_reports_errors_in_one_line(tmp_path: Path) -> None:
    graph = residual()
    path = write_onnx(graph, weights_of(randomised(graph)), tmp_path / "m.onnx")
    inputs = random_inputs(graph, 2)
    np.testing.assert_array_equal(run_onnx(path.read_bytes(), threads=2)(inputs[0]), run_onnx(str(path))(inputs[0]))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    for call, message in (
        (lambda: run_onnx(broken), "broken.onnx: onnxruntime cannot load it"),
        (lambda: run_onnx(tmp_path / "none.onnx"), "none.onnx: onnxruntime cannot load it"),
        (lambda: run_onnx(path)(inputs[0][:, :2]), "m.onnx: onnxruntime cannot run it"),
        (lambda: run_onnx(path)(inputs[0].astype(np.uint8)), "m.onnx: onnxruntime cannot run it"),
    ):
        with pytest.raises(ModelError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
