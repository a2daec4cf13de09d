"""Files that are broken, or made to do harm: each is refused in one line that says where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convsmith.errors import ConvsmithError, ModelError
from convsmith.interop.onnx_file import write_onnx
from convsmith.interop.onnx_reader import read_onnx
from convsmith.interop.weights import weights_of
from tests.interop.helpers import randomised, residual
from tests.interop.onnx_helpers import file, integers, node, numbers


def changed(change: Callable[[ModelProto], Any]) -> ModelProto:
    model = file(13, node("Conv", "x w b", "c"), node("Relu", "c"), w=numbers(6, 4, 3, 3), b=numbers(6))
    change(model)
    return model


def with_values(values: bytes, *dims: int) -> ModelProto:
    def change(model: ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.raw_data = values
        tensor.dims[:] = dims

    return changed(change)


def external(**told: str) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in told.items():
            tensor.external_data.add(key=key, value=value)

    return change


def branch(kind: str) -> ModelProto:
    inner = helper.make_graph([helper.make_node("Neg", ["c"], ["n"])], "inner", [], [])
    return changed(
        lambda model: model.graph.node[1].CopyFrom(helper.make_node(kind, ["c"], ["y"], name="/here", body=inner))
    )


def attribute(**values: Any) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        conv = model.graph.node[0]
        del conv.attribute[:]
        conv.attribute.extend(helper.make_attribute(name, value) for name, value in values.items())

    return change


def dim(**sizes: int) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        for axis, size in sizes.items():
            model.graph.input[0].type.tensor_type.shape.dim[int(axis[1:])].dim_value = size

    return change


BROKEN: dict[str, tuple[Any, str]] = {
    "no protobuf": (b"not a model", "ONNX model: is no ONNX file, or a damaged one"),
    "nothing": (b"", "ONNX model: must hold a graph that gives something"),
    "no results": (changed(lambda model: model.graph.ClearField("output")), "must hold a graph that gives something"),
    "too old": (
        changed(lambda model: setattr(model.opset_import[0], "version", 6)),
        r"must be written for opset 7 or later \(received 6\); convert it",
    ),
    "no opset": (changed(lambda model: model.ClearField("opset_import")), r"opset 7 or later \(received 1\)"),
    **{
        kind: (branch(kind), rf"made: {kind} here: decides or repeats while it runs") for kind in ("If", "Loop", "Scan")
    },
    "a cycle": (
        changed(lambda model: model.graph.node[0].input.__setitem__(0, "y")),
        r"made: Conv c: waits for its own result",
    ),
    "its own result": (
        changed(lambda model: model.graph.node[1].input.__setitem__(0, "y")),
        "made: Relu y: waits for its own result",
    ),
    "an undefined input": (
        changed(lambda model: model.graph.node[1].input.__setitem__(0, "nowhere")),
        "made: Relu y: reads a tensor that nothing gives, 'nowhere'",
    ),
    "an undefined result": (
        changed(lambda model: setattr(model.graph.output[0], "name", "other")),
        r"made: nothing gives a result of the network \(received 'other'\)",
    ),
    "a result given twice": (
        changed(lambda model: model.graph.node[1].output.__setitem__(0, "c")),
        "made: Relu y: gives a tensor that is there already, 'c'",
    ),
    "a missing input": (
        changed(lambda model: model.graph.node[0].input.__setitem__(0, "")),
        "made: Conv c: is no valid ONNX: input 0 is missing",
    ),
    "no inputs": (
        changed(lambda model: model.graph.node[1].ClearField("input")),
        "made: Relu y: is not known, and neither is the shape",
    ),
    "too few values": (with_values(b"\0" * 8, 6, 4, 3, 3), "made: the stored tensor 'w' is damaged"),
    "absurd stored size": (with_values(b"\0" * 8, 2**40, 2**40), "made: the stored tensor 'w' is damaged"),
    "a negative stored size": (with_values(b"\0" * 8, -1, 2), "made: the stored tensor 'w' is damaged"),
    "a kernel of two axes": (with_values(b"\0" * 96, 6, 4), r"made: Conv c: .*over 0 axes"),
    "a wrong bias": (
        changed(lambda model: model.graph.initializer[1].CopyFrom(numpy_helper.from_array(numbers(5), "b"))),
        r"made: the stored tensor of c\.bias must have the shape \(6,\) \(received \(5,\)\)",
    ),
    "channels that do not fit": (changed(dim(d1=5)), "in_channels must equal the 5 channels of the input"),
    "an image smaller than the kernel": (changed(dim(d2=1)), "kernel_size does not fit into the padded map"),
    "groups of none": (changed(attribute(group=0)), "in_channels must be a positive integer"),
    "text for numbers": (changed(attribute(strides="two")), "made: Conv c: is no valid ONNX"),
    "too many strides": (changed(attribute(strides=[1, 1, 1])), "stride must be two integers"),
    "half of the padding": (changed(attribute(pads=[1, 1, 1])), "made: Conv c: is no valid ONNX"),
    "an unknown mode": (changed(attribute(auto_pad="WIDE")), "made: Conv c: .*WIDE"),
    "external data in memory": (changed(external(location="w.bin")), "can be read only with a path to the model"),
    "sparse": (changed(lambda model: model.graph.sparse_initializer.add()), "must not be sparse"),
    "a sequence": (
        changed(lambda model: model.graph.input[0].type.sequence_type.elem_type.tensor_type.SetInParent()),
        r"an input must be a tensor \(received 'x'\)",
    ),
    "an endless constant": (
        file(13, node("ConstantOfShape", "s", "c"), node("Add", "x c"), s=integers(2**31, 2**31)),
        r"made: ConstantOfShape c: is no valid ONNX: would need an array of shape \(2147483648, 2147483648\)",
    ),
    "an endless range": (
        file(13, node("Range", "a b d", "c"), node("Add", "x c"), a=np.int64(0), b=np.int64(2**60), d=np.int64(1)),
        "would need an array",
    ),
    "an endless product": (
        file(13, node("Add", "a b", "c"), node("Add", "x c"), a=numbers(2**14, 1), b=numbers(1, 2**14)),
        "would need an array",
    ),
    "endless tiles": (
        file(13, node("Tile", "a r", "c"), node("Add", "x c"), a=numbers(9), r=integers(2**50)),
        "would need",
    ),
    "a reshape that does not fit": (
        file(13, node("Reshape", "x s"), s=integers(-1, 7)),
        "made: Reshape y: is no valid ONNX",
    ),
    "an axis that is not there": (file(13, node("Concat", "x x", axis=9)), "made: Concat y: is no valid ONNX: axis 9"),
    "a place that is not there": (
        file(13, node("Gather", "x i", axis=1), i=integers(4)),
        "place beyond the 4 of axis 1",
    ),
    "a permutation of other axes": (file(13, node("Transpose", "x", perm=[0, 1])), "made: Transpose y"),
    "parts that do not fit": (file(13, node("Split", "x p", "y z", axis=1), p=integers(1, 1)), "cannot split 4"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_in_one_line(name: str) -> None:
    source, message = BROKEN[name]
    with pytest.raises(ModelError, match=message) as caught:
        understood(source)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def understood(source: Any) -> None:
    """Read it, and refuse what is not understood, as whoever asks for the graph does."""
    unknown = read_onnx(source).unknown
    if unknown:
        raise ModelError("; ".join(map(str, unknown)), where="made")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"location": "../w.bin"}, r"must lie in the folder of the model \(received '\.\./w\.bin'\)"),
        ({"location": "/etc/hostname"}, "must lie in the folder of the model"),
        ({"location": "link.bin"}, "must lie in the folder of the model"),
        ({"location": ""}, "must lie in the folder of the model"),
        ({"location": "a\0b"}, "must lie in the folder of the model"),
        ({"location": "none.bin"}, "a file with weights of the model is missing"),
        ({"location": "folder"}, "a file with weights of the model is missing"),
        ({"location": "w.bin", "offset": "-8"}, "do not fit"),
        ({"location": "w.bin", "offset": "8"}, "w.bin ends before it"),
        ({"location": "w.bin", "length": "7"}, "do not fit"),
        ({"location": "w.bin", "offset": "many"}, "the stored tensor 'w' is damaged"),
    ],
)
def test_external_data_is_read_only_from_inside_the_folder(told: dict[str, str], message: str, tmp_path: Path) -> None:
    inside = tmp_path / "model"
    (inside / "folder").mkdir(parents=True)
    for folder in (tmp_path, inside):
        (folder / "w.bin").write_bytes(b"\0" * 864)
    (inside / "link.bin").symlink_to(tmp_path / "w.bin")
    path = inside / "net.onnx"
    path.write_bytes(changed(external(**told)).SerializeToString())
    with pytest.raises(ModelError, match=message) as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx: cannot read the model: No such file"):
        read_onnx(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match=r"cannot read the model: Is a directory"):
        read_onnx(tmp_path)
    large = tmp_path / "large.onnx"
    with large.open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(ModelError, match=r"large\.onnx: an ONNX file must be at most 2 GiB, .*\(received 2147483648\)"):
        read_onnx(large)


def survives(content: bytes) -> None:
    message = ""
    try:
        read_onnx(content)
    except ConvsmithError as error:
        message = str(error)
    assert "\n" not in message


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    graph = residual()
    path = tmp_path_factory.mktemp("whole") / "net.onnx"
    return write_onnx(graph, weights_of(randomised(graph)), path).read_bytes()


def test_every_truncation_is_refused_or_read(content: bytes) -> None:
    for end in range(0, len(content), 37):
        survives(content[:end])


@pytest.mark.slow
@given(st.data())
@settings(max_examples=300)
def test_any_bytes_changed_give_a_clear_error_or_a_reading(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(damaged))
