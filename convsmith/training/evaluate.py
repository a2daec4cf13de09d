"""A network's scores on images it does not learn from, and the batch-norm statistics it judges them with."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from convsmith.data.augment import Normalisation
from convsmith.data.rows import Pixels
from convsmith.training.batches import Batches, TrainingSet, as_nchw, check_images
from convsmith.training.setup import Setup

RECALIBRATION_IMAGES: Final = 2048
RANKING_IMAGES: Final = 256
"""So many are enough to tell which of several networks is better (``benchmarks/recalibration.py``)."""


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Labelled images to judge by: pixels uint8 (N, H, W, C), labels (N,).

    Raises:
        DataError: If shapes or types do not fit.
    """

    pixels: Pixels
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_images(self.pixels, self.labels)


def logits(
    module: nn.Module,
    pixels: Pixels,
    normalisation: Normalisation,
    setup: Setup,
    flip_tta: bool = False,
) -> NDArray[np.float32]:
    """Scores of the images, float32 (N, classes), from the network in eval mode.

    Args:
        module: The network; its mode is put back afterwards.
        pixels: uint8, (N, H, W, C); may be a memory map.
        normalisation: The one the network was trained with.
        setup: Device, number type, layout, threads and batch.
        flip_tta: Average the scores of each image and of its mirror image.
    """
    scores: list[NDArray[np.float32]] = []
    with setup.lent(module), _mode(module, training=False), setup.threads_set(), torch.inference_mode():
        for start in range(0, len(pixels), setup.batch_forward):
            images = normalisation.apply(as_nchw(pixels[start : start + setup.batch_forward]).float())
            batch = setup.forward(module, images)
            if flip_tta:
                batch = (batch + setup.forward(module, images.flip(-1))) / 2
            scores.append(batch.cpu().numpy())
    return np.concatenate(scores)


def recalibrate_batchnorm(
    module: nn.Module,
    data: TrainingSet,
    setup: Setup,
    *,
    images: int = RECALIBRATION_IMAGES,
    batch: int = 128,
    seed: int = 0,
) -> nn.Module:
    """Compute the running statistics of every batch norm anew, as the plain mean over training images; in place.

    The running average of a training lags behind its weights, and an average of weights never produced it. The images
    are not augmented, as those the network will meet are not.

    Args:
        module: The network; left in eval mode.
        data: Training images.
        setup: Device, number type, layout and threads.
        images: Images at most; never more batches than there are images for.
        batch: Images per batch, at least 2.
        seed: Draws which images.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    momenta = [layer.momentum for layer in norms]
    size = min(batch, len(data.labels))
    feed = Batches(data, None, seed)
    module.eval()
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all batches
        layer.train()
    with setup.lent(module), setup.threads_set(), torch.no_grad():
        for number in range(min(images, len(data.labels)) // size):
            setup.forward(module, feed.at(number * size, size)[0])
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    return module.eval()


@contextlib.contextmanager
def _mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    before = module.training
    module.train(training)
    try:
        yield
    finally:
        module.train(before)
