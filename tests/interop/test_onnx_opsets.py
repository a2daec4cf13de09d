from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto

from convsmith.interop.onnx_reader import read_onnx
from tests.interop.onnx_helpers import disagreement, drawn, file, integers, node, numbers, ops

BN = {"s": np.abs(numbers(4, seed=2)), "b": numbers(4, seed=3), "m": numbers(4, seed=4), "v": np.abs(numbers(4)) + 0.5}
I = integers  # noqa: E741

VARIANTS: dict[str, ModelProto] = {
    **{
        f"softmax {axis} {opset}": file(opset, node("Softmax", "x", axis=axis))
        for opset in (7, 12, 13, 21)
        for axis in (1, 2, 3, -1)
    },
    "softmax default 11": file(11, node("Softmax", "x")),
    "softmax default 13": file(13, node("Softmax", "x")),
    "log-softmax 11": file(11, node("LogSoftmax", "x", axis=2)),
    "clip 7": file(7, node("Clip", "x", min=-0.5, max=0.75)),
    "clip 10": file(10, node("Clip", "x", max=0.75)),
    "clip 11": file(11, node("Clip", "x - h"), h=np.float32(0.5)),
    "clip from constants": file(
        13,
        node("Constant", "", "l", value_float=0.0),
        node("Constant", "", "h", value_float=6.0),
        node("Clip", "x l h"),
    ),
    "batch norm 7": file(7, node("BatchNormalization", "x s b m v", epsilon=1e-3), **BN),
    "batch norm 9": file(9, node("BatchNormalization", "x s b m v"), **BN),
    "batch norm 15": file(15, node("BatchNormalization", "x s b m v"), **BN),
    "batch norm of rows": file(15, node("BatchNormalization", "x s b m v"), shape=("N", 4), **BN),
    "dropout 7": file(7, node("Dropout", "x", ratio=0.3)),
    "dropout 10": file(10, node("Dropout", "x")),
    "dropout 13": file(13, node("Dropout", "x r"), r=np.float32(0.5)),
    "gemm 7": file(
        7, node("Gemm", "x w c", alpha=0.5, beta=2.0, transB=1), shape=("N", 4), w=numbers(3, 4), c=numbers(3)
    ),
    "gemm 9": file(9, node("Gemm", "x w c"), shape=("N", 4), w=numbers(4, 3), c=numbers(1, 3)),
    "gemm 11": file(11, node("Gemm", "x w", alpha=3.0), shape=("N", 4), w=numbers(4, 3)),
    "gemm 13": file(13, node("Gemm", "x w c"), shape=("N", 4), w=numbers(4, 3), c=np.float32(2)),
    "gemm of two activations": file(13, node("Relu", "x", "r"), node("Gemm", "x r", transA=1, alpha=0.5), shape=(3, 4)),
    "matmul then add": file(
        13, node("MatMul", "x w", "p"), node("Add", "b p"), shape=("N", 7, 4), w=numbers(4, 3), b=numbers(3)
    ),
    "matmul from the left": file(13, node("MatMul", "w x"), w=numbers(3, 6)),
    "matmul of activations": file(13, node("Transpose", "x", "t", perm=[0, 1, 3, 2]), node("MatMul", "x t")),
    "pad 7": file(7, node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5)),
    "pad 10 reflect": file(10, node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 3, 1], mode="reflect")),
    "pad 11": file(11, node("Pad", "x p v"), p=I(0, 0, 1, 0, 0, 0, 2, 1), v=np.float32(2)),
    "pad 13 edge": file(13, node("Pad", "x p", mode="edge"), p=I(0, 0, 1, 0, 0, 0, 2, 1)),
    "pad 18 axes": file(18, node("Pad", "x p - a"), p=I(1, 0, 2, -1), a=I(3, 2)),
    "pad 19 wrap": file(19, node("Pad", "x p", mode="wrap"), p=I(0, 0, 1, 0, 0, 0, 2, 1)),
    "pad of channels": file(13, node("Pad", "x p"), shape=(1, 4, 6, 5), p=I(0, 1, 0, 0, 0, 2, 0, 0)),
    "pad of sequences": file(13, node("Pad", "x p"), shape=("N", 4, 6), p=I(0, 0, 1, 0, 0, 2)),
    "slice 9": file(9, node("Slice", "x", starts=[1, 0], ends=[100, -1], axes=[2, 3])),
    "slice 10": file(10, node("Slice", "x s e a t"), s=I(-1, 0), e=I(-100, 9), a=I(2, 3), t=I(-2, 3)),
    "slice 13 channels": file(13, node("Slice", "x s e a"), s=I(1), e=I(3), a=I(-3)),
    "split 7": file(7, node("Split", "x", "a b", axis=1, split=[1, 3]), node("Concat", "b a", axis=1)),
    "split 13": file(13, node("Split", "x p", "a b", axis=1), node("Concat", "b a", axis=1), p=I(3, 1)),
    "split 18": file(18, node("Split", "x", "a b c", axis=2, num_outputs=3), node("Concat", "c a b", axis=2)),
    "squeeze 7": file(7, node("Squeeze", "x", axes=[2]), shape=("N", 4, 1, 5)),
    "squeeze 13": file(13, node("Squeeze", "x a"), shape=("N", 4, 1, 5), a=I(-2)),
    "unsqueeze 11": file(11, node("Unsqueeze", "x", axes=[1, 4])),
    "unsqueeze 13": file(13, node("Unsqueeze", "x a"), a=I(-1)),
    "reshape": file(7, node("Reshape", "x s"), s=I(0, 2, -1, 5)),
    "flatten": file(9, node("Flatten", "x")),
    "flatten 2": file(13, node("Flatten", "x", axis=2), shape=(1, 4, 6, 5)),
    "reshape by shape arithmetic": file(
        13,
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n first", "u"),
        node("Gather", "s three", "w"),
        node("Mul", "w two", "m"),
        node("Div", "m two", "d"),
        node("Unsqueeze", "d first", "v"),
        node("Concat", "u minus v", "t", axis=0),
        node("Cast", "t", "c", to=7),
        node("Reshape", "x c"),
        zero=np.int64(0),
        three=np.int64(3),
        two=np.int64(2),
        first=I(0),
        minus=I(-1),
    ),
    "shape from the middle": file(
        15,
        node("Shape", "x", "s", start=1, end=-1),
        node("Size", "x", "n"),
        node("ConstantOfShape", "s", "c"),
        node("Unsqueeze", "c a", "u"),
        node("Add", "x u"),
        a=I(-1),
    ),
    "expand": file(13, node("Expand", "x s"), shape=("N", 4, 1, 5), s=I(1, 1, 6, 1)),
    "tile": file(13, node("Tile", "x r"), r=I(1, 2, 1, 3)),
    "gather": file(13, node("Gather", "x i", axis=1), i=I(3, 0, -1)),
    "gather one": file(13, node("Gather", "x i", axis=2), i=np.int64(-1)),
    "gather a table of places": file(13, node("Gather", "x i", axis=3), i=np.array([[0, 2], [4, 1]])),
    "transpose": file(13, node("Transpose", "x", perm=[0, 2, 1, 3])),
    "reduce mean 13": file(13, node("ReduceMean", "x", axes=[2, 3], keepdims=0)),
    "reduce mean 18": file(18, node("ReduceMean", "x a"), a=I(-2, -1)),
    "reduce sum 11": file(11, node("ReduceSum", "x", axes=[1])),
    "reduce sum 13": file(13, node("ReduceSum", "x a", keepdims=0), a=I(1)),
    "reduce max": file(12, node("ReduceMax", "x", axes=[3], keepdims=0)),
    "reduce nothing": file(18, node("ReduceSum", "x", noop_with_empty_axes=1)),
    "reduce log sum exp": file(13, node("ReduceLogSumExp", "x", axes=[1])),
    "upsample 7": file(7, node("Upsample", "x", scales=[1.0, 1.0, 2.0, 3.0])),
    "upsample 9": file(9, node("Upsample", "x s"), s=np.float32([1, 1, 2, 2])),
    "resize 10": file(10, node("Resize", "x s"), s=np.float32([1, 1, 2, 2])),
    "resize 11 linear": file(11, node("Resize", "x r s", mode="linear"), r=np.float32([]), s=np.float32([1, 1, 2, 3])),
    "resize 13 sizes": file(13, node("Resize", "x - - z", mode="linear"), z=I(1, 4, 9, 7), shape=(1, 4, 6, 5)),
    "resize 13 corners": file(
        13,
        node("Resize", "x - - z", mode="cubic", coordinate_transformation_mode="align_corners"),
        z=I(1, 4, 9, 7),
        shape=(1, 4, 6, 5),
    ),
    "resize 18 axes": file(18, node("Resize", "x - - z", mode="cubic", axes=[2, 3]), z=I(3, 10)),
    "resize 18 ratio": file(
        18, node("Resize", "x - - z", axes=[2, 3], keep_aspect_ratio_policy="not_larger", mode="linear"), z=I(12, 99)
    ),
    **{
        f"resize nearest {mode} {rounding}": file(
            13,
            node("Resize", "x - - z", mode="nearest", coordinate_transformation_mode=mode, nearest_mode=rounding),
            z=I(1, 4, 9, 7),
            shape=(1, 4, 6, 5),
        )
        for mode in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
        for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    },
    "max pool 8": file(8, node("MaxPool", "x", kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 1, 1])),
    "max pool 12": file(12, node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 3], ceil_mode=1, strides=[2, 2])),
    "max pool of sequences": file(12, node("MaxPool", "x", kernel_shape=[3], strides=[2]), shape=("N", 4, 9)),
    "average pool 7": file(7, node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)),
    "average pool 10": file(
        10, node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], ceil_mode=1)
    ),
    "average pool 19": file(19, node("AveragePool", "x", kernel_shape=[2, 2], dilations=[2, 2])),
    "global pools": file(13, node("GlobalAveragePool", "x", "a"), node("GlobalMaxPool", "x", "b"), node("Add", "a b")),
    "global pool of sequences": file(13, node("GlobalAveragePool", "x"), shape=("N", 4, 9)),
    "conv of sequences": file(11, node("Conv", "x w", pads=[1, 2], strides=[2]), shape=("N", 4, 9), w=numbers(6, 4, 3)),
    "conv then a stored vector": file(
        11, node("Conv", "x w", "c"), node("Add", "c b"), w=numbers(6, 4, 3, 3), b=numbers(1, 6, 1, 1)
    ),
    "transposed conv 1": file(
        11,
        node("ConvTranspose", "x w b", strides=[2, 2], pads=[1, 0, 0, 1], output_padding=[1, 0]),
        w=numbers(4, 3, 3, 2),
        b=numbers(3),
    ),
    "transposed conv 2": file(
        11, node("ConvTranspose", "x w", strides=[2, 3], output_shape=[11, 13], group=2), w=numbers(4, 3, 3, 3)
    ),
    "transposed conv 3": file(11, node("ConvTranspose", "x w", pads=[0, 0, 2, 1]), w=numbers(4, 3, 3, 3)),
    "transposed conv of sequences": file(
        11, node("ConvTranspose", "x w", strides=[2]), shape=("N", 4, 9), w=numbers(4, 3, 3)
    ),
    "layer norm": file(17, node("LayerNormalization", "x s b", axis=-1), shape=("N", 7, 4), s=BN["s"], b=BN["b"]),
    "layer norm without shift": file(17, node("LayerNormalization", "x s", axis=2), s=numbers(6, 5)),
    "group norm 18": file(18, node("GroupNormalization", "x s b", num_groups=2), s=numbers(2), b=numbers(2)),
    "group norm 21": file(21, node("GroupNormalization", "x s b", num_groups=2), s=BN["s"], b=BN["b"]),
    "instance norm": file(7, node("InstanceNormalization", "x s b"), s=BN["s"], b=BN["b"]),
    "local response": file(7, node("LRN", "x", size=3, alpha=0.5, beta=0.6, bias=2.0)),
    "depth to space 11": file(11, node("DepthToSpace", "x", blocksize=2), shape=("N", 12, 3, 2)),
    "depth to space CRD": file(11, node("DepthToSpace", "x", blocksize=2, mode="CRD"), shape=("N", 12, 3, 2)),
    "space to depth": file(13, node("SpaceToDepth", "x", blocksize=2), shape=("N", 3, 6, 4)),
    "prelu": file(9, node("PRelu", "x s"), s=numbers(4, 1, 1)),
    "prelu with one slope": file(7, node("PRelu", "x s"), s=numbers(1)),
    "hard sigmoid of its own": file(9, node("HardSigmoid", "x")),
    "selu": file(7, node("Selu", "x")),
    "celu": file(12, node("Celu", "x", alpha=1.5)),
    "leaky": file(7, node("LeakyRelu", "x", alpha=0.2)),
    "gelu 20": file(20, node("Gelu", "x", approximate="tanh")),
    "mish 18": file(18, node("Mish", "x")),
    "hard swish 14": file(14, node("HardSwish", "x")),
    "sum of three": file(8, node("Sum", "x x c"), c=numbers(5)),
    "mean of two": file(13, node("Relu", "x", "r"), node("Mean", "x r")),
    "max with a number": file(13, node("Max", "x c", "a"), node("Min", "a d"), c=np.float32(-0.5), d=np.float32([1.5])),
    "bounds on either side": file(
        13,
        node("Max", "c x", "a"),
        node("Min", "a d", "b"),
        node("Max", "e b"),
        c=np.float32(0),
        d=np.float32(6),
        e=np.float32(-np.inf),
    ),
    "min of two": file(13, node("Relu", "x", "r"), node("Neg", "x", "n"), node("Min", "n r x")),
    "arithmetic with numbers": file(
        13,
        node("Sub", "o x", "a"),
        node("Div", "a o", "b"),
        node("Pow", "b o", "c"),
        node("Div", "o c", "d"),
        node("Sub", "d o"),
        o=np.float32(2),
    ),
    "arithmetic with maps": file(
        13, node("Mul", "x c", "a"), node("Div", "a c", "b"), node("Sub", "c b"), c=numbers(4, 1, 1)
    ),
    "functions": file(
        13,
        node("Abs", "x", "a"),
        node("Sqrt", "a", "b"),
        node("Exp", "b", "c"),
        node("Log", "c", "d"),
        node("Erf", "d", "e"),
        node("Sign", "x", "f"),
        node("Mul", "e f"),
    ),
    "einsum": file(12, node("Einsum", "x w", equation="bchw, kc -> bkhw"), w=numbers(3, 4)),
    "einsum without a result": file(12, node("Einsum", "x w", equation="bc,kc"), shape=("N", 4), w=numbers(3, 4)),
    "a weight behind transpose, cast and identity": file(
        13,
        node("Transpose", "w", "t", perm=[1, 0]),
        node("Cast", "t", "f", to=1),
        node("Identity", "f", "i"),
        node("MatMul", "x i"),
        shape=("N", 4),
        w=numbers(3, 4).astype(np.float64),
    ),
    "a quantised weight": file(
        13,
        node("DequantizeLinear", "w s z", "f", axis=0),
        node("Conv", "x f"),
        w=np.arange(24, dtype=np.int8).reshape(6, 4, 1, 1),
        s=np.abs(numbers(6)),
        z=np.zeros(6, np.int8),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_each_opset_says_it_its_own_way(name: str) -> None:
    model = VARIANTS[name]
    reading = read_onnx(model)
    batches = (1, 3) if model.graph.input[0].type.tensor_type.shape.dim[0].dim_param else (None,)
    for batch in batches:
        assert disagreement(reading, model, drawn(reading, batch)) < 1e-5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clip from constants", ["ReLU6"]),
        ("dropout 13", []),
        ("matmul then add", ["Linear"]),
        ("conv then a stored vector", ["Conv2d"]),
        ("gemm 9", ["Linear"]),
        ("reduce mean 18", ["GlobalAvgPool"]),
        ("reduce mean 13", ["GlobalAvgPool", "Flatten"]),
        ("reshape by shape arithmetic", ["Reshape"]),
        ("resize nearest asymmetric floor", ["Resize"]),
        ("softmax 1 12", ["Flatten", "Softmax", "Reshape"]),
        ("softmax 3 12", ["Softmax"]),
        ("arithmetic with numbers", ["Scalar"] * 5),
        ("pad 18 axes", ["Pad"]),
        ("bounds on either side", ["ReLU", "Clip", "Constant", "Maximum"]),
    ],
)
def test_what_the_table_shows(name: str, expected: list[str]) -> None:
    assert ops(read_onnx(VARIANTS[name]).graph) == expected
