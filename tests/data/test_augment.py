from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from convsmith.data.augment import Policy, augment
from convsmith.data.chance import Purpose, epoch_order, uniform
from convsmith.errors import DataError
from tests.data.samples import noise

EVERYTHING = Policy(flip=True, translate=3, cutout=5, brightness=0.4, rotate=25.0)
IDS = torch.arange(100, 140)
PIXELS = noise(1, 40, 3, 12, 12)
BATCH = torch.from_numpy(PIXELS)


def drawn(purpose: Purpose, *, seed: int = 7, epoch: int = 2) -> np.ndarray:
    return uniform(IDS.numpy(), seed=seed, epoch=epoch, purpose=purpose)


def augmented(policy: Policy, epoch: int = 2) -> np.ndarray:
    return augment(BATCH, IDS, seed=7, epoch=epoch, policy=policy).numpy()


def splitmix(state: int) -> int:
    """The finaliser of SplitMix64 in plain integers."""
    word = 2**64 - 1
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & word
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & word
    return state ^ (state >> 31)


@given(st.integers(0, 2**63 - 1), st.integers(-(2**40), 2**70), st.integers(0, 2**31), st.sampled_from(Purpose))
def test_draws_are_splitmix_of_what_they_are_for(sample: int, seed: int, epoch: int, purpose: Purpose) -> None:
    word, gamma = 2**64 - 1, 0x9E3779B97F4A7C15
    key = 0
    for part in (seed, epoch, purpose):
        key = splitmix((key + part + gamma) & word)
    expected = splitmix((splitmix((key + sample * gamma) & word) + gamma) & word)
    assert uniform(np.array([sample]), seed=seed, epoch=epoch, purpose=purpose)[0] == (expected >> 11) / 2**53


def test_draws_are_uniform_and_purposes_epochs_and_samples_unrelated() -> None:
    ids = np.arange(20_000)
    columns = [
        uniform(ids, seed=seed, epoch=epoch, purpose=purpose)
        for seed in (0, 1)
        for epoch in (0, 1)
        for purpose in (Purpose.SHIFT_X, Purpose.SHIFT_Y)
    ]
    for column in columns:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(column[:-1], column[1:])[0, 1]) < 0.03
    correlations = np.corrcoef(columns)
    assert np.abs(correlations - np.eye(len(columns))).max() < 0.03


@given(st.integers(0, 300), st.integers(0, 2**40), st.integers(0, 1000))
def test_epoch_order_is_a_permutation_that_returns(count: int, seed: int, epoch: int) -> None:
    order = epoch_order(count, seed, epoch)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    np.testing.assert_array_equal(order, epoch_order(count, seed, epoch))


def test_epoch_order_moves_with_seed_and_epoch_and_favours_no_place() -> None:
    orders = np.array([epoch_order(10, seed, epoch) for seed in range(60) for epoch in range(60)])
    assert len(np.unique(orders, axis=0)) > 3500
    counts = np.bincount(orders[:, 0], minlength=10)
    assert stats.chisquare(counts).pvalue > 1e-4


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(40)), st.integers(1, 39), st.integers(0, 5))
def test_a_sample_is_augmented_alike_in_any_batch_and_order(order: list[int], cut: int, epoch: int) -> None:
    whole = augment(BATCH, IDS, seed=7, epoch=epoch, policy=EVERYTHING)
    for chosen in (order[:cut], order[cut:]):
        part = augment(BATCH[chosen], IDS[chosen], seed=7, epoch=epoch, policy=EVERYTHING)
        assert torch.equal(part, whole[chosen])


def test_nothing_to_do_gives_the_pixels_as_float() -> None:
    result = augment(BATCH, IDS, seed=0, epoch=0, policy=Policy())
    assert result.dtype == torch.float32
    np.testing.assert_array_equal(result.numpy(), PIXELS)


def test_flip_mirrors_half_and_alternates_with_the_epoch() -> None:
    mirrored = drawn(Purpose.FLIP, epoch=0) < 0.5
    assert 10 < mirrored.sum() < 30
    for epoch in range(4):
        for image, pixels, flip in zip(
            augmented(Policy(flip=True), epoch), PIXELS, mirrored ^ (epoch % 2 == 1), strict=True
        ):
            np.testing.assert_array_equal(image, pixels[..., ::-1] if flip else pixels)


