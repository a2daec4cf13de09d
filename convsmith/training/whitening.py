"""A first layer that sees decorrelated patches (Page, "How to Train Your ResNet", 2019; Jordan, arXiv 2404.00498).

Neighbouring pixels are nearly alike, so that the first filters learn slowly along all directions but brightness. Set to
the eigenvectors of the patches' covariance, each divided by its deviation, they give outputs of variance one that are
not correlated.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS: Final = 5e-4  # as in the source, on pixels of variance one
_PATCHES: Final = 1 << 18  # at a time: those of some hundred photographs take gigabytes


@torch.no_grad()
def whiten_first_layer(module: nn.Module, images: Tensor) -> bool:
    """Set the filters of the first convolution in place; False if there is none that reads the image.

    The filters are the eigenvectors, those of largest variance first, then the same with the other sign; a layer of
    fewer filters takes the first ones, and of one that has more the others stay as they were.

    Args:
        module: The network.
        images: Normalised training images, float32 (N, C, H, W); a few hundred are enough.
    """
    layer = next((layer for layer in module.modules() if isinstance(layer, nn.Conv2d)), None)
    if layer is None or layer.groups != 1 or layer.in_channels != images.shape[1]:
        return False
    filters = _whitening_filters(images, layer.kernel_size[0], layer.kernel_size[1])
    both = torch.cat([filters, -filters])[: layer.out_channels]
    layer.weight[: len(both)] = both
    return True


def _whitening_filters(images: Tensor, height: int, width: int) -> Tensor:
    """(C h w, C, h, w), those of largest variance first."""
    size = images.shape[1] * height * width
    sums, count = torch.zeros(size, size, dtype=torch.float64), 0
    for some in images.split(max(1, _PATCHES // images[0, 0].numel())):
        patches = functional.unfold(some, (height, width)).transpose(1, 2).flatten(0, 1).double()
        sums += patches.T @ patches
        count += len(patches)
    values, vectors = torch.linalg.eigh(sums / count)
    scaled = vectors / (values + _EPS).sqrt()
    return scaled.T.flip(0).float().reshape(-1, images.shape[1], height, width)
