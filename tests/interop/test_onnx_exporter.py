"""Files that torch writes itself: the same table as through the other two doors, and the same numbers."""

from __future__ import annotations

import io
import warnings
from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convsmith.design import lower, zoo
from convsmith.interop.canonical import canonical
from convsmith.interop.onnx_reader import read_onnx
from convsmith.interop.torch_module import build
from convsmith.interop.torch_reader import read_module
from tests.interop.helpers import STRUCTURES
from tests.interop.onnx_helpers import disagreement, numbers, rows


def exported(module: nn.Module, *shape: int, opset: int = 17) -> bytes:
    """The module as torch writes it, layer by layer."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is on its way out; most files there are come from it
        torch.onnx.export(
            module,
            (torch.zeros(shape),),
            file,
            dynamo=False,
            opset_version=opset,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
    return file.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "mobilenet-v2" else pytest.mark.slow)
        for name in STRUCTURES
        if "vgg" not in name
    ],
)
def test_one_network_through_three_doors_gives_one_table(name: str) -> None:
    graph = lower(zoo.load(name))
    module, shape = build(graph).eval(), graph.inputs[0][1].shape
    for name, parameter in module.named_parameters():
        if name.endswith(".value"):
            nn.init.uniform_(parameter)  # torch writes equal arrays once
    from_design = rows(canonical(graph))
    assert rows(canonical(read_module(module, shape[1:]).graph)) == from_design  # type: ignore[arg-type]
    assert rows(read_onnx(exported(module, *shape)).graph) == from_design


class ConvNeXtBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 7, padding=3, groups=8), nn.LayerNorm(8, eps=1e-6)
        self.widen, self.narrow, self.scale = nn.Linear(8, 32), nn.Linear(32, 8), nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.narrow(functional.gelu(self.widen(y)))).permute(0, 3, 1, 2)


class Activations(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x * functional.relu6(x + 3) / 6
        x = x * torch.sigmoid(x)
        for activation in ("hardswish", "gelu", "mish", "silu", "hardsigmoid", "relu6", "elu", "softplus"):
            x = getattr(functional, activation)(x)
        return x.softmax(1)


class Sizes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = functional.interpolate(x, scale_factor=2, mode="nearest")
        x = functional.interpolate(x, size=(18, 18), mode="bilinear", align_corners=False)
        x = functional.interpolate(x, size=(21, 19), mode="bilinear", align_corners=True)
        x = functional.max_pool2d(functional.pad(x, (1, 0, 2, 1)), 3, 2, 1, ceil_mode=True)
        x = functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)


class Shuffle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        first, second = x.chunk(2, 1)
        x = torch.cat([first, second.relu()], 1)
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)
        return self.conv(x).mean([2, 3])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch, self.norm, self.join = nn.Conv2d(8, 16, 2, 2), nn.LayerNorm(16), nn.Linear(16, 16)
        self.qkv, self.position = nn.Linear(16, 48), nn.Parameter(torch.zeros(1, 36, 16))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2) + self.position
        q, k, v = self.qkv(self.norm(x)).reshape(-1, 36, 3, 4, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-2, -1) * 0.5).softmax(-1)
        return x + self.join((scores @ v).transpose(1, 2).reshape(-1, 36, 16))


MODULES: dict[str, nn.Module] = {
    "ConvNeXt block": ConvNeXtBlock(),
    "activations": Activations(),
    "sizes": Sizes(),
    "channel shuffle": Shuffle(),
    "attention": Attention(),
    "norms": nn.Sequential(nn.GroupNorm(2, 8), nn.InstanceNorm2d(8, affine=True), nn.BatchNorm2d(8)),
    "more activations": nn.Sequential(nn.PReLU(8), nn.LeakyReLU(0.2), nn.Hardtanh(), nn.Tanh()),
    "upwards": nn.Sequential(
        nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.PixelShuffle(2), nn.ZeroPad2d((1, 0, 2, 0)), nn.Conv2d(1, 2, 3)
    ),
    "rows": nn.Sequential(nn.AdaptiveAvgPool2d((4, 3)), nn.Flatten(), nn.Linear(96, 10), nn.BatchNorm1d(10)),
}


@pytest.mark.slow
@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("name", MODULES)
def test_a_module_gives_the_same_table_by_itself_and_exported(name: str, opset: int) -> None:
    module = MODULES[name].eval()
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0.5, 0.3)  # equal tensors would be stored once
    content = exported(module, 1, 8, 12, 12, opset=opset)
    reading, own = read_onnx(content), canonical(read_module(module, (8, 12, 12)).graph)
    if name == "attention":  # the three parts are cut at once there, one after the other here
        kinds = [Counter(type(node.op).__name__ for node in graph.nodes) for graph in (reading.graph, own)]
        assert kinds[0] == kinds[1]
    else:
        assert rows(reading.graph) == rows(own)
    assert disagreement(reading, content, [numbers(1, 8, 12, 12)]) < 1e-5
