"""Do our conventions give what the tools give? Each tool's own total beside ours, on single layers and whole networks.

Exits with 1 if a total differs and no reason is known, or if a known reason has gone. Run by the peers' environment,
with the source tree on PYTHONPATH, which `make bench-peers` does:

    PYTHONPATH=. .venv-peers/bin/python benchmarks/peers.py
"""

from __future__ import annotations

import copy
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any

import harness
import timm
import tools
import torch
import torch.nn.functional as F  # the field's name for it
import torchvision
from tools import Shape
from torch import Tensor, nn

from convsmith.design import lower, zoo
from convsmith.interop.conventions import quoted, totals
from convsmith.interop.torch_module import build
from convsmith.interop.torch_reader import read_module

IMAGE: Shape = (3, 224, 224)
SMALL: Shape = (8, 12, 10)

TORCHVISION = (
    "resnet18 resnet50 vgg16 mobilenet_v2 mobilenet_v3_small efficientnet_b0 densenet121 googlenet shufflenet_v2_x1_0 "
    "squeezenet1_0 mnasnet0_5 regnet_y_400mf resnext50_32x4d convnext_tiny vit_b_32"
).split()


class Function(nn.Module):
    """A function in the ``forward`` of a module of its own."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.inside = nn.Identity()  # a container, as most modules that call functions are

    def forward(self, input: Tensor) -> Tensor:
        return self.inside(self.function(input))


LAYERS: dict[str, nn.Module] = {
    "convolution": nn.Conv2d(8, 12, 3, 2, 1),
    "grouped and dilated convolution": nn.Conv2d(8, 12, (3, 2), padding=1, dilation=2, groups=4, bias=False),
    "depthwise convolution": nn.Conv2d(8, 16, 3, groups=8),
    "convolution with padding same": nn.Conv2d(8, 4, 4, padding="same"),
    "convolution with reflected padding": nn.Conv2d(8, 4, 3, padding=1, padding_mode="reflect"),
    "transposed convolution": nn.ConvTranspose2d(8, 6, 4, 2, 1),
    "grouped transposed convolution": nn.ConvTranspose2d(8, 12, 3, 3, 1, 2, groups=4, dilation=2),
    "convolution along a line": nn.Sequential(nn.Flatten(2), nn.Conv1d(8, 6, 3, 2, 1)),
    "linear": nn.Linear(10, 7),
    "linear without bias": nn.Sequential(nn.Flatten(), nn.Linear(960, 5, bias=False)),
    "batch norm": nn.BatchNorm2d(8),
    "batch norm without scale": nn.BatchNorm2d(8, affine=False),
    "batch norm along a line": nn.Sequential(nn.Flatten(2), nn.BatchNorm1d(8)),
    "group norm": nn.GroupNorm(2, 8),
    "group norm without scale": nn.GroupNorm(2, 8, affine=False),
    "instance norm": nn.InstanceNorm2d(8),
    "instance norm with scale": nn.InstanceNorm2d(8, affine=True),
    "layer norm": nn.LayerNorm(10),
    "layer norm without scale": nn.LayerNorm(10, elementwise_affine=False),
    "layer norm without bias": nn.LayerNorm(10, bias=False),
    "root mean square norm": nn.RMSNorm(10),
    "local response norm": nn.LocalResponseNorm(3),
    "max pool": nn.MaxPool2d(3, 2, 1),
    "average pool": nn.AvgPool2d(3, 2, ceil_mode=True),
    "adaptive average pool to a pixel": nn.AdaptiveAvgPool2d(1),
    "adaptive average pool to a part": nn.AdaptiveAvgPool2d((6, 5)),
    "adaptive average pool to no part": nn.AdaptiveAvgPool2d((5, 3)),
    "adaptive max pool": nn.AdaptiveMaxPool2d(4),
    **{
        kind.__name__: kind()
        for kind in (
            nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.PReLU, nn.SiLU, nn.GELU, nn.Mish, nn.Tanh, nn.Sigmoid,
            nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.Dropout,
        )
    },
    "softmax": nn.Softmax(1),
    "nearest upsampling": nn.Upsample(scale_factor=2),
    "bilinear upsampling": nn.Upsample((7, 5), mode="bilinear"),
    "bicubic upsampling": nn.Upsample(scale_factor=2, mode="bicubic"),
    "exact nearest upsampling": nn.Upsample(scale_factor=2, mode="nearest-exact"),
    "bilinear upsampling by its own class": nn.UpsamplingBilinear2d(scale_factor=2),
    "pixel shuffle": nn.PixelShuffle(2),
    "zero padding": nn.ZeroPad2d(1),
    "F.relu": Function(lambda x: F.relu(x)),
    "F.gelu": Function(lambda x: F.gelu(x)),
    "F.silu": Function(lambda x: F.silu(x)),
    "F.softmax": Function(lambda x: F.softmax(x, 1)),
    "F.max_pool2d": Function(lambda x: F.max_pool2d(x, 2)),
    "F.avg_pool2d": Function(lambda x: F.avg_pool2d(x, 2)),
    "F.adaptive_avg_pool2d": Function(lambda x: F.adaptive_avg_pool2d(x, 1)),
    "mean": Function(lambda x: x.mean((2, 3), keepdim=True)),
    "F.interpolate": Function(lambda x: F.interpolate(x, size=(5, 5), mode="bilinear")),
    "F.layer_norm": Function(lambda x: F.layer_norm(x, (10,))),
    "x + x": Function(lambda x: x + x),
    "torch.add": Function(lambda x: torch.add(x, x)),
    "torch.matmul": Function(lambda x: torch.matmul(x, x.transpose(2, 3))),
    "x @ x": Function(lambda x: x @ x.transpose(2, 3)),
    "broadcast matmul": Function(lambda x: torch.matmul(x.mean(1, keepdim=True), x.transpose(2, 3))),
    "einsum": Function(lambda x: torch.einsum("bchw,bcvw->bhv", x, x)),
    "einsum of a batch of matrices": Function(lambda x: torch.einsum("xyz,xyw->xzw", x.flatten(2), x.flatten(2))),
    "einsum without a sum": Function(lambda x: torch.einsum("bchw,bchw->bchw", x, x)),
    "attention": Function(lambda x: F.scaled_dot_product_attention(x, x, x)),
}  # fmt: skip


TOOLS: dict[str, Callable[[nn.Module, Shape], Any]] = {
    # On a CPU torch's counter does not see attention in one piece.
    "flops": lambda module, shape: tools.by_torch(module.to("meta"), shape, "meta"),
    "fvcore": tools.by_fvcore,
    "thop": tools.by_thop,
    "ptflops": tools.by_ptflops,
    "ptflops aten": partial(tools.by_ptflops, backend="aten"),
    "torchinfo": tools.by_torchinfo,
    "calflops": tools.by_calflops,
}
"""By the name of our convention."""

_METHOD = "counts methods as Tensor.mul, not operators as *; torch reports both alike, and we take the operator"

REASONS: dict[tuple[str, str], str] = {
    ("fvcore", "convolution with padding same"): "its trace calls this aten::_convolution_mode, which it does not know",
    ("ptflops", "local response norm"): "counts the functions within F.local_response_norm",
    ("ptflops", "torch.add"): "counts torch.add, not +",
    ("ptflops", "x @ x"): "counts torch.matmul, not @",
    ("ptflops", "torchvision:vit_b_32"): "counts nn.MultiheadAttention whole, by a formula of its own",
    ("torchinfo", "torchvision:vit_b_32"): "misses weights that another module reads: the projections of attention",
    (
        "ptflops",
        "timm:vit_tiny_patch16_224",
    ): "its formula for timm's attention leaves out the layers within, qkv and proj",
    ("ptflops", "timm:convnext_tiny"): _METHOD,
    ("calflops", "timm:convnext_tiny"): _METHOD,
}
"""Why a tool's total of a network differs from our convention for it."""


