from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from convsmith.design import lower, zoo
from convsmith.interop.canonical import canonical
from convsmith.interop.torch_module import build
from convsmith.interop.torch_reader import read_module
from convsmith.interop.weights import load_weights, weights_of
from convsmith.ir import Builder, Graph, Op, TensorType
from convsmith.ops import (
    GELU,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Clip,
    Concat,
    Constant,
    Conv2d,
    Dropout,
    DropPath,
    Expand,
    Flatten,
    Gather,
    GlobalAvgPool,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    Linear,
    MaxPool2d,
    Mish,
    Mul,
    Pad,
    Permute,
    Pointwise,
    Reduce,
    ReLU,
    ReLU6,
    Reshape,
    Resize,
    Scalar,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    Softplus,
    Tanh,
)
from tests.interop.helpers import one_node, random_inputs, randomised, sharing

MAP = TensorType((1, 4, 6, 8))


class Chain:
    """A graph written as steps; ``-1`` is the value before."""

    def __init__(self, type: TensorType = MAP) -> None:
        self.net = Builder("chain")
        self.values = [self.net.input(type)]

    def add(self, op: Op, *reads: int) -> Chain:
        read = [self.values[place] for place in reads or ((-1,) if op.arity != 0 else ())]
        self.values.append(self.net.add(op, *read, name=f"n{len(self.values)}"))
        return self

    def graph(self, *outputs: int) -> Graph:
        return self.net.graph(*[self.values[place] for place in outputs or (-1,)])


def chain(*ops: Op, type: TensorType = MAP) -> Graph:
    steps = Chain(type)
    for op in ops:
        steps.add(op)
    return steps.graph()


def operators(graph: Graph) -> list[Op]:
    return [node.op for node in graph.nodes]


def check_same_function(before: Graph, after: Graph) -> None:
    """Both compute the same, with the same parameters under the same names."""
    assert set(after.param_shapes) <= set(before.param_shapes)
    module = randomised(before)
    weights = weights_of(module)
    twin = build(after).eval()
    load_weights(twin, {name: weights[name] for name in weights_of(twin)})
    inputs = [torch.from_numpy(array) for array in random_inputs(before, 2)]
    with torch.no_grad():
        want, got = module(*inputs), twin(*inputs)
    for one, other in zip(*(result if isinstance(result, tuple) else (result,) for result in (want, got)), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5)


CONV = Conv2d(4, 6, 3)
POINT = Conv2d(4, 6, 1)
third, sixth, root = Scalar("add", 3.0), Scalar("mul", 1 / 6), Scalar("mul", math.sqrt(0.5))

