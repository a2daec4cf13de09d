"""Memory against published tables, hand arithmetic and what torch really keeps for a backward pass."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from convsmith.analysis import cost, memory, training_memory
from convsmith.design import lower, zoo
from convsmith.interop.torch_module import build
from convsmith.ir import Builder, Graph, Op, TensorType
from convsmith.ops import (
    ALL_OPS,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Constant,
    Conv2d,
    Dropout,
    DropPath,
    Flatten,
    GlobalMaxPool,
    GroupNorm,
    LayerNorm,
    LayerNorm2d,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    Mul,
    Pad,
    Pointwise,
    Reduce,
    ReLU,
    RMSNorm,
)
from tests.analysis import nets

MIB = 2**20
DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@pytest.mark.parametrize(
    ("graph", "features", "weights"),
    [
        (nets.resnet(224, early_stride=True, depths=DEPTHS[50]), 103, 97.5),
        (nets.resnet(224, early_stride=True, depths=DEPTHS[101]), 155, 169.9),
        (nets.resnet(224, early_stride=True, depths=DEPTHS[152]), 219, 229.6),
        (lower(zoo.load("vgg16")), 58, 527.8),
        (nets.squeezenet(224), 30, 4.8),
    ],
    ids=["resnet50", "resnet101", "resnet152", "vgg16", "squeezenet"],
)
def test_features_and_weights_of_convnet_burden(graph, features, weights):
    """Albanie, "Estimates of memory consumption and FLOPs", whose MB are whole MiB, rounded up or down."""
    found = memory(graph)
    assert found.feature_bytes / MIB == pytest.approx(features, abs=0.6)
    assert round(found.weight_bytes / MIB, 1) == weights


def net_of_one_block() -> Graph:
    net = Builder("block")
    x = net.input(TensorType((1, 4, 8, 8)))
    y = net.add(Conv2d(4, 8, 3, padding=1, bias=False), x, name="conv")
    y = net.add(ReLU(), net.add(BatchNorm2d(8), y, name="norm"), name="act")
    z = net.add(Conv2d(8, 8, 1), y, name="second")
    return net.graph(net.add(ReLU(), net.add(Add(), z, y, name="add"), name="out"))


def test_folded_and_fused_steps_move_nothing():
    map_bytes, layers = 8 * 64 * 4, memory(net_of_one_block()).layers
    assert [(layer.name, layer.fused) for layer in layers] == [
        ("conv", ("norm", "act")), ("second", ()), ("add", ("out",)),
    ]  # fmt: skip
    conv, second, add = layers
    assert conv.bytes == 4 * 64 * 4 + (8 * 4 * 9 + 8) * 4 + map_bytes  # the shift of the norm becomes the bias
    assert second.bytes == map_bytes + (8 * 8 + 8) * 4 + map_bytes
    assert add.bytes == 3 * map_bytes
    assert conv.flops == 2 * 8 * 64 * 36 + 2 * 8 * 64
    assert conv.intensity == conv.flops / conv.bytes
    moved = [memory(net_of_one_block()).bytes_of[name] for name in ("conv", "norm", "act", "second", "add", "out")]
    assert moved == [conv.bytes, 0, 0, second.bytes, add.bytes, 0]
    assert sum(moved) == memory(net_of_one_block()).bytes_moved


def test_what_others_read_too_and_what_needs_the_whole_input_is_not_fused():
    net = Builder("apart")
    x = net.input(TensorType((1, 4, 8, 8)))
    y = net.add(Conv2d(4, 4, 1), x, name="conv")
    act = net.add(ReLU(), y, name="act")
    norm = net.add(LayerNorm2d(4), net.add(Add(), act, y, name="add"), name="norm")
    assert [layer.name for layer in memory(net.graph(norm)).layers] == ["conv", "act", "add", "norm"]


def test_views_hold_and_move_nothing():
    net = Builder("view")
    x = net.input(TensorType((1, 2, 4, 4)))
    flat = net.add(Flatten(), net.add(ReLU(), net.add(Conv2d(2, 2, 1), x, name="conv"), name="act"), name="flat")
    graph = net.graph(net.add(Linear(32, 3), flat, name="fc"))
    assert memory(graph).feature_bytes == 4 * (32 + 32 + 3)
    assert [layer.fused for layer in memory(graph).layers] == [("act", "flat"), ()]


def test_constants_are_weights_and_no_values():
    net = Builder("scaled")
    x = net.input(TensorType((1, 8, 4, 4)))
    scale = net.add(Constant((8, 1, 1)), name="scale")
    graph = net.graph(net.add(Mul(), x, scale, name="out"))
    found = memory(graph)
    assert (found.weight_bytes, found.feature_bytes, found.peak_activation_bytes) == (32, 2 * 512, 2 * 512)
    assert found.bytes_moved == found.bytes_of["out"] == 2 * 512 + 32
    assert found.bytes_of["scale"] == 0
    assert training_memory(graph).activations == 512


def test_intensity_is_flops_by_bytes_of_the_whole_network():
    found = memory(lower(zoo.load("resnet50")))
    assert found.intensity == pytest.approx(sum(layer.flops for layer in found.layers) / found.bytes_moved)
    assert found.to_dict()["bytes_moved"] == sum(row["bytes"] for row in found.to_dict()["layers"])


def kept_by_torch(graph: Graph) -> int:
    """Bytes of values that torch keeps for the backward pass: no parameters, no statistics, no indices, no masks."""
    module = build(graph).train()
    stored = {tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype == torch.float32 and tensor.dim() > 1 and tensor.data_ptr() not in stored:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    image = torch.rand(graph.inputs[0][1].shape)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        output = module(image)
    assert output.requires_grad
    return sum(kept.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet-v1", "efficientnet-b0"])
def test_what_training_keeps_is_what_torch_saves(name):
    graph = lower(zoo.load(name))
    (_, type), *_ = graph.inputs
    graph = graph.with_inputs(type.with_shape(2, 3, 64, 64))
    assert training_memory(graph).activations == pytest.approx(kept_by_torch(graph), rel=0.01)


ONE_MAP = [
    sample
    for op in ALL_OPS
    for sample in op.samples()
    if len(sample.types) == 1 and sample.types[0].rank == 4 and not isinstance(sample.op, Conv2d)
]


def kept_besides(op: Op) -> str:
    """What torch keeps for an operator that the estimate leaves out."""
    match op:
        case Dropout(p=p) | DropPath(p=p) if p > 0:
            return "mask"
        case GroupNorm() | LayerNorm():
            return "statistics"
        case GlobalMaxPool() | Reduce(function="max" | "min" | "prod" | "l2" | "std"):
            return "result"
        case LayerNorm2d() | LocalResponseNorm() | RMSNorm() | Pointwise(function="softsign"):
            return "steps within"
        case Pad(mode="reflect" | "replicate"):
            return "input, for its shape alone"
        case AvgPool2d() | MaxPool2d() if any(before != after for before, after in op.padding):
            return "padded copy"
    return ""


@pytest.mark.parametrize("sample", ONE_MAP, ids=lambda sample: str(sample.op))
def test_an_operator_keeps_what_torch_saves_for_its_gradient(sample):
    batch, channels, height, width = sample.types[0].shape
    net = Builder("one")
    x = net.add(Conv2d(1, channels, 1), net.input(TensorType((batch, 1, height, width))), name="conv")
    graph = net.graph(net.add(sample.op, x, name="op"))
    besides = kept_by_torch(graph) - training_memory(graph).activations
    assert besides > 0 if kept_besides(sample.op) else besides == 0


def test_a_training_step_holds_weights_gradients_state_and_activations():
    graph = net_of_one_block()
    weights = 4 * cost(graph).params
    once, adam = training_memory(graph), training_memory(graph, batch=16, optimizer="adam")
    assert (once.weights, once.gradients, once.optimizer) == (weights, weights, weights)
    assert adam.optimizer == 2 * weights
    assert adam.activations == 16 * once.activations
    assert adam.total == 4 * weights + 16 * once.activations
    assert adam.to_dict()["total"] == adam.total


def test_sums_keep_nothing_and_products_keep_both():
    net = Builder("joins")
    a, b = net.input(TensorType((1, 4, 8, 8)), "a"), net.input(TensorType((1, 4, 8, 8)), "b")
    total = net.add(Add(), a, b, name="sum")
    assert training_memory(net.graph(net.add(Concat(), total, b, name="cat"))).activations == 0
    product = net.add(Mul(), a, b, name="product")
    assert training_memory(net.graph(product)).activations == 2 * 4 * 64 * 4
