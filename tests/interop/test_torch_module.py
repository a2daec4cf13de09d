from __future__ import annotations

import copy
import weakref

import pytest
import torch
from torch import Tensor, nn

from convsmith.errors import GraphError
from convsmith.interop.torch_module import build
from convsmith.ir import Builder, Graph, Op, Sample, TensorType
from convsmith.ops import ALL_OPS, Conv2d, ReLU
from tests.interop.helpers import one_node, random_inputs, randomised, residual, sharing

SAMPLES = [pytest.param(sample, id=f"{op.__name__}-{i}") for op in ALL_OPS for i, sample in enumerate(op.samples())]


def images(batch: int = 2) -> Tensor:
    return torch.from_numpy(random_inputs(residual(), batch)[0])


@pytest.mark.parametrize("sample", SAMPLES)
def test_one_node_computes_what_its_operator_computes(sample: Sample) -> None:
    graph = one_node(sample.op, sample.types)
    network = randomised(graph)
    alone = sample.op.to_torch().eval()
    alone.load_state_dict({name.removeprefix("body.op."): value for name, value in network.state_dict().items()})
    inputs = [torch.from_numpy(value) for value in random_inputs(graph)]
    assert torch.equal(network(*inputs), alone(*inputs))


def test_state_dict_keys_read_like_the_graph_and_shared_weights_are_stored_once() -> None:
    graph = residual()
    keys = {name for name, _ in build(graph).named_parameters(remove_duplicate=False)}
    assert keys == set(graph.param_shapes)
    assert "stage1.block1.se.conv.weight" in keys
    assert "stage1.block1.conv.weight" in keys
    assert not any("again" in key for key in keys)


def test_the_residual_network_computes_what_its_formula_says() -> None:
    network, x = randomised(residual()), images()
    stem = network.get_submodule("stem")
    block = network.get_submodule("stage1.block1")
    normed = stem.norm(stem.conv(x))
    first = block.conv(normed)
    again = block.conv(first.relu())
    gate = block.se.conv(again.mean((2, 3), keepdim=True)).sigmoid()
    joined = torch.cat([again * gate + normed, first], 1)
    assert torch.equal(network(x), network.head.classifier(joined.mean((2, 3))))


def test_shared_weights_get_the_gradient_of_both_uses() -> None:
    builder = Builder("twice")
    x = builder.input(TensorType((1, 1, 1, 1)))
    x = builder.add(Conv2d(1, 1, 1, bias=False), x, name="a")
    graph = sharing(builder.graph(builder.add(Conv2d(1, 1, 1, bias=False), x, name="b")), "b", "a")
    network = build(graph)
    with torch.no_grad():
        network.a.weight.fill_(3.0)
    network(torch.ones(1, 1, 1, 1)).backward()
    assert network.a.weight.grad.item() == 6.0  # d(w * w)/dw


class Watch(nn.Module):
    """Counts which of the values seen so far are still alive."""

    def __init__(self, seen: list[weakref.ref[Tensor]], alive: list[int]) -> None:
        super().__init__()
        self.seen, self.alive = seen, alive

    def forward(self, input: Tensor) -> Tensor:
        self.alive.append(sum(reference() is not None for reference in self.seen))
        output = input + 1
        self.seen.append(weakref.ref(output))
        return output


def chain(length: int, skip: bool = False) -> Graph:
    builder = Builder("chain")
    x = builder.input(TensorType((1, 1, 2, 2)))
    first = x = builder.add(ReLU(), x, name="act0")
    for i in range(1, length):
        x = builder.add(ReLU(), x, name=f"act{i}")
    return builder.graph(x, first) if skip else builder.graph(x)


@pytest.mark.parametrize(("skip", "most"), [(False, 1), (True, 2)])
def test_dead_values_are_released_while_running_and_outputs_are_not(skip: bool, most: int) -> None:
    network = build(chain(8, skip))
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    for name, _ in list(network.named_children()):
        setattr(network, name, Watch(seen, alive))
    output = network(torch.zeros(1, 1, 2, 2))
    assert len(alive) == 8
    assert max(alive) == most
    last = output[0] if skip else output
    assert last.unique().item() == 8


def test_several_outputs_come_as_a_tuple() -> None:
    last, first = build(chain(3, skip=True))(torch.tensor([[[[-1.0, 2.0]]]]))
    assert torch.equal(last, first)


@pytest.mark.slow
def test_compiles_without_graph_breaks() -> None:
    network, x = randomised(residual()), images()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(x), network(x), atol=1e-6)
    network.head.classifier = nn.Linear(16, 3)
    assert compiled(x).shape == (2, 3)


def test_a_copy_is_independent() -> None:
    network, x = randomised(residual()), images()
    before = network(x)
    twin = copy.deepcopy(network)
    assert torch.equal(twin(x), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(network(x), before)
    assert twin(x).abs().max() == 0


def test_a_replaced_child_is_used() -> None:
    network, x = randomised(residual()), images()
    network.head.classifier = nn.Identity()
    assert network(x).shape == (2, 16)


def test_state_dict_round_trip_gives_the_same_outputs() -> None:
    source, target, x = randomised(residual()), build(residual()).eval(), images()
    assert not torch.equal(source(x), target(x))
    target.load_state_dict(source.state_dict())
    assert torch.equal(source(x), target(x))


def test_channels_last_and_autocast_change_only_rounding() -> None:
    network, x = randomised(residual()), images()
    want = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(x)
    assert mixed.dtype == torch.bfloat16
    assert ((mixed - want).abs().max() / want.abs().max()).item() < 0.05
    last = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(last, want, rtol=1e-5, atol=1e-5)


def test_training_mode_drops_and_updates_statistics_and_evaluation_mode_does_not() -> None:
    network, x = build(residual()), images(16)
    mean = network.get_buffer("stem.norm.running_mean")
    assert network.training
    assert not torch.equal(network(x), network(x))
    moved = mean.clone()
    assert moved.abs().max() > 0
    network.eval()
    assert torch.equal(network(x), network(x))
    assert torch.equal(mean, moved)


def named(*names: str, op: Op | None = None) -> Graph:
    builder = Builder("names")
    x = builder.input(TensorType((1, 3, 4, 4)))
    for name in names:
        x = builder.add(op or ReLU(), x, name=name)
    return builder.graph(x)


@pytest.mark.parametrize(
    ("names", "culprit"),
    [
        (("a", "a.b"), "a.b"),
        (("a.b", "a"), "a"),
        (("a.b.c", "a.b"), "a.b"),
        (("x..y",), "x..y"),
        (("head.forward",), "head.forward"),
    ],
)
def test_names_that_cannot_nest_are_refused(names: tuple[str, ...], culprit: str) -> None:
    with pytest.raises(GraphError, match=rf"name.*\(received '{culprit}'\)"):
        build(named(*names))


def test_sharing_needs_the_same_operator() -> None:
    builder = Builder("shares")
    x = builder.input(TensorType((1, 3, 4, 4)))
    x = builder.add(Conv2d(3, 3, 3), x, name="a")
    graph = builder.graph(builder.add(Conv2d(3, 3, 1), x, name="b"))
    with pytest.raises(GraphError, match="'b' must be the same operator as 'a'"):
        build(sharing(graph, "b", "a"))
