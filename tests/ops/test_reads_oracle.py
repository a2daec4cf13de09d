"""What pools, slices and interpolations read, against the definitions written out position by position."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convsmith.ir import Sample, Spread, TensorType, Window
from convsmith.ops import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Conv1d,
    Conv2d,
    Einsum,
    LayerNorm,
    Linear,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    Reduce,
    Reshape,
    Slice,
    Softmax,
)
from convsmith.testing import matrix_is_module, window_is_what_is_read

checked = settings(max_examples=100)


def pixels(window: Window, outputs: int, size: int) -> list[list[int]]:
    assert window.output_size(size) == outputs
    return [[pixel for _, pixel in window.reads(output, size)] for output in range(outputs)]


@pytest.mark.slow
@checked
@given(st.data(), st.integers(1, 12), st.integers(2, 3))
def test_slices_read_what_python_slices(data, size, axis):
    start = data.draw(st.integers(0, size - 1))
    stop, step = data.draw(st.integers(start + 1, size)), data.draw(st.integers(1, size + 1))
    shape = [1, 2, 3, 3]
    shape[axis] = size
    op, type = Slice(axis, start, stop, step), TensorType(tuple(shape))
    expected = list(range(size))[start:stop:step]
    assert op.infer(type).shape[axis] == len(expected)
    assert pixels(op.window(type)[axis - 2], len(expected), size) == [[pixel] for pixel in expected]
    assert op.window(type)[3 - axis] == Window()


@pytest.mark.slow
@pytest.mark.parametrize("size", range(1, 13))
def test_adaptive_pools_read_what_torch_documents(size):
    """From floor(i * size / outputs) to ceil((i + 1) * size / outputs), for every ratio of small sizes."""
    type = TensorType((1, 1, size, 7))
    for outputs in range(1, 15):
        expected = [list(range(i * size // outputs, math.ceil((i + 1) * size / outputs))) for i in range(outputs)]
        for op in (AdaptiveAvgPool2d((outputs, 3)), AdaptiveMaxPool2d((outputs, 3))):
            assert pixels(op.window(type)[0], outputs, size) == expected
            window_is_what_is_read(Sample(op, (type,)))
        matrix_is_module(Sample(AdaptiveAvgPool2d((outputs, 3)), (type,)))


def test_an_adaptive_pool_whose_sizes_divide_is_a_plain_pool():
    window = AdaptiveAvgPool2d((7, 2)).window(TensorType((1, 1, 28, 6)))
    assert window == (Window(4, 4), Window(3, 3))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixel_shuffles_undo_each_other(factor):
    type = TensorType((2, 2 * factor**2, 3, 4))
    there, back = PixelShuffle(factor), PixelUnshuffle(factor)
    assert back.infer(there.infer(type)) == type
    both = back.matrix(there.infer(type), {}) @ there.matrix(type, {})
    assert abs(both - np.eye(type.numel)).max() == 0
    assert pixels(there.window(type)[0], 3 * factor, 3) == [[row] for row in range(3) for _ in range(factor)]


@pytest.mark.slow
@checked
@given(
    st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.integers(1, 3), st.integers(1, 2), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_convolution_of_a_sequence_is_that_of_a_map_of_one_row(size, kernel, stride, padding, dilation, groups, seed):
    assume(size + sum(padding) >= dilation * (kernel - 1) + 1)
    weight = np.random.default_rng(seed).standard_normal((4, 2, kernel))
    row, map = TensorType((2, 2 * groups, size)), TensorType((2, 2 * groups, 1, size))
    one = Conv1d(2 * groups, 4, kernel, stride, padding, dilation, groups)
    two = Conv2d(2 * groups, 4, (1, kernel), (1, stride), ((0, 0), padding), (1, dilation), groups)
    assert one.infer(row).shape == two.infer(map).shape[:2] + two.infer(map).shape[3:]
    assert one.terms(row) == two.terms(map)
    assert one.window(row) == two.window(map)
    difference = one.matrix(row, {"weight": weight}) - two.matrix(map, {"weight": weight[:, :, None]})
    assert abs(difference).max() == 0


MAP, TOKENS, ROW = TensorType((2, 6, 4, 5)), TensorType((2, 4, 6)), TensorType((2, 6))
STAYS, WHOLE, MOVED = Window(), Spread.WHOLE, Spread.PERMUTED


@pytest.mark.parametrize(
    ("op", "types", "reads"),
    [
        (Linear(6, 3), (ROW,), (WHOLE, WHOLE)),
        (Linear(6, 3), (TOKENS,), (STAYS, STAYS)),
        (Linear(5, 3), (MAP,), (STAYS, WHOLE)),
        (Linear(6, 3, axis=1), (MAP,), (STAYS, STAYS)),
        (LayerNorm((4, 5)), (MAP,), (WHOLE, WHOLE)),
        (LayerNorm((4, 6)), (TOKENS,), (WHOLE, WHOLE)),
        (LayerNorm(6), (TOKENS,), (STAYS, STAYS)),
        (Softmax(), (MAP,), (STAYS, STAYS)),
        (Softmax(2), (MAP,), (WHOLE, STAYS)),
        (Reduce("max", (1,), keepdim=True), (MAP,), (STAYS, STAYS)),
        (Reduce("max", (1,)), (MAP,), (MOVED, MOVED)),
        (Reduce("sum", (2,)), (MAP,), (WHOLE, MOVED)),
        (Reduce("mean", (2, 3)), (MAP,), (WHOLE, WHOLE)),
        (Reduce("mean", (2, 3)), (TensorType((2, 3, 4, 5, 6)),), (WHOLE, MOVED)),
        (Reduce("mean", (4,)), (TensorType((2, 3, 4, 5, 6)),), (MOVED, WHOLE)),
        (Reduce("mean", (1,)), (TensorType((2, 3, 4, 5, 6)),), (STAYS, STAYS)),
        (Reduce("mean", (1,)), (TOKENS,), (STAYS, STAYS)),
        (Reduce("mean", (1, 2)), (TOKENS,), (WHOLE, WHOLE)),
        (Reshape((-1, 2, 3, 4, 5)), (MAP,), (STAYS, STAYS)),
        (Reshape((-1, 6, 20)), (MAP,), (MOVED, MOVED)),
        (Reshape((-1, 3, 8, 5)), (MAP,), (MOVED, MOVED)),
        (Permute((0, 2, 1, 3)), (MAP,), (MOVED, STAYS)),
        (Einsum("bchw,bkhw->bck"), (MAP, MAP), (WHOLE, WHOLE)),
        (Einsum("bchw,bchw->bchw"), (MAP, MAP), (STAYS, STAYS)),
        (Einsum("bchw,bchw->bcwh"), (MAP, MAP), (MOVED, MOVED)),
    ],
)
def test_what_is_read_along_height_and_width(op, types, reads):
    """The answers that receptive fields are made of, written down by hand."""
    assert op.window(*types) == reads


def test_a_buffered_kernel_is_no_parameter_but_is_stored():
    module = Conv2d(3, 3, 3, groups=3, bias=False, learned=False).to_torch()
    assert [*module.parameters()] == []
    assert module.state_dict()["weight"].shape == (3, 1, 3, 3)
    images = torch.rand(1, 3, 5, 5)
    expected = torch.nn.functional.conv2d(images, module.state_dict()["weight"], groups=3)
    assert torch.equal(module(images), expected)
