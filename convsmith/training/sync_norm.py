"""Batch norm over the whole batch of a training in many processes.

Each process has a part of the batch. Their sums are added up in float64 (torch's own ``SyncBatchNorm`` runs on CUDA
alone), so that every process normalises by the mean and variance that one process with all images would find. Layers
keep their class, parameters, buffers and names; only what they do in training is another while it lasts.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from convsmith.training.distributed import Group


@contextlib.contextmanager
def synchronised_norms(module: nn.Module, group: Group) -> Iterator[None]:
    """Let every batch norm of ``module`` see the whole batch in training; in place, and undone at the end."""
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and type(layer) is not SyncBatchNorm]
    norms = [] if group.is_alone else norms
    for layer in norms:
        layer.forward = functools.partial(_forward, layer, group)
    try:
        yield
    finally:
        for layer in norms:
            del layer.forward


def _forward(norm: _BatchNorm, group: Group, input: Tensor) -> Tensor:
    if not norm.training:
        return type(norm).forward(norm, input)
    norm._check_input_dim(input)
    return _Normalise.apply(input, norm.weight, norm.bias, norm, group)  # pyright: ignore[reportReturnType]


class _Normalise(torch.autograd.Function):
    """(N, C, ...) normalised per channel; ``group.sum`` joins the parts, forward and backward."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, norm: _BatchNorm, group: Group
    ) -> Tensor:
        mean, variance = (part.double() for part in torch.batch_norm_update_stats(x, None, None, 0.0))
        count = mean.new_tensor([0 if group.idle else x.numel() // len(mean)])
        sums = group.sum(torch.cat([count, count * mean, count * (variance + mean.square())]))
        total, (mean, square) = sums[0], (sums[1:] / sums[0]).chunk(2)
        variance = (square - mean.square()).clamp_min(0)
        _follow(norm, mean, variance * total / (total - 1))
        kept = torch.promote_types(x.dtype, torch.float32)
        ctx.total, ctx.eps, ctx.group = total, norm.eps, group
        ctx.save_for_backward(x, weight, mean.to(kept), (variance + norm.eps).rsqrt().to(kept))
        return _scaled(x, weight, bias, mean.to(kept), variance.to(kept), norm.eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight, mean, scale = ctx.saved_tensors
        _, slopes, lifts = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, None, None, mean, scale, True, ctx.eps, [False, True, True]
        )
        both = ctx.group.sum(torch.stack([lifts, slopes]).double()) / ctx.total
        lift, slope = both.to(mean.dtype)
        by = scale if weight is None else scale * weight
        one = torch.ones_like(mean)
        dx = _scaled(gradient, by, None, lift, one, 0.0) - _scaled(x, by * scale * slope, None, mean, one, 0.0)
        affine = weight is not None
        return dx, slopes if affine else None, lifts if affine else None, None, None


def _scaled(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float
) -> Tensor:
    return torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]


def _follow(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, as ``nn.BatchNorm2d`` does."""
    if norm.running_mean is None or norm.running_var is None:
        return
    share = norm.momentum
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        share = share if share is not None else 1.0 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share or 0.0)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), share or 0.0)
