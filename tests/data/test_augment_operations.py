"""Operations on pixels against Pillow, image by image: the very same pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

from convsmith.data.augment import OPERATIONS, RANDAUGMENT, Policy
from convsmith.data.chance import Purpose
from tests.data.augmenting import IDS, PIXELS, augmented, drawn

Operation = Callable[[Image.Image, float], Image.Image]

PILLOW: dict[str, Operation] = {
    "identity": lambda image, _: image,
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "posterize": lambda image, level: ImageOps.posterize(image, 8 - round(4 * abs(level))),
    "solarize": lambda image, level: ImageOps.solarize(image, 256 * (1 - abs(level))),
    "brightness": lambda image, level: ImageEnhance.Brightness(image).enhance(1 + 0.9 * level),
    "contrast": lambda image, level: ImageEnhance.Contrast(image).enhance(1 + 0.9 * level),
    "color": lambda image, level: ImageEnhance.Color(image).enhance(1 + 0.9 * level),
    "sharpness": lambda image, level: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * level),
}
ON_PLACES = set(OPERATIONS) - set(PILLOW)

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))
IMAGES = st.one_of(
    SHAPES.flatmap(lambda shape: arrays.arrays(np.uint8, shape)),
    SHAPES.flatmap(lambda shape: arrays.arrays(np.uint8, shape, elements=st.integers(100, 104))),  # few values
    st.tuples(st.integers(0, 2**32 - 1), st.integers(10, 40), st.floats(0, 120)).map(lambda drawn: _bell(*drawn)),
)


def _bell(seed: int, side: int, spread: float) -> NDArray[np.uint8]:
    return np.clip(np.random.default_rng(seed).normal(130, spread, (side, side, 3)), 0, 255).astype(np.uint8)


def by_pillow(name: str, pixels: NDArray[np.uint8], level: float) -> NDArray[np.uint8]:
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(PILLOW[name](picture, level)).reshape(pixels.shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PILLOW))
@settings(max_examples=60)
@given(pixels=IMAGES, magnitude=st.one_of(st.floats(0, 10), st.integers(0, 10).map(float)), sample=st.integers(0, 9999))
def test_an_operation_gives_pillows_very_pixels(
    name: str, pixels: NDArray[np.uint8], magnitude: float, sample: int
) -> None:
    ids = np.array([sample])
    level = magnitude / 10 * (-1 if drawn(Purpose.DIRECTION, ids=ids)[0] < 0.5 else 1)
    result = augmented(Policy(operations=(name,), draws=1, magnitude=magnitude), pixels[None], ids)
    np.testing.assert_array_equal(result[0], by_pillow(name, pixels, level))


def test_every_image_of_a_batch_gets_its_own_operations_one_after_the_other() -> None:
    names, magnitude = tuple(PILLOW), 7.0
    chosen = [np.floor(drawn(Purpose.OPERATION, turn) * len(names)).astype(int) for turn in range(3)]
    levels = [np.where(drawn(Purpose.DIRECTION, turn) < 0.5, -0.7, 0.7) for turn in range(3)]
    assert all(len(set(some)) >= 7 for some in chosen)
    images = augmented(Policy(operations=names, draws=3, magnitude=magnitude))
    for index, image in enumerate(images):
        oracle = PIXELS[index]
        for some, level in zip(chosen, levels, strict=True):
            oracle = by_pillow(names[some[index]], oracle, level[index])
        np.testing.assert_array_equal(image, oracle)


def test_places_come_before_pixels_whatever_the_order_of_draws() -> None:
    policy = Policy(operations=("translate_x", "solarize"), magnitude=6.0)
    moved = augmented(Policy(operations=("translate_x", "identity"), magnitude=6.0)).astype(np.uint8)
    rounds = sum((np.floor(drawn(Purpose.OPERATION, turn) * 2) == 1).astype(int) for turn in (0, 1))
    for index, image in enumerate(augmented(policy)):
        oracle = moved[index]
        for _ in range(rounds[index]):
            oracle = by_pillow("solarize", oracle, 0.6)
        np.testing.assert_array_equal(image, oracle)


def test_the_list_is_that_of_the_paper() -> None:
    assert sorted(RANDAUGMENT) == [
        "autocontrast", "brightness", "color", "contrast", "equalize", "identity", "posterize", "rotate", "sharpness",
        "shear_x", "shear_y", "solarize", "translate_x", "translate_y",
    ]  # fmt: skip


def test_operations_and_directions_are_drawn_evenly_and_anew_each_time() -> None:
    """Which were made is read off an image that every operation changes in its own way."""
    ids = np.arange(3000)
    pixels = np.repeat(PIXELS[:1], len(ids), axis=0)
    names = ("posterize", "solarize", "brightness", "sharpness")
    results = augmented(Policy(operations=names, draws=1, magnitude=5.0), pixels, ids)
    known = {
        by_pillow(name, PIXELS[0], level).tobytes(): (name, level if name in names[2:] else 0)
        for name in names
        for level in (-0.5, 0.5)
    }
    found = [known[image.astype(np.uint8).tobytes()] for image in results]
    counts = [sum(kind == name for kind, _ in found) for name in names]
    assert stats.chisquare(counts).pvalue > 1e-4
    positive = sum(level > 0 for _, level in found)
    assert stats.binomtest(positive, sum(level != 0 for _, level in found)).pvalue > 1e-4
    twice = augmented(Policy(operations=names, draws=2, magnitude=5.0), pixels, ids)
    assert 0.5 < (twice != results).any((1, 2, 3)).mean() < 1


def test_magnitude_nothing_leaves_pixels_but_for_the_operations_without_a_strength() -> None:
    still = tuple(name for name in OPERATIONS if name not in ("autocontrast", "equalize"))
    np.testing.assert_array_equal(augmented(Policy(operations=still, draws=4, magnitude=0.0)), PIXELS)


def test_no_operation_but_those_listed_is_made() -> None:
    np.testing.assert_array_equal(augmented(Policy(operations=("identity",))), PIXELS)
    assert len(IDS) == len(PIXELS)
    assert ON_PLACES == {"rotate", "shear_x", "shear_y", "translate_x", "translate_y"}
