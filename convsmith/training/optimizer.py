"""The optimizer of a recipe, and its state as named tensors.

Kept apart from the loop because a checkpoint must hold this state under the parameters' names: positions in a list
would silently shift when a network gains a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, AdamW, Optimizer

from convsmith.training.muon import Muon
from convsmith.training.recipe import Recipe

_NORMS: Final = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)


def make_optimizer(module: nn.Module, recipe: Recipe) -> Optimizer:
    """An optimizer over the trainable parameters; those of one dimension or none are not decayed."""
    lifts = {id(layer.bias) for layer in module.modules() if isinstance(layer, _NORMS)}
    groups: dict[str, list[nn.Parameter]] = {"filters": [], "weights": [], "lifts": [], "others": []}
    for parameter in module.parameters():
        if parameter.requires_grad:
            groups[_role(parameter, lifts)].append(parameter)
    options: dict[str, dict[str, Any]] = {
        "filters": {"weight_decay": recipe.weight_decay, "orthogonal": True},
        "weights": {"weight_decay": recipe.weight_decay},
        "lifts": {"weight_decay": 0.0, "scale": recipe.bias_rate},
        "others": {"weight_decay": 0.0},
    }
    made = [{"params": members, **options[role]} for role, members in groups.items() if members]
    match recipe.optimizer:
        case "sgd":
            nesterov = recipe.momentum > 0
            return SGD(made, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov, fused=True)
        case "muon":
            return Muon(made, lr=recipe.learning_rate, momentum=recipe.momentum)
        case "adamw":
            # 0.99 instead of 0.999: a short run has too few steps for the longer memory.
            return AdamW(made, lr=recipe.learning_rate, betas=(recipe.momentum, 0.99), fused=True)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Let every group learn at ``rate``, times its own scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


def _role(parameter: nn.Parameter, lifts: set[int]) -> str:
    """Filters see several channels of a map, as a depthwise convolution's do not; lifts are the biases of norms."""
    if parameter.ndim > 2 and parameter.shape[1] > 1:
        return "filters"
    if parameter.ndim > 1:
        return "weights"
    return "lifts" if id(parameter) in lifts else "others"


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
        alike = value.shape == parameter.shape
        like = torch.empty_like(parameter, dtype=value.dtype) if alike else value.to(parameter.device, copy=True)
        optimizer.state[parameter][slot] = like.copy_(value)
