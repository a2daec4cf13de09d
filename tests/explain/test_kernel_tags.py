"""Kernels that are drawn with a known direction, frequency and colour are tagged with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsmith.explain.kernels import tag_kernels


def tag(*planes):
    return tag_kernels("layer", np.stack(planes)[None], 1).tags[0]


def grating(angle, frequency, size=15, phase=0.4):
    """Stripes that run at ``angle`` degrees, counted with up as positive, under a Gaussian."""
    rows, columns = np.mgrid[:size, :size] - size // 2
    across = np.radians(angle + 90)
    along = columns * np.cos(across) - rows * np.sin(across)
    wave = np.cos(2 * np.pi * frequency * along + phase)
    return wave * np.exp(-(rows**2 + columns**2) / (2 * (size / 5) ** 2))


@given(st.floats(0, 179.9), st.floats(0.15, 0.4))
def test_stripes_give_their_direction_and_frequency(angle, frequency):
    found = tag(grating(angle, frequency))
    assert found.pattern == "oriented"
    apart = abs(found.angle - angle) % 180
    assert min(apart, 180 - apart) < 3
    assert found.frequency == pytest.approx(frequency, abs=0.03)


def test_the_words_of_the_page():
    assert tag(np.array([[1.0, 0, -1]] * 3)).angle == pytest.approx(90)  # Sobel's vertical edge
    assert tag(np.array([[1.0, 1, 1], [0, 0, 0], [-1, -1, -1]])).angle % 180 == pytest.approx(0)
    assert tag(np.array([[0.0, 1, 1], [-1, 0, 1], [-1, -1, 0]])).angle == pytest.approx(
        135, abs=0.1
    )  # falls to the right
    assert tag(np.ones((3, 3))).pattern == "low-pass"
    assert tag(np.ones((3, 3))).frequency is None
    assert tag(np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])).pattern == "spot"
    assert tag(np.zeros((3, 3))).pattern == "zero"


def test_a_kernel_is_tagged_by_the_sum_over_its_input_channels():
    found = tag(*[grating(30, 0.25, phase=phase) for phase in (0, 1, 2, 3)])
    assert found.pattern == "oriented"
    assert found.angle == pytest.approx(30, abs=3)
    assert found.colour is None


@pytest.mark.parametrize(
    ("weights", "colour"),
    [
        ((1, 1, 1), "grey"),
        ((1, -1, -1), "red-cyan"),
        ((-1, 1, 1), "red-cyan"),
        ((1, 1, -1), "yellow-blue"),
        ((0, 0, 1), "yellow-blue"),
        ((-1, 1, -1), "green-magenta"),
        ((1.1, 1, 0.9), "grey"),
    ],
)
def test_colours(weights, colour):
    found = tag(*[weight * grating(0, 0.2) for weight in weights])
    assert found.colour == colour
    assert (found.colour_share < 0.25) == (colour == "grey")


def test_a_kernel_acts_on_pixels_and_not_on_what_normalisation_made_of_them():
    """Equal weights on channels that vary unequally are no grey."""
    equal = np.ones((1, 3, 3, 3))
    assert tag_kernels("layer", equal, 1).tags[0].colour == "grey"
    assert tag_kernels("layer", equal, 1, (10.0, 60.0, 60.0)).tags[0].colour == "red-cyan"


@pytest.mark.slow
def test_one_in_six_kernels_of_random_numbers_is_called_oriented():
    """What the page says of chance."""
    found = tag_kernels("layer", np.random.default_rng(0).normal(size=(3000, 1, 3, 3)), 1)
    assert found.count("pattern")["oriented"] / 3000 == pytest.approx(1 / 6, abs=0.03)


def test_kernels_are_shown_by_kind_and_direction():
    planes = np.stack([grating(90, 0.2), np.ones((15, 15)), grating(10, 0.2), np.zeros((15, 15))])[:, None]
    found = tag_kernels("layer", planes, 1)
    assert found.order() == [2, 0, 1, 3]
    assert found.count("pattern") == {"oriented": 2, "low-pass": 1, "zero": 1}