CHAINS: list[tuple[str, list[Op], list[Op]]] = [
    ("noise does nothing", [Dropout(), ReLU(), DropPath(0.1)], [ReLU()]),
    ("numbers that do nothing", [Scalar("add", 0.0), ReLU(), Scalar("mul", 1.0), Scalar("pow", 1.0)], [ReLU()]),
    ("no padding", [Pad(0), ReLU()], [ReLU()]),
    (
        "the map's own size",
        [AdaptiveAvgPool2d((6, 8)), Resize((6, 8), "bilinear"), Expand((-1, 4, 6, 8)), ReLU()],
        [ReLU()],
    ),
    ("one pixel", [AdaptiveAvgPool2d(1)], [GlobalAvgPool()]),
    ("one largest pixel", [AdaptiveMaxPool2d(1)], [GlobalMaxPool()]),
    ("equal windows", [AdaptiveAvgPool2d((3, 2))], [AvgPool2d((2, 4))]),
    ("equal windows of the largest", [AdaptiveMaxPool2d((2, 4))], [MaxPool2d((3, 2))]),
    ("unequal windows stay", [AdaptiveAvgPool2d((4, 8))], [AdaptiveAvgPool2d((4, 8))]),
    ("zeros before a convolution", [Pad(((0, 1), (2, 0))), CONV], [replace(CONV, padding=((0, 1), (2, 0)))]),
    ("zeros and padding", [Pad(1), replace(CONV, padding=1)], [replace(CONV, padding=2)]),
    ("other numbers stay", [Pad(1, value=1.0), CONV], [Pad(1, value=1.0), CONV]),
    ("mirrored pixels stay", [Pad(1, "reflect"), CONV], [Pad(1, "reflect"), CONV]),
    ("cut pixels stay", [Pad(-1), CONV], [Pad(-1), CONV]),
    ("zeros before a mean", [Pad(1), AvgPool2d(3, 2)], [AvgPool2d(3, 2, 1)]),
    (
        "zeros before a mean that would not count",
        [Pad(1), AvgPool2d(3, 2, count_include_pad=False)],
        [AvgPool2d(3, 2, 1)],
    ),
    (
        "zeros before a mean with other padding",
        [Pad(1), AvgPool2d(5, 2, 1, count_include_pad=False)],
        [Pad(1), AvgPool2d(5, 2, 1, count_include_pad=False)],
    ),
    ("more zeros than half the window", [Pad(2), AvgPool2d(3, 2)], [Pad(2), AvgPool2d(3, 2)]),
    ("nothing to count", [AvgPool2d(3, count_include_pad=False)], [AvgPool2d(3)]),
    ("what never wins", [Pad(((0, 1), (1, 0)), value=-math.inf), MaxPool2d(3, 2)], [MaxPool2d(3, 2, ((0, 1), (1, 0)))]),
    ("zeros before the largest stay", [Pad(1), MaxPool2d(3, 2)], [Pad(1), MaxPool2d(3, 2)]),
    ("rows left out", [Slice(2, 0, 6, 2), POINT], [replace(POINT, stride=(2, 1))]),
    ("rows and columns left out", [Slice(2, 0, 6, 2), Slice(3, 0, 8, 3), POINT], [replace(POINT, stride=(2, 3))]),
    ("stride on stride", [Slice(3, 0, 7, 2), replace(POINT, stride=2)], [replace(POINT, stride=(2, 4))]),
    ("rows from the second on stay", [Slice(2, 1, 6, 2), POINT], [Slice(2, 1, 6, 2), POINT]),
    ("a smaller map stays", [Slice(2, 0, 3, 1), POINT], [Slice(2, 0, 3, 1), POINT]),
    ("rows before a wide kernel stay", [Slice(2, 0, 6, 2), CONV], [Slice(2, 0, 6, 2), CONV]),
    ("hard sigmoid", [third, ReLU6(), sixth], [HardSigmoid()]),
    ("hard sigmoid the other way", [sixth, Scalar("add", 0.5), Clip(0.0, 1.0)], [HardSigmoid()]),
    (
        "some other clip",
        [Scalar("mul", 0.2), Scalar("add", 0.5), Clip(0.0, 1.0)],
        [Scalar("mul", 0.2), Scalar("add", 0.5), Clip(0.0, 1.0)],
    ),
    (
        "inverse root",
        [Pointwise("abs"), Pointwise("sqrt"), Pointwise("reciprocal")],
        [Pointwise("abs"), Pointwise("rsqrt")],
    ),
    ("the mean of the map", [Reduce("mean", (2, 3), True)], [GlobalAvgPool()]),
    ("the mean of the map as a row", [Reduce("mean", (2, 3))], [GlobalAvgPool(), Flatten()]),
    ("the largest of the map", [Reduce("max", (2, 3))], [GlobalMaxPool(), Flatten()]),
    ("one axis after the other", [Reduce("mean", (3,)), Reduce("mean", (2,))], [GlobalAvgPool(), Flatten()]),
    ("one axis after the other, kept", [Reduce("mean", (2,), True), Reduce("mean", (3,), True)], [GlobalAvgPool()]),
    ("flattened first", [Reshape((-1, 4, 48)), Reduce("mean", (2,))], [GlobalAvgPool(), Flatten()]),
    (
        "flattened first, kept",
        [Reshape((-1, 4, 48)), Reduce("mean", (2,), True)],
        [GlobalAvgPool(), Reshape((-1, 4, 1))],
    ),
    ("the mean of the channels stays", [Reduce("mean", (1,), True)], [Reduce("mean", (1,), True)]),
    (
        "the mean of the channels, then of the map",
        [Reduce("mean", (1,), True), Reduce("mean", (2, 3), True)],
        [Reduce("mean", (1,), True), GlobalAvgPool()],
    ),
    ("a row by any name", [GlobalAvgPool(), Reshape((-1, 4))], [GlobalAvgPool(), Flatten()]),
    ("a row twice", [GlobalAvgPool(), Flatten(), Flatten(), Linear(4, 2)], [GlobalAvgPool(), Flatten(), Linear(4, 2)]),
    (
        "noise in between",
        [GlobalAvgPool(), Dropout(), Flatten(), Dropout(), Linear(4, 2)],
        [GlobalAvgPool(), Flatten(), Linear(4, 2)],
    ),
    ("shapes in between", [Reshape((-1, 192)), Reshape((-1, 2, 96)), Reshape((-1, 8, 24))], [Reshape((-1, 8, 24))]),
    ("there and back", [Reshape((-1, 192)), Reshape((-1, 4, 6, 8)), ReLU()], [ReLU()]),
    ("places among places", [Gather(1, (3, 2, 1, 0)), Gather(1, (3, 0))], [Gather(1, (0, 3))]),
    ("all places", [Gather(1, (3, 2, 1, 0)), Gather(1, (3, 2, 1, 0)), ReLU()], [ReLU()]),
    ("rows and columns", [Gather(2, (0, 2, 4)), Gather(3, (0, 2, 4, 6))], [Resize((3, 4))]),
    ("middle rows and columns", [Gather(2, (1, 3, 5)), Gather(3, (1, 3, 5, 7))], [Resize((3, 4), "nearest-exact")]),
    ("axes there and back", [Permute((0, 2, 3, 1)), Permute((0, 3, 1, 2)), ReLU()], [ReLU()]),
    ("axes twice", [Permute((0, 2, 3, 1)), Permute((0, 2, 3, 1))], [Permute((0, 3, 1, 2))]),
    (
        "axes around a softmax",
        [Permute((0, 3, 2, 1)), Softmax(3), Permute((0, 3, 2, 1))],
        [Softmax(1)],
    ),
    ("any rows and columns stay", [Gather(2, (0, 1)), Gather(3, (0, 1))], [Gather(2, (0, 1)), Gather(3, (0, 1))]),
]


