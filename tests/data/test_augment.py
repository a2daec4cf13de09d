from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convsmith.data.augment import RANDAUGMENT, Normalisation, Policy, augment
from convsmith.data.chance import Purpose
from convsmith.errors import DataError
from tests.data.augmenting import EPOCH, IDS, PIXELS, SEED, augmented, drawn
from tests.data.samples import noise

NORMALISATION = Normalisation((120.0, 110.5, 99.0), (61.0, 62.5, 63.0))
COPIED = Policy(flip=True, translate=3, cutout=5, brightness=0.4)
RESAMPLED = Policy(
    flip=True, translate=3, cutout=5, brightness=0.4, rotate=25.0, crop=0.2, shear=10.0, scale=0.3,
    contrast=0.5, saturation=0.7, hue=40.0,
)  # fmt: skip
OPERATED = Policy(flip=True, translate=3, operations=RANDAUGMENT, draws=3)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("policy", [COPIED, RESAMPLED, OPERATED], ids=["copied", "resampled", "operated"])
@settings(max_examples=60)
@given(order=st.permutations(range(40)), cut=st.integers(1, 39), epoch=st.integers(0, 5))
def test_a_sample_gets_the_same_bits_in_any_batch_and_order(
    policy: Policy, channels: int, order: list[int], cut: int, epoch: int
) -> None:
    pixels = PIXELS[..., :channels]
    whole = augmented(policy, pixels, epoch=epoch)
    for chosen in (order[:cut], order[cut:]):
        np.testing.assert_array_equal(augmented(policy, pixels[chosen], IDS[chosen], epoch=epoch), whole[chosen])


@pytest.mark.parametrize("policy", [COPIED, RESAMPLED, OPERATED], ids=["copied", "resampled", "operated"])
def test_threads_change_no_bit(policy: Policy) -> None:
    pixels, ids = noise(3, 64, 48, 48, 3), np.arange(64)
    results: list[np.ndarray] = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append(augmented(policy, pixels, ids))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.slow
def test_large_batches_which_are_done_in_parts_get_the_same_bits() -> None:
    pixels, ids = noise(4, 3, 760, 800, 3), np.arange(3)
    images = augment(pixels, ids, seed=SEED, epoch=EPOCH, policy=RESAMPLED)
    assert images.is_contiguous(memory_format=torch.channels_last)
    for index in range(3):
        alone = augment(pixels[index : index + 1], ids[index : index + 1], seed=SEED, epoch=EPOCH, policy=RESAMPLED)
        assert torch.equal(alone[0], images[index])


@pytest.mark.parametrize("policy", [COPIED, RESAMPLED, OPERATED], ids=["copied", "resampled", "operated"])
def test_seed_epoch_and_sample_each_change_what_happens(policy: Policy) -> None:
    pixels = np.repeat(PIXELS[:1], 40, axis=0)  # the same image, so only chance can tell the results apart
    first = augment(pixels, IDS, seed=0, epoch=0, policy=policy)
    for other in (
        augment(pixels, IDS, seed=1, epoch=0, policy=policy),
        augment(pixels, IDS, seed=0, epoch=2, policy=policy),
        augment(pixels, IDS + 40, seed=0, epoch=0, policy=policy),
    ):
        changed = (first != other).flatten(1).any(1)
        assert changed.sum() > 20


