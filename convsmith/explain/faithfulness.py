"""Whether a picture of saliency shows what the network used: deletion and insertion.

Pixels are taken away from the most salient on, and the probability of the class should fall at once; or they are put
into a blurred image in the same order, and it should rise at once (Petsiuk et al., "RISE", 2018, arXiv 1806.07421,
section 4.1). Each score is the mean probability on the way: the area under the curve, between 0 and 1. How far such a
number is good shows only beside the same score of pixels in a random order, and of the image itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from convsmith.explain.saliency import Score

STEPS: Final = 32
RANDOM_ORDERS: Final = 8
_BLUR: Final = 0.1  # deviation of the blur, over the side of the image


@dataclass(frozen=True)
class Faithfulness:
    """The scores of an order of pixels.

    Attributes:
        deletion: Mean probability while the most salient pixels become the mean pixel; low is good.
        insertion: Mean probability while they come back into the blurred image; high is good.
    """

    deletion: float
    insertion: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))


def faithfulness(probability: Score, image: Tensor, saliency: Tensor, *, steps: int = STEPS) -> Faithfulness:
    """Score the order of pixels that a saliency gives; equal ones go in the order of their places.

    Args:
        probability: Of the class.
        image: (C, H, W), normalised.
        saliency: (H, W).
        steps: Into how many equal steps the pixels are divided, at most.
    """
    order = torch.argsort(saliency.flatten(), descending=True, stable=True)
    return _scores(probability, image, order, steps)


def random_faithfulness(probability: Score, image: Tensor, *, seed: int, steps: int = STEPS) -> Faithfulness:
    """The mean scores of pixels in random orders."""
    random = np.random.default_rng(seed)
    places = image.shape[1] * image.shape[2]
    orders = [torch.from_numpy(random.permutation(places)) for _ in range(RANDOM_ORDERS)]
    found = [_scores(probability, image, order, steps) for order in orders]
    return Faithfulness(
        float(np.mean([one.deletion for one in found])), float(np.mean([one.insertion for one in found]))
    )


def blurred(image: Tensor) -> Tensor:
    """An image (C, H, W) blurred by a Gaussian of a tenth of its side, its edges repeated."""
    channels, height, width = image.shape
    for axis, size in ((1, height), (2, width)):
        deviation = _BLUR * size
        reach = min(size - 1, round(3 * deviation)) or 0
        line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=image.dtype) / deviation) ** 2)
        line = line / line.sum()
        shape = (-1, 1) if axis == 1 else (1, -1)
        sides = (0, 0, reach, reach) if axis == 1 else (reach, reach, 0, 0)
        kernel = line.view(shape).expand(channels, 1, -1, -1)
        image = functional.conv2d(functional.pad(image[None], sides, mode="replicate"), kernel, groups=channels)[0]
    return image


def _scores(probability: Score, image: Tensor, order: Tensor, steps: int) -> Faithfulness:
    places = len(order)
    counts = np.unique(np.linspace(0, places, min(steps, places) + 1).round().astype(np.int64))
    rank = torch.empty_like(order)
    rank[order] = torch.arange(places)
    first = torch.stack([rank < count for count in counts.tolist()]).view(-1, 1, *image.shape[1:])
    with torch.inference_mode():
        falling = probability(torch.where(first, torch.zeros_like(image), image)).double().numpy()
        rising = probability(torch.where(first, image, blurred(image))).double().numpy()
    return Faithfulness(_area(falling, counts), _area(rising, counts))


def _area(values: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Mean height of the curve, by trapezoids."""
    return float(np.trapezoid(values, counts) / counts[-1])
