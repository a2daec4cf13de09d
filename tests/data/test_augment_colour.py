"""Colours against one pixel or one image at a time, in float64."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from convsmith.data.augment import Policy
from convsmith.data.chance import Purpose
from tests.data.augmenting import IDS, PIXELS, augmented, signed
from tests.data.samples import noise

# The NTSC definition of luminance and colour differences.
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def turned_hue(pixel: NDArray[np.float64], degrees: float, saturation: float = 1.0) -> NDArray[np.float64]:
    """One pixel with its colour, as a complex number in the plane of I and Q, turned and stretched."""
    luminance, in_phase, quadrature = TO_YIQ @ pixel
    colour = complex(in_phase, quadrature) * cmath.rect(saturation, math.radians(degrees))
    return np.linalg.solve(TO_YIQ, [luminance, colour.real, colour.imag])


def mean_luminance(image: NDArray[np.uint8]) -> float:
    if image.shape[2] == 1:
        return float(image.mean())
    return sum(share * image[..., channel].mean() for channel, share in enumerate((0.299, 0.587, 0.114)))


def test_brightness_scales_and_clips() -> None:
    factors = 1 + signed(Purpose.BRIGHTNESS, 0.5)
    assert factors.min() < 0.6
    assert factors.max() > 1.4
    for image, pixels, factor in zip(augmented(Policy(brightness=0.5)), PIXELS, factors, strict=True):
        np.testing.assert_allclose(image, np.clip(pixels * factor, 0, 255), rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_scales_around_the_mean_luminance_after_brightness(channels: int) -> None:
    bright, contrast = 1 + signed(Purpose.BRIGHTNESS, 0.3), 1 + signed(Purpose.CONTRAST, 0.9)
    pixels = PIXELS[..., :channels]
    for index, image in enumerate(augmented(Policy(brightness=0.3, contrast=0.9), pixels)):
        lit = pixels[index] * bright[index]
        middle = mean_luminance(pixels[index]) * bright[index]
        np.testing.assert_allclose(image, np.clip(middle + contrast[index] * (lit - middle), 0, 255), atol=1e-3)


def test_saturation_is_that_of_pillow() -> None:
    factors = 1 + signed(Purpose.SATURATION, 1.0)
    for index, image in enumerate(augmented(Policy(saturation=1.0))):
        oracle = np.asarray(ImageEnhance.Color(Image.fromarray(PIXELS[index])).enhance(factors[index]))
        assert np.abs(image - oracle).max() <= 2.0  # Pillow rounds the grey and drops the result's fraction


def test_hue_turns_the_colour_of_each_pixel_and_leaves_its_luminance() -> None:
    degrees = signed(Purpose.HUE, 180)
    gentle = (96 + PIXELS[:10, :4, :4] // 4).astype(np.uint8)  # colours that no turn takes beyond 0 to 255
    for index, image in enumerate(augmented(Policy(hue=180), gentle, IDS[:10])):
        oracle = np.array([[turned_hue(pixel, degrees[index]) for pixel in row] for row in gentle[index].astype(float)])
        assert np.abs(image - oracle).max() < 0.2
        assert np.abs((image - gentle[index]) @ TO_YIQ[0]).max() < 0.2


def test_all_colour_changes_are_one_matrix_and_are_clipped_once() -> None:
    policy = Policy(brightness=0.6, contrast=0.8, saturation=0.9, hue=90)
    bright, contrast = 1 + signed(Purpose.BRIGHTNESS, 0.6), 1 + signed(Purpose.CONTRAST, 0.8)
    saturation, degrees = 1 + signed(Purpose.SATURATION, 0.9), signed(Purpose.HUE, 90)
    batch = PIXELS[:, :5, :5]
    for index, image in enumerate(augmented(policy, batch)):
        middle = mean_luminance(batch[index]) * bright[index]
        changed = middle + contrast[index] * (batch[index] * bright[index] - middle)
        oracle = np.array([[turned_hue(pixel, degrees[index], saturation[index]) for pixel in row] for row in changed])
        assert np.abs(image - np.clip(oracle, 0, 255)).max() < 0.4
    extremes = augmented(policy)
    assert extremes.min() == 0
    assert extremes.max() == 255


def test_grey_images_have_no_colour_to_change() -> None:
    grey = PIXELS[..., :1]
    np.testing.assert_array_equal(augmented(Policy(saturation=0.9, hue=90), grey), grey)
    even = np.repeat(grey, 3, axis=3)
    assert np.abs(augmented(Policy(saturation=0.9, hue=90), even) - even).max() < 0.2


def test_the_strongest_colour_changes_get_the_same_bits_for_any_number_of_pixels_beside_them() -> None:
    policy = Policy(brightness=0.99, contrast=1.0, saturation=1.0, hue=180)
    batch = noise(9, 300, 6, 7, 3)
    whole = augmented(policy, batch, range(300))
    for index in range(0, 300, 7):
        np.testing.assert_array_equal(augmented(policy, batch[index : index + 1], [index])[0], whole[index])


def test_sums_of_colours_are_exact_so_that_no_kernel_can_round_them_otherwise() -> None:
    images = augmented(Policy(brightness=0.99, saturation=1.0, hue=180))
    np.testing.assert_array_equal(images * 2048, np.rint(images * 2048))
    assert (images % 1 != 0).mean() > 0.3