def networks() -> Iterator[tuple[str, nn.Module]]:
    for name in TORCHVISION:
        yield f"torchvision:{name}", torchvision.models.get_model(name)
    for name in tools.NETWORKS:
        yield f"timm:{name}", timm.create_model(name)
    for name in zoo.names():
        yield f"zoo:{name}", build(lower(zoo.load(name)))


def compare(name: str, module: nn.Module, shape: Shape, names: list[str]) -> Iterator[dict[str, Any]]:
    module.eval()
    reading = read_module(module, shape)
    ours = totals(reading.graph, reading.called) | quoted(reading.graph, reading.called)
    for tool in names:
        row: dict[str, Any] = {"network": name, "tool": tool, "ours": ours[tool]}
        try:
            with tools.silence():
                row["theirs"] = int(TOOLS[tool](copy.deepcopy(module), shape))
        except Exception as error:
            row["theirs"] = f"{type(error).__name__}: {error}"
        row["equal"] = row["ours"] == row["theirs"]
        if (tool, name) in REASONS:
            row["reason"] = REASONS[tool, name]
        print(f"{'' if row['equal'] else '! '}{name}, {tool}: {row['theirs']}, ours {row['ours']}", file=sys.stderr)
        yield row


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    usable = [tool for tool in TOOLS if tool != "calflops"]
    rows = [row for name, layer in LAYERS.items() for row in compare(name, layer, SMALL, usable)]
    rows += [row for name, network in networks() for row in compare(name, network, IMAGE, list(TOOLS))]
    differ = [row for row in rows if not row["equal"]]
    unexplained = [row for row in rows if row["equal"] == ("reason" in row)]
    harness.write(
        "peers",
        {
            "tools": {name: version(name) for name in tools.PACKAGES},
            "totals": len(rows),
            "equal": len(rows) - len(differ),
            "explained": len(differ) - len([row for row in unexplained if not row["equal"]]),
            "unexplained": unexplained,
            "differ": differ,
            "networks": table(rows),
        },
    )
    sys.exit(1 if unexplained else 0)


def table(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What each tool gives for each network."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if ":" in row["network"]:
            found.setdefault(row["network"], {})[row["tool"]] = row["theirs"]
    return found


if __name__ == "__main__":
    main()
