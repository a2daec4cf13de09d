"""The effective receptive field: which pixels a unit really depends on, within those that it could see.

The gradient of the middle unit of a map with respect to the pixels, squared and summed over the map's channels and the
input's, averaged over images (Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks", 2016, arXiv 1701.04128, section 2). The sum over the map's channels is exact where there are few of them;
else it is estimated by gradients of sums with random signs, which have it as their mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convsmith.analysis import ReceptiveField
from convsmith.explain.points import Point
from convsmith.explain.walk import pick
from convsmith.ir import Graph

ENERGY: Final = 0.95
"""Share of the squared gradient that the effective field holds."""

MOST_DRAWS: Final = 32


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """What a unit of a map depends on.

    Attributes:
        point: The layer.
        unit: Row and column of the unit.
        energy: Root of the mean squared gradient at each pixel, (H, W) of the input.
        field: What it could see.
        box: Top, left, bottom and right of that, cut to the image.
    """

    point: Point
    unit: tuple[int, int]
    energy: NDArray[np.float64]
    field: ReceptiveField
    box: tuple[int, int, int, int]

    @property
    def pixels(self) -> int:
        """The fewest pixels that hold ``ENERGY`` of the squared gradient."""
        squares = np.sort((self.energy**2).ravel())[::-1]
        total = squares.sum()
        return int(np.searchsorted(np.cumsum(squares), ENERGY * total) + 1) if total else 0

    @property
    def side(self) -> float:
        """Side of a square of as many pixels."""
        return math.sqrt(self.pixels)

    @property
    def share(self) -> float:
        """``pixels`` over the pixels of the image that the unit could see locally."""
        top, left, bottom, right = self.box
        return self.pixels / ((bottom - top) * (right - left))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.point.name,
            "unit": list(self.unit),
            "theoretical": self.field.to_dict(),
            "box": list(self.box),
            "pixels": self.pixels,
            "side": self.side,
            "share": self.share,
        }


def effective_field(
    module: nn.Module,
    graph: Graph,
    images: Tensor,
    point: Point,
    field: ReceptiveField,
    *,
    seed: int,
    unit: tuple[int, int] | None = None,
) -> EffectiveField:
    """Measure the effective field of a unit of a map.

    Args:
        module: The network in evaluation mode.
        graph: Its graph.
        images: (N, C, H, W), prepared already.
        point: The layer, which gives a map.
        field: Its receptive field.
        seed: Decides the signs where they are drawn.
        unit: Its row and column; that in the middle where it is left out.
    """
    unit = unit or (point.shape[1] // 2, point.shape[2] // 2)
    inputs = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        answers = pick(module, graph, {point.name}, inputs)[point.name][:, :, unit[0], unit[1]].sum(dim=0)
    squares = torch.zeros_like(inputs[:, 0], dtype=torch.float64)
    weights = _weights(point.channels, seed)
    for number, row in enumerate(weights):
        (gradient,) = torch.autograd.grad(answers @ row.to(answers), inputs, retain_graph=number < len(weights) - 1)
        squares += gradient.double().square().sum(dim=1)
    draws = 1 if point.channels <= MOST_DRAWS else len(weights)
    energy = (squares.mean(dim=0) / draws).sqrt().numpy()
    return EffectiveField(point, unit, energy, field, _box(field, unit, energy.shape))


def _weights(channels: int, seed: int) -> Tensor:
    """What each gradient sums over the channels: each channel alone, or all with random signs; (gradients, C)."""
    if channels <= MOST_DRAWS:
        return torch.eye(channels)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (MOST_DRAWS, channels))
    return torch.from_numpy(signs)


def _box(field: ReceptiveField, unit: tuple[int, int], size: tuple[int, ...]) -> tuple[int, int, int, int]:
    spans = [axis.span(at) for axis, at in zip((field.height, field.width), unit, strict=True)]
    (top, bottom), (left, right) = (
        (max(0, math.ceil(first)), min(end, math.floor(last) + 1))
        for (first, last), end in zip(spans, size, strict=True)
    )
    return top, left, bottom, right
