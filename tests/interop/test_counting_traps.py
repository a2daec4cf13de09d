"""Every trap of counting that a published tool has fallen into, against a loop that does the work one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import prod

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convsmith.analysis import cost
from convsmith.interop.conventions import totals
from convsmith.ir import Builder, TensorType, same_padding
from convsmith.ops import (
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Einsum,
    Flatten,
    GlobalAvgPool,
    Linear,
    MatMul,
    MaxPool2d,
    Mul,
    ReLU,
    Resize,
    ScaledDotProductAttention,
)
from tests.interop.helpers import graph_of

checked = settings(max_examples=50)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
sides = st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2)
maps = st.tuples(st.integers(1, 2), st.integers(1, 7), st.integers(1, 7))
groups = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))


def starts(size: int, extent: int, stride: int) -> list[int]:
    """Where a window can lie on an axis, found by pushing it along."""
    found, at = [], 0
    while at + extent <= size:
        found.append(at)
        at += stride
    return found


def multiplications(op: Conv2d, shape: tuple[int, ...], *, real: bool = False) -> int:
    """Each multiplication of a convolution, or each with a pixel that is not padding."""
    batch, _, *size = shape
    lines = []
    for axis in (0, 1):
        before, after = op.padding[axis]
        extent = op.dilation[axis] * (op.kernel_size[axis] - 1) + 1
        lines.append(
            [
                start + tap * op.dilation[axis] - before
                for start in starts(size[axis] + before + after, extent, op.stride[axis])
                for tap in range(op.kernel_size[axis])
            ]
        )
    count = 0
    for _image, _output, _input in product(range(batch), range(op.out_channels), range(op.in_channels // op.groups)):
        for row, column in product(*lines):
            count += not real or (0 <= row < size[0] and 0 <= column < size[1])
    return count


def stamps(op: ConvTranspose2d, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Where each multiplication of a transposed convolution puts its result."""
    batch, channels, height, width = shape
    for _ in product(range(batch), range(channels), range(op.out_channels // op.groups)):
        for row, column, i, j in product(range(height), range(width), *map(range, op.kernel_size)):
            yield row * op.stride[0] + i * op.dilation[0], column * op.stride[1] + j * op.dilation[1]


@checked
@given(maps, groups, pairs, pairs, sides, pairs)
def test_grouped_and_dilated_convolutions_with_their_padding(map, grouped, kernel, stride, padding, dilation):
    (batch, height, width), (number, inside, outside) = map, grouped
    for size, k, d, edge in zip((height, width), kernel, dilation, padding, strict=True):
        assume(size + sum(edge) >= d * (k - 1) + 1)
    op = Conv2d(number * inside, number * outside, kernel, stride, padding, dilation, number)
    shape = (batch, number * inside, height, width)
    assert op.terms(TensorType(shape)).taps == multiplications(op, shape)
    rows, columns = op.window(TensorType(shape))
    channels = batch * op.out_channels * inside
    real = channels * rows.real_taps(height) * columns.real_taps(width)
    assert real == multiplications(op, shape, real=True)


@checked
@given(maps, groups, pairs, pairs, pairs, pairs)
def test_transposed_convolutions_count_what_they_stamp(map, grouped, kernel, stride, more, dilation):
    (batch, height, width), (number, inside, outside) = map, grouped
    extra = tuple(min(m, max(s, d)) - 1 for m, s, d in zip(more, stride, dilation, strict=True))
    op = ConvTranspose2d(number * inside, number * outside, kernel, stride, 0, extra, dilation, number)
    shape = (batch, number * inside, height, width)
    places = list(stamps(op, shape))
    assert op.terms(TensorType(shape)).taps == len(places)
    reach = [1 + max(place[axis] for place in places) + extra[axis] for axis in (0, 1)]
    assert op.terms(TensorType(shape)).bias == batch * number * outside * reach[0] * reach[1]
    assert totals(graph_of(op, shape))["macs"] == len(places)


def test_a_depthwise_convolution_is_not_free():
    op = Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    assert multiplications(op, (1, 8, 5, 5)) == op.terms(TensorType((1, 8, 5, 5))).taps == 8 * 25 * 9


def test_a_multiply_add_is_two_flops():
    found = totals(graph_of(Conv2d(2, 3, 3), (1, 2, 5, 5)))
    assert found["flops"] == 2 * found["macs"] == 2 * 9 * 3 * 2 * 9


def test_a_bias_is_one_addition_per_output_and_only_where_there_is_one():
    for op, shape, outputs in (
        (Conv2d(2, 3, 3), (1, 2, 5, 5), 27),
        (Conv1d(2, 3, 3), (1, 2, 5), 9),
        (Linear(4, 3), (1, 7, 4), 21),
        (Linear(2, 3, axis=1), (1, 2, 5, 5), 75),
    ):
        assert op.terms(TensorType(shape)).bias == outputs
        assert replace(op, bias=False).terms(TensorType(shape)).bias == 0


def test_norm_activation_and_pool_are_kept_apart_from_macs():
    shape = (1, 4, 6, 6)
    for op, term in ((BatchNorm2d(4), "norm"), (ReLU(), "activation"), (GlobalAvgPool(), "pool"), (Mul(), "add")):
        inputs = [shape] * (op.arity or 1)
        terms = op.terms(*map(TensorType, inputs)).to_dict()
        assert {name for name, value in terms.items() if value} == {term}
        assert terms[term] == prod(shape)
        assert totals(graph_of(op, *inputs))["macs"] == 0


@pytest.mark.parametrize(("size", "kernel"), [(7, 2), (8, 4), (5, 3)])
def test_padding_same_with_an_even_kernel_keeps_the_size(size, kernel):
    """Half of d(k - 1) on both sides is one pixel short where the kernel is even: the odd pixel goes to the end."""
    op = Conv2d(1, 1, kernel, padding=(same_padding(size, kernel, 1),) * 2)
    assert op.terms(TensorType((1, 1, size, size))).taps == (size * kernel) ** 2
    assert same_padding(size, 2, 1) == (0, 1)


def test_padding_same_at_stride_two_depends_on_the_size():
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(225, 3, 2) == (1, 1)


def test_a_last_window_of_ceil_mode_must_start_inside():
    """Four pixels, windows of 3 in steps of 2: the second sees two of them, which makes 5 sums and 2 divisions."""
    op = AvgPool2d((1, 3), (1, 2), ceil_mode=True)
    window = op.window(TensorType((1, 1, 1, 4)))[1]
    seen = [len(list(window.reads(output, 4))) for output in range(window.output_size(4))]
    assert seen == [3, 2]
    assert sum(seen) + len(seen) == 7
    none_outside = AvgPool2d(1, 3, ceil_mode=True)
    assert none_outside.infer(TensorType((1, 1, 7, 8))).shape == (1, 1, 3, 3)


def test_a_pool_reads_whole_windows_padding_included():
    for op in (MaxPool2d(3, 2, 1), AvgPool2d(3, 2, 1), AvgPool2d(3, 2, 1, count_include_pad=False)):
        assert op.terms(TensorType((1, 2, 7, 7))).pool == 2 * len(starts(9, 3, 2)) ** 2 * 9


def test_a_kernel_smaller_than_its_stride_counts_only_what_it_reads():
    op = Conv2d(4, 4, 1, 2, bias=False)
    assert op.terms(TensorType((1, 4, 8, 8))).taps == multiplications(op, (1, 4, 8, 8)) == 4 * 4 * 16


@pytest.mark.parametrize(
    ("first", "second", "lead"),
    [((2, 3, 4, 5), (2, 3, 5, 6), 6), ((1, 4, 5), (7, 5, 6), 7), ((2, 1, 4, 5), (3, 5, 6), 6), ((4, 5), (9, 5, 6), 9)],
)
def test_a_spread_product_counts_the_leading_axes_of_its_result(first, second, lead):
    count = sum(1 for _ in product(range(lead), range(4), range(6), range(5)))
    graph = graph_of(MatMul(), first, second)
    assert totals(graph)["macs"] == count
    assert (totals(graph)["fvcore"] == count) == (prod(first[:-2]) == lead)  # which looks at the first operand only


@pytest.mark.parametrize(
    ("equation", "shapes", "sizes"),
    [
        ("bhid,bhjd->bhij", ((2, 3, 4, 5), (2, 3, 6, 5)), (2, 3, 4, 6, 5)),
        ("nchw,cd->ndhw", ((2, 3, 4, 5), (3, 7)), (2, 3, 4, 5, 7)),
        ("ab,cb->a", ((2, 3), (4, 3)), (2, 3, 4)),
    ],
)
def test_an_einsum_multiplies_once_for_every_index(equation, shapes, sizes):
    assert totals(graph_of(Einsum(equation), *shapes))["macs"] == sum(1 for _ in product(*map(range, sizes)))


def test_an_einsum_without_a_sum_has_no_multiply_adds():
    graph = graph_of(Einsum("nc,nc->nc"), (2, 3), (2, 3))
    assert totals(graph)["macs"] == 0
    assert cost(graph).terms.add == 6


def test_attention_in_one_piece_is_counted():
    queries, keys, width, values = 4, 6, 5, 3
    scores = sum(1 for _ in product(range(2), range(queries), range(keys), range(width)))
    mixed = sum(1 for _ in product(range(2), range(queries), range(values), range(keys)))
    graph = graph_of(ScaledDotProductAttention(), (1, 2, queries, width), (1, 2, keys, width), (1, 2, keys, values))
    assert totals(graph)["macs"] == scores + mixed


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_an_interpolation_counts_every_channel_of_its_result(mode):
    terms = Resize((7, 9), mode).terms(TensorType((2, 3, 4, 5)))
    assert terms.resize == sum(1 for _ in product(range(2), range(3), range(7), range(9)))


def test_a_linear_layer_works_at_every_position():
    """A summary that takes the parameters once is too low by the number of positions."""
    for op, shape in ((Linear(6, 4, bias=False), (2, 3, 5, 6)), (Linear(6, 4, bias=False, axis=1), (2, 6, 3, 5))):
        count = sum(1 for _ in product(range(2), range(3), range(5), range(6), range(4)))
        assert totals(graph_of(op, shape))["macs"] == count == 30 * 24


def test_a_shared_module_has_its_parameters_once_and_its_work_at_every_call():
    builder = Builder("twice")
    x = builder.input(TensorType((1, 3, 5, 5)))
    first = builder.add(Conv2d(3, 3, 3, padding=1), x, name="first")
    graph = builder.graph(builder.add(Conv2d(3, 3, 3, padding=1), first, name="again"))
    alone = cost(graph_of(Conv2d(3, 3, 3, padding=1), (1, 3, 5, 5)))
    shared = replace(graph, nodes=(graph.nodes[0], replace(graph.nodes[1], shares="first")))
    assert cost(shared).params == alone.params == 84
    assert cost(shared).macs == 2 * alone.macs == totals(shared)["macs"]


def test_running_statistics_are_not_parameters():
    assert cost(graph_of(BatchNorm2d(64), (1, 64, 4, 4))).params == 128


def test_a_batch_does_its_work_for_every_image():
    builder = Builder("net")
    x = builder.input(TensorType((1, 3, 9, 9)))
    first = builder.add(Conv2d(3, 4, 3, 2), x, name="conv")
    joined = builder.add(Concat(), first, builder.add(ReLU(), first, name="act"), name="join")
    rows = builder.add(Flatten(), builder.add(GlobalAvgPool(), joined, name="pool"), name="flatten")
    graph = builder.graph(builder.add(Linear(8, 5), rows, name="linear"))
    one, seven = totals(graph), totals(graph.with_inputs(TensorType((7, 3, 9, 9))))
    assert seven == {name: 7 * total for name, total in one.items()}


def test_grouping_divides_and_dilation_changes_nothing():
    shape = TensorType((1, 8, 12, 12))
    plain = Conv2d(8, 8, 3, padding=1)
    assert Conv2d(8, 8, 3, padding=1, groups=4).terms(shape).taps * 4 == plain.terms(shape).taps
    assert Conv2d(8, 8, 3, padding=2, dilation=2).terms(shape) == plain.terms(shape)