@pytest.mark.parametrize(("ops", "expected"), [pytest.param(ops, want, id=name) for name, ops, want in CHAINS])
def test_one_step_after_the_other(ops: list[Op], expected: list[Op]) -> None:
    before = chain(*ops)
    after = canonical(before)
    assert operators(after) == expected
    check_same_function(before, after)
    assert canonical(after) is after
    if ops == expected:
        assert after is before


def gate(*ops: Op, product: tuple[int, int]) -> Chain:
    steps = Chain().add(ReLU())
    for op in ops:
        steps.add(op)
    return steps.add(Mul(), *product)


GATES: list[tuple[str, Callable[[], Graph], Op]] = [
    ("sigmoid", lambda: gate(Sigmoid(), product=(1, 2)).graph(), SiLU()),
    ("sigmoid first", lambda: gate(Sigmoid(), product=(2, 1)).graph(), SiLU()),
    ("hard sigmoid", lambda: gate(HardSigmoid(), product=(2, 1)).graph(), HardSwish()),
    ("spelled hard sigmoid", lambda: gate(third, ReLU6(), sixth, product=(1, 4)).graph(), HardSwish()),
    ("hard swish divided last", lambda: gate(third, ReLU6(), product=(3, 1)).add(sixth).graph(), HardSwish()),
    ("mish", lambda: gate(Softplus(), Tanh(), product=(1, 3)).graph(), Mish()),
    (
        "gelu halved last",
        lambda: gate(root, Pointwise("erf"), Scalar("add", 1.0), product=(1, 4)).add(Scalar("mul", 0.5)).graph(),
        GELU(),
    ),
    (
        "gelu with half the gate",
        lambda: gate(root, Pointwise("erf"), Scalar("add", 1.0), Scalar("mul", 0.5), product=(5, 1)).graph(),
        GELU(),
    ),
    (
        "gelu with half of x",
        lambda: (
            (Chain().add(ReLU()).add(root).add(Pointwise("erf")).add(Scalar("add", 1.0)).add(Scalar("mul", 0.5), 1))
            .add(Mul(), 5, 4)
            .graph()
        ),
        GELU(),
    ),
]


@pytest.mark.parametrize(("make", "expected"), [pytest.param(make, op, id=name) for name, make, op in GATES])
def test_activations_that_are_spelled_out(make: Callable[[], Graph], expected: Op) -> None:
    before = make()
    after = canonical(before)
    assert operators(after) == [ReLU(), expected]
    assert after.outputs == before.outputs
    check_same_function(before, after)


