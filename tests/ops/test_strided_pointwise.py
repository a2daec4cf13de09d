"""A regression: training a strided 1x1 convolution of few channels in channels_last layout killed the process."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from convsmith.interop.torch_reader import read_module
from convsmith.ops import Conv2d
from convsmith.ops.torch_modules import StridedPointwiseConv2d

PROGRAM = """
import torch
from convsmith.ops import Conv2d
torch.set_num_threads(%d)
module = Conv2d(%d, 32, (1, 1), (2, 2), bias=False).to_torch().to(memory_format=torch.channels_last)
images = torch.rand(%d, 20, 20, %d).permute(0, 3, 1, 2)  # also for one channel, whose strides torch leaves alone
for _ in range(20):
    module(images).square().mean().backward()
"""


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2, 4, 7, 8, 12, 15])
@pytest.mark.parametrize(("images", "threads"), [(64, 1), (9, 2)])
def test_training_in_channels_last_survives(channels, images, threads):
    program = PROGRAM % (threads, channels, images, channels)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_numbers_and_gradients_are_those_of_torch(bias, groups, layout):
    module = Conv2d(6, 8, (1, 1), (2, 3), groups=groups, bias=bias).to_torch().double()
    assert type(module) is StridedPointwiseConv2d
    images = torch.rand(2, 6, 7, 8, dtype=torch.float64).to(memory_format=layout)
    expected = functional.conv2d(images, module.weight, module.bias, (2, 3), groups=groups)
    assert torch.allclose(module(images), expected, rtol=1e-12, atol=1e-15)
    with torch.no_grad():
        assert torch.equal(module(images), expected)
    (gradient,) = torch.autograd.grad(module(images).square().sum(), module.weight)
    (oracle,) = torch.autograd.grad(expected.square().sum(), module.weight)
    assert torch.allclose(gradient, oracle, rtol=1e-12, atol=0)


def test_it_is_read_as_the_one_convolution_that_it_is():
    op = Conv2d(6, 8, (1, 1), (2, 2), bias=False)
    graph = read_module(nn.Sequential(nn.Conv2d(3, 6, 3), op.to_torch()), (3, 9, 9)).graph
    assert [node.op for node in graph.nodes][1] == op
    assert graph.stored_shapes["1.weight"] == (8, 6, 1, 1)


def test_other_convolutions_are_torchs_own():
    """Tools that look for ``nn.Conv2d`` by its very type find it wherever that is safe."""
    assert type(Conv2d(64, 128, (1, 1), (2, 2)).to_torch()) is torch.nn.Conv2d
    assert type(Conv2d(4, 8, (3, 3), (2, 2)).to_torch()) is torch.nn.Conv2d
