"""Changes of place against one image at a time: slices, matrices with scipy's interpolation in float64, and Pillow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from convsmith.data.augment import Policy
from convsmith.data.chance import Purpose
from tests.data.augmenting import IDS, PIXELS, augmented, drawn, signed
from tests.data.samples import noise

Matrix = NDArray[np.float64]


def matrix(*rows: tuple[float, float, float]) -> Matrix:
    return np.array([*rows, (0.0, 0.0, 1.0)])


def turn(degrees: float) -> Matrix:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return matrix((cosine, sine, 0), (-sine, cosine, 0))


def slant(along_rows: float, along_columns: float = 0.0) -> Matrix:
    return np.linalg.inv(matrix((1, along_rows, 0), (along_columns, 1, 0)))


def move(right: float, down: float) -> Matrix:
    return matrix((1, 0, right), (0, 1, down))


def stretch(right: float, down: float) -> Matrix:
    return matrix((right, 0, 0), (0, down, 0))


def read_where(image: NDArray[np.uint8], forward: Matrix, side: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """The image after ``forward``, which takes (x, y, 1) from the centre to where it goes; in float64, unrounded."""
    height, width = image.shape[:2]
    high, wide = side or (height, width)
    back = np.linalg.inv(forward)
    result = np.empty((high, wide, image.shape[2]))
    y, x = np.mgrid[:high, :wide]
    places = np.stack([x - (wide - 1) / 2, y - (high - 1) / 2, np.ones((high, wide))])
    from_x, from_y, _ = np.einsum("ij,jhw->ihw", back, places)
    where = np.stack([from_y + (height - 1) / 2, from_x + (width - 1) / 2])
    for channel in range(image.shape[2]):
        result[..., channel] = ndimage.map_coordinates(image[..., channel].astype(float), where, order=1, mode="mirror")
    return result


def assert_rounded(images: NDArray[np.float32], oracles: list[NDArray[np.float64]]) -> None:
    """Whole numbers, and the nearest to the oracle but for the last digits of float32."""
    np.testing.assert_array_equal(images, np.rint(images))
    assert np.abs(images - np.stack(oracles)).max() < 0.502


def test_flip_mirrors_half_and_alternates_with_the_epoch() -> None:
    mirrored = drawn(Purpose.FLIP, epoch=0) < 0.5
    assert 10 < mirrored.sum() < 30
    for epoch in range(4):
        for image, pixels, flip in zip(
            augmented(Policy(flip=True), epoch=epoch), PIXELS, mirrored ^ (epoch % 2 == 1), strict=True
        ):
            np.testing.assert_array_equal(image, pixels[:, ::-1] if flip else pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_translate_crops_from_the_reflected_image(flip: bool, channels: int) -> None:
    reach, batch = 3, PIXELS[:, :9, :, :channels]
    down, right = (np.floor(drawn(purpose) * 7).astype(int) - 3 for purpose in (Purpose.SHIFT_Y, Purpose.SHIFT_X))
    assert set(down) == set(right) == set(range(-3, 4))
    mirrored = (drawn(Purpose.FLIP, epoch=0) < 0.5) & flip
    for index, image in enumerate(augmented(Policy(flip=flip, translate=reach), batch)):
        source = batch[index, :, ::-1] if mirrored[index] else batch[index]
        padded = np.pad(source, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
        top, left = reach - down[index], reach - right[index]
        np.testing.assert_array_equal(image, padded[top : top + 9, left : left + 12])


@pytest.mark.parametrize("largest", [5.0, 40.0, 180.0])
def test_rotate_is_a_bilinear_turn_around_the_centre(largest: float) -> None:
    angles = signed(Purpose.ROTATE, largest)
    oracles = [read_where(image, turn(angle)) for image, angle in zip(PIXELS, angles, strict=True)]
    assert_rounded(augmented(Policy(rotate=largest)), oracles)


def test_shear_slants_along_the_rows() -> None:
    slants = np.tan(np.deg2rad(signed(Purpose.SHEAR, 30)))
    oracles = [read_where(image, slant(share)) for image, share in zip(PIXELS, slants, strict=True)]
    assert_rounded(augmented(Policy(shear=30)), oracles)


def test_scale_is_even_in_the_logarithm_and_reflects_what_comes_in() -> None:
    factors = np.exp(signed(Purpose.SCALE, math.log(1.4)))
    assert factors.min() < 0.75
    assert factors.max() > 1.33
    oracles = [read_where(image, stretch(factor, factor)) for image, factor in zip(PIXELS, factors, strict=True)]
    assert_rounded(augmented(Policy(scale=0.4)), oracles)


def inception_box(index: int, policy: Policy, height: int, width: int) -> tuple[float, float, float, float]:
    """Left, top, width, height of the crop, as the published procedure draws it, from the draws of one sample."""
    one = IDS[index : index + 1]
    for attempt in range(10):
        area = height * width * (policy.crop + (1 - policy.crop) * drawn(Purpose.CROP_AREA, attempt, ids=one)[0])
        aspect = policy.crop_aspect ** (2 * drawn(Purpose.CROP_ASPECT, attempt, ids=one)[0] - 1)
        high, wide = math.sqrt(area / aspect), math.sqrt(area * aspect)
        if high <= height and wide <= width:
            break
    else:
        high, wide = min(height, width * policy.crop_aspect), min(width, height * policy.crop_aspect)
    left = (width - wide) * drawn(Purpose.CROP_X, ids=one)[0]
    top = (height - high) * drawn(Purpose.CROP_Y, ids=one)[0]
    return left, top, wide, high


@pytest.mark.parametrize("shape", [(12, 12), (10, 20), (6, 40)])
def test_a_crop_brought_to_full_size_is_what_pillow_makes_of_its_box(shape: tuple[int, int]) -> None:
    height, width = shape
    batch, policy = noise(5, 40, *shape, 3), Policy(crop=0.1, crop_aspect=1.5)
    results = augmented(policy, batch)
    for index, image in enumerate(results):
        left, top, wide, high = inception_box(index, policy, height, width)
        padded = np.pad(batch[index], ((2, 2), (2, 2), (0, 0)), mode="reflect")
        box = (left + 2, top + 2, left + wide + 2, top + high + 2)
        oracle = Image.fromarray(padded).resize((width, height), Image.Resampling.BILINEAR, box)
        # Pillow rounds after each axis, and its weights to eight bits.
        assert np.abs(image - np.asarray(oracle).astype(float)).max() <= 2.1


@pytest.mark.parametrize(("lowest", "aspect", "shape"), [(0.08, 4 / 3, (24, 24)), (0.2, 2.0, (16, 32))])
def test_crops_follow_the_published_distribution(lowest: float, aspect: float, shape: tuple[int, int]) -> None:
    """Areas and aspects are read off images whose colours say where a pixel came from."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([y * 255 / (height - 1), x * 255 / (width - 1), 0 * x], axis=2).round().astype(np.uint8)
    count = 2000
    images = augmented(Policy(crop=lowest, crop_aspect=aspect), np.repeat(ramp[None], count, axis=0), range(count))
    inner = slice(height // 4, -height // 4), slice(width // 4, -width // 4)  # away from reflections at the border
    rows, columns = images[:, inner[0], inner[1], 0].mean(2), images[:, inner[0], inner[1], 1].mean(1)
    slopes = (
        np.polyfit(np.arange(rows.shape[1]), rows.T, 1)[0],
        np.polyfit(np.arange(columns.shape[1]), columns.T, 1)[0],
    )
    high, wide = slopes[0] * (height - 1) / 255 * height, slopes[1] * (width - 1) / 255 * width
    expected = simulated_crops(lowest, aspect, shape, count)
    for mine, theirs in zip((high * wide, wide / high), expected, strict=True):
        assert stats.ks_2samp(mine, theirs).pvalue > 1e-4
    assert (high * wide).min() > 0.95 * lowest * height * width
    assert (high * wide).max() < 1.02 * height * width


def simulated_crops(
    lowest: float, aspect: float, shape: tuple[int, int], count: int
) -> tuple[list[float], list[float]]:
    """Areas and aspects by rejection with numpy's generator, one crop after the other."""
    rng, (height, width) = np.random.default_rng(0), shape
    areas: list[float] = []
    aspects: list[float] = []
    for _ in range(count):
        high, wide = min(height, width * aspect), min(width, height * aspect)
        for _ in range(10):
            area = rng.uniform(lowest, 1) * height * width
            ratio = math.exp(rng.uniform(-math.log(aspect), math.log(aspect)))
            if math.sqrt(area * ratio) <= width and math.sqrt(area / ratio) <= height:
                high, wide = math.sqrt(area / ratio), math.sqrt(area * ratio)
                break
        areas.append(high * wide)
        aspects.append(wide / high)
    return areas, aspects


def test_all_changes_of_place_are_one_resampling_in_the_order_that_is_documented() -> None:
    policy = Policy(flip=True, translate=2, rotate=30, shear=15, scale=0.3, crop=0.3)
    batch = noise(6, 40, 11, 15, 3)
    height, width = batch.shape[1:3]
    mirrored = drawn(Purpose.FLIP, epoch=0) < 0.5
    right, down = (np.floor(drawn(purpose) * 5) - 2 for purpose in (Purpose.SHIFT_X, Purpose.SHIFT_Y))
    factors, angles = np.exp(signed(Purpose.SCALE, math.log(1.3))), signed(Purpose.ROTATE, 30)
    slants = np.tan(np.deg2rad(signed(Purpose.SHEAR, 15)))
    oracles: list[NDArray[np.float64]] = []
    for index, image in enumerate(batch):
        left, top, wide, high = inception_box(index, policy, height, width)
        steps = [
            stretch(-1 if mirrored[index] else 1, 1),
            move(width / 2 - left - wide / 2, height / 2 - top - high / 2),
            stretch(width / wide, height / high),
            move(right[index], down[index]),
            stretch(factors[index], factors[index]),
            slant(slants[index]),
            turn(angles[index]),
        ]
        forward = np.eye(3)
        for step in steps:
            forward = step @ forward
        oracles.append(read_where(image, forward))
    assert_rounded(augmented(policy, batch), oracles)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    name=st.sampled_from(["rotate", "shear_x", "shear_y", "translate_x", "translate_y"]),
    magnitude=st.floats(0, 10),
    flip=st.booleans(),
)
def test_operations_on_places_go_both_ways_by_the_published_amounts(name: str, magnitude: float, flip: bool) -> None:
    batch = PIXELS[:, :9]
    direction = np.where(drawn(Purpose.DIRECTION) < 0.5, -1, 1) * magnitude / 10
    mirrored = (drawn(Purpose.FLIP, epoch=0) < 0.5) & flip
    step = {
        "rotate": lambda level: turn(30 * level),
        "shear_x": lambda level: slant(0.3 * level),
        "shear_y": lambda level: slant(0, 0.3 * level),
        "translate_x": lambda level: move(150 / 331 * 12 * level, 0),
        "translate_y": lambda level: move(0, 150 / 331 * 9 * level),
    }[name]
    oracles = [
        read_where(image[:, ::-1] if mirror else image, step(level))
        for image, level, mirror in zip(batch, direction, mirrored, strict=True)
    ]
    assert_rounded(augmented(Policy(flip=flip, operations=(name,), draws=1, magnitude=magnitude), batch), oracles)