@pytest.mark.parametrize(
    "make",
    [
        lambda: gate(Sigmoid(), product=(1, 2)).graph(2, 3),  # the gate is a result
        lambda: gate(Sigmoid(), product=(1, 2)).add(Add(), 2, 3).graph(),  # or read again
        lambda: gate(Sigmoid(), product=(0, 2)).graph(),  # or made of something else
        lambda: Chain().add(Pad(1)).add(CONV).add(MaxPool2d(3), 1).graph(2, 3),
        lambda: Chain().add(Slice(2, 0, 6, 2)).add(POINT).graph(1, 2),
    ],
)
def test_what_something_else_reads_stays(make: Callable[[], Graph]) -> None:
    before = make()
    assert canonical(before) is before


def test_squeeze_and_excitation_is_left_alone() -> None:
    steps = Chain().add(ReLU()).add(GlobalAvgPool()).add(Conv2d(4, 4, 1)).add(Sigmoid()).add(Mul(), 1, 4)
    graph = steps.graph()
    assert canonical(graph) is graph


def test_a_result_that_did_nothing_is_what_it_read() -> None:
    before = Chain().add(ReLU()).add(Dropout()).graph(1, 2)
    after = canonical(before)
    assert after.outputs == ("n1", "n1")
    assert operators(after) == [ReLU()]
    alone = canonical(chain(Dropout()))
    assert (alone.nodes, alone.outputs) == ((), ("input",))


def test_parameters_keep_their_names_and_types_are_known() -> None:
    before = (
        Chain().add(Dropout()).add(Pad(1)).add(CONV).add(BatchNorm2d(6)).add(Constant((6, 1, 1))).add(Add(), 4, 5)
        .add(Reduce("mean", (2, 3))).add(Linear(6, 3)).graph()
    )  # fmt: skip
    after = canonical(before)
    assert after.param_shapes == before.param_shapes
    assert [node.name for node in after.nodes] == ["n3", "n4", "n5", "n6", "n7_pool", "n7", "n8"]
    assert dict(after.types) == dict(Graph(after.name, after.inputs, after.nodes, after.outputs).types)
    check_same_function(before, after)


def shared(first: Op, second: Op) -> Graph:
    """Two uses of one convolution, each behind a step of its own."""
    net = Builder("shared")
    x = net.input(MAP)
    parts = [
        net.add(Conv2d(4, 4, 3), net.add(op, x, name=f"before{place}"), name=f"conv{place}")
        for place, op in enumerate((first, second))
    ]
    return sharing(net.graph(net.add(Concat(), *parts, name="join")), "conv1", "conv0")


def test_shared_parameters_get_the_same_operator_everywhere_or_stay() -> None:
    both = canonical(shared(Pad(1), Pad(1)))
    assert operators(both) == [Conv2d(4, 4, 3, padding=1), Conv2d(4, 4, 3, padding=1), Concat()]
    check_same_function(shared(Pad(1), Pad(1)), both)
    graph = shared(Pad(1), Pad(1, "reflect"))
    assert canonical(graph) is graph


@pytest.mark.parametrize("name", zoo.names())
def test_a_design_is_canonical_but_for_noise(name: str) -> None:
    graph = lower(zoo.load(name))
    after = canonical(graph)
    kept = [node for node in graph.nodes if not isinstance(node.op, Dropout | DropPath)]
    assert [(node.name, node.op) for node in after.nodes] == [(node.name, node.op) for node in kept]
    assert canonical(after) is after


ODD: list[Any] = [
    Conv2d(4, 6, 3, 2, ((0, 1), (1, 2))),
    Conv2d(4, 2, 1, 2),
    Conv2d(4, 4, 3, 2, 1, groups=4, bias=False, learned=False),
    MaxPool2d(3, 2, ((0, 1), (0, 1))),
    AvgPool2d(3, 2, ((0, 1), (1, 0))),
]


@pytest.mark.parametrize("op", ODD, ids=lambda op: type(op).__name__)
def test_what_torch_needs_two_steps_for_is_one_again(op: Op) -> None:
    graph = canonical(read_module(op.to_torch(), (4, 6, 8)).graph)
    assert operators(graph) == operators(canonical(one_node(op, (MAP,))))
