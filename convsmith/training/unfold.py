"""Batch norms that were folded into the layers before them, made norms again, so that the network can go on learning.

A norm that only adds a bias gives the right numbers while it uses its stored statistics. In training it uses those of
the batch, which would take scale and mean out of what passes, and all that was learnt with them. Told what does pass,
it can take them out and put them back.
"""

from __future__ import annotations

import contextlib
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from convsmith.training.batches import Batches, TrainingSet
from convsmith.training.setup import Setup

_IMAGES: Final = 512
_BATCH: Final = 64


def unfold_norms(module: nn.Module, data: TrainingSet, setup: Setup, *, seed: int = 0) -> int:
    """Give every batch norm that changes nothing but adds a bias the statistics of what it is given; in place.

    What the network computes stays the same. Its scale becomes the deviation, its bias moves by the mean.

    Args:
        module: The network; its mode stays.
        data: Images that it will learn from.
        setup: Device, number type, layout and threads.
        seed: Draws which of them.

    Returns:
        How many there were.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and _is_still(layer)]
    if not norms:
        return 0
    sums = {layer: [torch.zeros(layer.num_features, dtype=torch.float64) for _ in range(2)] for layer in norms}
    counts = dict.fromkeys(norms, 0)

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, _BatchNorm)
        value = given[0].detach().double().cpu().transpose(0, 1).flatten(1)
        sums[layer][0] += value.sum(1)
        sums[layer][1] += value.square().sum(1)
        counts[layer] += value.shape[1]

    size = min(_BATCH, len(data.labels))
    feed, before = Batches(data, None, seed), module.training
    module.eval()
    with contextlib.ExitStack() as hooks, setup.lent(module), setup.threads_set(), torch.no_grad():
        for layer in norms:
            hooks.callback(layer.register_forward_pre_hook(note).remove)
        for number in range(max(min(_IMAGES, len(data.labels)) // size, 1)):
            setup.forward(module, feed.at(number * size, size)[0])
    module.train(before)
    for layer in norms:
        mean, square = (total / counts[layer] for total in sums[layer])
        _become(layer, mean, (square - mean.square()).clamp_min(0))
    return len(norms)


def _is_still(layer: _BatchNorm) -> bool:
    """Whether it has a mean of zero and a deviation and a scale of one, all exactly."""
    if layer.running_mean is None or layer.running_var is None or not layer.affine:
        return False
    still = torch.full_like(layer.running_var, 1 - layer.eps)
    return bool((layer.weight == 1).all() and (layer.running_mean == 0).all() and torch.equal(layer.running_var, still))


def _become(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    with torch.no_grad():
        layer.weight.copy_((variance + layer.eps).sqrt())
        layer.bias.copy_(layer.bias.double() + mean)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
