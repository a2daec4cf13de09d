"""Functions that torch has and the graph spells in several operators, against what torch computes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convsmith.analysis import cost
from convsmith.interop.canonical import canonical
from convsmith.interop.conventions import totals
from convsmith.interop.reading import Reading
from convsmith.interop.torch_module import build
from convsmith.interop.torch_reader import read_module
from tests.interop.test_torch_reader import ops

IMAGE = (3, 12, 14)


class Calls(nn.Module):
    """A module that does nothing but call a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def read_and_compute(module: nn.Module) -> Reading:
    """The reading, after the module built from it has given torch's numbers at torch's cost."""
    reading = read_module(module, IMAGE)
    assert not reading.unknown
    built, params = build(reading.graph).double().eval(), dict(module.named_parameters())
    assert {name: param.numel() for name, param in built.named_parameters()} == {
        name: param.numel() for name, param in params.items()
    }
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for name, param in built.named_parameters():
            param.copy_(params[name].reshape(param.shape))
        image = torch.rand(1, *IMAGE, dtype=torch.float64) - 0.5
        want = copy.deepcopy(module).double().eval()(image)
    got = built(image)
    assert got.shape == want.shape
    assert torch.allclose(got, want, rtol=1e-9, atol=1e-12)
    assert 2 * cost(reading.graph).macs == counter.get_total_flops()
    return reading


def replaced(tensor: Tensor, other: Tensor) -> Tensor:
    tensor.data = other
    return tensor


FUNCTIONS: list[tuple[str, Callable[[Tensor], Tensor]]] = [
    ("windows of an axis", lambda x: x.unfold(2, 5, 3)),
    ("windows of the last axis", lambda x: x.unfold(-1, 7, 7)),
    ("windows of windows", lambda x: x.unfold(2, 6, 3).unfold(3, 6, 4).reshape(1, 3, -1, 36)),
    ("windows of a map seen otherwise", lambda x: x.permute(0, 2, 3, 1).unfold(1, 3, 2)),
    ("columns", lambda x: F.unfold(x, (3, 2), dilation=(2, 1), padding=(1, 0), stride=(2, 3))),
    ("columns of patches", lambda x: F.unfold(x, 2, stride=2)),
    ("columns and back", lambda x: F.fold(F.unfold(x, 3, 1, 1, 2) ** 2, (12, 14), 3, padding=1, stride=2)),
    (
        "columns of all kinds and back",
        lambda x: F.fold(F.unfold(x, (3, 2), (2, 1), (1, 0), (2, 3)) ** 2, x.shape[2:], (3, 2), (2, 1), (1, 0), (2, 3)),
    ),
    ("each element several times", lambda x: x.repeat_interleave(3, dim=1)),
    ("each batch several times", lambda x: x.repeat_interleave(2, 0)),
    ("each element several times, as a function", lambda x: torch.repeat_interleave(x, 2, dim=-1)),
    ("an image several times", lambda x: x.repeat(2, 1, 1, 1) + x[:, :1, :1].expand(2, 3, 12, -1)),
    ("a map spread over a new axis", lambda x: x.expand(2, -1, -1, -1, -1)),
    ("averages along a line", lambda x: F.avg_pool1d(x.flatten(2), 4, 3, 1)),
    ("averages without the padding", lambda x: F.avg_pool1d(x.flatten(2), 5, 2, 2, True, False)),
    ("rows and columns exchanged by attributes", lambda x: x.mT @ x + x.mean((0, 2)).mH[:1, 1:2]),
    ("axes reversed by attributes", lambda x: x.mean((0, 1)).T * x.mean((0, 1)).H),
    ("a value seen without its gradient", lambda x: x.data + 1),
    ("a value put in the place of another", lambda x: replaced(x + 1, 2 * x) + x),
    ("a type taken from another", lambda x: x.type_as(x) + 1),
    ("bounds in tensors", lambda x: x.clamp(torch.tensor(-0.25).to(x.dtype), torch.tensor([[0.25]]).to(x.dtype))),
    ("a bound on the left", lambda x: torch.maximum(torch.tensor(-0.25), x)),
    ("zeros around channels", lambda x: F.pad(x, (0, 0, 1, 0, 2, 1))),
    ("zeros and cuts around channels", lambda x: F.pad(x.permute(0, 2, 3, 1), (-1, 2, 0, 1)).permute(0, 3, 1, 2)),
    ("nothing joined to something", lambda x: torch.cat([x[:, :, :0], 2 * x[:, :, 0:]], dim=2)),
    ("one head of keys for all", lambda x: F.scaled_dot_product_attention(x, x[:, :1, :5], x[:, 1:2, :5, :4])),
    ("scores scaled", lambda x: F.scaled_dot_product_attention(x, x[:, :1, :5], x[:, 1:2, :5, :4], scale=3.0)),
]


@pytest.mark.parametrize("function", [pytest.param(function, id=name) for name, function in FUNCTIONS])
def test_a_function_is_what_torch_computes(function: Callable[[Tensor], Tensor]):
    read_and_compute(Calls(function))


def test_pixels_repeated_along_both_axes_are_an_enlarged_map():
    reading = read_and_compute(Calls(lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)))
    assert [type(node.op).__name__ for node in canonical(reading.graph).nodes] == ["Resize"]


