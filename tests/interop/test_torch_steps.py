"""Networks that train with merged steps, against the same networks step by step in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from convsmith.design import lower
from convsmith.design.toml_file import make_design
from convsmith.interop.torch_module import Network, build
from convsmith.ir import Builder, Graph, TensorType
from convsmith.ops import Add, BatchNorm2d, Conv2d, ReLU, SiLU

DESIGNS = {
    "residual": ("residual", "relu", {}),
    "bottleneck": ("bottleneck", "relu", {}),
    "inverted residual": ("inverted_residual", "relu6", {"expansion": 3.0}),
    "with gates": ("inverted_residual", "silu", {"expansion": 3.0, "se_ratio": 0.25}),
    "depthwise": ("depthwise", "hardswish", {}),
    "plain": ("plain", "relu", {}),
}


def design(name: str) -> Graph:
    block, activation, options = DESIGNS[name]
    stages = [
        {"block": block, "depth": 2, "width": width, "stride": stride, "activation": activation, **options}
        for width, stride in ((12, 1), (20, 2))
    ]
    stem = {"block": "conv", "width": 12, "activation": activation}
    head = {"task": "classify", "classes": 5}
    return lower(make_design({"name": name, "input": [3, 17, 17], "stem": stem, "stage": stages, "head": head}))


def on(network: nn.Module, dtype: torch.dtype = torch.float32) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Scores, gradients and buffers after one step's forward and backward pass on fixed images."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(6, 3, 17, 17, generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)
    scores = network(images)
    (scores * torch.randn(scores.shape, generator=generator).to(dtype)).sum().backward()
    gradients = {name: parameter.grad.double() for name, parameter in network.named_parameters()}  # pyright: ignore
    return scores.detach().double(), gradients, {name: buffer.double() for name, buffer in network.named_buffers()}


def network_of(graph: Graph) -> Network:
    torch.manual_seed(0)
    return build(graph).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def off(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).norm() / (wanted.norm() + 1e-6)).item()


@pytest.mark.slow
@pytest.mark.parametrize("name", DESIGNS)
def test_merged_steps_compute_what_the_steps_compute(name: str):
    plain = network_of(design(name))
    fast = copy.deepcopy(plain)
    fast.use_kernels(True)
    exact = on(copy.deepcopy(plain).double(), torch.float64)
    for found, wanted, usual in zip(on(fast), exact, on(plain), strict=True):
        if isinstance(found, Tensor):
            assert off(found, wanted) < 1e-5
        else:
            for key, value in wanted.items():
                # where an activation bends, the last bit of a unit may decide
                assert off(found[key], value) < max(1e-4, 4 * off(usual[key], value)), key


@pytest.mark.parametrize(("name", "most"), [("inverted residual", 0.6), ("depthwise", 0.6)])
def test_merged_steps_keep_less_for_the_backward_pass(name: str, most: float):
    plain = network_of(design(name))
    fast = copy.deepcopy(plain)
    fast.use_kernels(True)
    assert kept(lambda: on(fast)) < most * kept(lambda: on(plain))


def kept(run: Callable[[], object]) -> int:
    """Bytes of the tensors that autograd holds at once, each once."""
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(held.values())


def test_evaluation_parameters_and_the_way_back_stay_as_they_were():
    plain = network_of(design("inverted residual"))
    fast = copy.deepcopy(plain)
    fast.use_kernels(True)
    assert list(fast.state_dict()) == list(plain.state_dict())
    images = torch.rand(2, 3, 17, 17)
    assert torch.equal(fast.eval()(images), plain.eval()(images))
    fast.train().use_kernels(False)
    plain.train()
    assert torch.equal(on(fast)[0], on(plain)[0])


def test_a_copy_trains_its_own_weights():
    fast = network_of(design("residual"))
    fast.use_kernels(True)
    twin = copy.deepcopy(fast)
    on(twin)
    assert all(parameter.grad is None for parameter in fast.parameters())
    assert all(parameter.grad is not None for parameter in twin.parameters())


def test_maps_that_the_kernels_do_not_take_go_step_by_step():
    plain = network_of(design("residual")).to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    fast = copy.deepcopy(plain)
    fast.use_kernels(True)
    images = torch.rand(4, 3, 17, 17)
    assert torch.equal(fast(images), plain(images))
    assert torch.equal(fast.double()(images.double()), plain.double()(images.double()))
    low = images.bfloat16().contiguous(memory_format=torch.channels_last)
    assert off(fast.bfloat16()(low).double(), plain.bfloat16()(low).double()) < 0.05


def branching(after: bool) -> Graph:
    """A normalisation that two read, a sum of a map with itself, and a gated activation after a sum."""
    builder = Builder("branching")
    x = builder.input(TensorType((1, 3, 17, 17)))
    x = builder.add(BatchNorm2d(4), builder.add(Conv2d(3, 4, 1), x, name="conv"), name="norm")
    twice = builder.add(Add(), builder.add(ReLU(), x, name="relu"), x, name="sum")
    doubled = builder.add(BatchNorm2d(4), twice, name="second")
    doubled = builder.add(Add(), doubled, doubled, name="both")
    end = builder.add(Add(), builder.add(BatchNorm2d(4), doubled, name="third"), twice, name="end")
    return builder.graph(builder.add(SiLU(), end, name="silu") if after else end)


@pytest.mark.parametrize("after", [True, False])
def test_only_what_nobody_else_reads_merges(after: bool):
    plain = network_of(branching(after))
    fast = copy.deepcopy(plain)
    fast.use_kernels(True)
    wanted = on(copy.deepcopy(plain).double(), torch.float64)
    assert off(on(fast)[0], wanted[0]) < 1e-5


def test_bfloat16_training_agrees_as_well_as_torchs_own():
    plain = network_of(design("inverted residual"))
    fast = copy.deepcopy(plain)
    fast.use_kernels(True)
    exact = on(copy.deepcopy(plain).double(), torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, usual = on(fast), on(plain)
    assert off(found[0], exact[0]) < 1.5 * off(usual[0], exact[0]) + 1e-3
