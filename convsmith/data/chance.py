"""Randomness without a state: every draw is a hash of what it is for.

A draw depends on (seed, epoch, purpose, sample) and on nothing else, so batches, their order, the number
of processes and an interrupted run cannot change it, and there is no generator state to save.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014): SplitMix64.
_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS: Final = (np.uint64(30), np.uint64(27), np.uint64(31))
_TO_UNIT: Final = 2.0**-53


class Purpose(IntEnum):
    """What a draw decides; the numbers are part of the format of a run and never change."""

    ORDER = 0
    FLIP = 1
    SHIFT_Y = 2
    SHIFT_X = 3
    CUTOUT_Y = 4
    CUTOUT_X = 5
    BRIGHTNESS = 6
    ROTATE = 7
    CROP_AREA = 8
    CROP_ASPECT = 9
    CROP_Y = 10
    CROP_X = 11
    SHEAR = 12
    SCALE = 13
    CONTRAST = 14
    SATURATION = 15
    HUE = 16
    OPERATION = 17
    DIRECTION = 18
    MIX = 19
    MIX_KIND = 20
    MIX_WEIGHT = 21
    MIX_Y = 22
    MIX_X = 23


def bits(ids: NDArray[np.int64], *, seed: int, epoch: int, purpose: Purpose, turn: int = 0) -> NDArray[np.uint64]:
    """64 hashed bits for each sample id; ``turn`` numbers several draws for one purpose."""
    return _mix(_mix(_key(seed, epoch, int(purpose) + (turn << 32)) + ids.astype(np.uint64) * _GAMMA) + _GAMMA)


@lru_cache(maxsize=1024)
def _key(*parts: int) -> NDArray[np.uint64]:
    """What all samples share; a training asks for the same few in every batch of an epoch."""
    key = np.zeros(1, np.uint64)
    for part in parts:
        key = _mix(key + np.array([part % 2**64], np.uint64) + _GAMMA)
    return key


def uniform(ids: NDArray[np.int64], *, seed: int, epoch: int, purpose: Purpose, turn: int = 0) -> NDArray[np.float64]:
    """A number in [0, 1) for each sample id."""
    hashed = bits(ids, seed=seed, epoch=epoch, purpose=purpose, turn=turn)
    return (hashed >> np.uint64(11)).astype(np.float64) * _TO_UNIT


@dataclass(frozen=True, eq=False)
class Draws:
    """The draws of some samples in one epoch; every method gives one value per sample.

    Attributes:
        ids: The samples' numbers in the data set, int64 (N,).
        seed: The run's seed.
        epoch: The epoch.
    """

    ids: NDArray[np.int64]
    seed: int
    epoch: int

    def uniform(self, purpose: Purpose, turn: int = 0) -> NDArray[np.float64]:
        """Numbers in [0, 1)."""
        return uniform(self.ids, seed=self.seed, epoch=self.epoch, purpose=purpose, turn=turn)

    def below(self, count: int, purpose: Purpose, turn: int = 0) -> NDArray[np.int64]:
        """Integers in [0, count)."""
        return np.floor(self.uniform(purpose, turn) * count).astype(np.int64)

    def within(self, largest: float, purpose: Purpose, turn: int = 0) -> NDArray[np.float64]:
        """Numbers in [-largest, largest); zeros, without a draw, where largest is zero."""
        return (2 * self.uniform(purpose, turn) - 1) * largest if largest else np.zeros(len(self.ids))


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of ``range(count)``, int64, that depends on the seed and the epoch alone."""
    hashed = bits(np.arange(count, dtype=np.int64), seed=seed, epoch=epoch, purpose=Purpose.ORDER)
    return np.argsort(hashed, kind="stable")


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> _SHIFTS[0])) * _MULTIPLIERS[0]
    values = (values ^ (values >> _SHIFTS[1])) * _MULTIPLIERS[1]
    return values ^ (values >> _SHIFTS[2])