def test_a_bound_is_an_activation_on_either_side():
    def bounded(x: Tensor) -> Tensor:
        x = torch.minimum(torch.maximum(torch.tensor(0.0), x), torch.tensor(6.0))
        return torch.maximum(torch.tensor(-math.inf), x)

    assert ops(read_module(Calls(bounded), IMAGE)) == ["ReLU", "Clip", "Constant", "Maximum"]


class Volume(nn.Module):
    """A convolution of a map with one more axis."""

    def __init__(self, axis: int, *args: Any, **options: Any) -> None:
        super().__init__()
        self.axis = axis
        self.conv = nn.Conv3d(*args, **options)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.unsqueeze(self.axis))


@pytest.mark.parametrize(
    "module",
    [
        Volume(2, 3, 6, (1, 3, 5), padding=(0, 1, 2), groups=3),
        Volume(1, 1, 4, (3, 1, 2), dilation=(2, 1, 1), padding=(1, 0, 0), bias=False),
        Volume(1, 1, 4, (3, 5, 1), stride=(2, 1, 1), padding=(1, 2, 0)),
        Volume(-1, 3, 4, 1),
    ],
)
def test_a_volume_convolved_along_two_axes_is_a_batch_of_maps(module: nn.Module):
    reading = read_and_compute(module)
    assert ops(reading).count("Conv2d") == 1


@pytest.mark.parametrize("options", [{}, {"padding": (1, 0, 0)}, {"stride": (2, 1, 1)}, {"padding": "same"}])
def test_a_volume_convolved_along_three_axes_is_not_known(options: dict[str, Any]):
    kernel = (3, 2, 3) if not options else (1, 3, 3)
    reading = read_module(Volume(1, 1, 4, kernel, **options), IMAGE)
    shown = " x ".join(map(str, kernel))
    assert [str(one) for one in reading.unknown] == [f"torch.conv3d in conv (no operator for a kernel of {shown})"]


def test_attention_to_what_came_before_alone_is_not_known():
    reading = read_module(Calls(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)), IMAGE)
    said = "scaled_dot_product_attention in forward (no operator for a mask of what comes later)"
    assert [str(one) for one in reading.unknown] == [said]


def test_bounds_that_are_learned_or_not_there_are_not_known():
    class Bounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low = nn.Parameter(torch.zeros(1))
            self.register_buffer("high", torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return x.clamp(self.low) + x.clamp(max=self.high)

    unknown = "Tensor.clamp in forward (a bound is not a number that is known)"
    assert [str(one) for one in read_module(Bounded(), IMAGE).unknown] == [unknown]
    assert [str(one) for one in read_module(Bounded().to("meta"), IMAGE).unknown] == [unknown] * 2


@pytest.mark.parametrize("seen", [lambda p: p.T, lambda p: p.mT, lambda p: p.H, lambda p: p.data.mH, lambda p: p.t()])
def test_a_weight_seen_by_an_attribute_is_that_weight(seen: Callable[[Tensor], Tensor]):
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.rand(5, 14))

        def forward(self, x: Tensor) -> Tensor:
            return x @ seen(self.table)

    reading = read_module(Turned(), IMAGE)
    assert (cost(reading.graph).params, cost(reading.graph).macs) == (5 * 14, 3 * 12 * 14 * 5)
    assert not reading.unused


def test_a_constant_put_in_the_place_of_a_value_is_what_is_read():
    nodes = read_module(Calls(lambda x: x + replaced(x.relu(), torch.ones(12, 1))), IMAGE).graph.nodes
    kinds = {node.name: type(node.op).__name__ for node in nodes}
    assert [kinds.get(name, name) for name in nodes[-1].inputs] == ["input", "Constant"]


def test_writing_into_a_weight_is_told_and_not_done():
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.ones(14))

        def forward(self, x: Tensor) -> Tensor:
            self.table.data = 2 * self.table
            return x * self.table

    module = Written()
    assert [str(one) for one in read_module(module, IMAGE).unknown] == ["Tensor.data in forward"]
    assert module.table.eq(1).all()


def test_an_attribute_that_no_operator_gives_is_not_known():
    reading = read_module(Calls(lambda x: torch.fft.fft2(x).imag + x), IMAGE)
    assert [one.function for one in reading.unknown] == ["fft_fft2", "Tensor.imag"]


def test_a_parameter_that_only_gives_its_type_is_not_part_of_what_takes_it():
    class Typed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.rand(14, 5))

        def forward(self, x: Tensor) -> Tensor:
            return x @ torch.eye(14).to(self.table) @ self.table

    reading = read_module(Typed(), IMAGE)
    assert dict(reading.graph.param_shapes) == {"table.value": (14, 5)}
    assert not reading.unused


@pytest.mark.parametrize(
    ("module", "thop", "ptflops"),
    [
        (nn.Sequential(nn.Flatten(2), nn.AvgPool1d(4), nn.Conv1d(3, 4, 1)), 240, 640),
        (Volume(-1, 3, 4, (3, 3, 1), padding=(1, 1, 0)), 6912, 7168),
    ],
)
def test_tools_that_hook_modules_know_those_of_one_and_three_axes(module: nn.Module, thop: int, ptflops: int):
    """The figures are those of thop 0.1.1 and ptflops 0.7.5."""
    reading = read_module(module, (3, 8, 8))
    counts = totals(canonical(reading.graph), reading.called)
    assert (counts["thop"], counts["ptflops"]) == (thop, ptflops)
