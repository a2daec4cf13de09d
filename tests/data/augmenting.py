"""What the tests of augmentation share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convsmith.data.augment import Policy, augment
from convsmith.data.chance import Purpose, uniform
from tests.data.samples import noise

SEED, EPOCH = 7, 2
IDS = np.arange(100, 140)
PIXELS = noise(1, 40, 12, 12, 3)


def drawn(purpose: Purpose, turn: int = 0, *, ids: NDArray[np.int64] = IDS, epoch: int = EPOCH) -> NDArray[np.float64]:
    return uniform(ids, seed=SEED, epoch=epoch, purpose=purpose, turn=turn)


def signed(purpose: Purpose, largest: float) -> NDArray[np.float64]:
    return (2 * drawn(purpose) - 1) * largest


def augmented(
    policy: Policy,
    pixels: NDArray[np.uint8] = PIXELS,
    ids: Sequence[int] | NDArray[np.int64] = IDS,
    *,
    epoch: int = EPOCH,
    side: int | None = None,
) -> NDArray[np.float32]:
    """Augmented images, as they came: (N, H, W, C)."""
    images = augment(pixels, np.asarray(ids), seed=SEED, epoch=epoch, policy=policy, side=side)
    return images.numpy().transpose(0, 2, 3, 1)
