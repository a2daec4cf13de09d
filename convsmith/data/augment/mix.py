"""Mixup and cutmix: an image and its partner become one, and so do their labels.

The partner of a sample is the one that follows it in the order of the epoch, and the last one's is the first. The order
depends on the seed and the epoch alone, so the pair is the same for every batch size and after every resume; a batch
needs just one more image than it has; and in each epoch every image is once the first of a pair and once the second.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv
from torch import Tensor

from convsmith.data.augment.layout import as_rows, boxes
from convsmith.data.augment.policy import Policy
from convsmith.data.chance import Draws, Purpose


def mix(images: Tensor, partners: Tensor, draws: Draws, policy: Policy) -> tuple[Tensor, Tensor]:
    """Mix each image with its partner, both float32 (N, C, H, W).

    Returns:
        The mixed images, and the share (N,) in 0 to 1 that the first image has in each of them.
    """
    chosen = draws.uniform(Purpose.MIX) < policy.mix_share
    by_box = np.full(len(draws.ids), policy.cutmix > 0)
    if policy.mixup and policy.cutmix:
        by_box = draws.uniform(Purpose.MIX_KIND) < 0.5
    alpha = np.where(by_box, policy.cutmix, policy.mixup)
    share = np.where(chosen, betaincinv(alpha, alpha, draws.uniform(Purpose.MIX_WEIGHT)), 1.0)

    mine, others = as_rows(images), as_rows(partners)
    if policy.mixup:
        weight = torch.from_numpy(np.where(by_box, 1.0, share).astype(np.float32)).view(-1, 1, 1)
        mine = (mine * weight).add_(others * (1 - weight))
    if policy.cutmix:
        inside, area = _pasted(images, np.where(by_box, 1 - share, 0.0), draws)
        mine = torch.lerp(mine, others, inside)
        share = np.where(by_box, 1 - area, share)
    count, channels, height, width = images.shape
    return mine.view(count, height, width, channels).permute(0, 3, 1, 2), torch.from_numpy(share.astype(np.float32))


def _pasted(images: Tensor, area: NDArray[np.float64], draws: Draws) -> tuple[Tensor, NDArray[np.float64]]:
    """Boxes of about that share of the images, and the share that they have of them.

    As published, a box lies symmetric around a drawn pixel, so its sides are even, and is cut off at the border.
    """
    height, width = images.shape[2:]
    half_high, half_wide = ((size * np.sqrt(area)).astype(np.int64) // 2 for size in (height, width))
    top = draws.below(height, Purpose.MIX_Y) - half_high
    left = draws.below(width, Purpose.MIX_X) - half_wide
    inside, pixels = boxes(images, top, left, 2 * half_high, 2 * half_wide)
    return inside, pixels / (height * width)


def soft_labels(labels: Tensor, partners: Tensor, share: Tensor, classes: int) -> Tensor:
    """The targets of mixed images, float32 (N, classes): ``share`` at the label, the rest at the partner's.

    ``torch.nn.functional.cross_entropy`` takes them in place of labels, with label smoothing as before.
    """
    targets = torch.zeros(len(labels), classes)
    every = torch.arange(len(labels))
    targets[every, labels] = share
    targets[every, partners] += 1 - share
    return targets
