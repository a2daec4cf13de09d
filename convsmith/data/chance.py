"""Randomness without a state: every draw is a hash of what it is for.

A draw depends on (seed, epoch, purpose, sample) and on nothing else, so batches, their order, the number
of processes and an interrupted run cannot change it, and there is no generator state to save.
"""

from __future__ import annotations

from enum import IntEnum
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


def bits(ids: NDArray[np.int64], *, seed: int, epoch: int, purpose: Purpose) -> NDArray[np.uint64]:
    """64 hashed bits for each sample id."""
    key = np.zeros(1, np.uint64)
    for part in (seed, epoch, int(purpose)):
        key = _mix(key + np.array([part % 2**64], np.uint64) + _GAMMA)
    return _mix(_mix(key + ids.astype(np.uint64) * _GAMMA) + _GAMMA)


def uniform(ids: NDArray[np.int64], *, seed: int, epoch: int, purpose: Purpose) -> NDArray[np.float64]:
    """A number in [0, 1) for each sample id."""
    return (bits(ids, seed=seed, epoch=epoch, purpose=purpose) >> np.uint64(11)).astype(np.float64) * _TO_UNIT


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of ``range(count)``, int64, that depends on the seed and the epoch alone."""
    hashed = bits(np.arange(count, dtype=np.int64), seed=seed, epoch=epoch, purpose=Purpose.ORDER)
    return np.argsort(hashed, kind="stable")


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> _SHIFTS[0])) * _MULTIPLIERS[0]
    values = (values ^ (values >> _SHIFTS[1])) * _MULTIPLIERS[1]
    return values ^ (values >> _SHIFTS[2])
