"""Convolutions and pools against plain loops written here from the definitions alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convsmith.errors import OpError
from convsmith.ir import TensorType, same_padding
from convsmith.ops import AvgPool2d, Conv2d, ConvTranspose2d, MaxPool2d

checked = settings(max_examples=60)

small = st.integers(1, 3)
pairs = st.tuples(small, small)
paddings = st.tuples(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.tuples(st.integers(0, 3), st.integers(0, 3)))
maps = st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6))  # batch, height, width
grouped = st.tuples(small, small, small)  # groups, channels in and out of one group


def convolve(x, weight, stride, padding, dilation, groups):
    """Slide every kernel over the zero-padded map."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    out_channels, group_in, *kernel = weight.shape
    size = []
    for axis in (0, 1):
        places = range(0, x.shape[2 + axis] - dilation[axis] * (kernel[axis] - 1), stride[axis])
        size.append(len(places))
    y = np.zeros((x.shape[0], out_channels, *size))
    for out, row, column in np.ndindex(y.shape[1:]):
        first = out // (out_channels // groups) * group_in
        for channel, i, j in np.ndindex(group_in, *kernel):
            read = x[:, first + channel, row * stride[0] + i * dilation[0], column * stride[1] + j * dilation[1]]
            y[:, out, row, column] += weight[out, channel, i, j] * read
    return y


def scatter(x, weight, stride, padding, output_padding, dilation, groups):
    """Stamp every pixel's copy of the kernel onto a larger map, then cut the padding off."""
    in_channels, group_out, *kernel = weight.shape
    full = [(x.shape[2 + a] - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + 1 + output_padding[a] for a in (0, 1)]
    y = np.zeros((x.shape[0], group_out * groups, *full))
    for channel, row, column in np.ndindex(x.shape[1:]):
        first = channel // (in_channels // groups) * group_out
        for out, i, j in np.ndindex(group_out, *kernel):
            place = (row * stride[0] + i * dilation[0], column * stride[1] + j * dilation[1])
            y[:, first + out, *place] += weight[channel, out, i, j] * x[:, channel, row, column]
    return y[:, :, padding[0] : full[0] - padding[0], padding[1] : full[1] - padding[1]]


def pool(x, op, dilation, reduce):
    """Cut every window out of the map and reduce the pixels in it; ``reduce`` also gets the count with padding."""
    height, width = (pool_axis(op, axis, dilation[axis], x.shape[2 + axis]) for axis in (0, 1))
    y = np.zeros((*x.shape[:2], len(height), len(width)))
    for (i, (rows, tall)), (j, (columns, wide)) in itertools.product(enumerate(height), enumerate(width)):
        y[:, :, i, j] = reduce(x[:, :, rows][:, :, :, columns], tall * wide)
    return y


def pool_axis(op, axis, dilation, size):
    """For every window along an axis: the pixels in it, and how many places of the padded axis it covers."""
    kernel, stride, (before, after) = op.kernel_size[axis], op.stride[axis], op.padding[axis]
    windows = []
    start = -before
    while start < size:  # a window that starts in the padding after the map is left out
        places = [start + tap * dilation for tap in range(kernel)]
        if places[-1] >= size + after and not (op.ceil_mode and windows_end_before(places, stride, size + after)):
            break
        windows.append(([p for p in places if 0 <= p < size], sum(1 for p in places if p < size + after)))
        start += stride
    return windows


def windows_end_before(places, stride, end):
    """Whether the window before this one ended short of ``end``, so that rounding up keeps this one."""
    return places[-1] - stride < end - 1


def run(op, x, weight=None):
    module = op.to_torch().double().eval()
    if weight is not None:
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(weight))
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


def assert_agrees(op, x, expected, weight=None):
    """The loop, the shape rule, the torch module and the matrix all give one answer."""
    type = TensorType(x.shape)
    assert op.infer(type).shape == expected.shape
    np.testing.assert_allclose(run(op, x, weight), expected, rtol=1e-12, atol=1e-12)
    matrix = op.matrix(type, {"weight": weight})
    if matrix is not None:
        np.testing.assert_allclose((matrix @ x.ravel()).reshape(expected.shape), expected, rtol=1e-12, atol=1e-12)


@checked
@given(maps, grouped, pairs, pairs, paddings, pairs, st.integers(0, 2**32 - 1))
def test_convolution_is_the_plain_loop(map, grouped, kernel, stride, padding, dilation, seed):
    (batch, height, width), (groups, group_in, group_out) = map, grouped
    for size, k, d, sides in zip((height, width), kernel, dilation, padding, strict=True):
        assume(size + sum(sides) >= d * (k - 1) + 1)
    random = np.random.default_rng(seed)
    x = random.standard_normal((batch, groups * group_in, height, width))
    weight = random.standard_normal((groups * group_out, group_in, *kernel))
    op = Conv2d(groups * group_in, groups * group_out, kernel, stride, padding, dilation, groups, bias=False)
    assert_agrees(op, x, convolve(x, weight, stride, padding, dilation, groups), weight)


