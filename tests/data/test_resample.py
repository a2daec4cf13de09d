from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convsmith.data import resample, resample_matrix, resize
from convsmith.data.resample import LEVELS
from convsmith.errors import DataError
from tests.data.samples import noise

SIDES = st.integers(1, 80)


@given(SIDES, SIDES)
def test_matrix_is_row_stochastic_and_symmetric_under_reversal(source: int, target: int) -> None:
    matrix = resample_matrix(source, target)
    assert matrix.shape == (target, source)
    assert matrix.dtype == np.float32
    assert (matrix >= 0).all()
    np.testing.assert_array_equal(matrix.sum(axis=1, dtype=np.float64), 1)
    np.testing.assert_array_equal(LEVELS * matrix, np.rint(LEVELS * matrix))
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1 / LEVELS)


@given(SIDES)
def test_matrix_of_equal_sizes_is_the_identity(side: int) -> None:
    np.testing.assert_array_equal(resample_matrix(side, side), np.eye(side, dtype=np.float32))


@given(SIDES, SIDES)
def test_matrix_is_the_antialiased_bilinear_filter_of_torch(source: int, target: int) -> None:
    basis = torch.eye(source, dtype=torch.float64).view(1, source, 1, source)
    oracle = torch.nn.functional.interpolate(basis, (1, target), mode="bilinear", antialias=True)
    np.testing.assert_allclose(resample_matrix(source, target).T, oracle[0, :, 0].numpy(), atol=1 / LEVELS)


def test_matrix_weights_are_the_nearest_fractions() -> None:
    np.testing.assert_array_equal(resample_matrix(2, 1), [[0.5, 0.5]])
    np.testing.assert_array_equal(resample_matrix(1, 3), np.ones((3, 1)))
    sevenths = np.array([[3, 3, 1, 0], [0, 1, 3, 3]])
    np.testing.assert_allclose(resample_matrix(4, 2), sevenths / 7, atol=1 / LEVELS)
    with pytest.raises(DataError, match="at least 1"):
        resample_matrix(4, 0)


@pytest.mark.parametrize(("source", "target"), [(32, 24), (32, 17), (20, 31), (8, 8), (9, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resample_agrees_with_pillow_and_ignores_neighbours(source: int, target: int, channels: int) -> None:
    pixels = noise(1, 5, source, source, channels)
    result = resample(pixels, target)
    oracle = np.stack([resize(image, target, "squash") for image in pixels])
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result.astype(int), oracle, atol=1)
    np.testing.assert_array_equal(resample(pixels[3:4], target)[0], result[3])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_the_sums_are_exact_in_float32_in_any_order(source: int, target: int, seed: int) -> None:
    pixels = noise(seed, 1, source, source, 1)[0, :, :, 0]
    matrix = resample_matrix(source, target)
    exact = (LEVELS * matrix).astype(np.int64) @ pixels.astype(np.int64) @ (LEVELS * matrix).astype(np.int64).T
    mirrored = (matrix[:, ::-1] @ pixels[::-1, ::-1].astype(np.float32)) @ matrix[:, ::-1].T
    np.testing.assert_array_equal(mirrored.astype(np.float64) * LEVELS**2, exact)


def test_resample_works_across_chunks_and_rounds_half_to_even() -> None:
    pixels = noise(2, 600, 48, 48, 3)  # over two chunks
    whole = resample(pixels, 5)
    for start in range(0, 600, 97):
        np.testing.assert_array_equal(resample(pixels[start : start + 97], 5), whole[start : start + 97])
    halves = np.array([[[[0], [1]], [[0], [1]]], [[[1], [2]], [[1], [2]]]], np.uint8)
    assert resample(halves, 1).ravel().tolist() == [0, 2]


def test_resize_squash_is_pillows_bilinear() -> None:
    image = noise(3, 30, 50, 3)
    oracle = Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize(image, 16, "squash"), np.asarray(oracle))
    grey = image[..., :1]
    oracle = Image.fromarray(grey[..., 0]).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize(grey, 16, "squash")[..., 0], np.asarray(oracle))


def test_letterbox_keeps_the_aspect_ratio_on_mid_grey() -> None:
    boxed = resize(np.full((10, 40, 3), 255, np.uint8), 20, "letterbox")
    assert (boxed[:7] == 128).all()
    assert (boxed[7:12] == 255).all()
    assert (boxed[12:] == 128).all()
    thin = resize(np.full((1000, 1, 1), 9, np.uint8), 8, "letterbox")
    assert (thin == 9).sum() == 8
