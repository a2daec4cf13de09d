from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, defs, helper

from convsmith.design import lower, zoo
from convsmith.interop.canonical import canonical
from convsmith.interop.onnx_file import Preprocess, write_onnx
from convsmith.interop.onnx_read_ops import READERS
from convsmith.interop.onnx_reader import read_onnx
from convsmith.interop.weights import weights_of
from convsmith.ir import Builder, Graph, Op, Sample, TensorType
from convsmith.ops import ALL_OPS, Conv2d, DynamicConv2d, Gather, HardSigmoid, LocalResponseNorm, SiLU
from tests.interop.helpers import STRUCTURES, by_runtime, one_node, randomised, relative_error, residual
from tests.interop.onnx_helpers import (
    Array,
    by_torch,
    disagreement,
    drawn,
    file,
    integers,
    node,
    numbers,
    ops,
    rows,
)

# The network that was written comes back


def stored(graph: Graph) -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {name: random.random(shape, np.float32) for name, shape in graph.stored_shapes.items()}


QUICK = ("efficientnet-b0", "mobilenet-v2")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in STRUCTURES]
)
def test_a_design_through_onnx_gives_the_same_table(name: str, tmp_path: Path) -> None:
    design = zoo.load(name)
    if "hidden" in design.head.options:  # or VGG's file would be half a gigabyte
        design = design.model_copy(update={"head": design.head.model_copy(update={"hidden": (16, 16)})})
    graph = lower(design)
    weights = stored(graph)
    reading = read_onnx(write_onnx(graph, weights, tmp_path / "net.onnx"))
    assert rows(reading.graph) == rows(canonical(graph))
    assert not reading.unknown
    assert not reading.unused
    assert reading.weights is not None
    # A layer norm of a map is three nodes in a file, a constant a tensor with the name of its value.
    read = {re.sub(r"\.normed(?=\.)|\.value(?=\.value$)", "", key): array for key, array in reading.weights.items()}
    assert set(read) == set(weights)
    for key, array in weights.items():
        np.testing.assert_array_equal(read[key], array)


def test_shared_weights_and_branches_come_back(tmp_path: Path) -> None:
    graph = residual()
    path = write_onnx(graph, weights_of(randomised(graph)), tmp_path / "net.onnx")
    reading = read_onnx(path)
    assert rows(reading.graph) == rows(canonical(graph))
    assert [(node.name, node.shares) for node in reading.graph.nodes if node.shares] == [
        ("stage1.block1.again", "stage1.block1.conv")
    ]
    assert disagreement(reading, path.read_bytes(), [numbers(3, 3, 8, 8)]) < 1e-5


# Operators that ONNX spells in several nodes, or without a word for some attribute.
SPELLED = {
    "AdaptiveAvgPool2d",  # windows of several sizes: two products
    "AdaptiveMaxPool2d",  # windows of several sizes: rows and columns repeated
    "AvgPool2d",  # ceil_mode: padding of its own
    "BatchNorm1d",  # affine, momentum
    "BatchNorm2d",
    "Constant",  # learned
    "Conv2d",  # learned
    "Expand",  # -1 for a size that stays
    "GroupNorm",  # affine
    "InstanceNorm2d",  # affine
    "LayerNorm",  # affine
    "LayerNorm2d",  # affine
    "Linear",  # along the channels of a sequence
    "MaxPool2d",  # ceil_mode: padding
    "Pointwise",  # square
    "RMSNorm",
    "Reduce",  # var, std
    "Reshape",  # which size is left open
    "Roll",  # Gather
    "ScaledDotProductAttention",
    "Take",  # its places are numbers here
    "ZeroInsert",  # a transposed convolution
}


def readable(sample: Sample) -> bool:
    """Whether ONNX can say it, and of one image alone."""
    op = sample.op
    if isinstance(op, Gather) and op.axis == 0:
        return False
    return not isinstance(op, DynamicConv2d) and not (isinstance(op, LocalResponseNorm) and op.size % 2 == 0)


@pytest.mark.slow
def test_every_operator_comes_back_but_those_that_are_spelled_out(tmp_path: Path) -> None:
    other = set[str]()
    for sample in [sample for op in ALL_OPS for sample in op.samples() if readable(sample)]:
        graph = one_node(sample.op, sample.types)
        path = write_onnx(graph, weights_of(randomised(graph)), tmp_path / "one.onnx")
        reading = read_onnx(path)
        assert not reading.unknown
        assert disagreement(reading, path.read_bytes(), positive(reading)) < 1e-5
        ours = canonical(graph.with_inputs(*(type for _, type in reading.graph.inputs)))
        if rows(reading.graph) != rows(ours):
            other.add(type(sample.op).__name__)
    assert other == SPELLED


def positive(reading: Any) -> list[Array]:
    return [np.abs(numbers(*type.shape, seed=1)) + 0.1 for _, type in reading.graph.inputs]