@checked
@given(maps, grouped, pairs, pairs, pairs, pairs, pairs, st.integers(0, 2**32 - 1))
def test_transposed_convolution_is_the_plain_loop(map, grouped, kernel, stride, cut, more, dilation, seed):
    (batch, height, width), (groups, group_in, group_out) = map, grouped
    padding = tuple(p - 1 for p in cut)
    output_padding = tuple(min(o - 1, max(s, d) - 1) for o, s, d in zip(more, stride, dilation, strict=True))
    random = np.random.default_rng(seed)
    x = random.standard_normal((batch, groups * group_in, height, width))
    weight = random.standard_normal((groups * group_in, group_out, *kernel))
    expected = scatter(x, weight, stride, padding, output_padding, dilation, groups)
    assume(min(expected.shape) > 0)
    channels = (groups * group_in, groups * group_out)
    op = ConvTranspose2d(*channels, kernel, stride, padding, output_padding, dilation, groups, bias=False)
    assert_agrees(op, x, expected, weight)


@st.composite
def pool_cases(draw, dilations):
    kernel, dilation = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(dilations)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(tuple(draw(st.integers(0, k // 2)) for _ in "ab") for k in kernel)
    size = tuple(draw(st.integers(max(2, e - sum(p)), e + 6)) for e, p in zip(extent, padding, strict=True))
    return size, (kernel, draw(pairs), padding), dilation, draw(st.booleans()), draw(st.integers(0, 2**32 - 1))


@checked
@given(pool_cases(st.just((1, 1))), st.booleans())
def test_average_pool_is_the_plain_loop(case, include):
    size, attrs, dilation, ceil_mode, seed = case
    op = AvgPool2d(*attrs, ceil_mode, include)
    x = np.random.default_rng(seed).standard_normal((2, 1, *size))

    def mean(pixels, covered):
        return pixels.sum((2, 3)) / (covered if include else pixels.shape[2] * pixels.shape[3])

    assert_agrees(op, x, pool(x, op, dilation, mean))


@checked
@given(pool_cases(pairs))
def test_max_pool_is_the_plain_loop(case):
    size, attrs, dilation, ceil_mode, seed = case
    op = MaxPool2d(*attrs, dilation, ceil_mode)
    x = np.random.default_rng(seed).standard_normal((2, 1, *size))
    assert_agrees(op, x, pool(x, op, dilation, lambda pixels, _: pixels.max((2, 3), initial=-np.inf)))


@checked
@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 3), st.integers(1, 2))
def test_same_padding_gives_the_rounded_up_size(size, kernel, stride, dilation):
    padding = same_padding(size, kernel, stride, dilation)
    op = Conv2d(1, 1, kernel, stride, (padding, padding), dilation)
    assert op.infer(TensorType((1, 1, size, size))).shape[2:] == (-(-size // stride),) * 2
    assert padding[1] - padding[0] in (0, 1)


def test_matrix_of_the_textbook_convolution():
    """A 4x4 map under a 3x3 kernel: C is 4x16 with 36 entries and 9 different weights (Dumoulin and Visin, 4.1)."""
    weight = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    matrix = Conv2d(1, 1, 3, bias=False).matrix(TensorType((1, 1, 4, 4)), {"weight": weight})
    assert matrix.shape == (4, 16)
    assert matrix.nnz == 36
    assert set(matrix.data) == set(range(1, 10))
    assert matrix.toarray()[0].tolist() == [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(("stride", "padding", "size"), [(1, 0, 4), (2, 1, 5), (3, 1, 7), (2, 0, 7)])
def test_matrix_of_a_transposed_convolution_is_the_transpose(stride, padding, size):
    weight = np.random.default_rng(0).standard_normal((2, 3, 3, 3))
    forward = Conv2d(3, 2, 3, stride, padding)
    back = ConvTranspose2d(2, 3, 3, stride, padding)
    type = TensorType((1, 3, size, size))
    assert back.infer(forward.infer(type)) == type
    difference = back.matrix(forward.infer(type), {"weight": weight}) - forward.matrix(type, {"weight": weight}).T
    assert abs(difference).max() == 0


@pytest.mark.parametrize(
    ("op", "before", "after"),
    [
        (ConvTranspose2d(100, 8, 7), (1, 100, 1, 1), (1, 8, 7, 7)),
        (ConvTranspose2d(1, 1, 3, 2, 1, 1), (1, 1, 3, 3), (1, 1, 6, 6)),
        (AvgPool2d(8, 1), (1, 1, 96, 96), (1, 1, 89, 89)),
        (Conv2d(3, 64, 7, 2, 3), (1, 3, 224, 224), (1, 64, 112, 112)),
        (MaxPool2d(3, 2, 1), (1, 64, 112, 112), (1, 64, 56, 56)),
        (MaxPool2d(2, 2, ceil_mode=True), (1, 1, 5, 5), (1, 1, 3, 3)),
    ],
)
def test_sizes_that_textbooks_quote(op, before, after):
    assert op.infer(TensorType(before)).shape == after


@pytest.mark.parametrize("padding", [None, 1.5, "same", (1, 2, 3), ((1, 2), 1.5), ((1, 2, 3), (1, 2)), (), ((), ())])
@pytest.mark.parametrize("op_class", [Conv2d, AvgPool2d])
def test_padding_of_another_form_is_refused(op_class, padding):
    attrs = {"in_channels": 1, "out_channels": 1} if op_class is Conv2d else {}
    with pytest.raises(OpError, match="padding must be"):
        op_class(**attrs, kernel_size=3, padding=padding)
