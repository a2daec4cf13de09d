"""Images without a picture, against plain loops over single pixels."""

from __future__ import annotations

import io
import math
import statistics

import numpy as np
import pytest
from PIL import Image

from convsmith.data.checks.tone import measure_tone
from convsmith.data.resample import resize
from tests.data.samples import noise


def grey(image):
    """Brightness of each pixel of (H, W, C) by ITU-R 601, rounded, as a plain list."""
    weights = (0.299, 0.587, 0.114) if image.shape[2] == 3 else (1.0,)
    return [round(sum(w * int(v) for w, v in zip(weights, pixel, strict=True))) for row in image for pixel in row]


def percentile(values, share):
    """The least value that at least this share of the values does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def levels(*sizes, low=0, high=256, seed=0):
    return np.random.default_rng(seed).integers(low, high, sizes, dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_measures_are_those_of_a_plain_loop(channels):
    pixels = np.stack([levels(9, 9, channels, low=low, high=high) for low, high in ((0, 256), (20, 40), (200, 255))])
    found = measure_tone(pixels, "squash")
    for image, low, high, spread in zip(pixels, found.low, found.high, found.spread, strict=True):
        assert (low, high) == (percentile(grey(image), 0.01), percentile(grey(image), 0.99))
        assert spread == pytest.approx(max(statistics.pstdev(image[..., c].ravel().tolist()) for c in range(channels)))


def test_many_images_are_measured_like_few():
    pixels = noise(3, 2000, 32, 32, 3)  # more than a chunk
    whole, last = measure_tone(pixels, "squash"), measure_tone(pixels[-5:], "squash")
    assert np.array_equal(whole.low[-5:], last.low)
    assert np.array_equal(whole.spread[-5:], last.spread)


def test_each_kind_of_poor_image_is_told_from_the_others():
    jpeg = io.BytesIO()
    Image.new("RGB", (32, 32), (120, 40, 200)).save(jpeg, "JPEG", quality=30)
    images = {
        "blank": [np.full((32, 32, 3), 128), np.asarray(Image.open(jpeg)), np.zeros((32, 32, 3))],
        "dark": [levels(32, 32, 3, high=60)],
        "bright": [levels(32, 32, 3, low=200)],
        "flat": [levels(32, 32, 3, low=100, high=120)],
        "": [levels(32, 32, 3), np.where(np.eye(32)[..., None] > 0, 255, np.zeros(3))],  # a thin stroke on black
    }
    names = [name for name, group in images.items() for _ in group]
    found = measure_tone(np.stack([image for group in images.values() for image in group]).astype(np.uint8), "squash")
    for kind in ("blank", "dark", "bright", "flat"):
        assert getattr(found, kind).tolist() == [name == kind for name in names], kind


def test_colours_of_one_brightness_are_a_picture():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, :4], image[:, 4:] = (100, 0, 0), (0, 51, 0)
    assert not measure_tone(image[None], "squash").blank[0]


def test_the_bars_of_a_letterboxed_image_do_not_count():
    dark, blank = levels(16, 64, 3, high=50), np.full((64, 16, 3), 77, np.uint8)
    pixels = np.stack([resize(image, 32, "letterbox") for image in (dark, blank, np.full((9, 3, 3), 128, np.uint8))])
    found = measure_tone(pixels, "letterbox")
    assert found.dark.tolist() == [True, False, False]
    assert found.blank.tolist() == [False, True, True]
    assert found.high[0] == percentile(grey(pixels[0][12:20]), 0.99)
    assert not measure_tone(pixels, "squash").dark.any()  # there, grey would be part of the picture
