"""S6: a 1x1 convolution mixes channels, pixel by pixel; on a map of one pixel it is the fully connected layer."""

import json

import numpy as np
import torch

import convsmith
from convsmith.cli.main import run
from convsmith.interop.torch_module import build
from convsmith.ir import Builder, TensorType
from convsmith.ops import Conv2d, Flatten, Linear


def test_its_matrix_is_the_same_block_on_the_diagonal_for_every_pixel(capsys):
    command = ["conv", "--input", "3x4x5", "--kernel", "1", "--out-channels", "2", "--matrix", "--json"]
    assert run(command) == 0
    found = json.loads(capsys.readouterr().out)
    pixels = 4 * 5
    blocks = np.full((pixels, pixels, 2, 3), -1)
    for row, column, weight in found["matrix"]["entries"]:
        blocks[row % pixels, column % pixels, row // pixels, column // pixels] = weight
    kernel = np.arange(6).reshape(2, 3)
    for one in range(pixels):
        assert (blocks[one, one] == kernel).all()
        assert (np.delete(blocks[one], one, axis=0) == -1).all()
    assert found["output_shape"] == [2, 4, 5]


def test_on_one_pixel_it_gives_the_numbers_of_the_fully_connected_layer():
    net = Builder("pixel")
    x = net.add(Flatten(), net.input(TensorType((1, 6, 1, 1))), name="flatten")
    graph = net.graph(net.add(Linear(6, 4), x, name="layer"))
    done = convsmith.rewrite(graph, "full-convolution", seed=3)
    assert done.graph.node("layer").op == Conv2d(6, 4, (1, 1))
    assert done.proof.largest < 1e-12
    weight, bias = done.weights["layer.weight"], done.weights["layer.bias"]
    pixel = torch.randn(1, 6, 1, 1, dtype=torch.float64)
    module = build(done.graph).double()
    module.load_state_dict({"layer.weight": torch.tensor(weight), "layer.bias": torch.tensor(bias)})
    expected = weight.reshape(4, 6) @ pixel.numpy().ravel() + bias
    assert np.allclose(module(pixel).detach().numpy().ravel(), expected, rtol=0, atol=1e-12)
