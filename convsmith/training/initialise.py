"""First weights that depend on a parameter's name, its shape and the seed, and on nothing else.

Two architectures that share a layer then start it from the same numbers, whatever else they hold and in whatever
order they were built: paired seeds stay paired across the arms of an experiment.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # the common base of the batch norms of every rank
from torch.nn.modules.conv import _ConvNd

_LINEAR_STD: Final = 0.01


@torch.no_grad()
def initialise(module: nn.Module, seed: int) -> nn.Module:
    """Set the first weights of ``module`` in place and return it.

    Convolutions get He normal weights with fan-out (He et al. 2015, section 2.2), groups counted; linear layers a
    normal of standard deviation 0.01; norms 1 and 0 with fresh running statistics; biases 0. Any other parameter stays
    as its module made it.
    """
    for name, layer in module.named_modules():
        if not isinstance(getattr(layer, "weight", None), nn.Parameter | None):
            continue  # a fixed kernel, such as that of a blur
        if isinstance(layer, _ConvNd):
            fan_out = math.prod(layer.kernel_size) * layer.out_channels // layer.groups
            _normal(layer.weight, math.sqrt(2 / fan_out), f"{name}.weight", seed)
        elif isinstance(layer, nn.Linear):
            _normal(layer.weight, _LINEAR_STD, f"{name}.weight", seed)
        elif isinstance(layer, _BatchNorm | nn.GroupNorm | nn.LayerNorm):
            if layer.weight is not None:
                layer.weight.fill_(1.0)
            if isinstance(layer, _BatchNorm):
                layer.reset_running_stats()
        else:
            continue
        if layer.bias is not None:
            layer.bias.zero_()
    return module


def _normal(weight: torch.Tensor, std: float, name: str, seed: int) -> None:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    weight.copy_(torch.randn(weight.shape, generator=generator) * std)
