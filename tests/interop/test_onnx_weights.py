from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convsmith.interop.onnx_reader import read_onnx
from convsmith.interop.onnx_tidy import _TAKEN
from convsmith.interop.torch_module import Network
from convsmith.ir import TensorType
from convsmith.ops import Constant
from tests.interop.helpers import by_runtime, relative_error
from tests.interop.onnx_helpers import (
    by_torch,
    disagreement,
    drawn,
    file,
    integers,
    node,
    numbers,
    ops,
    rebuilt,
)

I = integers  # noqa: E741


def test_weights_may_be_inputs_constants_or_constants_of_a_shape() -> None:
    model = file(
        9,
        node("Constant", "", "b", value=numpy_helper.from_array(numbers(6))),
        node("ConstantOfShape", "z", "k", value=numpy_helper.from_array(np.float32([0.25]))),
        node("Conv", "x w b", "c"),
        node("Conv", "c k"),
        w=numbers(6, 4, 3, 3), z=I(2, 6, 1, 1),
    )  # fmt: skip
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [6, 4, 3, 3]))
    reading = read_onnx(model)
    assert list(reading.graph.param_shapes.values()) == [(6, 4, 3, 3), (6,), (2, 6, 1, 1)]
    assert len(reading.graph.inputs) == 1
    got, want = by_torch(reading, drawn(reading)), by_runtime(model, drawn(reading))
    assert relative_error(got[0], want[0]) < 1e-5


def test_a_table_that_is_read_at_stored_places_keeps_its_size() -> None:
    model = file(
        13, node("Gather", "t i", "g"), node("Transpose", "g", "h", perm=[2, 0, 1]), node("Add", "x h"),
        shape=("N", 3, 4, 4), t=numbers(7, 3), i=np.random.default_rng(0).integers(0, 7, (4, 4)),
    )  # fmt: skip
    reading = read_onnx(model)
    assert ops(reading.graph) == ["Constant", "Take", "Permute", "Add"]
    assert list(reading.graph.param_shapes.values()) == [(7, 3)]
    assert disagreement(reading, model, drawn(reading, 2)) < 1e-5


def learned(model: ModelProto) -> list[tuple[tuple[int, ...], bool]]:
    reading = read_onnx(model)
    assert disagreement(reading, model, drawn(reading)) < 1e-5
    return [(node.op.shape, node.op.learned) for node in reading.graph.nodes if isinstance(node.op, Constant)]


def test_stored_fractions_are_learned_and_what_follows_from_shapes_is_not() -> None:
    stored = file(13, node("Relu", "x", "r"), node("Mul", "r c"), c=np.ones((4, 1, 1), np.float32))
    assert learned(stored) == [((4, 1, 1), True)]
    filled = file(13, node("Relu", "x", "r"), node("ConstantOfShape", "s", "f"), node("Unsqueeze", "f a", "c"),
                  node("Add", "r c"), s=I(6, 5), a=I(0))  # fmt: skip
    assert learned(filled) == [((1, 6, 5), True)]
    counted = file(13, node("Relu", "x", "r"), node("Range", "z n o", "i"), node("Cast", "i", "c", to=1),
                   node("Div", "c n5", "d"), node("Add", "r d"), z=np.int64(0), n=np.int64(5), o=np.int64(1),
                   n5=np.float32(5))  # fmt: skip
    assert learned(counted) == [((5,), False)]
    summed = file(13, node("Relu", "x", "r"), node("ConstantOfShape", "s", "f", value=numpy_helper.from_array(
                  np.ones(1, np.float32))), node("CumSum", "f a", "c"), node("Add", "r c"), s=I(6, 5),
                  a=np.int64(0))  # fmt: skip
    assert learned(summed) == [((6, 5), False)]


def test_a_mask_and_the_normalisation_of_the_image_are_not_learned() -> None:
    mask = np.where(numbers(6, 5) > 0, 0, -100).astype(np.float32)
    model = file(13, node("Sub", "x m", "a"), node("Div", "a s", "b"), node("Relu", "b", "r"), node("Add", "r k"),
                 m=numbers(1, 4, 1, 1), s=np.abs(numbers(4, 1, 1)), k=mask)  # fmt: skip
    assert learned(model) == [((1, 4, 1, 1), False), ((4, 1, 1), False), ((6, 5), False)]


def test_a_vector_is_the_bias_of_a_layer_that_nothing_else_reads() -> None:
    model = file(13, node("Conv", "x w", "c"), node("Add", "c b", "d"), node("Mul", "c d"), w=numbers(6, 4, 1, 1),
                 b=numbers(6, 1, 1))  # fmt: skip
    reading = read_onnx(model)
    assert ops(reading.graph) == ["Conv2d", "Constant", "Add", "Mul"]
    assert disagreement(reading, model, drawn(reading)) < 1e-5


def spelled_norm(*, of: str = "d", mean: str = "x") -> ModelProto:
    """A layer normalisation over the last axis as opset 13 spells it, or something that only looks like one."""
    return file(
        13, node("Relu", "x", "r"), node("ReduceMean", mean, "m", axes=[-1]), node("Sub", "x m", "d"),
        node("Pow", f"{of} two", "p"), node("ReduceMean", "p", "v", axes=[-1]), node("Add", "v eps", "e"),
        node("Sqrt", "e", "s"), node("Div", "d s", "q"), node("Mul", "q g", "w"), node("Add", "w b"),
        shape=("N", 7, 4), two=np.float32(2), eps=np.float32(1e-5), g=numbers(4), b=numbers(4),
    )  # fmt: skip