def test_a_file_that_takes_pixels_is_read_with_the_pixels_as_a_map(tmp_path: Path) -> None:
    builder = Builder("pre")
    x = builder.input(TensorType((1, 3, 6, 5)))
    graph = builder.graph(builder.add(Conv2d(3, 4, 3), x, name="conv"))
    preprocess = Preprocess((120.0, 110.0, 99.0), (60.0, 61.5, 50.0))
    path = write_onnx(graph, weights_of(randomised(graph)), tmp_path / "p.onnx", preprocess=preprocess)
    reading = read_onnx(path)
    assert reading.graph.inputs == (("pixels", TensorType((1, 3, 6, 5))),)
    assert ops(reading.graph) == ["Constant", "Sub", "Constant", "Div", "Conv2d"]
    pixels = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 3), np.uint8)
    want = by_runtime(path.read_bytes(), [pixels])[0]
    got = by_torch(reading, [pixels.astype(np.float32).transpose(0, 3, 1, 2)])[0]
    assert relative_error(got, want) < 1e-5


def test_reading_never_loads_torch(tmp_path: Path) -> None:
    graph = residual()
    path = write_onnx(graph, weights_of(randomised(graph)), tmp_path / "net.onnx")
    code = "import sys; from pathlib import Path; from convsmith.interop.onnx_reader import read_onnx; "
    code += f"read_onnx(Path({str(path)!r})); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Layouts

I = integers  # noqa: E741


def test_channels_last_behind_a_transpose_leaves_no_trace() -> None:
    model = file(
        13,
        node("Transpose", "x", "n", perm=[0, 3, 1, 2]),
        node("Conv", "n w", "c", pads=[1, 1, 1, 1]),
        node("Transpose", "c", "l", perm=[0, 2, 3, 1]),
        node("Add", "l b", "a"),
        node("Relu", "a", "r"),
        node("ReduceMean", "r", "m", axes=[1, 2], keepdims=1),
        node("Mul", "r m", "s"),
        node("Concat", "s r", "j", axis=-1),
        node("Slice", "j st en ax", "k"),
        node("Transpose", "k", "o", perm=[0, 3, 1, 2]),
        node("GlobalAveragePool", "o", "g"),
        node("Flatten", "g"),
        shape=("N", 6, 5, 3), w=numbers(4, 3, 3, 3), b=numbers(4), st=I(1), en=I(7), ax=I(3),
    )  # fmt: skip
    reading = read_onnx(model)
    assert reading.graph.inputs == (("x", TensorType((1, 3, 6, 5))),)
    shown = ["Conv2d", "ReLU", "GlobalAvgPool", "Mul", "Concat", "Slice", "GlobalAvgPool", "Flatten"]
    assert ops(reading.graph) == shown
    image = numbers(2, 6, 5, 3)
    got = by_torch(reading, [np.ascontiguousarray(image.transpose(0, 3, 1, 2))])[0]
    assert relative_error(got, by_runtime(model, [image])[0]) < 1e-5


def test_a_convnext_block_is_a_norm_of_pixels_and_linear_layers_along_the_channels() -> None:
    model = file(
        20,
        node("Conv", "x dw", "c", pads=[3, 3, 3, 3], group=4),
        node("Transpose", "c", "l", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "l s b", "n", epsilon=1e-6),
        node("MatMul", "n w1", "p"), node("Add", "p b1", "q"), node("Gelu", "q", "g"),
        node("MatMul", "g w2", "r"), node("Add", "r b2", "t"), node("Mul", "t gamma", "u"),
        node("Transpose", "u", "v", perm=[0, 3, 1, 2]), node("Add", "v x"),
        dw=numbers(4, 1, 7, 7), s=numbers(4), b=numbers(4), w1=numbers(4, 16), b1=numbers(16), w2=numbers(16, 4),
        b2=numbers(4), gamma=numbers(4),
    )  # fmt: skip
    reading = read_onnx(model)
    assert ops(reading.graph) == ["Conv2d", "LayerNorm2d", "Linear", "GELU", "Linear", "Constant", "Mul", "Add"]
    assert [node.op.axis for node in reading.graph.nodes if type(node.op).__name__ == "Linear"] == [1, 1]
    assert disagreement(reading, model, drawn(reading, 2)) < 1e-5


def test_elements_in_the_order_of_channels_last_get_a_real_permute() -> None:
    model = file(
        13, node("Transpose", "x", "l", perm=[0, 2, 3, 1]), node("Reshape", "l s", "f"), node("MatMul", "f w"),
        s=I(0, -1), w=numbers(120, 3),
    )  # fmt: skip
    reading = read_onnx(model)
    assert ops(reading.graph) == ["Permute", "Flatten", "Linear"]
    assert disagreement(reading, model, drawn(reading, 2)) < 1e-5


# Sizes


def test_open_sizes_are_named_and_filled_in() -> None:
    model = file(11, node("Conv", "x w"), shape=("batch", 3, None, "width"), w=numbers(4, 3, 3, 3))
    with pytest.raises(Exception, match="x") as caught:
        read_onnx(model)
    assert str(caught.value) == (
        "made: input 'x' leaves height, width open (received ['batch', 3, '?', 'width']); "
        "give the size of the image as (channels, height, width), such as 3x224x224"
    )
    reading = read_onnx(model, input=(3, 8, 9))
    assert reading.graph.types["y"].shape == (1, 4, 6, 7)
    with pytest.raises(Exception, match=r"must have the 3 channels of input 'x' \(received \(1, 8, 9\)\)"):
        read_onnx(model, input=(1, 8, 9))