def test_two_operations_on_places_are_one_resampling() -> None:
    levels = [np.where(drawn(Purpose.DIRECTION, turn) < 0.5, -1, 1) * 0.8 for turn in (0, 1)]
    chosen = [np.floor(drawn(Purpose.OPERATION, turn) * 2) for turn in (0, 1)]
    steps = (lambda level: turn(30 * level), lambda level: move(150 / 331 * 12 * level, 0))
    oracles = [
        read_where(image, steps[int(chosen[1][i])](levels[1][i]) @ steps[int(chosen[0][i])](levels[0][i]))
        for i, image in enumerate(PIXELS)
    ]
    assert_rounded(augmented(Policy(operations=("rotate", "translate_x"), magnitude=8.0)), oracles)


@pytest.mark.parametrize("side", [5, 11, 12, 17, 40])
def test_another_side_is_the_mean_of_bilinear_readings(side: int) -> None:
    fine = math.ceil(12 / side / 1.5)
    angles = signed(Purpose.ROTATE, 20)
    oracles = [
        read_where(image, stretch(fine * side / 12, fine * side / 12) @ turn(angle), (fine * side, fine * side))
        .reshape(side, fine, side, fine, 3)
        .mean((1, 3))
        for image, angle in zip(PIXELS, angles, strict=True)
    ]
    images = augmented(Policy(rotate=20), side=side)
    assert images.shape == (40, side, side, 3)
    assert_rounded(images, oracles)