def test_a_layer_norm_that_is_spelled_out_is_one_node_and_what_looks_like_one_is_not() -> None:
    whole = read_onnx(spelled_norm())
    assert ops(whole.graph) == ["LayerNorm"]
    for model in (spelled_norm(), spelled_norm(of="r"), spelled_norm(of="x"), spelled_norm(mean="r")):
        reading = read_onnx(model)
        assert ("LayerNorm" in ops(reading.graph)) == (model == spelled_norm())
        assert disagreement(reading, model, drawn(reading, 2)) < 1e-5


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (2, 0), (1, 1)])
def test_groups_that_are_only_standardised_and_then_scaled_are_a_group_norm(scale: int, shift: int) -> None:
    model = file(
        13, node("Reshape", "x apart", "g"), node("InstanceNormalization", "g o z", "n"),
        node("Reshape", "n back", "c"), node("Mul", "c s", "w"), node("Add", "w b"), apart=I(0, 2, -1),
        back=I(0, 4, 6, 5), o=np.full(2, scale, np.float32), z=np.full(2, shift, np.float32), s=numbers(4, 1, 1),
        b=numbers(4, 1, 1),
    )  # fmt: skip
    reading = read_onnx(model)
    assert (ops(reading.graph) == ["GroupNorm"]) == ((scale, shift) == (1, 0))
    assert disagreement(reading, model, drawn(reading, 2)) < 1e-5


def test_weights_that_are_standardised_on_the_way_are_weights() -> None:
    model = file(15, node("Reshape", "w flat", "f"), node("BatchNormalization", "f g z m o", "n p q", training_mode=1),
                 node("Reshape", "n full", "k"), node("Conv", "x k"), w=numbers(6, 4, 3, 3), flat=I(1, 6, 36),
                 full=I(6, 4, 3, 3), g=np.abs(numbers(6)), z=numbers(6), m=np.zeros(6, np.float32),
                 o=np.ones(6, np.float32))  # fmt: skip
    reading = read_onnx(model)
    assert ops(reading.graph) == ["Conv2d"]
    assert disagreement(reading, model, drawn(reading, 2)) < 1e-5


def test_external_weights_are_read_from_beside_the_model(tmp_path: Path) -> None:
    model = file(13, node("Conv", "x w b"), w=numbers(6, 4, 3, 3), b=numbers(6))
    want = read_onnx(model).weights
    path = tmp_path / "net.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    reading = read_onnx(path)
    assert reading.graph.name == "net"
    assert want is not None
    assert reading.weights is not None
    for name, array in want.items():
        np.testing.assert_array_equal(reading.weights[name], array)


def test_names_of_the_file_become_paths_that_nest() -> None:
    names = ["/layer1/layer1.0/conv", "a.b", "a", "/forward/to", "spaces and\n/lines", "__x/_y", ""]
    model = file(13, *[node("Relu", f"t{place}", f"t{place + 1}") for place in range(len(names))], output=("t7",))
    model.graph.input[0].name = "t0"
    for made, name in zip(model.graph.node, names, strict=True):
        made.name = name
    reading = read_onnx(model)
    got = [node.name for node in reading.graph.nodes]
    assert got == ["layer1.layer1.0.conv", "a_b", "a", "forward_.to_", "spaces_and_.lines", "x.y", "t7"]
    assert disagreement(reading, model, drawn(reading)) == 0


def test_no_part_of_a_name_is_one_that_torch_uses() -> None:
    assert {name for name in dir(Network()) if not name.startswith("_")} <= _TAKEN


def test_layers_that_read_the_same_tensors_share_them_but_equal_norms_do_not() -> None:
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    model = file(
        15,
        node("Conv", "x w", "a"), node("BatchNormalization", "a o z z o", "b"),
        node("Conv", "b w", "c"), node("BatchNormalization", "c o z z o"),
        w=numbers(4, 4, 1, 1), o=ones, z=zeros,
    )  # fmt: skip
    reading = read_onnx(model)
    assert [node.shares for node in reading.graph.nodes] == ["", "", "a", ""]
    assert sum(np.prod(shape) for shape in reading.graph.param_shapes.values()) == 16 + 2 * 8
    assert disagreement(reading, model, drawn(reading)) < 1e-5


def test_what_no_result_needs_is_left_out_and_stored_tensors_of_it_are_reported() -> None:
    model = file(
        13, node("Conv", "x u", "aside"), node("Conv", "x w"),
        u=numbers(9, 4, 1, 1), w=numbers(6, 4, 3, 3), spare=numbers(3, 2), whole=I(1, 2),
    )  # fmt: skip
    reading = read_onnx(model)
    assert ops(reading.graph) == ["Conv2d"]
    assert dict(reading.unused) == {"u": (9, 4, 1, 1), "spare": (3, 2)}


def test_half_precision_is_counted_as_such_and_rebuilt_in_single() -> None:
    model = file(13, node("Conv", "x w"), elements=TensorProto.FLOAT16, w=numbers(6, 4, 3, 3).astype(np.float16))
    reading = read_onnx(model)
    assert reading.graph.types["y"] == TensorType((1, 6, 4, 3), "float16")
    assert rebuilt(reading).get_parameter("y.weight").dtype.itemsize == 4


def test_nodes_out_of_order_are_put_in_order() -> None:
    model = file(13, node("Relu", "a"), node("Neg", "x", "a"))
    assert ops(read_onnx(model).graph) == ["Pointwise", "ReLU"]


def test_functions_of_the_model_are_put_in_their_place() -> None:
    model = file(21, node("Twice", "x", domain="own"))
    body = [helper.make_node("Relu", ["i"], ["m"]), helper.make_node("Relu", ["m"], ["o"])]
    opsets = [helper.make_opsetid("", 21)]
    model.functions.append(helper.make_function("own", "Twice", ["i"], ["o"], body, opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    assert ops(read_onnx(model).graph) == ["ReLU", "ReLU"]
