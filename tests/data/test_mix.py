"""Mixup and cutmix against plain loops over images and pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from torch.nn import functional

from convsmith.data.augment import Draws, Policy, mix, soft_labels
from convsmith.data.chance import Purpose
from tests.data.augmenting import EPOCH, IDS, SEED, drawn

BOTH = Policy(mixup=0.4, cutmix=1.0, mix_share=0.8)


def floats(seed: int, count: int = 40, height: int = 9, width: int = 12) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1, (count, height, width, 3)).astype(np.float32)


FIRST, SECOND = floats(1), floats(2)


def mixed(
    policy: Policy,
    first: NDArray[np.float32] = FIRST,
    second: NDArray[np.float32] = SECOND,
    ids: NDArray[np.int64] = IDS,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """As ``mix`` with the channels last, so that (N, H, W, C) come out as they go in."""
    images, partners = (torch.from_numpy(pixels).permute(0, 3, 1, 2) for pixels in (first, second))
    results, share = mix(images, partners, Draws(ids, SEED, EPOCH), policy)
    assert results.is_contiguous(memory_format=torch.channels_last)
    return results.numpy().transpose(0, 2, 3, 1), share.numpy()


def test_mixup_is_a_weighted_sum_with_a_beta_weight() -> None:
    weights = stats.beta(0.4, 0.4).ppf(drawn(Purpose.MIX_WEIGHT))
    images, share = mixed(Policy(mixup=0.4))
    np.testing.assert_allclose(share, weights, atol=1e-6)
    for index, image in enumerate(images):
        weight = weights[index]
        np.testing.assert_allclose(image, weight * FIRST[index] + (1 - weight) * SECOND[index], atol=1e-5)


def cutmix_box(index: int, weight: float, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, bottom, left and right as the paper's pseudocode has them."""
    ratio = math.sqrt(1 - weight)
    high, wide = int(height * ratio), int(width * ratio)
    y = math.floor(drawn(Purpose.MIX_Y)[index] * height)
    x = math.floor(drawn(Purpose.MIX_X)[index] * width)
    return max(y - high // 2, 0), min(y + high // 2, height), max(x - wide // 2, 0), min(x + wide // 2, width)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 3.0])
def test_cutmix_pastes_a_box_and_weighs_by_its_area(alpha: float) -> None:
    weights = stats.beta(alpha, alpha).ppf(drawn(Purpose.MIX_WEIGHT))
    images, share = mixed(Policy(cutmix=alpha))
    pasted = 0
    for index, image in enumerate(images):
        top, bottom, left, right = cutmix_box(index, weights[index], 9, 12)
        oracle = FIRST[index].copy()
        oracle[top:bottom, left:right] = SECOND[index][top:bottom, left:right]
        np.testing.assert_array_equal(image, oracle)
        assert share[index] == pytest.approx(1 - (bottom - top) * (right - left) / 108, abs=1e-6)
        pasted += (bottom - top) * (right - left) > 0
    assert pasted > 20


def test_with_both_each_image_is_mixed_in_one_way_or_not_at_all() -> None:
    ids = np.arange(4000)
    first, second = np.zeros((4000, 8, 8, 1), np.float32), np.ones((4000, 8, 8, 1), np.float32)
    images, share = mixed(BOTH, first, second, ids)
    level = images.reshape(4000, 64)
    np.testing.assert_allclose(level.mean(1), 1 - share, atol=1e-6)  # what the labels say is what the pixels hold
    even, untouched = (level == level[:, :1]).all(1), (level == 0).all(1)
    boxed = ~even
    assert set(np.unique(level[boxed])) == {0.0, 1.0}
    faint = stats.beta(1, 1).ppf(drawn(Purpose.MIX_WEIGHT, ids=ids)) > 1 - (2 / 8) ** 2  # boxes of no pixel
    assert stats.binomtest(int((untouched & ~faint).sum()), int((~faint).sum()), 0.2).pvalue > 1e-4
    by_mixup = even & ~untouched
    assert stats.binomtest(int((by_mixup & ~faint).sum()), int((~untouched & ~faint).sum()), 0.5).pvalue > 1e-4
    assert stats.kstest(share[by_mixup], stats.beta(0.4, 0.4).cdf).pvalue > 1e-4


@settings(max_examples=40)
@given(order=st.permutations(range(40)), cut=st.integers(1, 39))
def test_a_pair_gets_the_same_bits_in_any_batch(order: list[int], cut: int) -> None:
    images, share = mixed(BOTH)
    chosen = order[:cut]
    part, its_share = mixed(BOTH, FIRST[chosen], SECOND[chosen], IDS[chosen])
    np.testing.assert_array_equal(part, images[chosen])
    np.testing.assert_array_equal(its_share, share[chosen])


def test_soft_labels_hold_both_shares_and_add_them_where_the_labels_agree() -> None:
    labels, partners = torch.tensor([0, 2, 1, 3]), torch.tensor([1, 2, 0, 3])
    share = torch.tensor([0.25, 0.7, 1.0, 0.0])
    expected = [[0.25, 0.75, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    targets = soft_labels(labels, partners, share, 4)
    assert targets.dtype == torch.float32
    np.testing.assert_allclose(targets.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_their_loss_is_the_weighted_sum_of_the_losses_of_both_labels(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(50, 7, generator=generator, dtype=torch.float64)
    labels, partners = (torch.randint(0, 7, (50,), generator=generator) for _ in range(2))
    share = torch.rand(50, generator=generator)

    def loss(target: torch.Tensor, reduction: str = "none") -> torch.Tensor:
        return functional.cross_entropy(scores, target, label_smoothing=smoothing, reduction=reduction)

    expected = (share * loss(labels) + (1 - share) * loss(partners)).mean()
    targets = soft_labels(labels, partners, share, 7).double()
    torch.testing.assert_close(loss(targets, "mean"), expected, rtol=1e-6, atol=0)
