"""Training images as batches, with no state but a position.

The number of images seen so far fixes the epoch, the place in its order and the augmentation of every sample. That is
why a resumed run continues exactly: there is no loader, worker or generator whose state could be lost. A batch runs on
into the next epoch, so every batch is full and every image is counted.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any, Final

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from convsmith.data.augment import Normalisation, Policy, augment, epoch_order
from convsmith.errors import DataError

_MEMORY_SHARE: Final = 0.25  # of the free memory that the decoded images may take


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingSet:
    """Labelled images to train on.

    Attributes:
        pixels: uint8, (N, H, W, C); may be a memory map.
        labels: Integers in [0, classes), (N,).
        normalisation: Maps pixel values 0..255 to what the network sees.
        classes: Number of classes, at least 2.

    Raises:
        DataError: If shapes, types or labels do not fit.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    normalisation: Normalisation
    classes: int

    def __post_init__(self) -> None:
        check_images(self.pixels, self.labels)
        if len(self.pixels) < 2:
            raise DataError("training needs at least 2 images", received=len(self.pixels))
        if self.classes < 2:
            raise DataError("classes must be at least 2", received=self.classes)
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= self.classes:
            raise DataError(f"labels must be from 0 to {self.classes - 1}", received=(low, high))

    @property
    def digest(self) -> str:
        """A short name of the set, from its shape and labels; the pixels may be too many to read."""
        text = repr((self.pixels.shape, self.classes)).encode() + np.asarray(self.labels, dtype="<i8").tobytes()
        return hashlib.sha256(text).hexdigest()[:12]


def check_images(pixels: NDArray[Any], labels: NDArray[Any]) -> None:
    """Raise a ``DataError`` unless pixels are uint8 (N, H, W, C) with one integer label each."""
    if pixels.dtype != np.uint8 or pixels.ndim != 4:
        received = (str(pixels.dtype), pixels.shape)
        raise DataError("pixels must be uint8 of shape (images, height, width, channels)", received=received)
    if labels.shape != (len(pixels),) or not np.issubdtype(labels.dtype, np.integer):
        received = (str(labels.dtype), labels.shape)
        raise DataError(f"labels must be {len(pixels)} integers, one for each image", received=received)


def as_nchw(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """A contiguous (N, C, H, W) copy of (N, H, W, C) pixels."""
    return torch.from_numpy(np.array(pixels.transpose(0, 3, 1, 2), order="C"))


class Batches:
    """Gives the batch at any position of the endless stream of epochs.

    Args:
        data: The images.
        policy: Augmentation, or ``None``.
        seed: Fixes order and augmentation.
    """

    def __init__(self, data: TrainingSet, policy: Policy | None, seed: int) -> None:
        self._data = data
        self._policy = policy
        self._seed = seed
        self._labels = torch.from_numpy(np.array(data.labels, dtype=np.int64))
        fits = data.pixels.nbytes < _MEMORY_SHARE * psutil.virtual_memory().available
        self._images = as_nchw(data.pixels) if fits else None
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def at(self, position: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """``size`` samples after the first ``position``: float32 (size, C, H, W), normalised, and their labels."""
        images: list[torch.Tensor] = []
        labels: list[torch.Tensor] = []
        while size:
            epoch, offset = divmod(position, len(self._labels))
            ids = self._ids(epoch)[offset : offset + size]
            images.append(self._augmented(ids, epoch))
            labels.append(self._labels[ids])
            position += len(ids)
            size -= len(ids)
        joined = images[0] if len(images) == 1 else torch.cat(images)
        return self._data.normalisation.apply(joined), torch.cat(labels)

    def _ids(self, epoch: int) -> torch.Tensor:
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = torch.from_numpy(epoch_order(len(self._labels), self._seed, epoch))
        return self._order

    def _augmented(self, ids: torch.Tensor, epoch: int) -> torch.Tensor:
        pixels = as_nchw(self._data.pixels[ids.numpy()]) if self._images is None else self._images[ids]
        if self._policy is None:
            return pixels.float()
        return augment(pixels, ids, seed=self._seed, epoch=epoch, policy=self._policy)
