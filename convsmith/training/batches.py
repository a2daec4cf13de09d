"""Training images as batches, with no state but a position.

The number of images seen so far fixes the epoch, the place in its order and the augmentation of every sample. That is
why a resumed run continues exactly: there is no loader, worker or generator whose state could be lost. A batch runs on
into the next epoch, so every batch is full and every image is counted. Images are read where they lie, on disk too.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convsmith.data.augment import Draws, Normalisation, Policy, augment, epoch_order, mix, soft_labels
from convsmith.data.rows import Pixels, announce, take
from convsmith.errors import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingSet:
    """Labelled images to train on.

    Attributes:
        pixels: uint8, (N, H, W, C); may be a memory map or a view of chosen images, and is never read as a whole.
        labels: Integers in [0, classes), (N,).
        normalisation: Maps pixel values 0..255 to what the network sees.
        classes: Number of classes, at least 2.

    Raises:
        DataError: If shapes, types or labels do not fit.
    """

    pixels: Pixels
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


def check_images(pixels: Pixels, labels: NDArray[Any]) -> None:
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


def class_weights(labels: NDArray[np.int64], classes: int, balance: float) -> torch.Tensor:
    """How much an image of each class counts, float32 (classes,); one on average over the images.

    Args:
        labels: In [0, classes), (N,).
        classes: Number of classes.
        balance: 0 for each image alike, 1 for each class alike, between for a power of its frequency.
    """
    counts = np.bincount(labels, minlength=classes)
    weights = np.maximum(counts, 1.0) ** -balance
    return torch.from_numpy(weights * counts.sum() / (weights @ counts)).float()


class Batches:
    """Gives the batch at any position of the endless stream of epochs.

    Args:
        data: The images.
        policy: Augmentation, or ``None``.
        seed: Fixes order and augmentation.
    """

    def __init__(self, data: TrainingSet, policy: Policy | None, seed: int) -> None:
        self._data = data
        self._policy = policy or Policy()
        self._seed = seed
        self._labels = torch.from_numpy(np.array(data.labels, dtype=np.int64))
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def at(self, position: int, size: int, stride: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """``size`` samples after the first ``position``: images and targets, as ``cross_entropy`` takes them.

        Images are float32 (size, C, H, W), normalised, with the channels last in memory. Targets are the labels, int64
        (size,), or where the policy mixes images their shares, float32 (size, classes). The next samples wanted are
        ``stride`` further on, or these many if nothing is given.
        """
        following = position + (stride or size)
        images: list[torch.Tensor] = []
        targets: list[torch.Tensor] = []
        while size:
            epoch, offset = divmod(position, len(self._labels))
            count = min(size, len(self._labels) - offset)
            part = self._mixed(epoch, offset, count) if self._policy.mixes else self._plain(epoch, offset, count)
            images.append(part[0])
            targets.append(part[1])
            position += count
            size -= count
        self._announce(following, sum(map(len, targets)))
        return (images[0], targets[0]) if len(images) == 1 else (torch.cat(images), torch.cat(targets))

    def _announce(self, position: int, size: int) -> None:
        """Let the disk read the next batch while this one is learnt from, as far as the epoch goes."""
        epoch, offset = divmod(position, len(self._labels))
        if epoch == self._epoch:
            announce(self._data.pixels, self._order[offset : offset + size])

    def _plain(self, epoch: int, offset: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = self._ids(epoch)[offset : offset + count]
        return self._augmented(ids, epoch), self._labels[ids]

    def _mixed(self, epoch: int, offset: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The partner of a sample is the next one in the epoch's order; see ``convsmith.data.augment.mix``."""
        ids = self._ids(epoch).take(np.arange(offset, offset + count + 1), mode="wrap")
        single, labels = self._augmented(ids, epoch), self._labels[ids]
        draws = Draws(ids[:-1], self._seed, epoch)
        images, share = mix(single[:-1], single[1:], draws, self._policy)
        return images, soft_labels(labels[:-1], labels[1:], share, self._data.classes)

    def _ids(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = epoch_order(len(self._labels), self._seed, epoch)
        return self._order

    def _augmented(self, ids: NDArray[np.int64], epoch: int) -> torch.Tensor:
        return augment(
            take(self._data.pixels, ids),
            ids,
            seed=self._seed,
            epoch=epoch,
            policy=self._policy,
            normalisation=self._data.normalisation,
        )
