"""Reading torch modules: the same table as the design they were built from, the counts of torch's own flop counter,
and a module that is left exactly as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convsmith.analysis import cost, receptive_fields
from convsmith.design import lower, zoo
from convsmith.errors import ModelError
from convsmith.interop.canonical import canonical
from convsmith.interop.reading import Reading
from convsmith.interop.torch_module import build
from convsmith.interop.torch_reader import read_module
from convsmith.ir import Graph
from tests.interop.helpers import STRUCTURES

SMALL = (3, 32, 32)


def rows(graph: Graph) -> list[tuple[object, ...]]:
    return [(row.op, row.inputs, row.output, row.params, row.terms) for row in cost(canonical(graph)).layers]


def ops(reading: Reading) -> list[str]:
    return [type(node.op).__name__ for node in reading.graph.nodes]


def macs_of_torch(module: nn.Module, input: tuple[int, int, int]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy.deepcopy(module).eval().to("meta")(torch.empty(1, *input, device="meta"))
    return counter.get_total_flops() // 2


def read_and_check(module: nn.Module, input: tuple[int, int, int] = SMALL) -> Reading:
    """The reading, after its counts have been held against torch's."""
    reading = read_module(module, input)
    total = cost(reading.graph)
    assert total.macs == macs_of_torch(module, input)
    unused = sum(torch.Size(shape).numel() for shape in reading.unused.values())
    assert total.params + unused == sum(param.numel() for param in module.parameters())
    with torch.no_grad():
        output = copy.deepcopy(module).eval()(torch.zeros(1, *input))
    assert reading.graph.types[reading.graph.outputs[0]].shape == tuple(output.shape)
    return reading


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURES)
def test_the_built_module_of_every_zoo_design_reads_back_as_the_design(name: str):
    graph = lower(zoo.load(name))
    reading = read_module(build(graph), graph.inputs[0][1].shape[1:])
    assert rows(reading.graph) == rows(graph)
    assert not reading.unknown
    assert not reading.unused
    fields = receptive_fields(canonical(graph)), receptive_fields(canonical(reading.graph))
    assert list(fields[0].values()) == list(fields[1].values())


class Functional(nn.Module):
    """Everything as function calls, in place where torch allows it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 3, 3, 3))
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.head = nn.Parameter(torch.randn(5, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.weight, padding=1)
        y = F.relu_(x)  # x itself is rectified from here on
        y = F.hardswish(y * self.scale + 0.5)
        y = F.max_pool2d(y, 2) + F.avg_pool2d(x, 2)
        y = F.interpolate(y, scale_factor=2, mode="nearest") * torch.sigmoid(x.mean((2, 3), keepdim=True))
        return F.linear(y.mean((2, 3)), self.head)


def test_function_calls_are_seen_like_modules():
    reading = read_and_check(Functional())
    assert ops(reading).count("Conv2d") == 1
    assert {"ReLU", "HardSwish", "MaxPool2d", "AvgPool2d", "Resize", "Sigmoid", "Reduce"} <= set(ops(reading))
    pooled = next(node for node in reading.graph.nodes if type(node.op).__name__ == "AvgPool2d")
    relu = next(node for node in reading.graph.nodes if type(node.op).__name__ == "ReLU")
    assert pooled.inputs == (relu.name,)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = self.relu(self.body(x))
        return x


def test_a_module_used_three_times_works_three_times_and_is_stored_once():
    reading = read_and_check(Shared())
    bodies = [node for node in reading.graph.nodes if node.weights == "body"]
    assert [node.name for node in bodies] == ["body", "body_1", "body_2"]
    assert [node.shares for node in bodies] == ["", "body", "body"]
    assert reading.called["relu_2"] == "ReLU"


class ConvNeXtBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.gamma * self.down(F.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


def test_channels_last_steps_become_steps_on_maps():
    reading = read_and_check(nn.Sequential(nn.Conv2d(3, 8, 4, 4), ConvNeXtBlock(8)))
    assert ops(reading) == ["Conv2d", "Conv2d", "LayerNorm2d", "Linear", "GELU", "Linear", "Constant", "Mul", "Add"]
    field = receptive_fields(reading.graph)[reading.graph.outputs[0]].height
    assert (field.size, field.min_size, field.jump, field.whole) == (4 + 6 * 4, 4, 4, False)


class Reduced(nn.Module):
    """A reduction over axes of a map whose channels were moved to the end."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).amax(self.dims)


@pytest.mark.parametrize(
    ("dims", "found"),
    [((1, 2), ["GlobalMaxPool", "Flatten"]), ((3,), ["Reduce"]), ((1,), ["Permute", "Reduce"])],
)
def test_a_reduction_moves_the_axes_only_where_what_is_left_is_out_of_order(dims, found):
    reading = read_and_check(Reduced(*dims))
    graph = canonical(reading.graph)
    assert [type(node.op).__name__ for node in graph.nodes] == found
    image = torch.rand(1, *SMALL)
    assert torch.equal(build(graph)(image), Reduced(*dims)(image))


