"""The ledger against torch's own flop counter, hand arithmetic and a plain simulation of what is alive when."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from convsmith.analysis import cost, memory, sections
from convsmith.design import lower, zoo
from convsmith.interop.torch_module import build
from convsmith.ir import Builder, TensorType
from convsmith.ops import Add, Conv2d, ReLU


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2", "efficientnet-b0"])
def test_macs_are_half_of_what_torch_counts(name):
    graph = lower(zoo.load(name))
    module = build(graph).to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, 3, 224, 224, device="meta"))
    assert 2 * cost(graph).macs == counter.get_total_flops()


def test_every_total_is_the_sum_of_its_rows_and_of_its_sections():
    table = cost(lower(zoo.load("mobilenet-v2")))
    assert table.macs == sum(layer.macs for layer in table.layers) == sum(part.macs for part in sections(table))
    assert table.params == sum(part.params for part in sections(table))
    assert [part.name for part in sections(table)] == ["stem", *(f"stage{n}" for n in range(1, 8)), "head"]


def test_the_peak_counts_a_shortcut_that_waits():
    net = Builder("waits")
    x = net.input(TensorType((1, 4, 8, 8)))
    a = net.add(Conv2d(4, 4, (3, 3), padding=((1, 1), (1, 1))), x, name="a")
    b = net.add(ReLU(), a, name="b")
    net.add(Add(), b, a, name="c")
    map_bytes = 4 * 8 * 8 * 4
    # b and a wait for their sum; the input is dead by then.
    assert memory(net.graph("c")).peak_activation_bytes == 3 * map_bytes
