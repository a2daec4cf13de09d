"""Images that excite a channel as much as they can: activation maximisation, for small networks.

Gradient ascent on the pixels (Erhan et al., "Visualizing Higher-Layer Features of a Deep Network", 2009), from that one
of some noisy images that excites the channel most. Without a prior the result is noise that only a network understands,
so the image is moved by a pixel or two before each step, smoothed a little after it, and kept within the values that
pixels can have (Olah, Mordvintsev and Schubert, "Feature Visualization", Distill, 2017, on such regularisers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from convsmith.data import Normalisation
from convsmith.explain.points import Point
from convsmith.explain.walk import pick
from convsmith.ir import Graph

STEPS: Final = 128
_RATE: Final = 8.0  # grey levels
_STARTS: Final = 64
_NOISE: Final = 0.5  # deviations of the training pixels
_SMOOTHING: Final = 0.5  # share of the blurred image that is mixed in, falling to nothing


@dataclass(frozen=True, eq=False)
class Maximised:
    """Images made for some channels of a layer.

    Attributes:
        point: The layer.
        channels: Whose images they are.
        pixels: (channels, H, W, C) uint8.
        before: Mean answer of each channel to the image that its ascent began with.
        after: The same for the image it ended with.
    """

    point: Point
    channels: tuple[int, ...]
    pixels: NDArray[np.uint8]
    before: tuple[float, ...]
    after: tuple[float, ...]


def maximise(
    module: nn.Module,
    graph: Graph,
    point: Point,
    channels: Sequence[int],
    normalisation: Normalisation,
    *,
    steps: int = STEPS,
    seed: int = 0,
) -> Maximised:
    """Make an image for each of some channels, all in one batch.

    Args:
        module: The network in evaluation mode.
        graph: Its graph, of one input.
        point: The layer, which gives a map.
        channels: Which channels; the answer is the mean over the places of the map.
        normalisation: From pixels to the input.
        steps: Steps of the ascent.
        seed: Decides the noise and the moves.
    """
    shape = graph.inputs[0][1].shape[1:]
    random = torch.Generator().manual_seed(seed)
    mean, deviation = _as_tensors(normalisation)
    starts = (mean + _NOISE * deviation * torch.randn((_STARTS, *shape), generator=random)).clamp(0, 255)
    pixels = starts[_strongest(module, graph, point, channels, normalisation, starts)]
    reach = max(1, min(shape[1:]) // 16)
    first = _answers(module, graph, point, channels, normalisation, pixels).detach()
    pixels.requires_grad_()
    ascent = torch.optim.Adam([pixels], lr=_RATE, maximize=True)
    for step in range(steps):
        moves = torch.randint(-reach, reach + 1, (2,), generator=random).tolist()
        ascent.zero_grad()
        moved = pixels.roll(moves, dims=(2, 3))
        _answers(module, graph, point, channels, normalisation, moved).sum().backward()
        ascent.step()
        with torch.no_grad():
            share = _SMOOTHING * (1 - (step + 1) / steps)
            pixels.lerp_(_blurred(pixels), share).clamp_(0, 255)
    final = pixels.detach().round()
    last = _answers(module, graph, point, channels, normalisation, final).detach()
    shown = final.permute(0, 2, 3, 1).to(torch.uint8).numpy()
    return Maximised(point, tuple(channels), shown, tuple(first.tolist()), tuple(last.tolist()))


def _map(module: nn.Module, graph: Graph, point: Point, normalisation: Normalisation, pixels: Tensor) -> Tensor:
    """The map of a layer for pixels from 0 to 255."""
    mean, deviation = _as_tensors(normalisation)
    return pick(module, graph, {point.name}, (pixels - mean) / deviation)[point.name]


def _answers(
    module: nn.Module,
    graph: Graph,
    point: Point,
    channels: Sequence[int],
    normalisation: Normalisation,
    pixels: Tensor,
) -> Tensor:
    """What each channel says of its own image, (channels,)."""
    value = _map(module, graph, point, normalisation, pixels)
    return value[torch.arange(len(channels)), torch.tensor(list(channels))].mean(dim=(1, 2))


def _strongest(
    module: nn.Module,
    graph: Graph,
    point: Point,
    channels: Sequence[int],
    normalisation: Normalisation,
    pixels: Tensor,
) -> Tensor:
    """The image to which each channel answers most; a unit that says nothing has no slope to climb."""
    with torch.inference_mode():
        value = _map(module, graph, point, normalisation, pixels)
        return value.flatten(2).mean(dim=2).argmax(dim=0)[list(channels)].clone()


def _as_tensors(normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    mean, deviation = (torch.tensor(part).view(1, -1, 1, 1) for part in (normalisation.mean, normalisation.std))
    return mean, deviation


def _blurred(pixels: Tensor) -> Tensor:
    """The mean of each pixel and its neighbours, by the kernel (1, 2, 1) along both axes."""
    line = torch.tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(line, line).expand(pixels.shape[1], 1, 3, 3)
    return functional.conv2d(functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), kernel, groups=pixels.shape[1])