class Turn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 1, 3, 2)


def test_a_permutation_is_named_and_noted_like_any_other_step():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), Turn())
    reading = read_module(net, SMALL)
    assert reading.graph.nodes[1].name == "1"
    assert reading.called["1"] == "Turn.permute"
    assert read_module(Turn(), SMALL).called == {"permute": "Turn.permute"}


class TinyTransformer(nn.Module):
    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, 16))
        self.position = nn.Parameter(torch.zeros(1, 17, 16))
        self.qkv = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, 4, width // 4).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            x = ((q @ k.transpose(-2, -1)) * 0.5).softmax(dim=-1) @ v
        return self.out(x.transpose(1, 2).reshape(batch, length, width))[:, 0]


@pytest.mark.parametrize("fused", [True, False])
def test_attention_is_counted(fused: bool):
    reading = read_and_check(TinyTransformer(fused=fused))
    attention = sum(row.terms.attention for row in cost(reading.graph).layers)
    assert attention == 2 * 4 * 17 * 17 * 4


def test_torchs_own_attention_is_counted():
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, 16, 8, 8)
            self.attention = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            x = self.patch(x).flatten(2).transpose(1, 2)
            return self.attention(x, x, x, need_weights=False)[0]

    read_and_check(Encoder())


def test_einsum_and_broadcast_products_are_counted():
    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Parameter(torch.randn(6, 3))

        def forward(self, x: Tensor) -> Tensor:
            y = torch.einsum("bchw,oc->bohw", x, self.mix)
            return y @ y.transpose(-1, -2)

    reading = read_and_check(Mixer())
    assert cost(reading.graph).macs == 6 * 3 * 32 * 32 + 6 * 32 * 32 * 32


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's own
def test_uneven_padding_and_padding_modes():
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.same = nn.Conv2d(3, 4, (4, 2), padding="same", dilation=(1, 5))
            self.mirrored = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
            self.down = nn.Conv2d(4, 4, 3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.down(F.pad(self.mirrored(self.same(x)), (0, 1, 0, 1)))

    reading = read_and_check(Padded())
    assert reading.graph.node("same").op.attrs()["padding"] == ((1, 2), (2, 3))
    graph = canonical(reading.graph)
    assert [type(node.op).__name__ for node in graph.nodes] == ["Conv2d", "Pad", "Conv2d", "Conv2d"]
    assert graph.node("down").op.padding == ((0, 1), (0, 1))  # type: ignore[attr-defined]


def test_slices_chunks_and_shuffles_keep_the_place_of_pixels():
    class Shuffled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, 2, 1)
            self.branch = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            a, b = self.stem(x).chunk(2, dim=1)
            x = torch.cat([a, self.branch(b)], 1)
            n, c, h, w = x.shape
            return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)[:, :6, ::2, ::2]

    reading = read_and_check(Shuffled())
    field = receptive_fields(reading.graph)[reading.graph.outputs[0]].height
    assert (field.size, field.jump, field.whole) == (7, 4, False)


def test_weights_computed_from_parameters_are_counted_once():
    class Standardised(nn.Conv2d):
        def __init__(self) -> None:
            super().__init__(3, 8, 3, padding=1)
            self.gain = nn.Parameter(torch.ones(8, 1, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return F.conv2d(x, weight * self.gain, self.bias, padding=1)

    read_and_check(nn.Sequential(Standardised()))


def test_scale_without_shift_is_counted_as_what_it_is():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))
            self.stem = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return F.group_norm(self.stem(x), 2, self.weight)

    assert ops(read_and_check(Scaled())) == ["Conv2d", "GroupNorm", "Constant", "Mul"]


def test_kernels_that_depend_on_the_image_and_tables_of_places():
    class Conditional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.route = nn.Linear(3, 2)
            self.bank = nn.Parameter(torch.randn(2, 4 * 3 * 9))
            self.table = nn.Linear(2, 4)
            self.register_buffer("grid", torch.zeros(5, 2))
            self.register_buffer("places", torch.zeros(30 * 30, dtype=torch.int64))

        def forward(self, x: Tensor) -> Tensor:
            kernels = (torch.sigmoid(self.route(x.mean((2, 3)))) @ self.bank).view(4, 3, 3, 3)
            bias = self.table(self.grid)[self.places].view(30, 30, 4).permute(2, 0, 1)
            return F.conv2d(x, kernels) + bias

    reading = read_and_check(Conditional())
    assert {"DynamicConv2d", "Take"} <= set(ops(reading))


def test_parameters_never_executed_are_listed():
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main = nn.Conv2d(3, 4, 3)
            self.aux = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.main(x)
            return (x, self.aux(x.mean((2, 3)))) if self.training else x

    assert dict(read_and_check(Auxiliary()).unused) == {"aux.weight": (2, 4), "aux.bias": (2,)}