def test_a_size_in_the_file_gives_way_to_the_one_asked_for() -> None:
    model = file(11, node("Conv", "x w"), shape=(1, 3, 20, 20), w=numbers(4, 3, 3, 3))
    assert read_onnx(model).graph.types["y"].shape == (1, 4, 18, 18)
    assert read_onnx(model, input=(3, 8, 9)).graph.types["y"].shape == (1, 4, 6, 7)


def test_a_batch_that_the_file_fixes_and_an_opset_of_the_future_are_told() -> None:
    model = file(13, node("Relu", "x"), shape=(4, 3, 6, 5))
    model.opset_import[0].version = 99
    told = read_onnx(model).warnings
    assert told[0] == "the file fixes a batch of 4: costs are those of 4 images"
    assert told[1].startswith("opset 99 is newer than the installed onnx knows")
    assert read_onnx(file(13, node("Relu", "x"))).warnings == ()


def test_an_input_without_a_shape_takes_the_one_asked_for() -> None:
    model = file(11, node("Conv", "x w"), w=numbers(4, 3, 3, 3))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert read_onnx(model, input=(3, 8, 9)).graph.types["y"].shape == (1, 4, 6, 7)
    with pytest.raises(Exception, match="leaves channels, height, width open"):
        read_onnx(model)


def test_an_open_size_that_is_no_image_cannot_be_given() -> None:
    model = file(11, node("Relu", "x"), shape=("N", "length", 3))
    with pytest.raises(Exception, match=r"leaves axis 1 open .*; set them in the file"):
        read_onnx(model, input=(3, 8, 9))


# What has no operator


@pytest.mark.parametrize(
    ("made", "function", "shape"),
    [
        (node("CumSum", "r a"), "CumSum", (1, 4, 6, 5)),
        (node("MaxPool", "r", "y i", kernel_shape=[2, 2]), "MaxPool (its second result is read)", (1, 4, 5, 4)),
        (node("Conv", "x x"), "Conv (kernels computed by the network)", (1, 1, 1, 1)),
        (node("LRN", "r", size=2), "LRN (over an even number of channels)", (1, 4, 6, 5)),
        (
            node("Resize", "r - f", mode="linear", coordinate_transformation_mode="asymmetric"),
            "Resize (linear, asymmetric)",
            (1, 4, 12, 10),
        ),
        (node("Resize", "r - d", mode="linear"), "Resize (linear, half_pixel at scale 1.3)", (1, 4, 7, 6)),
    ],
)
def test_what_has_no_operator_is_named_with_the_reason(made: Any, function: str, shape: Any) -> None:
    model = file(
        13, node("Relu", "x", "r"), made, shape=(1, 4, 6, 5), output=made[2], a=np.int64(1),
        f=np.float32([1, 1, 2, 2]), d=np.float32([1, 1, 1.3, 1.3]),
    )  # fmt: skip
    reading = read_onnx(model)
    assert [str(unknown) for unknown in reading.unknown] == [f"{function} in y"]
    assert {reading.graph.types[value].shape for value in reading.graph.outputs} == {shape}


def test_only_operators_that_onnx_has_are_understood() -> None:
    assert READERS.keys() <= {schema.name for schema in defs.get_all_schemas_with_history()}


@pytest.mark.parametrize(
    ("made", "op"),
    [
        (node("HardSigmoid", "x", alpha=1 / 6), HardSigmoid()),
        (node("HardSigmoid", "x", alpha=0.166667), HardSigmoid()),
        (node("Swish", "x"), SiLU()),
    ],
)
def test_an_activation_of_usual_numbers_keeps_its_name(made: Any, op: Op) -> None:
    (own,) = read_onnx(file(24, made, shape=(1, 4, 6, 5))).graph.nodes
    assert (own.name, own.op) == ("y", op)


def test_an_operator_of_another_domain_needs_its_shape_stated() -> None:
    model = file(13, node("Mystery", "x", domain="com.example"), shape=("N", 4, 6, 5))
    with pytest.raises(Exception, match=r"made: com\.example\.Mystery y: is not known, and neither is the shape"):
        read_onnx(model)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, 3]))
    reading = read_onnx(model)
    assert [str(unknown) for unknown in reading.unknown] == ["com.example.Mystery in y"]
    assert reading.graph.types["y"].shape == (1, 2, 3)


def test_truth_values_pass_through_what_is_not_known() -> None:
    model = file(13, node("Greater", "x z", "g"), node("Where", "g x z"), z=np.float32(0))
    reading = read_onnx(model)
    assert [unknown.function for unknown in reading.unknown] == ["Greater", "Where"]
    assert reading.graph.types["y"].shape == (1, 4, 6, 5)