@pytest.mark.parametrize("side", [8, 10, 15, 20])
def test_patterns_too_fine_for_the_result_become_grey_and_no_new_pattern(side: int) -> None:
    """Read at single places, a chequered image would come out in stripes of full contrast."""
    y, x = np.mgrid[:60, :60]
    chequered = np.repeat((255 * ((x + y) % 2)).astype(np.uint8)[None, ..., None], 4, axis=0)
    images = augmented(Policy(rotate=20), chequered, range(4), side=side)[:, 2:-2, 2:-2]
    assert images.std() < 20
    pillow = Image.fromarray(chequered[0, ..., 0]).resize((side, side), Image.Resampling.BILINEAR)
    assert abs(images.mean() - np.asarray(pillow).mean()) < 3


def test_a_crop_to_a_smaller_side_is_close_to_pillows_antialiasing() -> None:
    smooth = ndimage.gaussian_filter(noise(8, 40, 48, 48, 3).astype(float), (0, 1.5, 1.5, 0), mode="mirror")
    batch = np.clip(128 + 6 * (smooth - smooth.mean()), 0, 255).astype(np.uint8)
    policy = Policy(crop=0.5)
    images = augmented(policy, batch, side=16)
    for index, image in enumerate(images):
        left, top, wide, high = inception_box(index, policy, 48, 48)
        box = (left, top, left + wide, top + high)
        oracle = np.asarray(Image.fromarray(batch[index]).resize((16, 16), Image.Resampling.BILINEAR, box)).astype(
            float
        )
        assert np.sqrt(((image - oracle) ** 2).mean()) < 0.15 * batch[index].std()
