"""Shapes and costs of operators on any number of axes, against numpy and a loop over all index values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convsmith.errors import OpError
from convsmith.ir import TensorType, Terms
from convsmith.ops import (
    AdaptiveAvgPool2d,
    Add,
    BatchNorm1d,
    Clip,
    Concat,
    Constant,
    Conv1d,
    Conv2d,
    Einsum,
    Expand,
    Flatten,
    Gather,
    GlobalMaxPool,
    InstanceNorm2d,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    MatMul,
    Maximum,
    Opaque,
    Permute,
    PixelShuffle,
    Pointwise,
    PReLU,
    Reduce,
    Reshape,
    Resize,
    RMSNorm,
    Roll,
    Scalar,
    ScaledDotProductAttention,
    Slice,
    Sub,
)

checked = settings(max_examples=150)

shapes = st.lists(st.integers(1, 3), min_size=1, max_size=5).map(tuple)
seeds = st.integers(0, 2**32 - 1)


def numbers(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape) for shape in shapes]


def run(op, *arrays: np.ndarray) -> np.ndarray:
    return op.to_torch().double()(*map(torch.from_numpy, arrays)).numpy()


def assert_is(op, expected: np.ndarray, *arrays: np.ndarray) -> None:
    """The shape rule, the torch module and the matrix give what numpy gives."""
    types = [TensorType(array.shape) for array in arrays]
    assert op.infer(*types).shape == expected.shape
    np.testing.assert_allclose(run(op, *arrays), expected, rtol=1e-12, atol=1e-12)
    if len(arrays) == 1 and (matrix := op.matrix(types[0], {})) is not None:
        np.testing.assert_allclose(
            (matrix @ arrays[0].ravel()).reshape(expected.shape), expected, rtol=1e-12, atol=1e-12
        )


@checked
@given(shapes, shapes, seeds)
def test_two_values_spread_over_each_other_as_in_numpy(first, second, seed):
    arrays = numbers(seed, first, second)
    types = TensorType(first), TensorType(second)
    try:
        expected = arrays[0] - arrays[1]
    except ValueError:
        with pytest.raises(OpError, match="second input must spread over the shape"):
            Sub().infer(*types)
        return
    assert_is(Sub(), expected, *arrays)
    assert Add().terms(*types) == Terms(add=expected.size)


@pytest.mark.slow
@checked
@given(shapes, shapes, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), seeds)
def test_matrix_products_are_numpys(first, second, rows, inner, columns, seed):
    arrays = numbers(seed, (*first, rows, inner), (*second, inner, columns))
    types = [TensorType(array.shape) for array in arrays]
    try:
        expected = arrays[0] @ arrays[1]
    except ValueError:
        with pytest.raises(OpError, match="second input must spread"):
            MatMul().infer(*types)
        return
    assert_is(MatMul(), expected, *arrays)
    assert MatMul().terms(*types) == Terms(attention=expected.size * inner)


@st.composite
def equations(draw):
    sizes = {index: draw(st.integers(1, 3)) for index in "abcde"}
    places = [draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=3, unique=True)) for _ in "12"]
    result = draw(st.permutations(sorted({*places[0], *places[1]})))
    return sizes, *map("".join, places), "".join(result[: draw(st.integers(0, len(result)))])


@pytest.mark.slow
@checked
@given(equations(), seeds)
def test_einsum_is_the_loop_over_all_indices(case, seed):
    sizes, first, second, result = case
    op = Einsum(f"{first},{second}->{result}")
    arrays = numbers(seed, tuple(sizes[i] for i in first), tuple(sizes[i] for i in second))
    expected, steps = np.zeros(tuple(sizes[i] for i in result)), 0
    names = sorted({*first, *second})
    for values in itertools.product(*(range(sizes[name]) for name in names)):
        at = dict(zip(names, values, strict=True))
        read = [array[tuple(at[i] for i in place)] for array, place in zip(arrays, (first, second), strict=True)]
        expected[tuple(at[i] for i in result)] += read[0] * read[1]
        steps += 1
    assert_is(op, expected, *arrays)
    summed = set(names) - set(result)
    assert op.terms(*(TensorType(array.shape) for array in arrays)) == (
        Terms(attention=steps) if summed else Terms(add=expected.size)
    )


@pytest.mark.slow
@checked
@given(shapes, st.data(), seeds)
def test_moving_elements_is_numpys(shape, data, seed):
    (array,) = numbers(seed, shape)
    axis = data.draw(st.integers(0, len(shape) - 1))
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    shift = data.draw(st.integers(-4, 4))
    places = tuple(data.draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=4)))
    start = data.draw(st.integers(0, shape[axis] - 1))
    stop, step = data.draw(st.integers(start + 1, shape[axis])), data.draw(st.integers(1, 3))
    assert_is(Permute(order), array.transpose(order), array)
    assert_is(Roll(shift, axis), np.roll(array, shift, axis), array)
    assert_is(Gather(axis, places), array.take(places, axis), array)
    assert_is(Slice(axis, start, stop, step), array[(slice(None),) * axis + (slice(start, stop, step),)], array)


@pytest.mark.slow
@checked
@given(shapes, shapes, st.data(), seeds)
def test_new_shapes_are_numpys(shape, other, data, seed):
    (array,) = numbers(seed, shape)
    wanted = list(other)
    if data.draw(st.booleans()):
        wanted[data.draw(st.integers(0, len(other) - 1))] = -1
    for op, numpys in ((Reshape(tuple(wanted)), np.reshape), (Expand(other), np.broadcast_to)):
        try:
            expected = numpys(array, op.shape)
        except ValueError:
            with pytest.raises(OpError, match="shape must"):
                op.infer(TensorType(shape))
        else:
            assert_is(op, expected, array)


def test_a_batch_left_open_takes_any_batch():
    for batch in (1, 2, 5):
        type = TensorType((batch, 8, 4, 4))
        assert Reshape((-1, 2, 4, 16)).infer(type).shape == (batch, 2, 4, 16)
        assert Expand((-1, 8, 4, 4)).infer(TensorType((batch, 8, 1, 1))).shape == (batch, 8, 4, 4)
        assert Flatten().infer(type).shape == (batch, 128)


@pytest.mark.slow
@checked
@given(shapes, st.data(), st.booleans(), seeds)
def test_reductions_are_numpys(shape, data, keepdim, seed):
    (array,) = numbers(seed, shape)
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    numpys = {
        "mean": np.mean,
        "sum": np.sum,
        "max": np.max,
        "min": np.min,
        "prod": np.prod,
        "l1": lambda x, axis, keepdims: np.sum(np.abs(x), axis=axis, keepdims=keepdims),
        "l2": lambda x, axis, keepdims: np.sqrt(np.sum(x**2, axis=axis, keepdims=keepdims)),
    }
    for function, reduce in numpys.items():
        expected = np.asarray(reduce(array, axis=axes, keepdims=keepdim))
        assert_is(Reduce(function, axes, keepdim), expected, array)
    assume(math.prod(shape[axis] for axis in axes) > 1)
    for function, reduce in (("var", np.var), ("std", np.std)):
        for correction in (0, 1):
            expected = np.asarray(reduce(array, axis=axes, keepdims=keepdim, ddof=correction))
            assert_is(Reduce(function, axes, keepdim, correction), expected, array)


@pytest.mark.slow
@checked
@given(shapes, st.data(), seeds)
def test_concatenation_is_numpys(shape, data, seed):
    axis = data.draw(st.integers(0, len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    arrays = numbers(seed, *((*shape[:axis], size, *shape[axis + 1 :]) for size in sizes))
    assert_is(Concat(axis), np.concatenate(arrays, axis), *arrays)


@pytest.mark.parametrize("mask", [None, (1, 1, 4, 5), (4, 5), (1, 5), (2, 3, 1, 5)])
def test_attention_is_its_definition(mask):
    shapes = [(2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7), *([mask] if mask else [])]
    query, key, value, *rest = numbers(0, *shapes)
    scores = query @ key.swapaxes(-1, -2) * 0.3 + (rest[0] if rest else 0.0)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert_is(ScaledDotProductAttention(0.3), weights @ value, query, key, value, *rest)
    terms = ScaledDotProductAttention().terms(*(TensorType(shape) for shape in shapes))
    assert terms == Terms(attention=6 * (4 * 5 * 6 + 4 * 5 * 7), activation=6 * 4 * 5)


def test_an_opaque_operator_has_a_type_and_nothing_else():
    op = Opaque("mesh", (3, 4), "int64")
    for types in ((), (TensorType((1, 2)),), (TensorType((1, 2)),) * 3):
        assert op.infer(*types) == TensorType((3, 4), "int64")
        assert op.terms(*types) == Terms()
    with pytest.raises(OpError, match=r"Opaque: function has no rules here.*'mesh'"):
        op.to_torch()


MAP, ROW, TOKENS = TensorType((2, 6, 4, 4)), TensorType((2, 6)), TensorType((2, 4, 6))


@pytest.mark.parametrize(
    ("op", "types", "terms"),
    [
        (PReLU(6), (MAP,), Terms(activation=192)),
        (Clip(0.0, 1.0), (ROW,), Terms(activation=12)),
        (Pointwise("exp"), (TOKENS,), Terms(activation=48)),
        (Scalar("mul", 2.0), (MAP,), Terms(add=192)),
        (Maximum(), (MAP, TensorType((6, 1, 1))), Terms(add=192)),
        (LayerNorm(6), (TOKENS,), Terms(norm=48)),
        (RMSNorm(6), (TOKENS,), Terms(norm=48)),
        (BatchNorm1d(6), (ROW,), Terms(norm=12)),
        (InstanceNorm2d(6), (MAP,), Terms(norm=192)),
        (LocalResponseNorm(5), (MAP,), Terms(norm=192)),
        (AdaptiveAvgPool2d((2, 3)), (MAP,), Terms(pool=192)),
        (GlobalMaxPool(), (MAP,), Terms(pool=192)),
        (Reduce("std", (2, 3)), (MAP,), Terms(pool=192)),
        (Linear(6, 5), (TOKENS,), Terms(taps=2 * 4 * 6 * 5, bias=2 * 4 * 5)),
        (Linear(6, 5, bias=False, axis=1), (MAP,), Terms(taps=2 * 16 * 6 * 5)),
        (Conv1d(6, 4, 3, groups=2), (TensorType((2, 6, 9)),), Terms(taps=2 * 7 * 4 * 3 * 3, bias=2 * 7 * 4)),
        (Conv2d(6, 6, 3, groups=6, bias=False, learned=False), (MAP,), Terms(taps=2 * 4 * 6 * 9)),
        (Constant((1, 6, 1, 1)), (), Terms()),
        (Concat(2), (MAP, MAP), Terms()),
        (Permute((0, 2, 3, 1)), (MAP,), Terms()),
        (PixelShuffle(1), (MAP,), Terms()),
        (Resize(8, "bicubic"), (MAP,), Terms(resize=2 * 6 * 64)),
    ],
)
def test_work_counted_by_hand(op, types, terms):
    assert op.terms(*types) == terms
