"""Batches from a memory map and from a view are those from memory, and the next one is announced."""

from pathlib import Path

import numpy as np
import pytest
import torch

from convsmith.data import Normalisation, Rows
from convsmith.data.augment import Policy
from convsmith.training.batches import Batches, TrainingSet

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
CHOSEN = np.array([*range(0, 40, 2), 39])


def training_set(pixels) -> TrainingSet:
    return TrainingSet(pixels, np.arange(21) % 3, Normalisation((100.0,) * 3, (50.0,) * 3), 3)


@pytest.fixture
def mapped(tmp_path: Path) -> np.memmap:
    np.save(tmp_path / "x.npy", PIXELS)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("policy", [None, Policy(flip=True, translate=2)])
def test_batches_do_not_depend_on_where_the_pixels_lie(mapped: np.memmap, policy: Policy | None) -> None:
    feeds = [Batches(training_set(pixels), policy, 7) for pixels in (PIXELS[CHOSEN], Rows(mapped, CHOSEN))]
    for position, size in ((0, 5), (5, 16), (19, 8), (60, 21)):  # the third and the fourth run on into an epoch
        (images, labels), (others, same) = (feed.at(position, size) for feed in feeds)
        assert torch.equal(images, others)
        assert torch.equal(labels, same)


def test_the_next_batch_is_announced_as_far_as_the_epoch_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    announced: list[list[int]] = []
    monkeypatch.setattr("convsmith.training.batches.announce", lambda _, ids: announced.append(ids.tolist()))
    feed = Batches(training_set(PIXELS[CHOSEN]), None, 7)
    labelled = [feed.at(position, 8)[1].tolist() for position in (0, 8, 16)]
    assert [len(ids) for ids in announced] == [8, 5, 8]
    assert [index % 3 for index in announced[0]] == labelled[1]
    assert [index % 3 for index in announced[1]] == labelled[2][:5]
