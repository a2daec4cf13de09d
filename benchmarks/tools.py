"""The tools that others count networks with, each called as its own documentation shows, and the networks for it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import calflops
import fvcore.nn
import ptflops
import thop
import torch
import torchinfo
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Shape = tuple[int, int, int]
"""(channels, height, width)."""

PACKAGES = ("torch", "torchvision", "timm", "fvcore", "thop", "ptflops", "torchinfo", "calflops")

NETWORKS = (
    "resnet50 mobilenetv2_100 efficientnet_b0 convnext_tiny ghostnetv2_100 densenet121 regnety_016 vgg16 "
    "vit_tiny_patch16_224"
).split()
"""Networks of timm."""


def by_torch(module: nn.Module, shape: Shape, device: str = "cpu") -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, *shape, device=device))
    return counter.get_total_flops()


def by_fvcore(module: nn.Module, shape: Shape) -> int:
    analysis = fvcore.nn.FlopCountAnalysis(module, torch.zeros(1, *shape))
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def by_thop(module: nn.Module, shape: Shape) -> int:
    return thop.profile(module, (torch.zeros(1, *shape),), verbose=False)[0]


def by_ptflops(module: nn.Module, shape: Shape, backend: str = "pytorch") -> int:
    options = {"as_strings": False, "print_per_layer_stat": False, "backend": backend}
    return ptflops.get_model_complexity_info(module, shape, **options)[0]


def by_torchinfo(module: nn.Module, shape: Shape) -> int:
    return torchinfo.summary(module, (1, *shape), verbose=0, device="cpu").total_mult_adds


def by_calflops(module: nn.Module, shape: Shape) -> int:
    """Fails on layers without parameters, and then leaves torch changed."""
    options = {"output_as_string": False, "print_results": False, "print_detailed": False}
    return calflops.calculate_flops(module, (1, *shape), **options)[0]


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What is printed within is thrown away."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