def test_nothing_to_do_gives_the_pixels_as_float_with_the_channels_last() -> None:
    result = augment(PIXELS, IDS, seed=0, epoch=0, policy=Policy())
    assert result.dtype == torch.float32
    assert result.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(result.numpy(), PIXELS.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("policy", [Policy(), COPIED, RESAMPLED, OPERATED])
def test_the_stored_pixels_are_only_read(policy: Policy) -> None:
    pixels = PIXELS.copy()
    pixels.flags.writeable = False
    augmented(policy, pixels)
    np.testing.assert_array_equal(pixels, PIXELS)


def test_pixels_may_lie_in_memory_in_any_order() -> None:
    turned = PIXELS.transpose(3, 0, 1, 2).copy().transpose(1, 2, 3, 0)
    np.testing.assert_array_equal(augmented(RESAMPLED, turned), augmented(RESAMPLED))


@pytest.mark.parametrize("channels", [3, 1])
def test_normalisation_is_the_last_but_for_cutout_which_stays_mid_grey(channels: int) -> None:
    pixels = PIXELS[..., :channels]
    mean, std = NORMALISATION.mean[:channels], NORMALISATION.std[:channels]
    images = augment(
        pixels, IDS, seed=SEED, epoch=EPOCH, policy=RESAMPLED, normalisation=Normalisation(mean, std)
    ).numpy()
    assert images.dtype == np.float32
    expected = (augmented(RESAMPLED, pixels) - mean) / std  # where cutout has put 128
    np.testing.assert_allclose(images.transpose(0, 2, 3, 1), expected, atol=1e-5)


@pytest.mark.parametrize("side", [1, 4, 5, 30])
def test_cutout_is_a_grey_square_around_a_drawn_pixel(side: int) -> None:
    rows, columns = (np.floor(drawn(purpose) * 12).astype(int) for purpose in (Purpose.CUTOUT_Y, Purpose.CUTOUT_X))
    for index, image in enumerate(augmented(Policy(cutout=side))):
        oracle = PIXELS[index].astype(np.float32)
        top, left = rows[index] - side // 2, columns[index] - side // 2
        oracle[max(top, 0) : top + side, max(left, 0) : left + side] = 128
        np.testing.assert_array_equal(image, oracle)


def test_images_need_not_be_square() -> None:
    batch = noise(2, 4, 5, 9, 1)
    for policy in (COPIED, RESAMPLED, OPERATED):
        assert augmented(policy, batch, range(4)).shape == (4, 5, 9, 1)
    single = noise(2, 4, 1, 1, 1)
    turned = augmented(Policy(flip=True, rotate=30, operations=("rotate", "sharpness")), single, range(4))
    np.testing.assert_array_equal(turned, single)


def test_a_batch_may_be_empty() -> None:
    for policy in (COPIED, RESAMPLED, OPERATED):
        assert augmented(policy, PIXELS[:0], IDS[:0]).shape == (0, 12, 12, 3)


def test_defaults_never_mirror_grey_images() -> None:
    assert Policy.for_images(8, 1) == Policy(flip=False, translate=1)
    assert Policy.for_images(32, 3) == Policy(flip=True, translate=4)
    assert Policy.for_images(4, 3).translate == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rotate": -1}, "rotate must be from 0 to 180 degrees"),
        ({"brightness": 1.5}, "brightness must be at least 0 and below 1"),
        ({"translate": 1.5}, "translate must be a whole number"),
        ({"translate": 2.0}, "translate must be a whole number"),  # it numbers pixels
        ({"draws": 2.0}, "draws must be a whole number"),
        ({"cutout": -2}, "cutout must be at least 0"),
        ({"crop": 1.2}, "crop must be from 0 to 1"),
        ({"crop_aspect": 0.75}, "crop_aspect must be at least 1"),
        ({"shear": 90}, "shear must be at least 0 and below 90 degrees"),
        ({"magnitude": 11}, "magnitude must be from 0 to 10"),
        ({"scale": 1e9}, "scale must be from 0 to 10"),
        ({"mixup": float("nan")}, "mixup must be at least 0"),
        ({"flip": "yes"}, "flip must be true or false"),
        ({"operations": "rotate"}, "operations must be names"),
        ({"operations": ("posterise",)}, "did you mean 'posterize'"),
    ],
)
def test_impossible_policies_are_refused_by_name_and_value(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Policy(**change)  # type: ignore[arg-type]
    assert f"policy.{next(iter(change))}" in str(caught.value)


def test_a_shift_beyond_the_image_is_refused() -> None:
    with pytest.raises(DataError, match="translate must be below the side of the images, which is 12"):
        augmented(Policy(translate=12))


def test_a_policy_survives_json_and_names_what_it_is() -> None:
    values = dataclasses.asdict(OPERATED)
    assert Policy(**{**values, "operations": list(values["operations"])}) == OPERATED
    assert hash(OPERATED) == hash(dataclasses.replace(OPERATED))
