"""Brightness, contrast, saturation and hue as one matrix and one offset per image."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convsmith.data.augment.policy import Policy
from convsmith.data.chance import Draws, Purpose

# Rows: luminance Y and the colour differences I and Q of NTSC, in which a turn of the hue is a rotation.
_YIQ: Final = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_BACK: Final = np.linalg.inv(_YIQ)
_LUMA: Final = _YIQ[0]
_GREY: Final = _BACK[:, :1] @ _YIQ[:1]  # what only depends on Y
_COLOUR: Final = np.eye(3) - _GREY
_QUARTER: Final = _BACK[:, 1:] @ np.array([[0.0, -1.0], [1.0, 0.0]]) @ _YIQ[1:]  # the colour turned by 90 degrees

_LEVELS: Final = 2048
"""Entries of the matrix are multiples of one over this. Products with whole pixel values and their sums are then exact
in float32, which holds whatever the order of the sums: an image gets the same bits in every batch."""


def recolour(images: Tensor, draws: Draws, policy: Policy) -> Tensor:
    """Change the colours of float32 images (N, H, W, C) of whole numbers in 0 to 255; clipped once at the end.

    Brightness comes first, then contrast around the image's mean luminance, saturation and hue.
    """
    count, channels = images.shape[0], images.shape[3]
    brightness = 1 + draws.within(policy.brightness, Purpose.BRIGHTNESS)
    contrast = 1 + draws.within(policy.contrast, Purpose.CONTRAST)
    scale = brightness * contrast
    offset = (1 - contrast) * brightness * _mean_luminance(images) if policy.contrast else np.zeros(count)
    if channels == 3 and (policy.saturation or policy.hue):
        matrix = scale[:, None, None] * _chroma(draws, policy)
        matrix = torch.from_numpy((np.rint(matrix * _LEVELS) / _LEVELS).astype(np.float32))
        images = torch.bmm(images.flatten(1, 2), matrix.transpose(1, 2)).view(images.shape)
    else:
        images = images * _per_image(scale)
    return images.add_(_per_image(offset)).clamp_(0, 255)


def _chroma(draws: Draws, policy: Policy) -> NDArray[np.float64]:
    """Saturation and hue as matrices (N, 3, 3) that leave grey alone."""
    saturation = 1 + draws.within(policy.saturation, Purpose.SATURATION)
    hue = np.deg2rad(draws.within(policy.hue, Purpose.HUE))
    kept, turned = (values[:, None, None] for values in (saturation * np.cos(hue), saturation * np.sin(hue)))
    return _GREY + kept * _COLOUR + turned * _QUARTER


def _mean_luminance(images: Tensor) -> NDArray[np.float64]:
    """Of each image (N, H, W, C) of whole numbers; a mean over the channels where they are not red, green and blue."""
    count, height, width, channels = images.shape
    rows = images.view(count, height, width * channels).sum(1).numpy()  # exact, being below 2**24
    sums = rows.astype(np.float64).reshape(count, width, channels).sum(1)
    weights = _LUMA if channels == 3 else np.full(channels, 1 / channels)
    return (sums * weights).sum(1) / (height * width)


def _per_image(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1)
