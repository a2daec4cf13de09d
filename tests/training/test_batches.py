from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_toy import NORMALISATION, run, training_set

from convsmith.data.augment import RANDAUGMENT, Policy, augment, epoch_order
from convsmith.data.chance import Draws, Purpose
from convsmith.training.batches import Batches, TrainingSet
from convsmith.training.recipe import Recipe

SEED = 5
PLAIN = Policy(flip=True, translate=2, brightness=0.2)
MIXED = Policy(flip=True, translate=2, mixup=0.5, cutmix=1.0, operations=RANDAUGMENT)
DATA = training_set(17)


@pytest.mark.slow
@pytest.mark.parametrize("policy", [None, PLAIN, MIXED], ids=["none", "plain", "mixed"])
@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8), start=st.integers(0, 50))
def test_the_stream_is_the_same_for_any_batch_size_and_from_any_point(
    policy: Policy | None, sizes: list[int], start: int
) -> None:
    whole, wanted = Batches(DATA, policy, SEED).at(start, sum(sizes))
    fresh, position = Batches(DATA, policy, SEED), start
    parts = []
    for size in sizes:
        parts.append(fresh.at(position, size))
        position += size
    assert torch.equal(torch.cat([images for images, _ in parts]), whole)
    assert torch.equal(torch.cat([targets for _, targets in parts]), wanted)


def test_an_epoch_holds_every_image_once_normalised_with_its_label() -> None:
    images, labels = Batches(DATA, None, SEED).at(17, 17)
    order = epoch_order(17, SEED, 1)
    expected = (DATA.pixels[order].astype(float) - NORMALISATION.mean) / NORMALISATION.std
    np.testing.assert_allclose(images.numpy().transpose(0, 2, 3, 1), expected, rtol=1e-6)
    np.testing.assert_array_equal(labels, DATA.labels[order])
    assert labels.dtype == torch.int64
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_augmentation_goes_by_the_epoch_and_the_number_of_the_sample() -> None:
    images, _ = Batches(DATA, PLAIN, SEED).at(3 * 17, 17)
    for place, sample in enumerate(epoch_order(17, SEED, 3)):
        alone = augment(
            DATA.pixels[sample : sample + 1], np.array([sample]), seed=SEED, epoch=3, policy=PLAIN,
            normalisation=NORMALISATION,
        )  # fmt: skip
        assert torch.equal(images[place], alone[0])


def test_the_partner_is_the_next_in_the_epochs_order_and_the_last_ones_the_first() -> None:
    policy = Policy(translate=2, mixup=1.0)
    single, labels = Batches(DATA, Policy(translate=2), SEED).at(2 * 17, 17)
    images, targets = Batches(DATA, policy, SEED).at(2 * 17, 17)
    share = Draws(epoch_order(17, SEED, 2), SEED, 2)
    for place in range(17):
        partner = (place + 1) % 17
        weight = _weight(share, place)
        torch.testing.assert_close(images[place], weight * single[place] + (1 - weight) * single[partner])
        expected = np.zeros(2)
        expected[labels[place]] += weight
        expected[labels[partner]] += 1 - weight
        np.testing.assert_allclose(targets[place], expected, atol=1e-6)


def _weight(draws: Draws, place: int) -> float:
    return float(draws.uniform(Purpose.MIX_WEIGHT)[place])  # beta(1, 1) is the uniform distribution


def test_images_may_lie_in_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", DATA.pixels)
    stored = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    data = TrainingSet(stored, DATA.labels, NORMALISATION, 2)
    for policy in (None, PLAIN, MIXED):
        for mine, theirs in zip(
            Batches(data, policy, SEED).at(5, 30), Batches(DATA, policy, SEED).at(5, 30), strict=True
        ):
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("options", [{"mixup": 0.5}, {"cutmix": 1.0}], ids=["mixup", "cutmix"])
def test_a_network_learns_from_mixed_images(options: dict[str, Any]) -> None:
    trained = run(recipe=Recipe(batch=16, policy=Policy(translate=1, **options)))
    images, labels = Batches(training_set(200, seed=9), None, 0).at(0, 200)
    with torch.no_grad():
        found = trained.module(images).argmax(1)
    assert (found == labels).float().mean() > 0.95
