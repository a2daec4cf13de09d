"""S9: input, convolution, activation, pooling, fully connected layer, and probabilities at the end; and it trains."""

import json

import numpy as np
import pytest
import torch

from convsmith.cli.main import run
from convsmith.interop.onnx_file import write_onnx
from convsmith.interop.torch_module import build
from convsmith.interop.weights import weights_of
from convsmith.ir import Builder, TensorType
from convsmith.ops import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Softmax


def network():
    net = Builder("first")
    x = net.input(TensorType((1, 1, 12, 10)))
    x = net.add(Conv2d(1, 6, 3), x, name="convolution")
    x = net.add(ReLU(), x, name="activation")
    x = net.add(MaxPool2d(2), x, name="pooling")
    x = net.add(Linear(6 * 5 * 4, 3), net.add(Flatten(), x, name="flatten"), name="connected")
    return net.graph(net.add(Softmax(), x, name="softmax"))


def test_every_layer_has_its_shape_its_cost_and_its_field(tmp_path, capsys):
    graph = network()
    path = write_onnx(graph, weights_of(build(graph)), tmp_path / "first.onnx")
    assert run(["inspect", str(path), "--json"]) == 0
    layers = {layer["op"]: layer for layer in json.loads(capsys.readouterr().out)["layers"]}
    expected = {  # output, parameters, multiply-adds, what a unit sees
        "Conv2d": ([1, 6, 10, 8], 6 * 9 + 6, 6 * 10 * 8 * 9, [3, 3]),
        "ReLU": ([1, 6, 10, 8], 0, 0, [3, 3]),
        "MaxPool2d": ([1, 6, 5, 4], 0, 0, [4, 4]),
        "Linear": ([1, 3], 120 * 3 + 3, 120 * 3, None),
        "Softmax": ([1, 3], 0, 0, None),
    }
    for op, (output, params, macs, sees) in expected.items():
        layer = layers[op]
        assert (layer["output"], layer["params"], layer["macs"]) == (output, params, macs)
        if sees:
            assert layer["receptive_field"]["size"] == sees
        else:
            assert layer["receptive_field"]["global"]


def test_what_is_linear_is_a_matrix_and_the_whole_is_their_product():
    """Between the linear layers stand the two that are not; all of it by hand is what the module gives."""
    graph = network()
    module = build(graph).double().eval()
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    image = np.random.default_rng(0).standard_normal((1, 1, 12, 10))

    def matrix(name):
        node = graph.node(name)
        own = {key.partition(".")[2]: value for key, value in state.items() if key.startswith(name)}
        return node.op.matrix(graph.input_types(node)[0], own)

    map = (matrix("convolution") @ image.ravel()).reshape(6, 10, 8) + state["convolution.bias"][:, None, None]
    pooled = np.maximum(map, 0).reshape(6, 5, 2, 4, 2).max((2, 4))
    logits = matrix("connected") @ pooled.ravel() + state["connected.bias"]
    shares = np.exp(logits) / np.exp(logits).sum()
    assert abs(shares.sum() - 1) < 1e-12
    with torch.inference_mode():
        assert np.allclose(module(torch.from_numpy(image)).numpy().ravel(), shares, rtol=0, atol=1e-12)
    assert graph.node("activation").op.matrix(graph.types["convolution"], {}) is None
    assert graph.node("pooling").op.matrix(graph.types["activation"], {}) is None


@pytest.mark.slow
def test_the_module_learns_which_third_of_the_image_is_bright():
    torch.manual_seed(0)
    module = build(network()).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    labels = torch.arange(96) % 3
    images = 0.1 * torch.randn(96, 1, 12, 10)
    for number, label in enumerate(labels):
        images[number, :, 4 * label : 4 * label + 4] += 1
    before = [parameter.detach().clone() for parameter in module.parameters()]
    for _ in range(60):
        loss = -module(images)[torch.arange(96), labels].clamp_min(1e-9).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all((one != other).any() for one, other in zip(before, module.parameters(), strict=True))
    assert (module.eval()(images).argmax(1) == labels).all()
