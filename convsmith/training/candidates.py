"""The setups that may train a network fastest on this machine: what a race starts from."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Final

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from convsmith import kernels
from convsmith.processor import available_threads, computes_bfloat16
from convsmith.training.device import Device, available_device, card_half
from convsmith.training.setup import Dtype, Setup, TakesKernels

_LEAST_PART: Final = 32  # images that batch norm should see at once


def ways(module: nn.Module, batch: int) -> list[Setup]:
    """Number types, layouts and kernels, with all threads and the whole batch; on the card where there is one."""
    device = available_device()
    merges = device == "cpu" and isinstance(module, TakesKernels) and kernels.available()
    layouts = [*([(True, True)] if merges else []), (True, False), (False, False)]
    return [
        Setup(dtype, channels_last, merged, available_threads(), batch_forward=2 * batch, device=device)
        for dtype, (channels_last, merged) in itertools.product(_dtypes(device), layouts)
    ]


def with_threads(setup: Setup) -> list[Setup]:
    """The setup, and with half of its threads: two that share a core may be no faster than one."""
    fewer = math.ceil(setup.threads / 2)
    tried = setup.device == "cpu" and fewer < setup.threads
    return [setup, *([dataclasses.replace(setup, threads=fewer)] if tried else [])]


def in_parts(setup: Setup, module: nn.Module, batch: int) -> list[Setup]:
    """The setup on whole batches, and on halves where batch norm allows that."""
    least = _LEAST_PART if any(isinstance(layer, _BatchNorm) for layer in module.modules()) else 2
    return [setup, *([dataclasses.replace(setup, micro_batch=batch // 2)] if batch // 2 >= least else [])]


def all_setups(module: nn.Module, batch: int) -> list[Setup]:
    """Every combination, of which a race measures a few."""
    threads = [setup for way in ways(module, batch) for setup in with_threads(way)]
    return [part for setup in threads for part in in_parts(setup, module, batch)]


def _dtypes(device: Device) -> tuple[Dtype, ...]:
    if device != "cpu":
        return (card_half(), "float32")
    return ("bfloat16", "float32") if computes_bfloat16() else ("float32",)