@pytest.mark.parametrize("flip", [False, True])
def test_translate_crops_from_the_reflected_image(flip: bool) -> None:
    reach = 3
    down, right = (np.floor(drawn(purpose) * 7).astype(int) - 3 for purpose in (Purpose.SHIFT_Y, Purpose.SHIFT_X))
    assert set(down) == set(right) == set(range(-3, 4))
    mirrored = (drawn(Purpose.FLIP, epoch=0) < 0.5) & flip
    for index, image in enumerate(augmented(Policy(flip=flip, translate=reach))):
        source = PIXELS[index, :, :, ::-1] if mirrored[index] else PIXELS[index]
        padded = np.pad(source, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
        top, left = reach - down[index], reach - right[index]
        np.testing.assert_array_equal(image, padded[:, top : top + 12, left : left + 12])


def test_rotate_is_a_bilinear_turn_around_the_centre() -> None:
    angles = np.deg2rad((2 * drawn(Purpose.ROTATE) - 1) * 40)
    centre = 5.5
    y, x = np.mgrid[:12, :12] - centre
    for index, image in enumerate(augmented(Policy(rotate=40))):
        cosine, sine = np.cos(angles[index]), np.sin(angles[index])
        places = np.stack([sine * x + cosine * y, cosine * x - sine * y]) + centre
        for channel in range(3):
            oracle = ndimage.map_coordinates(PIXELS[index, channel].astype(float), places, order=1, mode="mirror")
            np.testing.assert_allclose(image[channel], oracle, atol=0.01)


def test_brightness_scales_and_clips() -> None:
    factors = 1 + (2 * drawn(Purpose.BRIGHTNESS) - 1) * 0.5
    assert factors.min() < 0.6
    assert factors.max() > 1.4
    for image, pixels, factor in zip(augmented(Policy(brightness=0.5)), PIXELS, factors, strict=True):
        np.testing.assert_allclose(image, np.clip(pixels * factor, 0, 255), rtol=1e-5)


@pytest.mark.parametrize("side", [1, 4, 5, 30])
def test_cutout_is_a_grey_square_around_a_drawn_pixel(side: int) -> None:
    rows, columns = (np.floor(drawn(purpose) * 12).astype(int) for purpose in (Purpose.CUTOUT_Y, Purpose.CUTOUT_X))
    for index, image in enumerate(augmented(Policy(cutout=side))):
        oracle = PIXELS[index].astype(np.float32)
        top, left = rows[index] - side // 2, columns[index] - side // 2
        oracle[:, max(top, 0) : top + side, max(left, 0) : left + side] = 128
        np.testing.assert_array_equal(image, oracle)


def test_images_need_not_be_square() -> None:
    policy = Policy(flip=True, translate=2, cutout=3, brightness=0.1, rotate=5)
    batch = torch.from_numpy(noise(2, 4, 1, 5, 9))
    assert augment(batch, torch.arange(4), seed=0, epoch=0, policy=policy).shape == batch.shape
    single = torch.from_numpy(noise(2, 4, 1, 1, 1))
    turned = augment(single, torch.arange(4), seed=0, epoch=0, policy=Policy(flip=True, rotate=30))
    assert torch.equal(turned, single.float())


def test_defaults_never_mirror_grey_images() -> None:
    assert Policy.for_images(8, 1) == Policy(flip=False, translate=1)
    assert Policy.for_images(32, 3) == Policy(flip=True, translate=4)
    assert Policy.for_images(4, 3).translate == 0


def test_impossible_policies_are_refused() -> None:
    with pytest.raises(DataError, match="translate must be below"):
        augment(BATCH, IDS, seed=0, epoch=0, policy=Policy(translate=12))
    with pytest.raises(DataError, match="rotate must not be negative"):
        Policy(rotate=-1)
    with pytest.raises(DataError, match="brightness must be below 1"):
        Policy(brightness=1.5)
