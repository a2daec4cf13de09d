"""The optimizer of a recipe, and its state as named tensors.

Kept apart from the loop because a checkpoint must hold this state under the parameters' names: positions in a list
would silently shift when a network gains a layer.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from convsmith.training.recipe import Recipe


def make_optimizer(module: nn.Module, recipe: Recipe) -> Optimizer:
    """An optimizer over the trainable parameters; those of one dimension or none are not decayed."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    # 0.99 instead of 0.999: a short run has too few steps for the longer memory.
    return AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.99), fused=True)


def optimizer_tensors(optimizer: Optimizer, module: nn.Module) -> dict[str, torch.Tensor]:
    """The state as ``{"<slot>:<parameter name>": tensor}``."""
    return {
        f"{slot}:{name}": value
        for name, parameter in module.named_parameters()
        for slot, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }


def restore_optimizer(optimizer: Optimizer, module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put a state of :func:`optimizer_tensors` back."""
    parameters = dict(module.named_parameters())
    for key, value in tensors.items():
        slot, _, name = key.partition(":")
        parameter = parameters[name]
        # The fused kernels walk memory, so a slot must be laid out as its parameter (channels last or not).
        like = torch.empty_like(parameter, dtype=value.dtype) if value.shape == parameter.shape else value.clone()
        optimizer.state[parameter][slot] = like.copy_(value)