def test_the_module_is_left_as_it_was():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.ReLU(inplace=True))
    module[1].eval()
    calls = []
    module[0].register_forward_hook(lambda *_: calls.append(1))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    attributes = [set(vars(part)) for part in module.modules()]
    hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = read_module(module, SMALL), read_module(module, SMALL)
    assert torch.equal(torch.rand(3), expected)
    assert rows(first.graph) == rows(second.graph)
    assert [part.training for part in module.modules()] == modes
    assert [set(vars(part)) for part in module.modules()] == attributes
    assert [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()] == hooks
    after = module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(param.grad is None for param in module.parameters())


def test_reading_leaves_nothing_behind_when_forward_fails():
    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("no such thing\nsecond line")

    module = nn.Sequential(nn.Conv2d(3, 4, 3), Failing())
    with pytest.raises(ModelError, match=r"forward fails on input \[1, 3, 32, 32\]: RuntimeError: no such thing$"):
        read_module(module, SMALL)
    assert module.training
    assert torch.ones(2).sum() == 2  # no mode is left on


def test_a_map_that_does_not_fit_names_the_layer_and_the_shapes():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 4, 3))
    with pytest.raises(ModelError, match=r"^1: Conv2d: in_channels must equal the 4 channels.*\[1, 4, 30, 30\]"):
        read_module(module, SMALL)


class Sorting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sort(dim=1).values + 1


def test_unknown_operations_are_listed_with_their_place():
    reading = read_module(nn.Sequential(nn.Conv2d(3, 4, 3), Sorting()), SMALL)
    assert [str(one) for one in reading.unknown] == ["Tensor.sort in 1"]
    assert "Opaque" in ops(reading)


class Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.relu(x) if x.sum() > 1e9 else torch.sigmoid(x)


def test_a_forward_that_decides_by_numbers_says_so_and_can_be_run():
    with pytest.raises(ModelError, match="decides by the numbers of a tensor"):
        read_module(Deciding(), SMALL)
    reading = read_module(Deciding(), SMALL, run=True)
    assert ops(reading)[-1] == "Sigmoid"
    assert not reading.unknown
    assert "image of zeros" in reading.warnings[0]
    assert cost(reading.graph).macs == macs_of_torch(nn.Conv2d(3, 4, 3), SMALL)


class Sums(nn.Module):
    """Arithmetic in every spelling, on an input of zeros, so that a wrong operator gives another number."""

    def forward(self, x: Tensor) -> Tensor:
        x = (2 - x) * 3 + x / 4 - 0.5 + torch.full((), 0.25)
        x = torch.add(x, x, alpha=2) + 1 / (x + 1) + x**2
        x = torch.maximum(x, 0.1 * x) + x.max() + torch.max(x, x.min(dim=1, keepdim=True).values)
        x = x + x.std(1, False, True) + x.var(dim=1, keepdim=True) + torch.einsum("bchw,bchw->bchw", x, x)
        x -= F.normalize(x)
        return x.clamp(0, 6)


def test_arithmetic_is_what_torch_computes():
    graph = read_module(Sums(), (3, 4, 4)).graph
    image = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    assert torch.allclose(build(graph).double().eval()(image), Sums()(image), rtol=1e-6)


def test_an_exponent_per_element_is_not_mistaken_for_a_product():
    class Powers(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.relu() ** x

    assert [one.function for one in read_module(Powers(), SMALL).unknown] == ["Tensor.pow"]


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_scripted_module_is_refused_in_one_line():
    with pytest.raises(ModelError, match=r"a scripted module runs outside Python.*export it to ONNX"):
        read_module(nn.Sequential(torch.jit.script(nn.Conv2d(3, 4, 3))), SMALL)


def test_an_equation_without_an_arrow_is_read_as_torch_reads_it():
    class Implicit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Parameter(torch.randn(3, 6))

        def forward(self, x: Tensor) -> Tensor:
            return torch.einsum("bchw,cz", x, self.mix)

    assert cost(read_and_check(Implicit()).graph).macs == 3 * 6 * 32 * 32


class Chosen(nn.Module):
    """Channels at the places of a list that the module holds."""

    def __init__(self, places: list[int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 100, 1)
        self.register_buffer("places", torch.tensor(places))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).index_select(1, self.get_buffer("places"))


@pytest.mark.parametrize(
    ("places", "op"),
    [
        ([*range(99, -1, -1)], "Gather"),  # all channels in another order, as a shuffle has them
        ([7, 7, 3], "Gather"),
        ([place % 50 for place in range(100)], "Take"),
    ],
)
def test_an_order_of_all_channels_stands_in_the_graph_and_a_long_table_is_stored(places: list[int], op: str) -> None:
    assert ops(read_and_check(Chosen(places))) == ["Conv2d", op]
